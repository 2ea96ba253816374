//! Merchant, keys and secrets of a demo, made once through the programs' own command lines and kept in
//! `{data_dir}/demo.json` (mode 0600), so that a second start prints the same keys.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::ports::{self, Ports};
use super::three_ds;
use crate::workspace;

/// The demo's publishable key is fixed, so that the README's snippet works word for word. It is no secret.
pub const PUBLISHABLE_KEY: &str = "pk_test_Cardseal0Demo0Publishable0Key000Q2Mpv1";

/// A card of the shop's own, without check digit and security code.
const GALLERY_RULES: &str = r#"[[brands]]
id = "corner_shop"
name = "Corner Shop Card"
prefixes = ["700700-700799"]
lengths = [15]
gaps = [6, 10]
cvc_length = 0
luhn = false
"#;

/// A provisioned demo.
pub struct Demo {
    /// What was made for it, by the names of the `ready` line.
    keys: Value,
    /// Where the secrets' files are.
    pub secrets: PathBuf,
}

impl Demo {
    /// The `ready` line's JSON (DESIGN §3).
    pub fn ready(&self, ports: Ports, data_dir: &Path) -> Value {
        let mut ready = json!({
            "shop": ports.shop(),
            "vault": ports.vault(),
            "vault_private": ports.url(ports::VAULT_PRIVATE),
            "payments": ports.url(ports::PAYMENTS),
            "acquirer": ports.url(ports::ACQUIRER),
            "publishable_key": PUBLISHABLE_KEY,
            "vault_admin": ports.url(ports::VAULT_ADMIN),
            "payments_admin": ports.url(ports::PAYMENTS_ADMIN),
            "acquirer_admin": ports.url(ports::ACQUIRER_ADMIN),
            "data_dir": data_dir,
        });
        for name in ["secret_key", "vault_key", "webhook_secret"] {
            ready[name] = self.keys[name].clone();
        }
        ready
    }

    /// The key whose card rules the gallery shows.
    pub fn gallery_key(&self) -> Option<&str> {
        self.keys["gallery_key"].as_str()
    }

    /// The file of a secret.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.secrets.join(name)
    }
}

/// Makes what is missing.
///
/// # Errors
/// When a program refuses, or the data belongs to other ports.
pub fn provision(data_dir: &Path, ports: Ports) -> anyhow::Result<Demo> {
    let secrets = data_dir.join("secrets");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&secrets)?;
    fs::create_dir_all(data_dir.join("logs"))?;
    let kept = data_dir.join("demo.json");
    let mut keys: Value = match fs::read(&kept) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .context("demo.json is malformed; remove the data directory")?,
        Err(_) => make(data_dir, ports)?,
    };
    if keys["port_base"] != ports.base() {
        bail!(
            "{} was made with --port-base {}; use that, or another --data-dir",
            data_dir.display(),
            keys["port_base"]
        );
    }
    if keys["results_key"].is_null() {
        keys["results_key"] = format!("ds_{}", random_hex()?).into();
    }
    write_secret(&kept, &serde_json::to_string_pretty(&keys)?)?;
    for name in [
        "secret_key",
        "service_key",
        "webhook_secret",
        "acquirer_key",
        "results_key",
        "acquirer_form_key",
        "acquirer_xml_key",
    ] {
        write_secret(
            &secrets.join(name),
            keys[name].as_str().context("demo.json lacks a key")?,
        )?;
    }
    let destinations = destinations(ports) + &three_ds::destination(ports);
    fs::write(data_dir.join("destinations.toml"), destinations)?;
    let three_d_secure = data_dir.join("three_d_secure.toml");
    fs::write(three_d_secure, three_ds::set_up(ports))?;
    fs::write(data_dir.join("acquirers.toml"), acquirers(ports))?;
    let merchant = keys["merchant"].as_str().context("demo.json lacks a key")?;
    fs::write(data_dir.join("checkout.toml"), checkout(ports, merchant))?;
    let clock = data_dir.join("clock");
    if !clock.exists() {
        fs::write(clock, "0")?;
    }
    Ok(Demo { keys, secrets })
}

fn make(data_dir: &Path, ports: Ports) -> anyhow::Result<Value> {
    let vault = database(data_dir, "vault");
    // It guards the audit key, and what a command does is audited.
    let root = data_dir.join("secrets/vault_root.json");
    let root = root.display().to_string();
    let merchant = answer(
        "token-vault",
        &[
            "merchants",
            "create",
            "--database",
            &vault,
            "--root-key-file",
            &root,
            "--name",
            "Cardseal demo shop",
        ],
    )?;
    let merchant = text(&merchant, "id")?;
    let root = data_dir.join("secrets/vault_root.json");
    let root = root.display().to_string();
    let key = |kind: &str, more: &[&str]| {
        let mut arguments = vec![
            "keys",
            "create",
            "--database",
            &vault,
            "--root-key-file",
            &root,
            "--kind",
            kind,
            "--merchant",
            &merchant,
        ];
        arguments.extend(more);
        answer("token-vault", &arguments).and_then(|made| text(&made, "key"))
    };
    let (shop, localhost, loopback) = (ports.shop(), "http://localhost:*", "http://127.0.0.1:*");
    let fixed = [
        "--publishable-key",
        PUBLISHABLE_KEY,
        "--origin",
        &shop,
        "--origin",
        localhost,
        "--origin",
        loopback,
    ];
    key("pk", &fixed)?;
    let rules = data_dir.join("gallery_rules.toml");
    fs::write(&rules, GALLERY_RULES)?;
    let rules = rules.display().to_string();
    let ruled = ["--origin", shop.as_str(), "--card-rules", &rules];
    let scopes = [
        "--scope",
        "cards:write",
        "--scope",
        "cards:read",
        "--scope",
        "exchange",
        "--scope",
        "forward",
    ];
    let webhook = format!("{}/webhooks/cardseal", ports.url(ports::SHOP));
    let payments = database(data_dir, "payments");
    let seal_key = data_dir.join("secrets/payments_seal_key");
    let seal_key = seal_key.display().to_string();
    let endpoint = [
        "webhook-endpoints",
        "create",
        "--database",
        &payments,
        "--seal-key-file",
        &seal_key,
        "--merchant",
        &merchant,
        "--url",
        &webhook,
    ];
    Ok(json!({
        "port_base": ports.base(),
        "merchant": merchant,
        "gallery_key": key("pk", &ruled)?,
        "secret_key": key("sk", &[])?,
        "vault_key": key("rk", &scopes)?,
        "service_key": key("svc", &["--scope", "fingerprint"])?,
        "webhook_secret": text(&answer("payments", &endpoint)?, "secret")?,
        "acquirer_key": format!("nb_{}", random_hex()?),
        "acquirer_form_key": random_hex()?,
        "acquirer_xml_key": format!("wb_{}", random_hex()?),
    }))
}

/// The database of a program.
pub fn database(data_dir: &Path, name: &str) -> String {
    format!("sqlite:{}", data_dir.join(format!("{name}.db")).display())
}

fn destinations(ports: Ports) -> String {
    format!(
        r#"# Where the vault may send cards, registered by the operator: `token-vault serve --destinations`.
[[destination]]
name = "northbank"
base_url = "{acquirer}"
local = true
merchants = ["*"]
connect_ms = 2000
total_ms = 10000
headers = {{ authorization = {{ file = "secrets/acquirer_key", prefix = "Bearer " }} }}

[[destination.operation]]
name = "authorise"
kind = "authorise"
method = "POST"
path = "/json/v1/payments"
placeholders = {{ "card.number" = "/card/number", "card.exp_month" = "/card/exp_month", "card.exp_year" = "/card/exp_year", "card.cvc" = "/card/cvc", "card.name" = "/card/name", "three_d_secure.eci" = "/three_d_secure/eci", "three_d_secure.cavv" = "/three_d_secure/cavv", "three_d_secure.ds_transaction_id" = "/three_d_secure/ds_transaction_id", "three_d_secure.version" = "/three_d_secure/version" }}
amount = "/amount"
currency = "/currency"
reference = "/reference"
response = ["/id", "/reference", "/status", "/amount", "/currency", "/response_code", "/auth_code", "/network_transaction_id", "/cvc_result", "/avs_result", "/merchant_advice_code"]
approved = {{ pointer = "/status", values = ["captured", "authorised"] }}

[[destination]]
name = "southbank"
base_url = "{acquirer}"
local = true
merchants = ["*"]
connect_ms = 2000
total_ms = 10000
headers = {{ authorization = {{ file = "secrets/acquirer_form_key", prefix = "Basic " }} }}

[[destination.operation]]
name = "authorise"
kind = "authorise"
method = "POST"
path = "/form/gateway"
body = "form"
placeholders = {{ "card.number" = "/ACCT", "card.expiry.MMYY" = "/EXPDATE", "card.cvc" = "/CVV2", "card.name" = "/NAME", "three_d_secure.eci" = "/ECI", "three_d_secure.cavv" = "/CAVV", "three_d_secure.ds_transaction_id" = "/DSTRANSID", "three_d_secure.version" = "/THREEDSVERSION" }}
amount = "/AMT"
amount_format = "decimal"
currency = "/CURRENCY"
currency_format = "upper"
reference = "/CUSTREF"
response = ["/RESULT", "/RESPMSG", "/PNREF", "/CUSTREF", "/STATUS", "/AMT", "/CURRENCY", "/HOSTCODE", "/AUTHCODE", "/TRANSID", "/CVV2MATCH", "/AVSCODE", "/ADVICECODE"]
approved = {{ pointer = "/STATUS", values = ["S", "A"] }}

[[destination]]
name = "westbank"
base_url = "{acquirer}"
local = true
merchants = ["*"]
connect_ms = 2000
total_ms = 10000
headers = {{ x-merchant-key = {{ file = "secrets/acquirer_xml_key" }} }}

[[destination.operation]]
name = "authorise"
kind = "authorise"
method = "POST"
path = "/xml/service"
body = "xml"
root = "paymentService"
sequence = ["/submit/order/amount", "/submit/order/paymentDetails"]
placeholders = {{ "card.number" = "/submit/order/paymentDetails/card/cardNumber", "card.exp_month" = "/submit/order/paymentDetails/card/expiryDate/date/@month", "card.exp_year" = "/submit/order/paymentDetails/card/expiryDate/date/@year", "card.cvc" = "/submit/order/paymentDetails/card/cvc", "card.name" = "/submit/order/paymentDetails/card/cardHolderName", "three_d_secure.eci" = "/submit/order/threeDSecure/@eci", "three_d_secure.cavv" = "/submit/order/threeDSecure/@cavv", "three_d_secure.ds_transaction_id" = "/submit/order/threeDSecure/@dsTransactionId", "three_d_secure.version" = "/submit/order/threeDSecure/@version" }}
amount = "/submit/order/amount/@value"
currency = "/submit/order/amount/@currencyCode"
currency_format = "upper"
reference = "/submit/order/@orderCode"
response = ["/reply/orderStatus"]
approved = {{ pointer = "/reply/orderStatus/lastEvent", values = ["CAPTURED", "AUTHORISED"] }}
"#,
        acquirer = ports.url(ports::ACQUIRER)
    )
}

fn acquirers(ports: Ports) -> String {
    let acquirer = ports.url(ports::ACQUIRER);
    let mut text =
        String::from("# The acquirers that payments may use: `payments serve --acquirers`.\n");
    for (name, dialect, key) in [
        ("northbank", "json", "acquirer_key"),
        ("southbank", "form", "acquirer_form_key"),
        ("westbank", "xml", "acquirer_xml_key"),
    ] {
        text.push_str(&format!(
            r#"
[[acquirer]]
name = "{name}"
dialect = "{dialect}"
destination = "{name}"
base_url = "{acquirer}"
api_key_file = "secrets/{key}"
connect_ms = 2000
total_ms = 12000
settle_after_s = 60
fees = {{ basis_points = 290, fixed = {{ usd = 30, eur = 25 }} }}
"#
        ));
    }
    text
}

fn checkout(ports: Ports, merchant: &str) -> String {
    format!(
        r##"# The hosted page: `payments serve --checkout`.
public_url = "{payments}"
vault_url = "{vault}"

[[merchant]]
id = "{merchant}"
publishable_key = "{PUBLISHABLE_KEY}"
name = "Fern & Flint"
accent = "#1f4d3a"
"##,
        payments = ports.url(ports::PAYMENTS),
        vault = ports.vault(),
    )
}

fn answer(program: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(workspace::built(program)?)
        .args(arguments)
        .output()?;
    if !output.status.success() {
        bail!(
            "{program} {} failed:\n{}",
            arguments[0],
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{program} answered no JSON"))
}

fn text(answer: &Value, name: &str) -> anyhow::Result<String> {
    answer[name]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer lacks {name}"))
}

fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0u8; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

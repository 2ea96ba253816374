//! Destinations and their secrets through the operator's command line, as a running vault sees them.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use harness::database;
use serde_json::{Value, json};
use store::Location;

use crate::endpoint::{self, Endpoint};
use crate::forward_bodies::{call, destinations, forward, grant};
use crate::forward_process::Process;
use crate::vault::Vault;

/// `sqlite:PATH` or the server's URL, as the command line takes it.
pub fn location(vault: &Vault) -> String {
    match &vault.database.location {
        Location::Sqlite(path) => format!("sqlite:{}", path.display()),
        Location::Postgres(url) => url.clone(),
    }
}

/// Runs `token-vault`, with something on its standard input.
pub fn token_vault(vault: &Vault, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_token-vault"))
        .args(args)
        .env("TOKEN_VAULT_DATABASE", location(vault))
        .env("TOKEN_VAULT_ROOT_KEY_FILE", vault.folder.join("root.key"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may be gone by now.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Sets a secret as the operator does.
pub fn set_secret(vault: &Vault, name: &str, value: &str) {
    let output = token_vault(vault, &["destinations", "secret", "set", name], value);
    assert!(output.status.success(), "{output:?}");
    never_holds(&output, value);
}

fn never_holds(output: &Output, secret: &str) {
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(secret));
    }
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn refresh(vault: &Vault) -> Vec<String> {
    let app = &vault.app;
    app.destinations
        .refresh(&app.store, &app.root)
        .await
        .unwrap()
}

const SECRET: &str = "sk_acquirer_secret_51H";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_registered_works_until_it_is_removed() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let endpoint = Endpoint::plain().await;
        let file = vault.folder.join("bank.toml");
        let text = destinations(&endpoint)
            .replace(r#"{ file = "acquirer.key", "#, r#"{ secret = "bank_key", "#);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let body = json!({"card": {"number": "{{card.number}}"}});
        let grant = grant(&vault).await;
        let send = |attempt: &'static str| call(&grant, "json", attempt, body.clone());

        let checked = answer(&token_vault(&vault, &["destinations", "check", file], ""));
        assert_eq!(checked["destinations"][0]["secrets"], json!(["bank_key"]));
        let added = answer(&token_vault(&vault, &["destinations", "add", file], ""));
        assert_eq!(added["secrets_to_set"], json!(["bank_key"]));
        let problems = refresh(&vault).await;
        assert!(
            problems[0].contains("destinations secret set bank_key"),
            "{problems:?}"
        );
        assert_eq!(
            forward(&vault, &send("att_1")).await.json["code"],
            "operation_not_allowed"
        );

        set_secret(&vault, "bank_key", &format!("{SECRET}\n"));
        assert_eq!(refresh(&vault).await, Vec::<String>::new());
        endpoint.answer(endpoint::json(&json!({"status": "ok"}).to_string()));
        assert_eq!(forward(&vault, &send("att_1")).await.status, 200);
        assert!(
            endpoint
                .last()
                .0
                .contains(&format!("authorization: Bearer {SECRET}"))
        );

        for args in [
            &["destinations", "list"][..],
            &["destinations", "secret", "list"],
        ] {
            let output = token_vault(&vault, args, "");
            never_holds(&output, SECRET);
            assert!(answer(&output).to_string().contains("bank"));
        }
        sealed_at_rest(&vault).await;

        answer(&token_vault(
            &vault,
            &["destinations", "remove", "bank"],
            "",
        ));
        refresh(&vault).await;
        assert_eq!(
            forward(&vault, &send("att_2")).await.json["code"],
            "operation_not_allowed"
        );
        let again = token_vault(&vault, &["destinations", "remove", "bank"], "");
        assert!(!again.status.success());
        answer(&token_vault(
            &vault,
            &["destinations", "secret", "remove", "bank_key"],
            "",
        ));
    }
}

/// Whoever writes to the database sends no card to a host of their own: neither by changing what is registered, nor by
/// adding to it, nor by copying it to another name or mode.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_sql_wrote_is_none() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let (bank, thief) = (Endpoint::plain().await, Endpoint::plain().await);
        let file = vault.folder.join("bank.toml");
        std::fs::write(&file, destinations(&bank)).unwrap();
        let file = file.to_str().unwrap();
        let grant = grant(&vault).await;
        let send = |attempt: &'static str| {
            call(
                &grant,
                "json",
                attempt,
                json!({"card": {"number": "{{card.number}}"}}),
            )
        };
        let add = ["destinations", "add", file];
        set_secret(&vault, "bank_key", SECRET);
        std::fs::write(
            file,
            destinations(&bank)
                .replace(r#"{ file = "acquirer.key", "#, r#"{ secret = "bank_key", "#),
        )
        .unwrap();
        answer(&token_vault(&vault, &add, ""));
        assert_eq!(refresh(&vault).await, Vec::<String>::new());
        let (from, to) = (bank.address.to_string(), thief.address.to_string());
        let copy = format!(
            "insert into destinations (mode, name, entry, created_at, row_mac)
             select mode, 'other', replace(entry, '{from}', '{to}'), created_at, row_mac from destinations"
        );
        let redirect = format!("update destinations set entry = replace(entry, '{from}', '{to}')");
        let strip = "update destinations set row_mac = null".to_owned();
        for (sql, named) in [(copy, "other"), (redirect, "bank"), (strip, "bank")] {
            let changed = vault.app.store.write(move |tx| tx.execute(&sql, &[]));
            assert!(changed.await.unwrap() > 0);
            let problems = refresh(&vault).await.join("; ");
            assert!(
                problems.contains(&format!(
                    "destination {named} is not as the operator registered it"
                )),
                "{problems}"
            );
        }
        let refused = forward(&vault, &send("att_1")).await;
        assert_eq!(refused.json["code"], "operation_not_allowed");
        // The operator registers it again.
        answer(&token_vault(
            &vault,
            &["destinations", "remove", "other"],
            "",
        ));
        answer(&token_vault(&vault, &add, ""));
        assert_eq!(refresh(&vault).await, Vec::<String>::new());
        bank.answer(endpoint::json(&json!({"status": "ok"}).to_string()));
        assert_eq!(
            forward(&vault, &send("att_2")).await.json["bytes_sent"],
            "all"
        );
    }
}

// The row holds nothing of the secret, and moved to another name it does not open.
async fn sealed_at_rest(vault: &Vault) {
    let moved = vault
        .app
        .store
        .write(|tx| {
            let rows = tx.all("select sealed from destination_secrets", &[])?;
            let sealed: Vec<u8> = rows[0].get(0)?;
            tx.execute(
                "insert into destination_secrets (mode, name, sealed, created_at) values ('test', 'moved', $1, 0)",
                &[sealed.clone().into()],
            )?;
            Ok::<_, token_vault::Error>(sealed)
        })
        .await
        .unwrap();
    assert!(!moved.windows(8).any(|w| w == &SECRET.as_bytes()[..8]));
    let problems = refresh(vault).await;
    assert_eq!(problems, ["secret moved does not open under this root"]);
}

#[test]
fn a_secret_is_not_taken_from_the_command_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_token-vault"))
        .args(["destinations", "secret", "set", "name", "value"])
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn what_must_not_be_registered_is_refused_with_a_reason() {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-check"));
    std::fs::create_dir_all(&folder).unwrap();
    let good = r#"
        [[destination]]
        name = "bank"
        base_url = "https://api.bank.example"
        merchants = ["*"]
        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "/pay"
        placeholders = { "card.number" = "/card/number", "card.cvc" = "/card/cvc" }
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/status"]
    "#;
    let check = |text: &str, mode: &str| {
        let file = folder.join("check.toml");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_token-vault"))
            .args([
                "destinations",
                "check",
                file.to_str().unwrap(),
                "--mode",
                mode,
            ])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), told)
    };
    assert!(check(good, "live").0);
    let url = "https://api.bank.example";
    for (from, to, reason) in [
        (url, "https://*.bank.example", "exact host"),
        (url, "https://192.0.2.1", "exact host"),
        (url, "https://[::1]", "exact host"),
        (url, "https://2130706433", "exact host"),
        (url, "https://127.1", "exact host"),
        (url, "https://0x7f.1", "exact host"),
        (url, "https://localhost", "exact host"),
        (url, "http://api.bank.example", "must be https"),
        (url, "https://api.bank.example/v1", "no path"),
        (url, "https://user:pw@api.bank.example", "no user"),
        ("merchants", "local = true\nmerchants", "for test mode"),
        ("\"/card/cvc\"", "\"/card/number\"", "overwrite"),
        ("amount = \"/amount\"", "amount = \"/card\"", "overwrite"),
        ("card.cvc\" =", "card.pin\" =", "no placeholder card.pin"),
        ("[\"/status\"]", "[\"/card/cvc\"]", "never come back"),
        ("[\"/status\"]", "[\"/expiry_date\"]", "never come back"),
        ("[\"/status\"]", "[\"status\"]", "JSON pointer"),
        ("\"POST\"", "\"GET\"", "POST, PUT or PATCH"),
        ("\"/pay\"", "\"pay\"", "path"),
        ("amount = \"/amount\"", "", "needs amount"),
        ("path =", "body = \"xml\"\npath =", "root names"),
        (
            "path =",
            "body = \"xml\"\nroot = \"a b\"\npath =",
            "cannot be written",
        ),
        (
            "path =",
            "body = \"form\"\nfixed = { \"/a[b\" = 1 }\npath =",
            "cannot be written",
        ),
        (
            "merchants",
            "headers = { host = \"x\" }\nmerchants",
            "writes this header itself",
        ),
        (
            "merchants",
            "headers = { a = \"x\\r\\ny: z\" }\nmerchants",
            "headers cannot have",
        ),
        (
            "merchants",
            "client_cert = \"none.pem\"\nmerchants",
            "go together",
        ),
        ("merchants", "typo = 1\nmerchants", "malformed"),
    ] {
        let (fine, told) = check(&good.replacen(from, to, 1), "live");
        assert!(!fine, "{to}");
        assert!(told.contains(reason), "{to}: {told}");
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_in_the_clear_is_neither_kept_nor_shown() {
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let text =
            destinations(&endpoint).replace("x-plain = \"yes\"", "x-api-key = \"k_in_the_clear\"");
        let vault = Vault::start(database, Some(&text)).await;
        let mut asked = call(&grant(&vault).await, "json", "att_1", json!({}));
        asked["dry_run"] = json!(true);
        let shown = forward(&vault, &asked).await;
        assert!(
            shown.text.contains("x-api-key") && !shown.text.contains("k_in_the_clear"),
            "{}",
            shown.text
        );
        let file = vault.folder.join("destinations.toml");
        let added = token_vault(&vault, &["destinations", "add", file.to_str().unwrap()], "");
        assert!(!added.status.success());
        assert!(
            String::from_utf8_lossy(&added.stderr).contains("in the clear"),
            "{added:?}"
        );
        never_holds(&added, "k_in_the_clear");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_for_test_mode() {
    let vault = Vault::start(database::sqlite(), Some("")).await;
    let endpoint = Endpoint::plain().await;
    let text = destinations(&endpoint).replace("local = true", "");
    let live = text.replace(
        &format!("http://{}", endpoint.address),
        "https://api.bank.example",
    );
    std::fs::write(vault.folder.join("live.toml"), live).unwrap();
    let merchant = vault.merchants[0].id.clone();
    let made = token_vault(
        &vault,
        &[
            "keys",
            "create",
            "--kind",
            "rk",
            "--mode",
            "live",
            "--root-key-file",
            vault.folder.join("live.key").to_str().unwrap(),
            "--merchant",
            &merchant,
            "--scope",
            "forward",
            "--scope",
            "cards:write",
        ],
        "",
    );
    let key = answer(&made)["key"].as_str().unwrap().to_owned();
    let process = Process::start_in(&vault, "live", "live.toml").await;
    let mut asked = call(&grant(&vault).await, "json", "att_1", json!({}));
    asked["dry_run"] = json!(true);
    let refused = process.with_key(&key).post("/v1/forward", &asked).await;
    assert_eq!(
        (refused.status, refused.json["code"].as_str()),
        (422, Some("test_mode_only"))
    );
    // And a published test card is no card there.
    let card = json!({"number": "4242424242424242", "exp_month": 12, "exp_year": 2040});
    let refused = process
        .with_key(&key)
        .post("/v1/tokens", &json!({ "card": card }))
        .await;
    assert_eq!(
        (refused.status, refused.json["code"].as_str()),
        (402, Some("test_card_in_live_mode"))
    );
    process.kill();
}

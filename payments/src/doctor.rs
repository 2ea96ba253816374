//! `payments doctor`: is this set-up fit to go live? Each check says what it found and, where that is not right, what to
//! do. It looks at the same options as `serve` and changes nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Request, Uri, header};
use serde::Serialize;
use service::egress::Reach;
use service::{Client, Clock, files};
use store::{Store, Tx};
use vault_api::ids::new_id;
use vault_api::keys::hex;

use crate::checkout::config::Checkout;
use crate::cli::Serve;
use crate::config::{self, AcquirerConfig};
use crate::connectors::Acquirer;
use crate::conversion::Conversions;
use crate::error::Error;
use crate::risk::Rules;
use crate::three_ds::ThreeDs;
use crate::vault::Vault;
use crate::webhooks::endpoints::{self, Endpoint};

/// How far two clocks may be apart, seconds: signatures and field sessions are judged by them.
const APART: i64 = 5;
const CONNECT: Duration = Duration::from_secs(3);
const TOTAL: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every check is fine.
    pub fit: bool,
    checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    check: String,
    ok: bool,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Checks everything; a check that fails keeps no other from running.
pub async fn examine(options: &Serve) -> Report {
    let mut checks = vec![];
    let mut note = |check: String, found: anyhow::Result<()>| {
        checks.push(Check {
            check,
            ok: found.is_ok(),
            problem: found.err().map(|error| format!("{error:#}")),
        });
    };
    note("listener".into(), listener(options));
    note("clock".into(), no_offset(options));
    note(
        "service key file".into(),
        files::only_ours(&options.service_key_file),
    );
    note(
        "seal key file".into(),
        files::only_ours(&options.seal_key.seal_key_file),
    );
    note("vault".into(), vault(options).await);
    note("vault's clock".into(), same_clock(&options.vault_url).await);
    match config::acquirers(&options.acquirers) {
        Err(error) => note("acquirers".into(), Err(error)),
        Ok(list) => {
            note("acquirers".into(), Ok(()));
            for config in list {
                let name = config.name.clone();
                note(format!("acquirer {name}"), acquirer(config).await);
            }
        }
    }
    match &options.checkout {
        None => {}
        Some(file) => note("hosted page".into(), checkout(file).await),
    }
    if let Some(file) = &options.risk {
        note("fraud rules".into(), Rules::from_file(file).map(drop));
    }
    if let Some(file) = &options.conversion {
        let found = Conversions::from_file(file);
        note(
            "conversion".into(),
            found.and_then(|conversions| conversions.check(Clock::system().now())),
        );
    }
    if let Some(file) = &options.three_d_secure {
        note("3-D Secure".into(), ThreeDs::from_file(file).map(drop));
    }
    match crate::open(&options.database.database) {
        Err(error) => note(
            "database".into(),
            Err(error).context("the database does not open; check --database"),
        ),
        Ok(store) => {
            note("database".into(), durable(&store).await);
            note("failed deliveries".into(), deliveries(&store).await);
            let list = store.read(|tx: &mut Tx<'_>| endpoints::all(tx)).await;
            for endpoint in list.unwrap_or_default() {
                let id = endpoint.id.clone();
                note(
                    format!("webhook endpoint {id}"),
                    webhook(options, &endpoint).await,
                );
            }
        }
    }
    Report {
        fit: checks.iter().all(|check| check.ok),
        checks,
    }
}

fn listener(options: &Serve) -> anyhow::Result<()> {
    ensure!(
        options.admin.ip().is_loopback(),
        "--admin listens beyond this machine without a password; bind it to loopback or a private network of your monitoring"
    );
    ensure!(
        options.listen.ip().is_loopback(),
        "--listen speaks plain HTTP beyond this machine; bind it to loopback and put a TLS proxy before it"
    );
    Ok(())
}

fn no_offset(options: &Serve) -> anyhow::Result<()> {
    ensure!(
        options.clock_file.is_none(),
        "--clock-file is for tests: leave it out where live keys are used"
    );
    ensure!(
        !options.webhook_loopback,
        "--webhook-loopback is for tests: leave it out where live keys are used"
    );
    Ok(())
}

fn encrypted(url: &str) -> anyhow::Result<()> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let host = uri.host().unwrap_or_default();
    let local = host == "localhost"
        || Reach::PublicOrLoopback.allows_host(host) && !Reach::Public.allows_host(host);
    ensure!(
        uri.scheme_str() == Some("https") || local,
        "{url} is plain HTTP beyond this machine; use https"
    );
    Ok(())
}

async fn vault(options: &Serve) -> anyhow::Result<()> {
    encrypted(&options.vault_url)?;
    let key = config::secret_from_file(&options.service_key_file)?;
    let vault = Vault::new(&options.vault_url, &key)?;
    // Nobody's key: the answer shows that the vault is there and takes ours.
    let mut nobody = [0u8; 32];
    getrandom::fill(&mut nobody).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    match vault.lookup_key(hex(&nobody)).await {
        Ok(_) => Ok(()),
        Err(failure) => bail!(
            "{failure}; check --vault-url (the vault's private listener) and --service-key-file"
        ),
    }
}

/// Compares with the `Date` of the vault's answer.
async fn same_clock(url: &str) -> anyhow::Result<()> {
    let client = Client::new(CONNECT, TOTAL);
    let request = Request::get(format!("{url}/openapi.json")).body(Bytes::new())?;
    let answer = client.send(request).await?;
    let told = answer.headers().get(header::DATE);
    let told = told
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let there = httpdate::parse_http_date(told).context("the vault's answer has no Date")?;
    let there = there
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs() as i64;
    let apart = Clock::system().now() - there;
    ensure!(
        apart.abs() <= APART,
        "this machine's clock and the vault's are {apart} s apart; run a time service on both"
    );
    Ok(())
}

async fn acquirer(config: AcquirerConfig) -> anyhow::Result<()> {
    encrypted(&config.base_url)?;
    files::only_ours(&config.api_key_file)?;
    let acquirer = Acquirer::new(config)?;
    // A reference that nobody has: a valid answer shows address, key and dialect.
    let inquiry = acquirer.connector.inquiry(&new_id("ref"));
    let (status, body) = acquirer
        .call(inquiry)
        .await
        .context("an inquiry was not answered; check base_url")?;
    let read = acquirer.connector.read_inquiry(status, &body);
    ensure!(
        read.is_some(),
        "an inquiry was answered {status} without a valid answer; check base_url, dialect and api_key_file"
    );
    Ok(())
}

async fn checkout(file: &Path) -> anyhow::Result<()> {
    let checkout = Checkout::from_file(file)?;
    encrypted(&checkout.public_url)?;
    encrypted(&checkout.vault_url)?;
    let client = Client::new(CONNECT, TOTAL);
    for key in checkout.keys() {
        let asked: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("key", key)
            .finish();
        let request = Request::get(format!("{}/v1/frame/check?{asked}", checkout.vault_url))
            .header(header::ORIGIN, &checkout.public_url)
            .body(Bytes::new())?;
        let answer = client
            .send(request)
            .await
            .with_context(|| format!("the vault at {} was not reached", checkout.vault_url))?;
        ensure!(
            answer.status().is_success(),
            "the vault refuses {} for {key}: register the origin for the key",
            checkout.public_url
        );
    }
    Ok(())
}

async fn durable(store: &Store) -> anyhow::Result<()> {
    let probe = |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.first("select count(*) from events", &[])?;
        Ok(())
    };
    store
        .write(probe)
        .await
        .context("the database cannot be written")
}

async fn deliveries(store: &Store) -> anyhow::Result<()> {
    let since = Clock::system().now_ms() - 24 * 60 * 60 * 1000;
    let count = move |tx: &mut Tx<'_>| -> Result<i64, Error> {
        let row = tx.first(
            "select cast(count(*) as bigint) from webhook_deliveries where state = 'failed' and updated_ms >= $1",
            store::params![since],
        )?;
        Ok(row.map(|row| row.get(0)).transpose()?.unwrap_or(0))
    };
    let count = store.read(count).await?;
    ensure!(
        count == 0,
        "{count} deliveries of the last day were given up; see GET /v1/events?delivery_success=false and send them once more"
    );
    Ok(())
}

async fn webhook(options: &Serve, endpoint: &Endpoint) -> anyhow::Result<()> {
    let livemode = endpoint.owner.livemode;
    ensure!(endpoint.enabled, "it is disabled; enable or delete it");
    endpoints::acceptable_url(&endpoint.url, livemode).map_err(|_| {
        anyhow::anyhow!(
            "{} is not a URL that {} mode delivers to",
            endpoint.url,
            if livemode { "live" } else { "test" }
        )
    })?;
    let uri: Uri = endpoint.url.parse()?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let found = tokio::net::lookup_host((host, 443))
        .await
        .with_context(|| format!("{host} does not resolve"))?;
    let reach = if options.webhook_loopback && !livemode {
        Reach::PublicOrLoopback
    } else {
        Reach::Public
    };
    ensure!(
        found.into_iter().any(|at| reach.allows(at.ip())),
        "{host} is not on the public internet, so nothing is delivered to it"
    );
    Ok(())
}

//! `token-vault doctor`: is this set-up fit to go live? Each check says what it found and, where that is not right, what
//! to do. It looks at the same options as `serve` and changes nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use service::tls::{self, Tls};
use service::{Clock, files};
use store::{Location, Store, Tx};
use vault_api::keys::Mode;

use crate::admin::Serve;
use crate::card_rules::CardRules;
use crate::forward::Destinations;
use crate::funding::FundingTable;
use crate::public::FrameFiles;
use crate::{Error, records};

/// A certificate that ends sooner is reported.
const SOON: i64 = 14 * 86_400;

/// How far two clocks may be apart, seconds.
const APART: i64 = 5;

/// When this was written: a clock before it is wrong.
const WRITTEN: i64 = 1_795_000_000;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every check is fine.
    pub fit: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    check: String,
    ok: bool,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Checks everything; a check that fails keeps no other from running.
pub(crate) async fn examine(options: &Serve, config: Option<&Path>) -> Report {
    let mut checks = vec![];
    let mut note = |check: &str, found: anyhow::Result<()>| {
        checks.push(Check {
            check: check.to_owned(),
            ok: found.is_ok(),
            problem: found.err().map(|error| format!("{error:#}")),
        });
    };
    if let Some(path) = config {
        note("config file", files::only_ours(path));
    }
    note("listeners", options.listeners.check());
    for (name, files) in options.listeners.certificates() {
        note(&format!("{name} certificate"), certificate(&files));
        note(&format!("{name} key file"), files::only_ours(&files.key));
    }
    note("root key", root(options).await);
    note("mode", mode(options));
    note("frame", FrameFiles::verify(&options.frame_dir));
    note("releases", releases(options));
    note("destinations", destinations(options).await);
    let table = funding_table(options);
    let knows_funding = table.as_ref().is_ok_and(|table| !table.is_empty());
    note("funding table", table.map(drop));
    note("database file", database_file(&options.database.database));
    match Store::open(&options.database.database, records::MIGRATIONS) {
        Err(error) => note(
            "database",
            Err(error).context("the database does not open; check --database"),
        ),
        Ok(store) => {
            let now = Clock::system().now();
            note(
                "database",
                store.write(durable).await.unwrap_or_else(|e| Err(e.into())),
            );
            note(
                "clock",
                store
                    .read(move |tx| clock(tx, now))
                    .await
                    .unwrap_or_else(|e| Err(e.into())),
            );
            let live = options.mode == Mode::Live;
            note("key rows", key_rows(options, &store, now).await);
            note(
                "keys",
                store
                    .read(move |tx| keys(tx, live, knows_funding, now))
                    .await
                    .unwrap_or_else(|e| Err(e.into())),
            );
        }
    }
    Report {
        fit: checks.iter().all(|check| check.ok),
        checks,
    }
}

fn releases(options: &Serve) -> anyhow::Result<()> {
    let (keys, archive) = (&options.release_keys, options.frame_archive.as_deref());
    ensure!(
        !keys.is_empty() || options.mode == Mode::Test,
        "no --release-key: nobody can tell whether what is served to browsers is what was released; see `token-vault releases`"
    );
    if keys.is_empty() {
        return Ok(());
    }
    FrameFiles::check_signed(&options.frame_dir, archive, keys)
}

fn certificate(files: &tls::Files) -> anyhow::Result<()> {
    Tls::read(files.clone())?;
    let path = files.certificate.display();
    let (from, until) = tls::validity(&files.certificate)?;
    let now = Clock::system().now();
    ensure!(
        from <= now,
        "{path} is not valid yet; check the clock or the certificate"
    );
    ensure!(now < until, "{path} has expired; renew it");
    let days = (until - now) / 86_400;
    ensure!(
        until - now > SOON,
        "{path} ends in {days} days; renew it, the vault reads it again by itself"
    );
    Ok(())
}

async fn root(options: &Serve) -> anyhow::Result<()> {
    let store = Store::open(&options.database.database, records::MIGRATIONS)
        .context("its keys stand in the database, which does not open")?;
    let opened = options
        .roots
        .open_existing(options.mode, &store, Clock::system().now());
    opened.await.map(drop)
}

fn mode(options: &Serve) -> anyhow::Result<()> {
    ensure!(
        options.mode == Mode::Test || options.clock_file.is_none(),
        "--clock-file moves the vault's time; take it out for live mode"
    );
    Ok(())
}

// As `serve` does it: what it would leave out is named, with the reason.
async fn destinations(options: &Serve) -> anyhow::Result<()> {
    let live = options.mode == Mode::Live;
    let destinations = match &options.destinations {
        Some(path) => {
            files::only_ours(path)?;
            Destinations::read(path, live)?
        }
        None => Destinations::none(live),
    };
    let store = Store::open(&options.database.database, records::MIGRATIONS)?;
    let mode = options.mode.as_str();
    let registered = store.read(move |tx| records::destinations::all(tx, mode));
    let registered = registered.await?;
    // Only where there is something that needs it: to open a root for a new database would make its secrets.
    if !(registered.entries.is_empty() && registered.secrets.is_empty()) {
        let now = Clock::system().now();
        let root = options.roots.open_existing(options.mode, &store, now);
        let problems = destinations.refresh(&store, &root.await?).await?;
        ensure!(problems.is_empty(), "{}", problems.join("; "));
    }
    let hosts = destinations.hosts();
    ensure!(
        options.destinations.is_some() || !hosts.is_empty(),
        "no destination is registered, so no card can be forwarded; `token-vault destinations add` one"
    );
    for (name, host, port) in hosts {
        let resolving = tokio::net::lookup_host((host.as_str(), port));
        let resolved = tokio::time::timeout(Duration::from_secs(5), resolving).await;
        let found = resolved.is_ok_and(|found| found.is_ok_and(|addresses| addresses.count() > 0));
        ensure!(
            found,
            "destination {name}: {host} does not resolve; check the name and this machine's DNS"
        );
    }
    destinations.check_file()
}

fn funding_table(options: &Serve) -> anyhow::Result<FundingTable> {
    let file = options.funding_table.as_deref();
    file.map_or_else(|| Ok(FundingTable::default()), FundingTable::read)
}

fn database_file(location: &Location) -> anyhow::Result<()> {
    match location {
        Location::Sqlite(path) if path.exists() => files::only_ours(path),
        _ => Ok(()),
    }
}

// A write transaction that changes nothing takes the same locks as one that does.
fn durable(tx: &mut Tx<'_>) -> Result<anyhow::Result<()>, Error> {
    tx.execute("delete from sealed_seen where expires_at < 0", &[])?;
    if tx.is_postgres() {
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let row = tx.first(&format!("select current_setting('{setting}')"), &[])?;
            let value = row.map_or(Ok(String::new()), |row| row.get(0))?;
            if value == "off" {
                let say = anyhow::anyhow!(
                    "{setting} is off on the server: an acknowledged card can be lost in a power cut; turn it on"
                );
                return Ok(Err(say));
            }
        }
    } else {
        let row = tx.first("select synchronous from pragma_synchronous", &[])?;
        let level: i64 = row.map_or(Ok(0), |row| row.get(0))?;
        if level < 2 {
            return Ok(Err(anyhow::anyhow!(
                "SQLite's synchronous is {level}, not FULL (2)"
            )));
        }
    }
    Ok(Ok(()))
}

fn clock(tx: &mut Tx<'_>, now: i64) -> Result<anyhow::Result<()>, Error> {
    if now < WRITTEN {
        return Ok(Err(anyhow::anyhow!(
            "this machine's clock is years behind; set it (NTP)"
        )));
    }
    if tx.is_postgres() {
        let row = tx.first("select cast(extract(epoch from now()) as bigint)", &[])?;
        let there: i64 = row.map_or(Ok(now), |row| row.get(0))?;
        if (there - now).abs() > APART {
            let apart = there - now;
            let say =
                "the database server's clock is {apart} s from this machine's; run NTP on both";
            return Ok(Err(anyhow::anyhow!(
                say.replace("{apart}", &apart.to_string())
            )));
        }
    }
    let row = tx.first("select coalesce(max(at), 0) from audit_events", &[])?;
    let last: i64 = row.map_or(Ok(0), |row| row.get(0))?;
    if last > now + APART {
        let ahead = last - now;
        return Ok(Err(anyhow::anyhow!(
            "the newest audit event is {ahead} s in the future: the clock was set back, or this database belongs to another machine; set the clock (NTP)"
        )));
    }
    Ok(Ok(()))
}

// Only where there are keys: to open a root for a new database would make its secrets.
async fn key_rows(options: &Serve, store: &Store, now: i64) -> anyhow::Result<()> {
    let mode = options.mode;
    let sql = "select 1 from api_keys where mode = $1 limit 1";
    let any = store.read(move |tx| tx.first(sql, store::params![mode.as_str()]));
    if any.await?.is_none() {
        return Ok(());
    }
    let root = options.roots.open_existing(mode, store, now).await?;
    let wrong = store
        .read(move |tx| records::keys::tampered(tx, root.macs(), mode))
        .await?;
    ensure!(
        wrong.is_empty(),
        "{} changed since the vault wrote it, or came before row MACs; compare with `keys list` and the audit trail, then \
         revoke and make anew, or run: token-vault keys adopt",
        wrong.join(", ")
    );
    Ok(())
}

fn keys(
    tx: &mut Tx<'_>,
    live: bool,
    knows_funding: bool,
    now: i64,
) -> Result<anyhow::Result<()>, Error> {
    let rows = tx.all(
        "select id, kind, scopes, origins, bound_sessions, certificate_sha256, card_rules from api_keys
         where mode = $1 and (expires_at is null or expires_at > $2) order by id",
        store::params![if live { "live" } else { "test" }, now],
    )?;
    let mut wrong = vec![];
    for row in rows {
        let id: String = row.get(0)?;
        let (kind, scopes, origins): (String, String, String) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        if kind == "restricted" && scopes.trim().is_empty() {
            wrong.push(format!("{id} (rk) has no scope and can do nothing; make another with --scope and end this one"));
        }
        for origin in origins.split_whitespace().filter(|_| live) {
            if origin.contains('*') || origin.starts_with("http:") {
                wrong.push(format!("{id} (pk) takes the origin {origin}: in live mode name https origins without wildcards"));
            }
        }
        if live && kind == "publishable" && row.get::<i64>(4)? == 0 {
            wrong.push(format!("{id} (pk) takes unbound sessions; in live mode make it with --require-bound-session"));
        }
        let rules = CardRules::of_text(row.get(6)?)?;
        if !rules.funding.is_empty() && !knows_funding {
            wrong.push(format!(
                "{id} (pk) has a rule about funding, and there is no table to judge it by, so that it takes every card; \
                 give `serve` one with --funding-table"
            ));
        }
        if live && kind == "service" && row.get::<Option<String>>(5)?.is_none() {
            wrong.push(format!(
                "{id} (svc) is bound to no client certificate; make it with --client-certificate"
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(Ok(()));
    }
    Ok(Err(anyhow::anyhow!("{}", wrong.join("; "))))
}

//! The operator's command line: `serve`, `merchants`, `keys`, `retention`. Answers are JSON on standard output;
//! a secret is shown once and never taken from the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use service::health::Metrics;
use service::listen::{self, Stop};
use service::{Clock, headers, health};
use store::{Location, Store};
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::app::Parts;
use crate::audit::command::Audit;
use crate::audit::{self, Act, Actor, AuditKey, Ledger, checkpoint};
use crate::crypto::cvv::Epochs;
use crate::crypto::root::Root;
use crate::forward::Destinations;
use crate::http::auth::SCOPES;
use crate::public::{FrameFiles, origins};
use crate::records::keys::Limits;
use crate::records::retention;
use crate::replicas::{self, Replicas};
use crate::tenants::TenantKeys;
use crate::{App, Error, private, public, records};

/// The isolated card vault of Cardseal.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the public, private and admin listeners.
    Serve(Box<Serve>),
    /// Merchants: `create`, `list`.
    #[command(subcommand)]
    Merchants(Merchants),
    /// API keys: `create`.
    #[command(subcommand)]
    Keys(Keys),
    /// The audit: `verify`, `list`.
    #[command(subcommand)]
    Audit(Audit),
    /// Retention: `report`.
    #[command(subcommand)]
    Retention(Retention),
    /// Empty what is overdue now, and say how many rows that were.
    Sweep(Database),
}

#[derive(Args)]
pub(crate) struct Database {
    /// `sqlite:PATH` or `postgres://..`
    #[arg(long, env = "TOKEN_VAULT_DATABASE")]
    database: Location,
    /// The audit key's file; made (mode 0600) when missing. Beside a SQLite database when left out; on PostgreSQL it
    /// must be named, and every process names a copy of the same.
    #[arg(long, env = "TOKEN_VAULT_AUDIT_KEY_FILE")]
    audit_key_file: Option<PathBuf>,
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    database: Database,
    /// Frame, loader and tokenise: what browsers reach.
    #[arg(long, env = "TOKEN_VAULT_PUBLIC", default_value = "127.0.0.1:4001")]
    public: SocketAddr,
    /// Exchange and forward: what merchants' servers and payments reach.
    #[arg(long, env = "TOKEN_VAULT_PRIVATE", default_value = "127.0.0.1:4002")]
    private: SocketAddr,
    /// Health and metrics: what the operator reaches.
    #[arg(long, env = "TOKEN_VAULT_ADMIN", default_value = "127.0.0.1:4003")]
    admin: SocketAddr,
    /// Test or live; one vault process serves one mode.
    #[arg(long, env = "TOKEN_VAULT_MODE", default_value = "test", value_parser = mode)]
    mode: Mode,
    /// The root key's file; made (mode 0600) when missing.
    #[arg(long, env = "TOKEN_VAULT_ROOT_KEY_FILE")]
    root_key_file: PathBuf,
    /// Where signed audit checkpoints are appended, for you to ship off this machine. They go to the log too.
    #[arg(long, env = "TOKEN_VAULT_AUDIT_CHECKPOINTS")]
    audit_checkpoints: Option<PathBuf>,
    /// What `cargo xtask frame` built.
    #[arg(long, env = "TOKEN_VAULT_FRAME_DIR", default_value = "target/frame")]
    frame_dir: PathBuf,
    /// Where cards may be sent (TOML); none when left out.
    #[arg(long, env = "TOKEN_VAULT_DESTINATIONS")]
    destinations: Option<PathBuf>,
    /// An offset to the clock, in seconds, re-read while running. Test mode only.
    #[arg(long, env = "TOKEN_VAULT_CLOCK_FILE")]
    clock_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Retention {
    /// What each table still holds; exit code 1 when anything is overdue.
    Report {
        #[command(flatten)]
        database: Database,
        /// The report as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Merchants {
    /// Make a merchant; answers its id.
    Create {
        #[command(flatten)]
        database: Database,
        /// What people call it.
        #[arg(long)]
        name: String,
    },
    /// List merchants.
    List(Database),
}

#[derive(Subcommand)]
enum Keys {
    /// Make an API key; it is shown once.
    Create(Box<CreateKey>),
}

#[derive(Args)]
struct CreateKey {
    #[command(flatten)]
    database: Database,
    /// `pk`, `sk`, `rk` or `svc`.
    #[arg(long, value_parser = kind)]
    kind: Kind,
    /// Test or live.
    #[arg(long, default_value = "test", value_parser = mode)]
    mode: Mode,
    /// The merchant it belongs to; for `svc`, a merchant it may act for (repeat for several).
    #[arg(long = "merchant")]
    merchants: Vec<String>,
    /// A scope of an `rk` (repeat for several).
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// An origin that may embed a `pk`'s frame, `https://shop.example` or `http://localhost:*` (repeat for several).
    #[arg(long = "origin")]
    origins: Vec<String>,
    /// Take this publishable key instead of a random one: it is no secret, and a demo's snippet wants a fixed one.
    #[arg(long)]
    publishable_key: Option<String>,
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_name(text).ok_or_else(|| "test or live".to_owned())
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_prefix(text).ok_or_else(|| "pk, sk, rk or svc".to_owned())
}

/// Runs the command line.
///
/// # Errors
/// What went wrong, for the operator.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(options) => serve(*options).await,
        Command::Merchants(Merchants::Create { database, name }) => {
            create_merchant(&database, name).await
        }
        Command::Merchants(Merchants::List(database)) => list_merchants(&database).await,
        Command::Keys(Keys::Create(options)) => create_key(*options).await,
        Command::Audit(Audit::Verify(options)) => {
            let store = open(&options.database)?;
            let key = AuditKey::open(&audit_key_file(&options.database)?)?;
            audit::command::run_verify(options, &store, &key).await
        }
        Command::Audit(Audit::List(options)) => {
            let store = open(&options.database)?;
            audit::command::run_list(options, &store, Clock::system().now()).await
        }
        Command::Retention(Retention::Report { database, json }) => {
            report_retention(&database, json).await
        }
        Command::Sweep(database) => {
            let now = Clock::system().now();
            let rows = open(&database)?
                .write(move |tx| records::sweep(tx, now))
                .await?;
            print(&json!({ "emptied": rows }))
        }
    }
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    if options.clock_file.is_some() && options.mode == Mode::Live {
        bail!("--clock-file is for test mode");
    }
    for (name, address) in [
        ("public", options.public),
        ("private", options.private),
        ("admin", options.admin),
    ] {
        if !address.ip().is_loopback() {
            bail!(
                "--{name} {address}: plain HTTP is served on loopback only; put it on 127.0.0.1 behind TLS"
            );
        }
    }
    let process = vault_api::ids::new_id("proc");
    let checkpoints = checkpoint::Checkpoints::new(options.audit_checkpoints.as_deref())?;
    let checkpoints = std::sync::Arc::new(checkpoints);
    let parts = Parts {
        store: open_as(&options.database, &process)?,
        root: Root::open_or_create(&options.root_key_file, options.mode)?,
        tenants: TenantKeys::default(),
        epochs: Epochs::new(&process),
        replicas: Replicas::new(&process),
        sealing: Default::default(),
        destinations: match &options.destinations {
            Some(file) => Destinations::read(file, options.mode == Mode::Live)?,
            None => Destinations::default(),
        },
        frame: FrameFiles::read(&options.frame_dir)?,
        clock: Clock::from_option(options.clock_file.as_deref()),
        refusals: Default::default(),
        metrics: Metrics::default(),
        process,
    };
    let app = App::new(parts);
    let (process, now) = (app.process.clone(), app.clock.now());
    let unknown = app
        .store
        .write(move |tx| {
            // On SQLite there is no other process; on PostgreSQL those that live go on sending.
            if tx.is_postgres() {
                let since = Clock::system().now() - replicas::DEAD_AFTER;
                return records::attempts::interrupt_dead(tx, &process, since, now);
            }
            records::attempts::interrupt_all(tx, &process, now)
        })
        .await?;
    if unknown > 0 {
        tracing::warn!(
            unknown,
            "attempts that a former process left open are now recorded as unknown"
        );
    }
    replicas::join(&app).await?;
    let (public, private) = (
        listen::bind(options.public).await?,
        listen::bind(options.private).await?,
    );
    let admin = listen::bind(options.admin).await?;
    let stop = Stop::on_signal()?;
    tokio::spawn(sweep_until(app.clone(), stop.clone()));
    tokio::spawn(replicas::run(app.clone(), stop.clone()));
    tokio::spawn(checkpoint::run(
        app.clone(),
        checkpoints.clone(),
        stop.clone(),
    ));
    tracing::info!(public = %options.public, private = %options.private, admin = %options.admin, mode = %options.mode, "serving");
    tokio::join!(
        listen::serve(public, public::router(app.clone()), stop.clone()),
        listen::serve(private, private::router(app.clone()), stop.clone()),
        listen::serve(admin, admin_router(&app), stop),
    );
    checkpoint::finish(&app, &checkpoints).await;
    replicas::part(&app).await;
    Ok(())
}

/// The admin listener.
pub fn admin_router(app: &App) -> axum::Router {
    let store = app.store.clone();
    let ready = move || {
        let store = store.clone();
        async move {
            let asked = store
                .read(|tx| Ok::<_, Error>(tx.first("select 1 from merchants limit 1", &[])?))
                .await;
            asked
                .map(|_| ())
                .map_err(|_| "the store does not answer".to_owned())
        }
    };
    health::routes(app.metrics.clone(), ready).layer(axum::middleware::from_fn(headers::standard))
}

// Destroys keys and empties rows whose time is over.
async fn sweep_until(app: App, stop: Stop) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(5));
    let mut rounds = 0_u64;
    loop {
        tokio::select! { _ = ticks.tick() => {}, () = stop.wait() => return }
        let now = app.clock.now();
        app.epochs.destroy_old(now);
        app.sealing.destroy_old(now);
        if let Err(error) = app.store.write(move |tx| records::sweep(tx, now)).await {
            tracing::error!(%error, "the sweep failed");
        }
        rounds += 1;
        // Counting reads whole tables: once a minute.
        if rounds % 12 != 1 {
            continue;
        }
        match app.store.read(move |tx| retention::report(tx, now)).await {
            Ok(report) => {
                for table in &report.tables {
                    let overdue = u64::try_from(table.overdue).unwrap_or(0);
                    let labels = [("table", table.table)];
                    app.metrics.set("vault_overdue_rows", &labels, overdue);
                }
            }
            Err(error) => tracing::error!(%error, "overdue rows could not be counted"),
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
async fn report_retention(database: &Database, json: bool) -> anyhow::Result<()> {
    let now = Clock::system().now();
    let report = open(database)?
        .read(move |tx| retention::report(tx, now))
        .await?;
    if json {
        print(&json!(report))?;
    } else {
        for table in &report.tables {
            let oldest = table.oldest.map_or("-".to_owned(), audit::command::utc);
            println!(
                "{:<14} {:>9} rows  oldest {oldest:<20}  overdue {}",
                table.table, table.rows, table.overdue
            );
        }
        for epoch in &report.cvv_epochs {
            println!(
                "CVV epoch {}: {} rows, {} s old",
                epoch.epoch, epoch.rows, epoch.age
            );
        }
    }
    if report.overdue > 0 {
        bail!(
            "{} rows are overdue; run: token-vault sweep",
            report.overdue
        );
    }
    Ok(())
}

fn open(database: &Database) -> anyhow::Result<Store> {
    open_as(database, &vault_api::ids::new_id("cli"))
}

// A store whose acts are audited under this process's name.
fn open_as(database: &Database, process: &str) -> anyhow::Result<Store> {
    let key = AuditKey::open_or_create(&audit_key_file(database)?)?;
    let store = Store::open(&database.database, records::MIGRATIONS)?;
    Ledger::attach(&store, key, process)?;
    Ok(store)
}

fn audit_key_file(database: &Database) -> anyhow::Result<PathBuf> {
    database
        .audit_key_file
        .clone()
        .or_else(|| AuditKey::default_path(&database.database))
        .context("on PostgreSQL, name the audit key's file: --audit-key-file or TOKEN_VAULT_AUDIT_KEY_FILE")
}

async fn create_merchant(database: &Database, name: String) -> anyhow::Result<()> {
    let (id, now) = (vault_api::ids::new_id("mer"), Clock::system().now());
    let answer = json!({ "id": id, "name": name });
    open(database)?
        .write(move |tx| {
            records::keys::create_merchant(tx, &id, &name, now)?;
            audit::record(tx, &operator(&id), Act::CreateMerchant, &id, "created", now)
        })
        .await?;
    print(&answer)
}

async fn list_merchants(database: &Database) -> anyhow::Result<()> {
    let merchants = open(database)?.read(records::keys::merchants).await?;
    let merchants: Vec<_> = merchants
        .iter()
        .map(|(id, name)| json!({ "id": id, "name": name }))
        .collect();
    print(&json!(merchants))
}

async fn create_key(options: CreateKey) -> anyhow::Result<()> {
    check(&options)?;
    let key = match &options.publishable_key {
        Some(text) => ApiKey::parse(text)
            .context("--publishable-key is malformed (its checksum is part of it)")?,
        None => ApiKey::random(options.kind, options.mode),
    };
    if (key.kind(), key.mode()) != (options.kind, options.mode) {
        bail!("--publishable-key is of another kind or mode");
    }
    let (id, now) = (vault_api::ids::new_id("key"), Clock::system().now());
    let service = options.kind == Kind::Service;
    let merchant = if service {
        None
    } else {
        options.merchants.first().cloned()
    };
    let linked = if service { options.merchants } else { vec![] };
    let limits = Limits {
        scopes: options.scopes,
        origins: options.origins,
        merchants: linked,
    };
    let answer = json!({ "id": id, "key": key.expose() });
    open(&options.database)?
        .write(move |tx| {
            records::keys::create_key(tx, &id, &key, merchant.as_deref(), &limits, now)?;
            audit::record(
                tx,
                &operator(merchant.as_deref().unwrap_or("")),
                Act::CreateKey,
                &id,
                "created",
                now,
            )
        })
        .await?;
    print(&answer)
}

fn check(options: &CreateKey) -> anyhow::Result<()> {
    if options.kind != Kind::Service && options.merchants.len() != 1 {
        bail!("name one --merchant");
    }
    if !options.scopes.is_empty() && options.kind != Kind::Restricted {
        bail!("--scope is for restricted keys (rk)");
    }
    if let Some(scope) = options
        .scopes
        .iter()
        .find(|scope| !SCOPES.contains(&scope.as_str()))
    {
        bail!("there is no scope {scope}; there are {}", SCOPES.join(", "));
    }
    if (options.kind == Kind::Publishable) == options.origins.is_empty() {
        bail!("a publishable key (pk) needs --origin, and no other key takes one");
    }
    if let Some(origin) = options
        .origins
        .iter()
        .find(|origin| !origins::is_pattern(origin))
    {
        bail!(
            "{origin} is no origin; write https://shop.example or, for development, http://localhost:*"
        );
    }
    if options.publishable_key.is_some() && options.kind != Kind::Publishable {
        bail!("--publishable-key goes with --kind pk");
    }
    Ok(())
}

fn operator(merchant: &str) -> Actor {
    Actor {
        merchant: merchant.to_owned(),
        id: "operator".to_owned(),
        request_id: headers::new_request_id(),
    }
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn print(answer: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(answer)?);
    Ok(())
}

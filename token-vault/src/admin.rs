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
use crate::audit::{self, Act, Actor};
use crate::crypto::root::Root;
use crate::forward::Destinations;
use crate::http::auth::SCOPES;
use crate::public::{FrameFiles, origins};
use crate::records::keys::Limits;
use crate::tenants::TenantKeys;
use crate::{App, Error, private, public, records, replicas};

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
    /// Empty what is overdue now, and say how many rows that were.
    Sweep(Database),
}

#[derive(Args)]
struct Database {
    /// `sqlite:PATH` or `postgres://..`
    #[arg(long, env = "TOKEN_VAULT_DATABASE")]
    database: Location,
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
    let parts = Parts {
        store: open(&options.database)?,
        root: Root::open_or_create(&options.root_key_file, options.mode)?,
        tenants: TenantKeys::default(),
        keys: Default::default(),
        epochs: Default::default(),
        sealing: Default::default(),
        destinations: match &options.destinations {
            Some(file) => Destinations::read(file, options.mode == Mode::Live)?,
            None => Destinations::default(),
        },
        frame: FrameFiles::read(&options.frame_dir)?,
        clock: Clock::from_option(options.clock_file.as_deref()),
        metrics: Metrics::default(),
        process: vault_api::ids::new_id("proc"),
    };
    let app = App::new(parts);
    replicas::join(&app).await?;
    let (public, private) = (
        listen::bind(options.public).await?,
        listen::bind(options.private).await?,
    );
    let admin = listen::bind(options.admin).await?;
    let stop = Stop::on_signal()?;
    tokio::spawn(sweep_until(app.clone(), stop.clone()));
    tokio::spawn(replicas::live(app.clone()));
    tracing::info!(public = %options.public, private = %options.private, admin = %options.admin, mode = %options.mode, "serving");
    tokio::join!(
        listen::serve(public, public::router(app.clone()), stop.clone()),
        listen::serve(private, private::router(app.clone()), stop.clone()),
        listen::serve(admin, admin_router(&app), stop),
    );
    Ok(())
}

/// The admin listener.
pub fn admin_router(app: &App) -> axum::Router {
    let store = app.store.clone();
    let counted = store.clone();
    app.metrics
        .show("store_commits_total", move || counted.commits());
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
    loop {
        tokio::select! { _ = ticks.tick() => {}, () = stop.wait() => return }
        let now = app.clock.now();
        app.epochs.destroy_old(now);
        app.sealing.destroy_old(now);
        if let Err(error) = app.store.write(move |tx| records::sweep(tx, now)).await {
            tracing::error!(%error, "the sweep failed");
        }
    }
}

fn open(database: &Database) -> anyhow::Result<Store> {
    Ok(Store::open(&database.database, records::MIGRATIONS)?)
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

//! The operator's command line: `serve`, `merchants`, `keys`, `audit`, `retention`. Answers are JSON on standard output;
//! a secret is shown once and never taken from the command line.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use serde_json::json;
use service::health::Metrics;
use service::listen::Stop;
use service::tls::ClientCertificate;
use service::{Clock, headers};
use store::{Location, Store};
use vault_api::keys::{ApiKey, Kind, Mode};
use vault_api::origins;

use crate::app::Parts;
use crate::audit::command::Audit;
use crate::audit::{self, Act, Actor, AuditKey, AuditKeys, Ledger, checkpoint};
use crate::card_rules::CardRules;
use crate::crypto::cvv::Epochs;
use crate::forward::retry::{CvvMode, CvvPolicy, CvvRetry};
use crate::forward::{self, Destinations};
use crate::funding::FundingTable;
use crate::http::auth::SCOPES;
use crate::key_commands::{self, RootOptions, Vault};
use crate::listeners::ListenerOptions;
use crate::public::{Font, FrameFiles};
use crate::records::keys::{KeyRules, Limits};
use crate::releases::PublicKey;
use crate::replicas::{self, Replicas};
use crate::tenants::TenantKeys;
use crate::{App, doctor, listeners, records, releases, retention, transfer};

/// The isolated card vault of Cardseal.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    /// Options by their long names (TOML); flags and environment win over it.
    #[arg(long, env = crate::config::CONFIG, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the public, private and admin listeners.
    Serve(Box<Serve>),
    /// Check the set-up that `serve` would run with; exit 1 and say what to do where it is not fit to go live.
    Doctor(Box<Serve>),
    /// Merchants: `create`, `list`.
    #[command(subcommand)]
    Merchants(Merchants),
    /// API keys (`create`, `list`, `roll`, `revoke`), encryption and audit keys (`rotate`, `inventory`).
    #[command(subcommand)]
    Keys(Keys),
    /// Destinations: `add`, `list`, `remove`, `check`, `secret`.
    #[command(subcommand)]
    Destinations(forward::command::Command),
    /// The audit: `verify`, `list`.
    #[command(subcommand)]
    Audit(Box<Audit>),
    /// Retention: `report`.
    #[command(subcommand)]
    Retention(retention::Retention),
    /// People who may approve what takes two: `new-secret`, `add`, `list`, `end`.
    #[command(subcommand)]
    Operators(transfer::command::Operators),
    /// Stored cards for another vault, by two operators: `request`, `approve`, `run`, `list`.
    #[command(subcommand)]
    Export(transfer::command::Export),
    /// Stored cards from another vault: `keygen`, `run`, `forget-key`.
    #[command(subcommand)]
    Import(transfer::command::Import),
    /// Releases of the frame: `keygen`, `sign`, `archive`, `verify`.
    #[command(subcommand)]
    Releases(releases::command::Releases),
    /// Empty what is overdue now, and say how many rows that were.
    Sweep(Database),
}

/// Where the vault's rows are.
#[derive(Args)]
pub(crate) struct Database {
    /// `sqlite:PATH` or `postgres://..`
    #[arg(long, env = "TOKEN_VAULT_DATABASE", hide_env_values = true)]
    pub database: Location,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) listeners: ListenerOptions,
    /// Test or live; one vault process serves one mode.
    #[arg(long, env = "TOKEN_VAULT_MODE", default_value = "test", value_parser = mode)]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) roots: RootOptions,
    /// Where signed audit checkpoints are appended, for you to ship off this machine. They go to the log too.
    #[arg(long, env = "TOKEN_VAULT_AUDIT_CHECKPOINTS")]
    audit_checkpoints: Option<PathBuf>,
    /// What `cargo xtask frame` built.
    #[arg(long, env = "TOKEN_VAULT_FRAME_DIR", default_value = "target/frame")]
    pub(crate) frame_dir: PathBuf,
    /// Former builds, a folder each: pages that name their loaders go on working (`releases archive` fills it).
    #[arg(long, env = "TOKEN_VAULT_FRAME_ARCHIVE")]
    pub(crate) frame_archive: Option<PathBuf>,
    /// The public half of a release key (repeat for several): nothing is served that none of them signed.
    #[arg(
        long = "release-key",
        env = "TOKEN_VAULT_RELEASE_KEYS",
        value_delimiter = ',',
        // Base64url: one in 64 begins with it.
        allow_hyphen_values = true
    )]
    pub(crate) release_keys: Vec<PublicKey>,
    /// A font that pages may name in `appearance.fonts`, `Inter=inter.woff2` (repeat for several).
    #[arg(long = "font", env = "TOKEN_VAULT_FONTS", value_delimiter = ',')]
    fonts: Vec<Font>,
    /// The public origin of payments, `https://payments.example`: pages confirm there, and its 3-D Secure page is framed.
    #[arg(long, env = "TOKEN_VAULT_PAYMENTS_URL", value_parser = origins::of_url)]
    payments_url: Option<String>,
    /// Where cards may be sent (TOML), beside what `destinations add` registered.
    #[arg(long, env = "TOKEN_VAULT_DESTINATIONS")]
    pub(crate) destinations: Option<PathBuf>,
    /// Funding by BIN, a line `42424200,42424299,credit` for each range: what keys with a rule about funding are judged by.
    #[arg(long, env = "TOKEN_VAULT_FUNDING_TABLE")]
    pub(crate) funding_table: Option<PathBuf>,
    /// `off`: CVVs are dropped on arrival and never sent.
    #[arg(long, env = "TOKEN_VAULT_CVV_MODE", value_enum, default_value = "on")]
    cvv_mode: CvvMode,
    /// `memory`: after a decline or a step-up a CVV may be sent again, from this process's memory, within its epoch.
    #[arg(long, env = "TOKEN_VAULT_CVV_RETRY", value_enum, default_value = "off")]
    cvv_retry: CvvRetry,
    /// An offset to the clock, in seconds, re-read while running. Test mode only.
    #[arg(long, env = "TOKEN_VAULT_CLOCK_FILE")]
    pub(crate) clock_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Merchants {
    /// Make a merchant; answers its id.
    Create {
        #[command(flatten)]
        vault: Box<Vault>,
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
    #[command(flatten)]
    More(key_commands::Keys),
}

#[derive(Args)]
struct CreateKey {
    #[command(flatten)]
    vault: Vault,
    /// `pk`, `sk`, `rk` or `svc`.
    #[arg(long, value_parser = kind)]
    kind: Kind,
    /// The merchant it belongs to; for `svc`, a merchant it may act for (repeat for several).
    #[arg(long = "merchant")]
    merchants: Vec<String>,
    /// A scope of an `rk` (repeat for several).
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// An origin that may embed a `pk`'s frame, `https://shop.example` or `http://localhost:*` (repeat for several).
    #[arg(long = "origin")]
    origins: Vec<String>,
    /// Addresses that may use the key, `203.0.113.0/24` (repeat for several); any when left out.
    #[arg(long = "allow-ip")]
    allow_ip: Vec<IpNet>,
    /// Take this publishable key instead of a random one: it is no secret, and a demo's snippet wants a fixed one.
    #[arg(long)]
    publishable_key: Option<String>,
    /// A `pk` takes only field sessions that the merchant's server bound to an intent, amount and currency.
    #[arg(long)]
    require_bound_session: bool,
    /// The pages of a `pk` may see so many digits of the number while it is typed: `6`, or `8` of a number of 16 and
    /// more. The bank and the kind of card can be told from them; without this no digit reaches a page.
    #[arg(long, value_parser = bin_digits)]
    show_bin: Option<u8>,
    /// What is ruled for the cards of a `pk` (TOML): brands of the merchant's own, and which funding it takes.
    #[arg(long)]
    card_rules: Option<PathBuf>,
    /// An `svc` works only with this client certificate (PEM) on its connection.
    #[arg(long)]
    client_certificate: Option<PathBuf>,
}

pub(crate) fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_name(text).ok_or_else(|| "test or live".to_owned())
}

fn bin_digits(text: &str) -> Result<u8, String> {
    match text {
        "6" => Ok(6),
        "8" => Ok(8),
        _ => Err("6 or 8".to_owned()),
    }
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
        Command::Doctor(options) => {
            let report = doctor::examine(&options, cli.config.as_deref()).await;
            print(&serde_json::to_value(&report)?)?;
            if report.fit {
                return Ok(());
            }
            bail!("not fit to go live: see the checks whose `ok` is false");
        }
        Command::Merchants(Merchants::Create { vault, name }) => {
            create_merchant(&vault, name).await
        }
        Command::Merchants(Merchants::List(database)) => list_merchants(&database).await,
        Command::Keys(Keys::Create(options)) => create_key(*options).await,
        Command::Keys(Keys::More(command)) => key_commands::run(command).await,
        Command::Destinations(command) => print(&forward::command::run(command).await?),
        Command::Audit(command) => match *command {
            Audit::Verify(options) => {
                let (store, root) = options.vault.open(&Clock::system()).await?;
                let keys = AuditKeys::open(&store, &root).await?;
                audit::command::run_verify(options, &store, &keys).await
            }
            Audit::List(options) => {
                let store = open(&options.database)?;
                audit::command::run_list(options, &store, Clock::system().now()).await
            }
        },
        Command::Retention(command) => retention::run(command).await,
        Command::Operators(command) => print(&transfer::command::run_operators(command).await?),
        Command::Export(command) => print(&transfer::command::run_export(command).await?),
        Command::Import(command) => print(&transfer::command::run_import(command).await?),
        Command::Releases(command) => print(&releases::command::run(command)?),
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
    let payments_url = options.payments_url.as_deref().unwrap_or_default();
    if payments_url.starts_with("http:") && options.mode == Mode::Live {
        bail!("--payments-url is where buyers' browsers go: in live mode it begins with https://");
    }
    options.listeners.check()?;
    let stop = Stop::on_signal()?;
    let process = vault_api::ids::new_id("proc");
    let checkpoints = checkpoint::Checkpoints::new(options.audit_checkpoints.as_deref())?;
    let checkpoints = Arc::new(checkpoints);
    let (store, clock) = (
        open(&options.database)?,
        Clock::from_option(options.clock_file.as_deref()),
    );
    let root = options.roots.open(options.mode, &store, clock.now());
    let root = root.await?;
    Ledger::attach(&store, AuditKey::of(&root), &process)?;
    let parts = Parts {
        root,
        store,
        tenants: TenantKeys::default(),
        keys: Default::default(),
        epochs: Epochs::new(&process),
        replicas: Replicas::new(&process),
        sealing: Default::default(),
        destinations: match &options.destinations {
            Some(file) => Destinations::read(file, options.mode == Mode::Live)?,
            None => Destinations::none(options.mode == Mode::Live),
        },
        cvvs: CvvPolicy::new(options.cvv_mode, options.cvv_retry),
        funding: match &options.funding_table {
            Some(file) => FundingTable::read(file)?,
            None => FundingTable::default(),
        },
        frame: frame(&options)?
            .with_fonts(&options.fonts)?
            .with_payments(options.payments_url),
        clock,
        refusals: Default::default(),
        metrics: Metrics::default(),
        doors: options.listeners.doors(&stop),
        process,
    };
    let app = App::new(parts);
    forward::running::start(&app, stop.clone()).await?;
    replicas::join(&app).await?;
    tokio::spawn(replicas::run(app.clone(), stop.clone()));
    let making = checkpoint::run(app.clone(), checkpoints.clone(), stop.clone());
    tokio::spawn(making);
    tokio::spawn(sweep_until(app.clone(), stop.clone()));
    tokio::spawn(key_commands::reload_roots_on_hangup(app.clone()));
    listeners::serve(&app, &options.listeners, stop).await?;
    forward::running::last_sends(&app).await?;
    checkpoint::finish(&app, &checkpoints).await;
    Ok(replicas::part(&app).await?)
}

// The current build and former ones; with release keys only what they signed.
fn frame(options: &Serve) -> anyhow::Result<FrameFiles> {
    let archive = options.frame_archive.as_deref();
    if !options.release_keys.is_empty() {
        FrameFiles::check_signed(&options.frame_dir, archive, &options.release_keys)?;
    }
    let current = FrameFiles::read(&options.frame_dir)?;
    match archive {
        Some(archive) => current.with_archive(archive),
        None => Ok(current),
    }
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
        let parts = app.clone();
        let forgotten = app.store.read(move |tx| parts.tenants.forget_destroyed(tx));
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "destroyed keys could not be looked for");
        }
    }
}

pub(crate) fn open(database: &Database) -> anyhow::Result<Store> {
    Ok(Store::open(&database.database, records::MIGRATIONS)?)
}

async fn create_merchant(vault: &Vault, name: String) -> anyhow::Result<()> {
    let (store, _) = vault.open(&Clock::system()).await?;
    let (id, now) = (vault_api::ids::new_id("mer"), Clock::system().now());
    let answer = json!({ "id": id, "name": name });
    store
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
        None => ApiKey::random(options.kind, options.vault.mode),
    };
    if (key.kind(), key.mode()) != (options.kind, options.vault.mode) {
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
        allow_ip: options.allow_ip,
        rules: KeyRules {
            bound_sessions: options.require_bound_session,
            bin_digits: options.show_bin,
            cards: match &options.card_rules {
                Some(file) => CardRules::of_file(file, options.vault.mode)?,
                None => CardRules::default(),
            },
            certificate_sha256: match &options.client_certificate {
                Some(file) => Some(ClientCertificate::of_file(file)?.0),
                None => None,
            },
        },
    };
    let answer = json!({ "id": id, "key": key.expose() });
    let (store, root) = options.vault.open(&Clock::system()).await?;
    store
        .write(move |tx| {
            let owner = merchant.as_deref();
            records::keys::create_key(tx, root.macs(), &id, &key, owner, &limits, now)?;
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
    let fingerprint = options.scopes.iter().any(|scope| scope == "fingerprint");
    if options.scopes.len() > usize::from(fingerprint && options.kind == Kind::Service)
        && options.kind != Kind::Restricted
    {
        bail!("--scope is for restricted keys (rk); a service key (svc) takes --scope fingerprint");
    }
    if fingerprint && options.scopes.iter().any(|scope| scope == "cards:bin") {
        bail!(
            "a key may see the fingerprint or the BIN, not both: together they give a number away (PCI DSS 3.5.1.1)"
        );
    }
    if let Some(scope) = options
        .scopes
        .iter()
        .find(|scope| !SCOPES.contains(&scope.as_str()))
    {
        bail!("there is no scope {scope}; there are {}", SCOPES.join(", "));
    }
    if !options.allow_ip.is_empty() && options.kind == Kind::Publishable {
        bail!("a publishable key (pk) is used by buyers' browsers; it takes no --allow-ip");
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
    if options.require_bound_session && options.kind != Kind::Publishable {
        bail!("--require-bound-session goes with --kind pk");
    }
    if options.show_bin.is_some() && options.kind != Kind::Publishable {
        bail!("--show-bin goes with --kind pk");
    }
    if options.card_rules.is_some() && options.kind != Kind::Publishable {
        bail!("--card-rules goes with --kind pk");
    }
    if options.client_certificate.is_some() && options.kind != Kind::Service {
        bail!("--client-certificate goes with --kind svc");
    }
    if options.publishable_key.is_some() && options.kind != Kind::Publishable {
        bail!("--publishable-key goes with --kind pk");
    }
    Ok(())
}

pub(crate) fn operator(merchant: &str) -> Actor {
    Actor {
        merchant: merchant.to_owned(),
        id: "operator".to_owned(),
        request_id: headers::new_request_id(),
    }
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
pub(crate) fn print(answer: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(answer)?);
    Ok(())
}

//! payments: the Stripe-shaped payment API. It can never name a card number: it hands a token to the vault, and the
//! vault puts the card into the request to the acquirer.
//!
//! Read in this order: [`http`] (routes, calls, idempotency), [`intents`] (create, confirm), [`attempts`] (one send
//! each) and [`outcome`] (what a send changes), [`operations`] (capture, void, refund), [`queue`] (confirmations that
//! were only accepted) and [`resolver`] (what nobody waits for any more), [`events`] and [`webhooks`] (telling the merchant), [`ledger`].

#![recursion_limit = "256"] // json! recurses once per field, and Stripe's objects have many.

mod app;
mod attempts;
mod balance;
mod billing;
mod charges;
mod checkout;
mod cli;
mod commands;
mod config;
mod connectors;
mod conversion;
mod currency;
mod customers;
mod cvc_tokens;
mod disputes;
mod doctor;
mod error;
mod events;
mod exchange;
mod expiry;
mod http;
mod intents;
mod late;
mod ledger;
mod notifications;
mod operate;
mod operations;
mod outcome;
mod payment_methods;
mod queue;
mod refunds;
mod resolver;
mod returns;
mod risk;
mod routing;
mod saved_cards;
mod seal;
mod settlement;
mod setup_intents;
mod three_ds;
mod trigger;
mod vault;
mod webhooks;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use service::Clock;
use service::health::{self, Metrics};
use service::listen::{self, Stop};
use service::traces::Traces;
use store::{Location, Migration, Store, Tx};

use app::{App, Shared};
use cli::{Cli, Command, Serve};
use error::Error;
use webhooks::endpoints;

/// A fifth of a confirmation's processor time was glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIGRATIONS: &[Migration] = &[
    ("0001_payments", include_str!("schema/0001_payments.sql")),
    ("0002_customers", include_str!("schema/0002_customers.sql")),
    ("0003_balance", include_str!("schema/0003_balance.sql")),
    ("0004_webhooks", include_str!("schema/0004_webhooks.sql")),
    ("0005_routing", include_str!("schema/0005_routing.sql")),
    (
        "0006_three_d_secure",
        include_str!("schema/0006_three_d_secure.sql"),
    ),
    ("0007_disputes", include_str!("schema/0007_disputes.sql")),
    ("0008_checkout", include_str!("schema/0008_checkout.sql")),
    ("0009_risk", include_str!("schema/0009_risk.sql")),
    ("0010_expiry", include_str!("schema/0010_expiry.sql")),
    (
        "0011_cvc_tokens",
        include_str!("schema/0011_cvc_tokens.sql"),
    ),
    (
        "0012_exemptions",
        include_str!("schema/0012_exemptions.sql"),
    ),
    (
        "0013_recent_cards",
        include_str!("schema/0013_recent_cards.sql"),
    ),
    (
        "0014_conversion",
        include_str!("schema/0014_conversion.sql"),
    ),
    ("0015_refunds", include_str!("schema/0015_refunds.sql")),
    ("0016_indexes", include_str!("schema/0016_indexes.sql")),
    ("0017_billing", include_str!("schema/0017_billing.sql")),
    ("0018_queued", include_str!("schema/0018_queued.sql")),
    (
        "0019_available_at_once",
        include_str!("schema/0019_available_at_once.sql"),
    ),
];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match cli.command {
                Command::Serve(serve) => run(serve).await,
                Command::Route(route) => operate::route(route).await,
                Command::Attempt(attempt) => operate::attempt(attempt).await,
                Command::WebhookEndpoints(command) => commands::webhook_endpoints(command).await,
                Command::Doctor(serve) => {
                    let report = doctor::examine(&serve).await;
                    let shown = serde_json::to_string_pretty(&report)?;
                    writeln!(std::io::stdout(), "{shown}")?;
                    anyhow::ensure!(
                        report.fit,
                        "not fit to go live: see the checks that are not ok"
                    );
                    Ok(())
                }
                Command::Events(command) => commands::events(command).await,
                Command::Trigger(trigger) => trigger::run(trigger).await,
            }
        })
}

fn open(database: &str) -> anyhow::Result<Store> {
    let location: Location = database.parse()?;
    Ok(Store::open(&location, MIGRATIONS)?)
}

async fn run(serve: Serve) -> anyhow::Result<()> {
    service::log::init("payments");
    let stop = Stop::on_signal()?;
    let app = build(&serve, &stop)?;
    let shared = app.clone();
    let seal = move |tx: &mut Tx<'_>| endpoints::seal_plain(tx, &shared.seal);
    let count = app.store.write(seal).await?;
    if count > 0 {
        tracing::info!(count, "webhook secrets of an older version are sealed now");
    }
    app.routes.switches.refresh(&app.store).await?;
    let (api, admin) = (
        listen::bind(serve.listen).await?,
        listen::bind(serve.admin).await?,
    );
    tracing::info!(listen = %api.local_addr()?, admin = %admin.local_addr()?, "listening");

    let workers = [
        tokio::spawn(webhooks::deliver::run(app.clone(), stop.clone())),
        tokio::spawn(resolver::run(app.clone(), stop.clone())),
        tokio::spawn(queue::run(app.clone(), stop.clone())),
        tokio::spawn(listen::serve(admin, admin_router(&app), stop.clone())),
    ];
    listen::serve(api, http::router(app), stop).await;
    for worker in workers {
        worker.await?;
    }
    tracing::info!("stopped");
    Ok(())
}

fn build(serve: &Serve, stop: &Stop) -> anyhow::Result<App> {
    let service_key = config::secret_from_file(&serve.service_key_file)?;
    let acquirers = config::acquirers(&serve.acquirers)?
        .into_iter()
        .map(connectors::Acquirer::new)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let names: Vec<&str> = acquirers.iter().map(connectors::Acquirer::name).collect();
    let rules = serve
        .routing
        .as_deref()
        .map(|file| routing::rules::Rules::from_file(file, &names));
    let routes = routing::Routes {
        rules: rules.transpose()?.unwrap_or_default(),
        switches: routing::switches::Switches::default(),
    };
    Ok(Arc::new(Shared {
        store: open(&serve.database.database)?,
        clock: Clock::from_option(serve.clock_file.as_deref()),
        vault: vault::Vault::new(&serve.vault_url, &service_key)?,
        seal: seal::Seal::from_file(&serve.seal_key.seal_key_file)?,
        acquirers,
        routes,
        risk: match &serve.risk {
            Some(file) => risk::Rules::from_file(file)?,
            None => risk::Rules::default(),
        },
        conversions: match &serve.conversion {
            Some(file) => Some(conversion::Conversions::from_file(file)?),
            None => None,
        },
        proxies: serve.trusted_proxies.clone(),
        metrics: Metrics::default(),
        deliver: tokio::sync::Notify::new(),
        resolve: tokio::sync::Notify::new(),
        queue: queue::Queue::new(
            serve.queue_limit,
            serve.queue_workers,
            Duration::from_millis(serve.queue_foresight_ms),
        ),
        keys: app::KeyCache::default(),
        webhook_loopback: serve.webhook_loopback,
        traces: serve
            .otlp_endpoint
            .as_deref()
            .map_or_else(Traces::default, |at| {
                Traces::export("payments", at, stop.clone())
            }),
        three_ds: serve
            .three_d_secure
            .as_deref()
            .map(three_ds::ThreeDs::from_file)
            .transpose()?,
        checkout: match &serve.checkout {
            Some(file) => Some(checkout::config::Checkout::from_file(file)?),
            None => None,
        },
    }))
}

fn admin_router(app: &App) -> axum::Router {
    let shared = app.clone();
    let ready = move || {
        let store = shared.store.clone();
        async move {
            let probe = |tx: &mut Tx<'_>| -> Result<(), Error> {
                tx.first("select 1", &[])?;
                Ok(())
            };
            store
                .read(probe)
                .await
                .map_err(|error| format!("the store: {error}"))
        }
    };
    let routes = health::routes(app.metrics.clone(), ready);
    routes.layer(axum::middleware::from_fn(service::headers::standard))
}

//! payments: the Stripe-shaped payment API. It can never name a card number: it hands a token to the vault, and the
//! vault puts the card into the request to the acquirer.
//!
//! Read in this order: [`http`] (routes, calls, idempotency), [`intents`] (create, confirm), [`attempts`] (one send
//! each) and [`outcome`] (what a send changes), [`operations`] (capture, void, refund), [`resolver`] (what nobody
//! waits for any more), [`events`] and [`webhooks`] (telling the merchant), [`ledger`].

#![recursion_limit = "256"] // json! recurses once per field, and Stripe's objects have many.

mod app;
mod attempts;
mod balance;
mod charges;
mod cli;
mod config;
mod connectors;
mod currency;
mod customers;
mod error;
mod events;
mod exchange;
mod http;
mod intents;
mod ledger;
mod operations;
mod outcome;
mod payment_methods;
mod refunds;
mod resolver;
mod saved_cards;
mod seal;
mod setup_intents;
mod vault;
mod webhooks;

use std::io::Write as _;
use std::sync::Arc;

use clap::Parser as _;
use serde_json::json;
use service::Clock;
use service::health::{self, Metrics};
use service::listen::{self, Stop};
use store::{Location, Migration, Store, Tx};

use app::{App, Owner, Shared};
use cli::{Cli, Command, CreateEndpoint, Serve, WebhookEndpoints};
use error::Error;
use webhooks::endpoints::{self, Endpoint};

const MIGRATIONS: &[Migration] = &[
    ("0001_payments", include_str!("schema/0001_payments.sql")),
    ("0002_customers", include_str!("schema/0002_customers.sql")),
    ("0003_balance", include_str!("schema/0003_balance.sql")),
];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match cli.command {
                Command::Serve(serve) => run(serve).await,
                Command::WebhookEndpoints(WebhookEndpoints::Create(create)) => {
                    create_endpoint(create).await
                }
                Command::WebhookEndpoints(WebhookEndpoints::List(database)) => {
                    list_endpoints(&open(&database.database)?).await
                }
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
    let app = build(&serve)?;
    let (api, admin) = (
        listen::bind(serve.listen).await?,
        listen::bind(serve.admin).await?,
    );
    tracing::info!(listen = %api.local_addr()?, admin = %admin.local_addr()?, "listening");

    let workers = [
        tokio::spawn(webhooks::deliver::run(app.clone(), stop.clone())),
        tokio::spawn(resolver::run(app.clone(), stop.clone())),
        tokio::spawn(listen::serve(admin, admin_router(&app), stop.clone())),
    ];
    listen::serve(api, http::router(app), stop).await;
    for worker in workers {
        worker.await?;
    }
    tracing::info!("stopped");
    Ok(())
}

fn build(serve: &Serve) -> anyhow::Result<App> {
    let service_key = config::secret_from_file(&serve.service_key_file)?;
    let acquirers = config::acquirers(&serve.acquirers)?
        .into_iter()
        .map(connectors::Acquirer::new);
    Ok(Arc::new(Shared {
        store: open(&serve.database.database)?,
        clock: Clock::from_option(serve.clock_file.as_deref()),
        vault: vault::Vault::new(&serve.vault_url, &service_key)?,
        seal: seal::Seal::from_file(&serve.seal_key_file)?,
        acquirers: acquirers.collect::<anyhow::Result<_>>()?,
        metrics: Metrics::default(),
        deliver: tokio::sync::Notify::new(),
        resolve: tokio::sync::Notify::new(),
        keys: app::KeyCache::default(),
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

async fn create_endpoint(create: CreateEndpoint) -> anyhow::Result<()> {
    anyhow::ensure!(
        create.merchant.starts_with("mer_"),
        "--merchant must be a merchant's id, mer_.."
    );
    let store = open(&create.database.database)?;
    let owner = Owner {
        merchant: create.merchant,
        livemode: create.livemode,
    };
    let id = vault_api::ids::new_id("we");
    let endpoint = Endpoint::new(
        id,
        &owner,
        &create.url,
        create.events,
        Clock::system().now_ms(),
    )?;
    let shown = json!({ "id": endpoint.id, "secret": endpoint.secret });
    store
        .write(move |tx: &mut Tx<'_>| endpoint.insert(tx))
        .await?;
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

async fn list_endpoints(store: &Store) -> anyhow::Result<()> {
    let list = store.read(|tx: &mut Tx<'_>| endpoints::all(tx)).await?;
    for endpoint in list {
        let mut object = endpoint.object();
        object["merchant"] = json!(endpoint.owner.merchant);
        writeln!(std::io::stdout(), "{object}")?;
    }
    Ok(())
}

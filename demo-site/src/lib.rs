//! A merchant's shop: the goods, the orders, the checkout page, and the server side of a payment.
//!
//! What to copy into a shop of your own: an [order](orders) is stored before the gateway is called, with the price
//! from the database; an [attempt](attempts) is stored before it is sent and repeated under its own idempotency key
//! until its outcome is known; only a verified [webhook](webhooks) or the [orphan job](orphans) makes an order paid.
//! The shop cannot name a card number: it holds single-use tokens.

mod action;
mod attempts;
mod buyer;
mod checkout;
mod decline;
mod gallery;
mod gateway;
mod hosted;
mod orders;
mod orphans;
mod pages;
mod pay;
mod settings;
mod shop;
mod signature;
mod webhooks;

pub use settings::{Secret, Settings};

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use service::listen::Stop;
use service::log::known_method;
use service::traces::{self, Context};
use service::{Clock, headers};
use store::{Location, Migration, Store, params};

const MIGRATIONS: &[Migration] = &[
    ("0001_shop", include_str!("../migrations/0001_shop.sql")),
    (
        "0002_actions",
        include_str!("../migrations/0002_actions.sql"),
    ),
];

/// The largest request the shop reads; an event is a few kilobytes.
const MAX_BODY: usize = 256 * 1024;

/// The running shop; cheap to clone.
#[derive(Clone)]
pub struct Shop(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    settings: Settings,
    gateway: gateway::Gateway,
    metrics: service::health::Metrics,
}

impl Shop {
    /// Opens the shop's database.
    ///
    /// # Errors
    /// When the store cannot be opened or a setting is not what it should be.
    pub async fn open(
        location: Location,
        clock: Clock,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let settings = settings.parsed()?;
        // Opening blocks (and PostgreSQL's client brings a run time of its own): not on an async thread.
        let store = tokio::task::spawn_blocking(move || Store::open(&location, MIGRATIONS));
        let gateway = gateway::Gateway::new(&settings.payments_url, settings.secret_key.clone());
        Ok(Self(Arc::new(Inner {
            store: store.await??,
            clock,
            settings,
            gateway,
            metrics: service::health::Metrics::default(),
        })))
    }

    /// Every route of the shop.
    pub fn router(&self) -> Router {
        let store = self.0.store.clone();
        let ready = move || {
            let store = store.clone();
            async move {
                let alive = store.read(|tx| tx.first("select 1", params![])).await;
                alive
                    .map(drop)
                    .map_err(|_: store::Error| "the database cannot be read".to_owned())
            }
        };
        Router::new()
            .route("/", get(shop::page))
            .route("/gallery", get(gallery::page))
            .route("/orders", post(orders::create))
            .route("/orders/{order}/pay", post(pay::pay))
            .route("/orders/{order}/leave", post(action::leave))
            .route("/orders/{order}/hosted", post(hosted::go))
            .route("/payment/success/{order}", get(hosted::success))
            .route("/checkout/{order}", get(checkout::page))
            .route("/order-status/{order}", get(orders::status))
            .route("/webhooks/cardseal", post(webhooks::receive))
            .merge(pages::assets())
            .fallback(async || pages::Problem::NotFound)
            .with_state(self.clone())
            .merge(service::health::routes(self.0.metrics.clone(), ready))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn(refuse_card_numbers))
            .layer(middleware::from_fn(trace))
            .layer(middleware::from_fn(headers::standard))
    }

    /// Resumes attempts without an outcome every second, and runs the orphan job when it is due, until `stop`.
    pub async fn run_jobs(&self, stop: Stop) {
        let mut orphans_due = self.0.clock.now();
        while !stop.is_set() {
            attempts::resume_due(self).await;
            let now = self.0.clock.now();
            if now >= orphans_due {
                orphans_due = now + orphans::EVERY;
                orphans::run(self).await;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = stop.wait() => {}
            }
        }
    }
}

// The shop begins the trace that payments, the vault and the acquirer go on with, unless the buyer's side has.
async fn trace(request: Request, next: Next) -> Response {
    let context = Context::of(request.headers());
    let (method, route) = (known_method(request.method()), request.extensions().get());
    let route = route.map_or("-".to_owned(), |path: &MatchedPath| {
        path.as_str().to_owned()
    });
    let (started, trace_id) = (Instant::now(), context.trace.clone());
    let response = traces::within(context, next.run(request)).await;
    let (ms, status) = (
        started.elapsed().as_millis() as u64,
        response.status().as_u16(),
    );
    tracing::info!(method, route, status, ms, trace_id, "request");
    response
}

// Somebody who puts a card number into an address gets a page that does not repeat it.
async fn refuse_card_numbers(request: Request, next: Next) -> Response {
    if card::filter::holds_card_number(&request.uri().to_string()) {
        return pages::Problem::NotFound.into_response();
    }
    next.run(request).await
}

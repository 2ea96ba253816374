//! The API's edge: the table of routes. Read next: [`call`], [`form`], [`params`], [`idempotency`].

pub mod browser;
pub mod call;
pub mod conditions;
pub mod expand;
pub mod form;
pub mod idempotency;
pub mod pages;
pub mod params;
pub mod search_query;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::app::App;
use crate::error::{Error, Refusal};
use crate::intents::{cancel, capture, confirm, create, retrieve, search, update};
use crate::routing::explain;
use crate::three_ds::{self, page};
use crate::webhooks::{records, routes as endpoints};
use crate::{
    balance, charges, checkout, customers, disputes, events, notifications, payment_methods, refunds,
    saved_cards, setup_intents,
};

/// The version of Stripe's API whose shapes these are.
pub const API_VERSION: &str = "2026-10-28.endive";

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");

/// Every route.
pub fn router(app: App) -> Router {
    Router::new()
        .route(
            "/v1/payment_intents",
            post(create::create).get(retrieve::list),
        )
        .route("/v1/payment_intents/search", get(search::intents))
        .route(
            "/v1/payment_intents/{id}",
            get(retrieve::one)
                .options(browser::preflight)
                .layer(middleware::from_fn(browser::cors))
                .post(update::update),
        )
        .route(
            "/v1/payment_intents/{id}/confirm",
            post(confirm::route)
                .options(browser::preflight)
                .layer(middleware::from_fn(browser::cors)),
        )
        .route("/v1/payment_intents/{id}/capture", post(capture::route))
        .route("/v1/payment_intents/{id}/cancel", post(cancel::route))
        .route(
            "/v1/payment_methods",
            post(payment_methods::create).get(saved_cards::list),
        )
        .route("/v1/payment_methods/{id}", get(payment_methods::retrieve))
        .route("/v1/payment_methods/{id}/attach", post(saved_cards::attach))
        .route("/v1/payment_methods/{id}/detach", post(saved_cards::detach))
        .merge(customer_routes())
        .merge(setup_routes())
        .merge(three_ds_routes())
        .merge(checkout_routes())
        .route("/v1/balance", get(balance::balance))
        .route("/v1/balance_transactions", get(balance::list))
        .route("/v1/balance_transactions/{id}", get(balance::retrieve))
        .route("/v1/charges", get(charges::list))
        .route("/v1/charges/{id}", get(charges::retrieve))
        .route("/v1/refunds", post(refunds::create).get(refunds::list))
        .route("/v1/refunds/{id}", get(refunds::retrieve))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::retrieve))
        .route("/v1/events/{id}/deliveries", get(records::list))
        .route("/v1/events/{id}/retry", post(records::retry))
        .route(
            "/v1/webhook_endpoints",
            post(endpoints::create).get(endpoints::list),
        )
        .route(
            "/v1/webhook_endpoints/{id}",
            get(endpoints::retrieve)
                .post(endpoints::update)
                .delete(endpoints::delete),
        )
        .route(
            "/v1/webhook_endpoints/{id}/roll_secret",
            post(endpoints::roll_secret),
        )
        .route("/v1/disputes", get(disputes::list))
        .route(
            "/v1/disputes/{id}",
            get(disputes::retrieve).post(disputes::update),
        )
        .route("/v1/disputes/{id}/close", post(disputes::close))
        .route(
            "/acquirers/{name}/notifications",
            post(notifications::receive),
        )
        .route("/v1/routing/explain", post(explain::route))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route)
        .layer(middleware::from_fn(echo_version))
        .layer(middleware::from_fn(service::headers::standard))
        .with_state(app)
}

fn customer_routes() -> Router<App> {
    Router::new()
        .route(
            "/v1/customers",
            post(customers::create).get(customers::list),
        )
        .route(
            "/v1/customers/{id}",
            get(customers::retrieve)
                .post(customers::update)
                .delete(customers::delete),
        )
        .route(
            "/v1/customers/{id}/payment_methods",
            get(saved_cards::list_of_customer),
        )
        .route(
            "/v1/customers/{id}/payment_methods/{method}",
            get(saved_cards::retrieve_of_customer),
        )
}

fn three_ds_routes() -> Router<App> {
    Router::new()
        .route("/3ds/results", post(three_ds::results::results))
        .route("/3ds/page.css", get(page::css))
        .route("/3ds/page.js", get(page::script))
        .route("/3ds/notified.js", get(page::notified_script))
        .route("/3ds/{id}", get(page::page))
        .route("/3ds/{id}/status", get(page::status))
        .route("/3ds/{id}/browser", post(page::browser))
        .route("/3ds/{id}/{part}", post(page::notified))
        .layer(DefaultBodyLimit::max(64 * 1024))
}

fn checkout_routes() -> Router<App> {
    Router::new()
        .route(
            "/v1/checkout/sessions",
            post(checkout::create::route).get(checkout::routes::list),
        )
        .route(
            "/v1/checkout/sessions/{id}",
            get(checkout::routes::retrieve).post(checkout::routes::update),
        )
        .route(
            "/v1/checkout/sessions/{id}/expire",
            post(checkout::routes::expire),
        )
        .route(
            "/v1/checkout/sessions/{id}/line_items",
            get(checkout::routes::line_items),
        )
        .route("/c/pay/{id}", get(checkout::page::page))
        .route("/c/pay/{id}/status", get(checkout::page::status))
        .route("/c/checkout.css", get(checkout::page::css))
        .route("/c/checkout.js", get(checkout::page::script))
}

fn setup_routes() -> Router<App> {
    Router::new()
        .route(
            "/v1/setup_intents",
            post(setup_intents::create::create).get(setup_intents::list),
        )
        .route(
            "/v1/setup_intents/{id}",
            get(setup_intents::retrieve)
                .options(browser::preflight)
                .layer(middleware::from_fn(browser::cors)),
        )
        .route(
            "/v1/setup_intents/{id}/confirm",
            post(setup_intents::confirm::route)
                .options(browser::preflight)
                .layer(middleware::from_fn(browser::cors)),
        )
        .route("/v1/setup_intents/{id}/cancel", post(setup_intents::cancel))
}

// The URL is not repeated: it may hold anything.
async fn unknown_route() -> Response {
    let message =
        "Unrecognized request URL. Please see the documentation for the routes that this API has.";
    Error::from(Refusal::plain(message).status(StatusCode::NOT_FOUND)).into_response()
}

/// Answers the version that was asked for, as Stripe does; the shapes are those of [`API_VERSION`].
async fn echo_version(request: Request, next: Next) -> Response {
    let asked = request
        .headers()
        .get(STRIPE_VERSION)
        .filter(|value| value.len() <= 40)
        .cloned();
    let mut response = next.run(request).await;
    let version = asked.unwrap_or_else(|| HeaderValue::from_static(API_VERSION));
    response.headers_mut().insert(STRIPE_VERSION, version);
    response
}

//! The API's edge. Read next: [`table`] (every route), [`call`], [`form`], [`params`], [`idempotency`], [`subject`].

pub mod browser;
pub mod call;
pub mod conditions;
pub mod expand;
pub mod form;
pub mod idempotency;
pub mod layers;
pub mod pages;
pub mod params;
pub mod routes;
pub mod search_query;
pub mod subject;
pub mod table;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::app::App;
use crate::error::{Error, Refusal};

/// The version of Stripe's API whose shapes these are.
pub const API_VERSION: &str = "2026-10-28.endive";

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");

/// Every route, in its layers.
pub fn router(app: App) -> Router {
    routes::router(table::table())
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route)
        .layer(middleware::from_fn(echo_version))
        .layer(middleware::from_fn(service::headers::lock_down))
        .layer(middleware::from_fn_with_state(app.clone(), layers::observe))
        .layer(middleware::from_fn(service::headers::standard))
        .with_state(app)
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

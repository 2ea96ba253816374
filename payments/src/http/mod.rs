//! The API's edge. Read next: [`table`] (every route), [`call`], [`form`], [`params`], [`idempotency`], [`subject`].

pub mod browser;
pub mod call;
pub mod conditions;
pub mod expand;
pub mod form;
pub mod idempotency;
pub mod layers;
pub mod made;
pub mod pages;
pub mod params;
pub mod routes;
pub mod search_query;
pub mod subject;
pub mod table;
pub mod takes;
pub mod words;

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
        .layer(middleware::from_fn(plain_path))
        .layer(middleware::from_fn(call::echo_key))
        .layer(middleware::from_fn(version))
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

/// No path of this API needs an escape: one with any is of no route, and no handler has to judge what it stands for.
async fn plain_path(request: Request, next: Next) -> Response {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if request.uri().path().bytes().all(is_plain) {
        next.run(request).await
    } else {
        unknown_route().await
    }
}

/// Answers the version that was asked for, as Stripe does; the shapes are those of [`API_VERSION`].
async fn version(request: Request, next: Next) -> Response {
    let asked = request.headers().get(STRIPE_VERSION).cloned();
    let mut response = match &asked {
        Some(value) if !is_version(value) => {
            let message = "Invalid Stripe API version: it is a date, with or without a name, as 2026-10-28.endive.";
            return Error::from(Refusal::plain(message)).into_response();
        }
        _ => next.run(request).await,
    };
    let version = asked.unwrap_or_else(|| HeaderValue::from_static(API_VERSION));
    response.headers_mut().insert(STRIPE_VERSION, version);
    response
}

// `2026-10-28`, `2026-10-28.endive`
fn is_version(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    let (date, name) = text.split_once('.').unwrap_or((text, "none"));
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let is_name =
        (1..=20).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_date && is_name
}

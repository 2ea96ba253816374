//! The private listener: what merchants' servers and payments may ask. Its routes are listed here and nowhere else.

mod cards;
mod exchange;
pub(crate) use exchange::keyed_hash;
mod keys;
mod sessions;
mod tokens;

use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::audit::refusals;
use crate::{App, forward, http};

/// The routes.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/v1/tokens", post(tokens::create))
        .route("/v1/tokens/lookup", post(tokens::lookup))
        .route("/v1/tokens/revoke", post(tokens::revoke))
        .route("/v1/sessions", post(sessions::create))
        .route("/v1/exchange", post(exchange::exchange))
        .route("/v1/forward", post(forward::forward))
        .route("/v1/attempts/close", post(forward::close))
        .route("/v1/cards", get(cards::list))
        .route("/v1/cards/{id}", get(cards::read).delete(cards::delete))
        .route("/v1/keys/lookup", post(keys::lookup))
        .with_state(app.clone())
        .layer(middleware::from_fn_with_state(app, refusals::watch));
    http::wrap(routes)
}

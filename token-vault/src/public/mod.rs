//! The public listener: loader, frame document, field sessions, tokenise. Anybody's browser may ask; it serves nothing
//! else. Its routes are listed here and nowhere else.

mod field_sessions;
mod files;
mod frame;
pub mod origins;
pub mod tokenise;

pub use files::FrameFiles;

use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::audit::refusals;
use crate::{App, http};

/// The routes.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/v1/frame", get(frame::document))
        .route("/v1/frame/check", get(frame::check))
        .route("/v1/assets/{file}", get(files::asset))
        .route("/v1/field-sessions", post(field_sessions::create))
        .route("/v1/tokens", post(tokenise::tokenise))
        .route("/v1/{file}", get(files::loader))
        .with_state(app.clone())
        .layer(middleware::from_fn_with_state(app, refusals::watch));
    http::wrap(routes)
}

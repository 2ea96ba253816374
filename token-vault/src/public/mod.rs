//! The public listener: loader, frame document, field sessions, tokenise. Anybody's browser may ask; it serves nothing
//! else. Its routes are listed here and nowhere else.

mod field_sessions;
mod files;
mod fonts;
mod frame;
mod integrity;
pub mod tokenise;

pub(crate) use field_sessions::must_be_bound;
pub use files::FrameFiles;
pub use fonts::Font;

use axum::Router;
use vault_api::Code;
use vault_api::tokens::{FieldSession, FieldSessionRequest, TokenCreated, TokeniseSealed};

use crate::App;
use crate::http::doors::Listener;
use crate::http::routes::{self, Route};
use crate::releases::command::Published;

/// The codes that a card itself can bring.
pub const CARD_CODES: [Code; 10] = [
    Code::InvalidNumber,
    Code::InvalidExpiry,
    Code::ExpiredCard,
    Code::InvalidCvc,
    Code::InvalidName,
    Code::InvalidPostalCode,
    Code::InvalidCountry,
    Code::InvalidNetwork,
    Code::LiveCardInTestMode,
    Code::TestCardInLiveMode,
];

/// The router.
pub fn router(app: App) -> Router {
    routes::router(Listener::Public, app, table())
}

/// The table of routes.
#[must_use]
pub fn table() -> Vec<Route> {
    vec![
        Route::get("/v1/frame", frame::document)
            .does("The frame document, for a page whose origin is registered for the key.")
            .query::<frame::Asked>()
            .serves("text/html")
            .codes(&[
                Code::Unauthenticated,
                Code::OriginNotAllowed,
                Code::NotFound,
            ]),
        Route::get("/v1/frame/check", frame::check)
            .does("Why a frame was refused, judged by the Origin header.")
            .query::<frame::Asked>()
            .serves("application/json")
            .codes(&[Code::Unauthenticated, Code::OriginNotAllowed]),
        Route::get("/.well-known/cardseal-releases.json", files::releases)
            .does("What is served here, signed by the release key: a JWS for each release, the current one first.")
            .answers::<Published>(),
        Route::get("/v1/assets/{file}", files::asset)
            .does("A file of the frame; its name holds its hash.")
            .serves("application/octet-stream")
            .codes(&[Code::NotFound]),
        Route::post("/v1/field-sessions", field_sessions::create)
            .does("A field session and the keys to seal to; for the frame itself.")
            .body::<FieldSessionRequest>()
            .answers::<FieldSession>()
            .codes(&[
                Code::Unauthenticated,
                Code::SessionInvalid,
                Code::Forbidden,
                Code::SessionMustBeBound,
                Code::ProofOfWorkRequired,
                Code::RateLimited,
            ]),
        Route::post("/v1/tokens", tokenise::tokenise)
            .does("A sealed card becomes a single-use token.")
            .session()
            .body::<TokeniseSealed>()
            .answers::<TokenCreated>()
            .codes(&TOKENISE_CODES),
        Route::get("/v1/{file}", files::loader)
            .does("The loader: cardseal.js for development, cardseal-<version>.js with integrity.")
            .serves("text/javascript")
            .codes(&[Code::NotFound]),
    ]
}

const TOKENISE_CODES: [Code; 17] = [
    Code::FundingNotAllowed,
    Code::InvalidNumber,
    Code::InvalidExpiry,
    Code::ExpiredCard,
    Code::InvalidCvc,
    Code::InvalidName,
    Code::InvalidPostalCode,
    Code::InvalidCountry,
    Code::InvalidNetwork,
    Code::LiveCardInTestMode,
    Code::TestCardInLiveMode,
    Code::Forbidden,
    Code::SealedCardReplayed,
    Code::SealedCardInvalid,
    Code::SealingKeyUnknown,
    Code::ProofOfWorkRequired,
    Code::RateLimited,
];

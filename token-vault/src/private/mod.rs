//! The private listener: what merchants' servers and payments may ask. Its routes are listed here and nowhere else.

mod cards;
mod exchange;
pub(crate) use exchange::keyed_hash;
mod jwks;
mod keys;
mod sessions;
mod tokens;

use axum::Router;
use vault_api::Code;
use vault_api::forward::{Close, Forward, Forwarded};
use vault_api::keys::{KeyInfo, Lookup};
use vault_api::tokens::{
    CardUpdate, Exchange, Exchanged, StoredCard, TokenCreated, TokenRef, TokenState,
};

use crate::http::doors::Listener;
use crate::http::routes::{self, Route};
use crate::public::CARD_CODES;
use crate::{App, forward};

/// The router.
pub fn router(app: App) -> Router {
    routes::router(Listener::Private, app, table())
}

/// The table of routes.
#[must_use]
pub fn table() -> Vec<Route> {
    [
        token_routes(),
        card_routes(),
        forward_routes(),
        key_routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn token_routes() -> Vec<Route> {
    vec![
        Route::post("/v1/tokens", tokens::create)
            .does("A card in the clear becomes a single-use token; for servers that may hold cards.")
            .key("rk_ with cards:write")
            .body::<tokens::Plain>()
            .answers::<TokenCreated>()
            .codes(&CARD_CODES),
        Route::post("/v1/tokens/lookup", tokens::lookup)
            .does("A token's state and what may be shown of its card.")
            .key("sk_, rk_, svc_")
            .body::<TokenRef>()
            .answers::<TokenState>()
            .codes(&[Code::NotFound]),
        Route::post("/v1/tokens/revoke", tokens::revoke)
            .does("Ends an active token; one that is over stays as it is.")
            .key("sk_, rk_, svc_")
            .body::<TokenRef>()
            .answers::<TokenState>()
            .codes(&[Code::NotFound]),
        Route::post("/v1/exchange", exchange::exchange)
            .does("A token or a stored card becomes a grant, a stored card, or both. One use, whatever races.")
            .key("rk_ with exchange, svc_")
            .idempotency_key()
            .body::<Exchange>()
            .answers::<Exchanged>()
            .codes(&[
                Code::NotFound,
                Code::TokenAlreadyUsed,
                Code::TokenExpired,
                Code::TokenRevoked,
                Code::TokenHoldsNoCard,
                Code::InvalidCvc,
                Code::CvcGone,
                Code::BindingMismatch,
            ]),
    ]
}

fn card_routes() -> Vec<Route> {
    vec![
        Route::get("/v1/cards", cards::list)
            .does("Stored cards, newest first.")
            .key("sk_, rk_ with cards:read, svc_")
            .query::<cards::Page>()
            .answers::<cards::Cards>(),
        Route::get("/v1/cards/{id}", cards::read)
            .does("A stored card.")
            .key("sk_, rk_ with cards:read, svc_")
            .answers::<StoredCard>()
            .codes(&[Code::NotFound]),
        Route::post("/v1/cards/{id}", cards::update)
            .does("Changes a stored card's expiry, or the buyer's choice of network.")
            .key("sk_, rk_ with cards:write")
            .body::<CardUpdate>()
            .answers::<StoredCard>()
            .codes(&[
                Code::NotFound,
                Code::InvalidExpiry,
                Code::ExpiredCard,
                Code::InvalidNetwork,
            ]),
        Route::delete("/v1/cards/{id}", cards::delete)
            .does("Deletes a stored card: the number is gone.")
            .key("sk_, rk_ with cards:write")
            .answers::<cards::Deleted>()
            .codes(&[Code::NotFound]),
    ]
}

fn forward_routes() -> Vec<Route> {
    vec![
        Route::post("/v1/forward", forward::forward)
            .does("Sends the card to a registered operation, at most once per attempt id.")
            .key("rk_ with forward, svc_")
            .body::<Forward>()
            .answers::<Forwarded>()
            .codes(&[
                Code::NotFound,
                Code::OperationNotAllowed,
                Code::AttemptInFlight,
                Code::AttemptClosed,
                Code::GrantExpired,
                Code::CvcGone,
                Code::IdempotencyMismatch,
                Code::BindingMismatch,
                Code::GrantExhausted,
                Code::PlaceholderNotAllowed,
            ]),
        Route::post("/v1/attempts/close", forward::close)
            .does("The recorded outcome of an attempt; one that never started becomes unusable.")
            .key("rk_ with forward, svc_")
            .body::<Close>()
            .answers::<Forwarded>()
            .codes(&[Code::NotFound, Code::AttemptInFlight]),
    ]
}

fn key_routes() -> Vec<Route> {
    vec![
        Route::post("/v1/sessions", sessions::create)
            .does("A field session that is bound to an intent, an amount and a currency.")
            .key("sk_")
            .body::<sessions::Request>()
            .answers::<sessions::Session>()
            .codes(&[Code::NotFound, Code::SessionMustBeBound]),
        Route::post("/v1/keys/lookup", keys::lookup)
            .does("Whose key is it? By the SHA-256 of a presented key.")
            .key("svc_")
            .body::<Lookup>()
            .answers::<KeyInfo>()
            .codes(&[Code::NotFound]),
        Route::get("/v1/jwks.json", jwks::keys)
            .does("The public keys of field sessions: yesterday's, today's and tomorrow's.")
            .answers::<jwks::Jwks>(),
    ]
}

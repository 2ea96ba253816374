//! `POST /v1/exchange`: a token or a stored card becomes a grant, a stored card, or both. One use, whatever races.
//!
//! Order of checks: unknown or foreign, same key, other key, revoked or expired. Reading order: this file, [`request`]
//! (what is asked), [`of_token`], [`of_card`], [`of_published`], [`once`] (what the last two share), [`issue`] (what comes
//! into being), [`answers`] (what is kept for a replay).

mod answers;
mod issue;
mod of_card;
mod of_published;
mod of_token;
mod once;
mod request;

pub(crate) use request::keyed_hash;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use store::Tx;
use vault_api::Token;
use vault_api::tokens::Exchange;

use crate::audit::Actor;
use crate::http::{Caller, Json};
use crate::records::row_mac::RowMacs;
use crate::records::tokens::Owner;
use crate::{App, Error};
use request::{check, idempotency_key, request_hash};

/// How long the same key answers the same, seconds.
const REPLAY: i64 = 24 * 3600;

/// The header that says an answer is a replay.
const REPLAYED: &str = "idempotent-replayed";

/// Everything that one exchange needs to know.
struct Work {
    app: App,
    actor: Actor,
    mode: &'static str,
    body: Exchange,
    key: String,
    hash: [u8; 32],
    now: i64,
    fingerprint: bool,
}

/// An answer: its JSON, and whether it is a replay.
struct Answer(Value, bool);

/// Exchanges.
pub async fn exchange(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<Exchange>,
) -> Result<Response, Error> {
    caller.may("exchange")?;
    let key = idempotency_key(&headers)?;
    check(&body)?;
    let hash = request_hash(&app, &caller, &body)?;
    let now = app.clock.now();
    let work = Work {
        app: app.clone(),
        actor: Actor::from(&caller),
        mode: caller.mode.as_str(),
        body,
        key,
        hash,
        now,
        fingerprint: caller.may("fingerprint").is_ok(),
    };
    let Answer(value, replayed) = app.write(move |tx| work.run(tx)).await?;
    app.metrics.count(
        "vault_exchanges_total",
        &[("replayed", if replayed { "true" } else { "false" })],
    );
    let mut response = Json(value).into_response();
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

impl Work {
    fn run(&self, tx: &mut Tx<'_>) -> Result<Answer, Error> {
        match Token::parse(&self.body.source) {
            Ok(token) => self.of_token(tx, &token),
            Err(_) if self.body.source.starts_with("card_") => self.of_card(tx),
            Err(_) => self.of_published(tx),
        }
    }

    fn owner(&self) -> Owner<'_> {
        Owner {
            merchant: &self.actor.merchant,
            mode: self.mode,
        }
    }

    fn macs(&self) -> &RowMacs {
        self.app.root.macs()
    }

    // A replay shows the fingerprint only to a caller who may see it, whoever asked first.
    fn in_scope(&self, mut answer: Value) -> Value {
        if !self.fingerprint
            && let Some(answer) = answer.as_object_mut()
        {
            answer.remove("fingerprint");
        }
        answer
    }
}

//! `POST /v1/sessions`: a merchant's server makes a field session that is bound to intent, amount and currency.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use vault_api::Code;
use vault_api::keys::{ApiKey, Kind};

use crate::crypto::session::Claims;
use crate::http::{Caller, Json};
use crate::public::must_be_bound;
use crate::records::keys::Found;
use crate::{App, Error, records};

/// What to bind.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionRequest")]
pub struct Request {
    key: String,
    intent: Option<String>,
    amount: Option<i64>,
    currency: Option<String>,
}

/// The session for the page to hand to the frame.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Session {
    session: String,
    expires_at: i64,
}

/// Makes it.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Request>,
) -> Result<Json<Session>, Error> {
    caller.may("sessions")?;
    check(&body)?;
    let sha256 = ApiKey::parse(&body.key)
        .map_err(|_| Code::InvalidRequest)?
        .sha256_hex();
    let now = app.clock.now();
    let parts = app.clone();
    let found = app
        .store
        .read(move |tx| records::keys::by_hash(tx, parts.root.macs(), &sha256, now))
        .await?;
    let Found { info, rules, .. } = found
        .filter(|Found { info, .. }| {
            info.kind == Kind::Publishable
                && info.merchant == caller.merchant
                && info.mode == caller.mode
        })
        .ok_or(Code::NotFound)?;
    let mut claims = Claims::new(&body.key, &info.merchant, info.mode, now);
    (claims.intent, claims.amount, claims.currency) = (body.intent, body.amount, body.currency);
    must_be_bound(&rules, &claims)?;
    let session = claims
        .sign(&app.root)
        .map_err(|_| Error::Internal("a session could not be signed"))?;
    Ok(Json(Session {
        session,
        expires_at: claims.exp,
    }))
}

fn check(body: &Request) -> Result<(), Error> {
    let intent = body.intent.as_deref().unwrap_or("x");
    if card::filter::holds_card_number(intent) {
        return Err(Code::CardNumberInWrongPlace.into());
    }
    let currency = body.currency.as_deref().unwrap_or("usd");
    let fits = (1..=255).contains(&intent.len())
        && body.amount.is_none_or(|amount| amount > 0)
        && currency.len() == 3
        && currency.bytes().all(|b| b.is_ascii_lowercase());
    if fits {
        Ok(())
    } else {
        Err(Code::InvalidRequest.into())
    }
}

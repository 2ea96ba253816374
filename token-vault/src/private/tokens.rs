//! Tokens on the private listener: made by a server that may hold cards, looked up, revoked.

use axum::extract::State;
use serde::Deserialize;
use vault_api::keys::Mode;
use vault_api::tokens::{TokenCreated, TokenRef, TokenState};
use vault_api::{Code, Token, TokenName};

use crate::audit::{self, Act, Actor};
use crate::card_json::CardJson;
use crate::card_rules::CardRules;
use crate::http::{Caller, Json};
use crate::public::tokenise::{self, Content};
use crate::records::row_mac::{Read, RowMacs};
use crate::records::tokens::{Binding, Owner};
use crate::{App, Error, card_json, published, records};

/// A card in the clear: only from a server that is itself in scope (imports, tests, load).
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenisePlain")]
pub struct Plain {
    card: CardJson,
}

/// `POST /v1/tokens` `{card}` by a key with `cards:write`.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Plain>,
) -> Result<Json<TokenCreated>, Error> {
    caller.may("cards:write")?;
    let card = body.card.check(
        caller.mode,
        card::Month::of_unix(app.clock.now()),
        &CardRules::default(),
    )?;
    let (actor, binding) = (Actor::from(&caller), Binding::default());
    tokenise::keep(&app, actor, Content::Card(card), binding, None)
        .await
        .map(Json)
}

/// `POST /v1/tokens/lookup`.
pub async fn lookup(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<TokenRef>,
) -> Result<Json<TokenState>, Error> {
    caller.may("lookup")?;
    let (now, mode) = (app.clock.now(), caller.mode);
    let token = match body.token {
        TokenName::Made(token) => token,
        TokenName::Published(name) => return of_published(name, mode, now),
    };
    let parts = app.clone();
    let state = app
        .store
        .look_up(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode: mode.as_str(),
            };
            state(tx, parts.root.macs(), owner, &token, now)
        })
        .await?;
    Ok(Json(state))
}

/// `POST /v1/tokens/revoke`: an active token ends; one that is over stays as it is, and so does a published one.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<TokenRef>,
) -> Result<Json<TokenState>, Error> {
    caller.may("lookup")?;
    let (now, mode) = (app.clock.now(), caller.mode);
    let token = match body.token {
        TokenName::Made(token) => token,
        TokenName::Published(name) => return of_published(name, mode, now),
    };
    let parts = app.clone();
    let state = app
        .store
        .write(move |tx| {
            let macs = parts.root.macs();
            let owner = Owner {
                merchant: &caller.merchant,
                mode: mode.as_str(),
            };
            // Reading first proves the secret.
            let mut row = records::tokens::find(tx, macs, owner, &token, Read::Change)?
                .ok_or(Code::NotFound)?;
            if records::tokens::revoke(tx, macs, &mut row)? {
                records::cvvs::delete(tx, token.public())?;
                audit::record(
                    tx,
                    &Actor::from(&caller),
                    Act::Revoke,
                    token.public(),
                    "revoked",
                    now,
                )?;
            }
            state(tx, macs, owner, &token, now)
        })
        .await?;
    Ok(Json(state))
}

// Always active, and never over: it never burns.
fn of_published(name: String, mode: Mode, now: i64) -> Result<Json<TokenState>, Error> {
    let card = published::card(&name, mode, now).ok_or(Code::NotFound)?;
    Ok(Json(TokenState {
        id: name,
        status: "active".to_owned(),
        card: Some(card_json::summary(&card)),
        expires_at: now + records::tokens::LIFE,
    }))
}

fn state(
    tx: &mut store::Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    token: &Token,
    now: i64,
) -> Result<TokenState, Error> {
    let row = records::tokens::find(tx, macs, owner, token, Read::Look)?.ok_or(Code::NotFound)?;
    let expired = row.state != "exchanged" && row.expires_at <= now;
    Ok(TokenState {
        id: token.public().to_owned(),
        status: if expired {
            "expired".to_owned()
        } else {
            row.state
        },
        card: row.card,
        expires_at: row.expires_at,
    })
}

//! Stored cards: list, read, delete. There is no endpoint that gives a number back.

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use vault_api::Code;
use vault_api::tokens::StoredCard;

use crate::audit::{self, Act, Actor};
use crate::http::{Caller, Json};
use crate::records::tokens::Owner;
use crate::{App, Error, records};

/// Which page.
#[derive(Deserialize, schemars::JsonSchema)]
pub struct Page {
    starting_after: Option<String>,
    limit: Option<i64>,
}

/// A page of cards.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Cards {
    object: &'static str,
    data: Vec<StoredCard>,
    has_more: bool,
}

/// `GET /v1/cards?starting_after=&limit=` (1-100, default 10).
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Cards>, Error> {
    caller.may("cards:read")?;
    let Query(page) = page.map_err(|_| Code::InvalidRequest)?;
    let limit = page.limit.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Code::InvalidRequest.into());
    }
    let mode = caller.mode.as_str();
    let parts = app.clone();
    let mut data = app
        .store
        .read(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode,
            };
            let after = page.starting_after.as_deref();
            records::cards::list(tx, parts.root.macs(), owner, after, limit + 1)
        })
        .await?;
    let has_more = data.len() as i64 > limit;
    data.truncate(limit as usize);
    Ok(Json(Cards {
        object: "list",
        data,
        has_more,
    }))
}

/// `GET /v1/cards/{id}`.
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StoredCard>, Error> {
    caller.may("cards:read")?;
    let (now, mode) = (app.clock.now(), caller.mode.as_str());
    let parts = app.clone();
    let card = app
        .store
        .write(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode,
            };
            let (card, _) =
                records::cards::find(tx, parts.root.macs(), owner, &id)?.ok_or(Code::NotFound)?;
            audit::record(
                tx,
                &Actor::from(&caller),
                Act::ReadCard,
                &card.id,
                "read",
                now,
            )?;
            Ok::<_, Error>(card)
        })
        .await?;
    Ok(Json(card))
}

/// What a deletion answers.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Deleted {
    id: String,
    object: &'static str,
    deleted: bool,
}

/// `DELETE /v1/cards/{id}`.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, Error> {
    caller.may("cards:read")?;
    let (now, mode) = (app.clock.now(), caller.mode.as_str());
    let parts = app.clone();
    let id = app
        .store
        .write(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode,
            };
            if !records::cards::delete(tx, parts.root.macs(), owner, &id)? {
                return Err(Error::from(Code::NotFound));
            }
            audit::record(
                tx,
                &Actor::from(&caller),
                Act::DeleteCard,
                &id,
                "deleted",
                now,
            )?;
            Ok(id.clone())
        })
        .await?;
    Ok(Json(Deleted {
        id,
        object: "stored_card",
        deleted: true,
    }))
}

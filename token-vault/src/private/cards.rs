//! Stored cards: list, read, update, delete. There is no endpoint that gives a number back.

use axum::extract::{Path, Query, State};
use card::Month;
use serde::{Deserialize, Serialize};
use vault_api::Code;
use vault_api::tokens::{CardSummary, CardUpdate, StoredCard};

use crate::audit::{self, Act, Actor};
use crate::card_json;
use crate::crypto::envelope::Place;
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

/// `GET /v1/cards/{id}`; with the BIN for keys that have its scope, and not the fingerprint's.
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StoredCard>, Error> {
    caller.may("cards:read")?;
    let with_bin = caller.may("cards:bin").is_ok() && caller.may("fingerprint").is_err();
    let (now, mode) = (app.clock.now(), caller.mode.as_str());
    let parts = app.clone();
    let card = app
        .write(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode,
            };
            let (mut card, sealed) =
                records::cards::find(tx, parts.root.macs(), owner, &id)?.ok_or(Code::NotFound)?;
            if with_bin {
                let place = Place {
                    kind: "stored_card",
                    record: &card.id,
                    expires_at: 0,
                };
                let tenant = parts.tenants.by_id(&sealed.key_id)?;
                let opened = tenant.open_card(place, &sealed)?;
                card.bin = Some(opened.number.bin().to_owned());
            }
            audit::record(
                tx,
                &Actor::from(&caller),
                Act::ReadCard,
                &card.id,
                if with_bin { "read with bin" } else { "read" },
                now,
            )?;
            Ok::<_, Error>(card)
        })
        .await?;
    Ok(Json(card))
}

/// `POST /v1/cards/{id}`: the expiry, or the buyer's choice of network.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<CardUpdate>,
) -> Result<Json<StoredCard>, Error> {
    caller.may("cards:change")?;
    if body.exp_month.is_none() && body.exp_year.is_none() && body.networks.is_none() {
        return Err(Code::InvalidRequest.into());
    }
    let (now, mode) = (app.clock.now(), caller.mode.as_str());
    let parts = app.clone();
    let card = app
        .store
        .write(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode,
            };
            let change = |card: &mut CardSummary| changed(card, &body, now);
            let card = records::cards::update(tx, parts.root.macs(), owner, &id, change)?
                .ok_or(Code::NotFound)?;
            let actor = Actor::from(&caller);
            audit::record(tx, &actor, Act::UpdateCard, &id, "updated", now)?;
            Ok::<_, Error>(card)
        })
        .await?;
    Ok(Json(card))
}

// What a buyer may type is what may be set here, too: an expiry that is over is refused.
fn changed(card: &mut CardSummary, body: &CardUpdate, now: i64) -> Result<(), Error> {
    if body.exp_month.is_some() || body.exp_year.is_some() {
        let month = body.exp_month.unwrap_or(card.exp_month);
        let year = body.exp_year.unwrap_or(card.exp_year);
        let expiry = card_json::expiry(year, month, Month::of_unix(now))?;
        (card.exp_month, card.exp_year) = (expiry.month(), expiry.year());
    }
    if let (Some(asked), Some(networks)) = (&body.networks, &mut card.networks) {
        let preferred = Some(asked.preferred.clone()).filter(|asked| !asked.is_empty());
        if preferred
            .as_ref()
            .is_some_and(|asked| !networks.available.contains(asked))
        {
            return Err(Code::InvalidNetwork.into());
        }
        networks.preferred = preferred;
    }
    Ok(())
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
    caller.may("cards:change")?;
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

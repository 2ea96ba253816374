//! The API of webhook endpoints, with two things that Stripe has in its dashboard only: `retry_policy`, and rolling
//! the secret.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Tx, params};

use super::endpoints::{Endpoint, LISTED, acceptable_events, acceptable_url};
use super::retry::{POLICIES, Policy};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::idempotency;
use crate::http::pages::{self, Page};
use crate::http::params::{Params, merge_metadata};

/// How long a rolled secret signs on when nothing else is said, and at most: a day, a week.
const OVERLAP: i64 = 24 * 60 * 60;
const LONGEST_OVERLAP: i64 = 7 * OVERLAP;

fn take_words(params: &mut Params, endpoint: &mut Endpoint) -> Result<(), Error> {
    if let Some(description) = params.clearable("description", 1_000)? {
        endpoint.description = description;
    }
    if let Some(policy) = params.one_of("retry_policy", POLICIES)? {
        endpoint.policy = Policy::parse(policy);
    }
    merge_metadata(&mut endpoint.metadata, params.metadata()?)
}

/// `POST /v1/webhook_endpoints`
pub async fn create(call: Call) -> Response {
    idempotency::run(call, "we", |mut call, id| async move {
        let url = call.params.required("url", 2_048)?;
        let events = call.params.list("enabled_events", 100)?;
        let events = events.ok_or_else(|| call.params.missing("enabled_events"))?;
        let (app, now_ms) = (call.app.clone(), call.app.clock.now_ms());
        let mut endpoint = Endpoint::new(&app.seal, id, &call.owner, &url, events, now_ms)?;
        take_words(&mut call.params, &mut endpoint)?;
        call.params.text("api_version", 50)?;
        call.params.finish()?;
        let shared = app.clone();
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            endpoint.insert(tx)?;
            // A resumed call finds the row, and the secret, of its first run.
            let stored = Endpoint::load(tx, &endpoint.owner, &endpoint.id)?;
            let mut object = stored.object();
            object["secret"] = json!(*stored.secrets.current(&shared.seal, &stored.id)?);
            Ok(object)
        };
        app.store.write(write).await
    })
    .await
}

/// `POST /v1/webhook_endpoints/{id}`
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "upd", |mut call, _| async move {
        let url = call.params.text("url", 2_048)?;
        let events = call.params.list("enabled_events", 100)?;
        let disabled = call.params.boolean("disabled")?;
        let url = url.map(|url| acceptable_url(&url, call.owner.livemode));
        let (url, events) = (url.transpose()?, events.map(acceptable_events).transpose()?);
        let (words, owner) = (call.params, call.owner);
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            LISTED.lock(tx, &owner, &id)?;
            let mut endpoint = Endpoint::load(tx, &owner, &id)?;
            let mut words = words.clone();
            take_words(&mut words, &mut endpoint)?;
            words.finish()?;
            if let Some(url) = &url {
                endpoint.url.clone_from(url);
            }
            if let Some(events) = &events {
                endpoint.events.clone_from(events);
            }
            endpoint.enabled = disabled.map_or(endpoint.enabled, |disabled| !disabled);
            endpoint.update(tx)?;
            Ok(endpoint.object())
        };
        call.app.store.write(write).await
    })
    .await
}

/// `POST /v1/webhook_endpoints/{id}/roll_secret`
pub async fn roll_secret(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "roll", |mut call, subject| async move {
        let overlap = call.params.integer("previous_expires_in")?;
        call.params.finish()?;
        let overlap = overlap.unwrap_or(OVERLAP);
        if !(0..=LONGEST_OVERLAP).contains(&overlap) {
            let message = "Invalid previous_expires_in: must be 0 to 604800 seconds.";
            return Err(Refusal::new("parameter_invalid_integer", message)
                .param("previous_expires_in")
                .into());
        }
        let (app, owner) = (call.app.clone(), call.owner);
        let until = app.clock.now() + overlap;
        let shared = app.clone();
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            let mut endpoint = Endpoint::load(tx, &owner, &id)?;
            let secret = endpoint.roll(tx, &shared.seal, &subject, until)?;
            let mut object = endpoint.object();
            object["secret"] = json!(*secret);
            Ok(object)
        };
        app.store.write(write).await
    })
    .await
}

/// `GET /v1/webhook_endpoints/{id}`
pub async fn retrieve(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| Endpoint::load(tx, &owner, &id);
    call.app
        .store
        .read(read)
        .await
        .map(|endpoint| Json(endpoint.object()))
}

/// `DELETE /v1/webhook_endpoints/{id}`
pub async fn delete(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let endpoint = Endpoint::load(tx, &owner, &id)?;
        tx.execute(
            "delete from webhook_endpoints where id = $1",
            params![&endpoint.id],
        )?;
        Ok(json!({ "id": endpoint.id, "object": "webhook_endpoint", "deleted": true }))
    };
    call.app.store.write(write).await.map(Json)
}

/// `GET /v1/webhook_endpoints`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let page = Page::parse(&mut call.params)?;
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let (rows, more) = page.select(tx, &LISTED, &owner, &[])?;
        let data = rows.iter().map(|row| Ok(Endpoint::from_row(row)?.object()));
        Ok(pages::list(
            "/v1/webhook_endpoints",
            data.collect::<Result<_, Error>>()?,
            more,
        ))
    };
    call.app.store.read(read).await.map(Json)
}

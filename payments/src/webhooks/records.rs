//! What became of each delivery: its state, every try with status and reason, and the call that sends it once more.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{Row, Tx, outbox, params};
use vault_api::ids::new_id;
use vault_api::keys::hex;

use super::endpoints::{self, Endpoint};
use crate::app::Owner;
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::idempotency;

/// Begins the outbox topics of deliveries. Each endpoint has a topic of its own, so that one that hangs keeps no other
/// waiting.
pub const TOPICS: &str = "webhook";

/// Puts the delivery of an event to an endpoint.
pub fn put(tx: &mut Tx<'_>, event: &str, endpoint: &str, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "insert into webhook_deliveries (event, endpoint, state, updated_ms) values ($1, $2, 'pending', $3)",
        params![event, endpoint, now_ms],
    )?;
    put_work(tx, &first_work(event, endpoint), event, endpoint, now_ms)
}

fn first_work(event: &str, endpoint: &str) -> String {
    format!("{event}:{endpoint}")
}

fn put_work(
    tx: &mut Tx<'_>,
    work: &str,
    event: &str,
    endpoint: &str,
    now_ms: i64,
) -> Result<(), Error> {
    let payload = json!({ "event": event, "endpoint": endpoint }).to_string();
    let topic = format!("{TOPICS}:{endpoint}");
    outbox::put(tx, work, &topic, &payload, now_ms.div_euclid(1000))?;
    Ok(())
}

/// Whether this piece of work may still deliver: nothing was put in its place, and it has not delivered.
pub fn is_current(tx: &mut Tx<'_>, work: &str, event: &str, endpoint: &str) -> Result<bool, Error> {
    let row = tx.first(
        "select coalesce(work, $3) from webhook_deliveries where event = $1 and endpoint = $2 and state = 'pending'",
        params![event, endpoint, first_work(event, endpoint)],
    )?;
    let current: Option<String> = row.map(|row| row.get(0)).transpose()?;
    Ok(current.as_deref() == Some(work))
}

/// One try, over.
#[derive(Debug, Clone)]
pub struct Try {
    pub event: String,
    pub endpoint: String,
    pub at_ms: i64,
    pub took_ms: i64,
    pub status: Option<u16>,
    /// Why it was no delivery.
    pub reason: Option<String>,
}

/// Records a try and the delivery's new state; `next_at` (Unix seconds) when it is tried again.
pub fn record(
    tx: &mut Tx<'_>,
    tried: &Try,
    state: &str,
    next_at: Option<i64>,
    now_ms: i64,
) -> Result<(), Error> {
    let row = tx.first(
        "update webhook_deliveries set state = $3, tries = tries + 1, last_status = $4, last_error = $5,
             updated_ms = $6, next_at = $7 where event = $1 and endpoint = $2 returning tries",
        params![
            &tried.event,
            &tried.endpoint,
            state,
            tried.status,
            tried.reason.clone(),
            now_ms,
            next_at
        ],
    )?;
    let number: i64 = row
        .ok_or(Error::Internal("a delivery's row is gone"))?
        .get(0)?;
    tx.execute(
        "insert into webhook_tries (event, endpoint, number, at_ms, took_ms, status, reason)
         values ($1, $2, $3, $4, $5, $6, $7)",
        params![
            &tried.event,
            &tried.endpoint,
            number,
            tried.at_ms,
            tried.took_ms,
            tried.status,
            tried.reason.clone()
        ],
    )?;
    Ok(())
}

/// Ends a delivery that nobody can receive.
pub fn give_up(
    tx: &mut Tx<'_>,
    event: &str,
    endpoint: &str,
    why: &str,
    now_ms: i64,
) -> Result<(), Error> {
    tx.execute(
        "update webhook_deliveries set state = 'failed', last_error = $3, updated_ms = $4, next_at = null
         where event = $1 and endpoint = $2 and state = 'pending'",
        params![event, endpoint, why, now_ms],
    )?;
    Ok(())
}

/// Sends an event once more, with its retries from the start: to the endpoint that is named, or to all that it went to
/// and all that listen to its kind now. How many deliveries that makes.
pub fn resend(
    tx: &mut Tx<'_>,
    owner: &Owner,
    event: &str,
    only: Option<&str>,
    now_ms: i64,
) -> Result<usize, Error> {
    let kind = events::kind_of(tx, owner, event)?;
    let mut targets = Vec::new();
    if let Some(id) = only {
        let found = Endpoint::by_id(tx, id)?.filter(|endpoint| endpoint.owner == *owner);
        let missing = || Refusal::no_such("webhook_endpoint").param("webhook_endpoint");
        targets.push(found.ok_or_else(missing)?.id);
    } else {
        targets = endpoints::listening(tx, owner, &kind)?;
        let rows = tx.all(
            "select d.endpoint from webhook_deliveries d join webhook_endpoints e on e.id = d.endpoint
             where d.event = $1 and e.status = 'enabled'",
            params![event],
        )?;
        for row in &rows {
            let id: String = row.get(0)?;
            if !targets.contains(&id) {
                targets.push(id);
            }
        }
    }
    if targets.is_empty() {
        let message = "No enabled webhook endpoint listens to this event.";
        return Err(Refusal::plain(message).param("webhook_endpoint").into());
    }
    for endpoint in &targets {
        // The piece of work that was current delivers nothing any more.
        let work = format!("{}:{}", first_work(event, endpoint), new_id("resend"));
        tx.execute(
            "insert into webhook_deliveries (event, endpoint, state, updated_ms, work) values ($1, $2, 'pending', $3, $4)
             on conflict (event, endpoint) do update set state = 'pending', updated_ms = $3, work = $4, next_at = null",
            params![event, endpoint, now_ms, &work],
        )?;
        put_work(tx, &work, event, endpoint, now_ms)?;
    }
    Ok(targets.len())
}

/// `POST /v1/events/{id}/retry`, as Stripe's command line calls it for `events resend`.
pub async fn retry(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "rty", |mut call, _| async move {
        let only = call.params.text("webhook_endpoint", 100)?;
        call.params.finish()?;
        let (app, owner, now_ms) = (call.app.clone(), call.owner, call.app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            resend(tx, &owner, &id, only.as_deref(), now_ms)?;
            events::find(tx, &owner, &id)
        };
        let event = app.store.write(write).await?;
        app.deliver.notify_one();
        Ok(event)
    })
    .await
}

/// `GET /v1/events/{id}/deliveries`
pub async fn list(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let body = events::body_of(tx, &owner, &id)?;
        let sha256 = hex(&Sha256::digest(body.as_bytes()));
        let rows = tx.all(
            "select endpoint, state, tries, last_error, next_at from webhook_deliveries where event = $1
             order by endpoint",
            params![&id],
        )?;
        // Second, so that no state is shown without the try that led to it.
        let tries = tx.all(
            "select endpoint, number, at_ms, took_ms, status, reason from webhook_tries where event = $1
             order by endpoint, number",
            params![&id],
        )?;
        let data: Result<Vec<Value>, Error> = rows
            .iter()
            .map(|row| delivery(row, &id, &sha256, &tries))
            .collect();
        let url = format!("/v1/events/{id}/deliveries");
        Ok(crate::http::pages::list(&url, data?, false))
    };
    call.app.store.read(read).await.map(Json)
}

fn delivery(row: &Row, event: &str, sha256: &str, tries: &[Row]) -> Result<Value, Error> {
    let endpoint: String = row.get(0)?;
    let mut attempts = Vec::new();
    for tried in tries {
        if tried.get::<String>(0)? != endpoint {
            continue;
        }
        attempts.push(json!({
            "number": tried.get::<i64>(1)?,
            "created": tried.get::<i64>(2)?.div_euclid(1000),
            "took_ms": tried.get::<i64>(3)?,
            "response_status": tried.get::<Option<i64>>(4)?,
            "reason": tried.get::<Option<String>>(5)?,
        }));
    }
    Ok(json!({
        "object": "webhook_delivery",
        "event": event,
        "webhook_endpoint": endpoint,
        "state": row.get::<String>(1)?,
        "attempt_count": row.get::<i64>(2)?,
        "reason": row.get::<Option<String>>(3)?,
        "next_attempt": row.get::<Option<i64>>(4)?,
        "payload_sha256": sha256,
        "attempts": attempts,
    }))
}

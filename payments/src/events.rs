//! Events: written in the transaction of what they tell of, together with a delivery for each endpoint that listens.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use store::{Row, Tx, outbox, params};
use vault_api::ids::new_id;

use crate::app::{Origin, Owner};
use crate::error::{Error, Refusal};
use crate::http::API_VERSION;
use crate::http::call::Call;
use crate::http::pages::{self, Listed, Page};
use crate::http::params::from_column;
use crate::webhooks::endpoints;

/// The outbox topic of deliveries.
pub const TOPIC: &str = "webhook";

/// The table, as lists see it.
const LISTED: Listed = Listed {
    table: "events",
    // What is still on its way; the stored body says how many there were at first.
    columns: "body, (select cast(count(*) as bigint) from webhook_deliveries d
                     where d.event = events.id and d.state = 'pending')",
};

/// Writes an event about `object` and puts its deliveries.
pub fn emit(
    tx: &mut Tx<'_>,
    owner: &Owner,
    kind: &str,
    object: Value,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    let listeners = endpoints::listening(tx, owner, kind)?;
    let id = new_id("evt");
    let body = json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": now_ms.div_euclid(1000),
        "data": { "object": object },
        "livemode": owner.livemode,
        "pending_webhooks": listeners.len(),
        "request": { "id": origin.request_id, "idempotency_key": origin.idempotency_key },
        "type": kind,
    });
    tx.execute(
        "insert into events (id, merchant, livemode, created_ms, type, body) values ($1, $2, $3, $4, $5, $6)",
        params![&id, &owner.merchant, owner.livemode, now_ms, kind, body.to_string()],
    )?;
    for endpoint in listeners {
        tx.execute(
            "insert into webhook_deliveries (event, endpoint, state, updated_ms) values ($1, $2, 'pending', $3)",
            params![&id, &endpoint, now_ms],
        )?;
        let payload = json!({ "event": id, "endpoint": endpoint }).to_string();
        outbox::put(
            tx,
            &format!("{id}:{endpoint}"),
            TOPIC,
            &payload,
            now_ms.div_euclid(1000),
        )?;
    }
    Ok(())
}

fn object(row: &Row) -> Result<Value, Error> {
    let mut event: Value = from_column(&row.get::<String>(0)?)?;
    event["pending_webhooks"] = json!(row.get::<i64>(1)?);
    Ok(event)
}

/// `GET /v1/events/{id}`
pub async fn retrieve(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let sql = format!(
            "select {} from events where id = $1 and merchant = $2 and livemode = $3",
            LISTED.columns
        );
        let row = tx.first(&sql, params![&id, &owner.merchant, owner.livemode])?;
        object(&row.ok_or_else(|| Refusal::no_such("event").param("id").not_found())?)
    };
    call.app.store.read(read).await.map(Json)
}

/// `GET /v1/events`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let page = Page::with_created(&mut call.params)?;
    let kind = call.params.text("type", 100)?;
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let filters: Vec<_> = kind
            .as_deref()
            .map(|kind| ("type", kind))
            .into_iter()
            .collect();
        let (rows, more) = page.select(tx, &LISTED, &owner, &filters)?;
        let data = rows.iter().map(object).collect::<Result<_, _>>()?;
        Ok(pages::list("/v1/events", data, more))
    };
    call.app.store.read(read).await.map(Json)
}

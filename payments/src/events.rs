//! Events: written in the transaction of what they tell of, together with a delivery for each endpoint that listens.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::ids::ordered_id;

use crate::app::{Origin, Owner};
use crate::error::{Error, Refusal};
use crate::http::API_VERSION;
use crate::http::call::Call;
use crate::http::conditions::Condition;
use crate::http::pages::{self, Listed, Page};
use crate::http::params::from_column;
use crate::webhooks::{endpoints, records};

/// The table, as lists see it.
const LISTED: Listed = Listed {
    table: "events",
    // What is still on its way; the stored body says how many there were at first.
    columns: "body, (select cast(count(*) as bigint) from webhook_deliveries d
                     where d.event = events.id and d.state = 'pending')",
};

/// Every type there is.
pub const KINDS: &[&str] = &[
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.expired",
    "charge.failed",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.deleted",
    "customer.updated",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "review.closed",
    "review.opened",
    "setup_intent.canceled",
    "setup_intent.created",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "setup_intent.succeeded",
];

/// Writes an event about `object` and puts its deliveries.
pub fn emit(
    tx: &mut Tx<'_>,
    owner: &Owner,
    kind: &str,
    object: Value,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    debug_assert!(KINDS.contains(&kind), "an event that no list has: {kind}");
    let listeners = endpoints::listening(tx, owner, kind)?;
    let id = ordered_id("evt");
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
        records::put(tx, &id, &endpoint, now_ms)?;
    }
    Ok(())
}

fn object(row: &Row) -> Result<Value, Error> {
    let mut event: Value = from_column(&row.get::<String>(0)?)?;
    event["pending_webhooks"] = json!(row.get::<i64>(1)?);
    Ok(event)
}

/// The merchant's event that a path names, as the API answers it.
pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Value, Error> {
    object(&row_of(tx, owner, id, LISTED.columns)?)
}

/// The bytes that are delivered.
pub fn body_of(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<String, Error> {
    Ok(row_of(tx, owner, id, "body")?.get(0)?)
}

/// Its type.
pub fn kind_of(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<String, Error> {
    Ok(row_of(tx, owner, id, "type")?.get(0)?)
}

fn row_of(tx: &mut Tx<'_>, owner: &Owner, id: &str, columns: &str) -> Result<Row, Error> {
    let sql =
        format!("select {columns} from events where id = $1 and merchant = $2 and livemode = $3");
    let row = tx.first(&sql, params![id, &owner.merchant, owner.livemode])?;
    row.ok_or_else(|| Refusal::no_such("event").param("id").not_found().into())
}

/// `GET /v1/events/{id}`
pub async fn retrieve(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| find(tx, &owner, &id);
    call.app.store.read(read).await.map(Json)
}

/// Whether every delivery of an event succeeded, as text: what `delivery_success` filters by.
const SUCCESS: &str = "(case when exists (select 1 from webhook_deliveries d
    where d.event = events.id and d.state <> 'delivered') then 'false' else 'true' end)";

/// `GET /v1/events`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let page = Page::with_created(&mut call.params)?;
    let kind = call.params.text("type", 100)?;
    let kinds = call.params.list("types", 100)?;
    let success = call.params.boolean("delivery_success")?;
    call.params.finish()?;
    if kinds.as_ref().is_some_and(|kinds| kinds.len() > 20) {
        let refusal = Refusal::plain("Invalid types: may name at most 20 event types.");
        return Err(refusal.param("types").into());
    }
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let mut conditions = Vec::new();
        conditions.extend(kind.as_deref().map(|kind| Condition::equal("type", kind)));
        if let Some(kinds) = &kinds {
            let any = kinds.iter().map(|kind| Condition::equal("type", kind));
            conditions.push(Condition::any(any));
        }
        conditions.extend(success.map(|ok| Condition::equal(SUCCESS, &ok.to_string())));
        let (rows, more) = page.select_where(tx, &LISTED, &owner, &conditions)?;
        let data = rows.iter().map(object).collect::<Result<_, _>>()?;
        Ok(pages::list("/v1/events", data, more))
    };
    call.app.store.read(read).await.map(Json)
}

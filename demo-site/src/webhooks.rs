//! `POST /webhooks/cardseal`: verified first, each event once, its effect in the same transaction.

use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use store::{Error, Tx, params};

use crate::gateway::{self, Intent, Session};
use crate::{Shop, attempts, decline, hosted, orders, signature};

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Takes an event. 400 before anything is written unless the signature is right; 200 also for events that are
/// known already or mean nothing here, so that they are not sent again.
pub(crate) async fn receive(
    State(shop): State<Shop>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> (StatusCode, &'static str) {
    let Ok(body) = body else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "Too large\n");
    };
    let signature = headers
        .get("stripe-signature")
        .and_then(|v| v.to_str().ok());
    let (secrets, now) = (&shop.0.settings.webhook_secrets, shop.0.clock.now());
    // Over the bytes as they came: JSON that was read and written again is another text.
    if !signature.is_some_and(|header| signature::is_valid(header, &body, secrets, now)) {
        shop.0
            .metrics
            .count("shop_webhooks_total", &[("outcome", "forged")]);
        return (StatusCode::BAD_REQUEST, "Invalid signature\n");
    }
    let event = serde_json::from_slice::<Event>(&body);
    let Some(event) = event
        .ok()
        .filter(|event| is_name(&event.id) && is_name(&event.kind))
    else {
        return (StatusCode::BAD_REQUEST, "Not an event\n");
    };
    let payload = card::filter::mask(&String::from_utf8_lossy(&body));
    let now = shop.0.clock.now_ms();
    let handle = move |tx: &mut Tx<'_>| handle(tx, &event, &payload, now);
    let (outcome, answer) = match shop.0.store.write::<_, Error, _>(handle).await {
        Ok(true) => ("handled", (StatusCode::OK, "Thanks\n")),
        Ok(false) => ("duplicate", (StatusCode::OK, "Known already\n")),
        Err(error) => {
            tracing::error!(%error, "an event was not handled");
            ("failed", (StatusCode::INTERNAL_SERVER_ERROR, "Try again\n"))
        }
    };
    shop.0
        .metrics
        .count("shop_webhooks_total", &[("outcome", outcome)]);
    answer
}

fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && !card::filter::holds_card_number(text)
}

// False for an event that was here before.
fn handle(tx: &mut Tx<'_>, event: &Event, payload: &str, now: i64) -> Result<bool, Error> {
    // Insert first: of thirty deliveries at once one gets through, the others wait for it and find the row.
    let inserted = tx.execute(
        "insert into webhook_events (event_id, event_type, payload) values ($1, $2, $3) on conflict do nothing",
        params![&event.id, &event.kind, payload],
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    let object = &event.data.object;
    match event.kind.as_str() {
        "payment_intent.succeeded" => intent_succeeded(tx, object, now)?,
        "payment_intent.payment_failed" | "payment_intent.canceled" => intent_failed(tx, object)?,
        "checkout.session.completed" | "checkout.session.expired" => {
            session_ended(tx, object, now)?;
        }
        "charge.refunded" => charge_refunded(tx, object, now)?,
        kind => tracing::info!(kind, "nothing to do for this event"),
    }
    tx.execute(
        "update webhook_events set processed = 1, processed_at = $2 where event_id = $1",
        params![&event.id, now],
    )?;
    Ok(true)
}

fn intent_succeeded(tx: &mut Tx<'_>, object: &Value, now: i64) -> Result<(), Error> {
    let Some((intent, order)) = order_of(tx, object)? else {
        return Ok(());
    };
    if let Some(attempt) = intent.attempt {
        attempts::follow(tx, (&order, attempt), &intent)?;
    }
    orders::succeed(tx, &order, &intent, now).map(drop)
}

// The order stays pending: the buyer may try another card. Only the attempt of this very intent is over: the news
// may be late, and another attempt under way.
fn intent_failed(tx: &mut Tx<'_>, object: &Value) -> Result<(), Error> {
    let Some((intent, order)) = order_of(tx, object)? else {
        return Ok(());
    };
    let (reason, message) = intent.failure.unwrap_or_default();
    let reason = decline::reason(&reason);
    let words = decline::words(&reason, &message);
    match intent.attempt {
        Some(attempt) => attempts::decline(tx, (&order, attempt), &reason, &words),
        None => Ok(()),
    }
}

fn order_of(tx: &mut Tx<'_>, object: &Value) -> Result<Option<(Intent, String)>, Error> {
    let Some(intent) = Intent::read(object) else {
        tracing::warn!("an event without a readable intent");
        return Ok(None);
    };
    let order = orders::paid_by(tx, &intent.id, intent.order.as_deref())?;
    if order.is_none() {
        tracing::warn!(intent = intent.id, "an event about no order of this shop");
    }
    Ok(order.map(|order| (intent, order)))
}

fn session_ended(tx: &mut Tx<'_>, object: &Value, now: i64) -> Result<(), Error> {
    match Session::read(object) {
        Some(session) => hosted::follow(tx, &session, now),
        None => {
            tracing::warn!("an event without a readable session");
            Ok(())
        }
    }
}

fn charge_refunded(tx: &mut Tx<'_>, charge: &Value, now: i64) -> Result<(), Error> {
    // A part of the money given back leaves the order as it is.
    if charge["refunded"] != true {
        return Ok(());
    }
    let intent = gateway::id(&charge["payment_intent"]).unwrap_or_default();
    let named = gateway::id(&charge["metadata"]["order_id"]);
    let refund = gateway::id(&charge["refunds"]["data"][0]["id"]);
    match orders::paid_by(tx, &intent, named.as_deref())? {
        Some(order) => orders::refund(tx, &order, refund.as_deref(), now),
        None => {
            tracing::warn!("a refund of no order of this shop");
            Ok(())
        }
    }
}

//! Orders: made with the price from the database, told to their buyer, and moved by verified news only.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use store::{Error, Row, Tx, params};

use crate::Shop;
use crate::buyer::Buyer;
use crate::gateway::Intent;
use crate::pages::Problem;

/// An order with what was bought and how its last attempt to pay stands.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) created_at: i64,
    pub(crate) item: String,
    pub(crate) item_name: String,
    pub(crate) item_blurb: String,
    pub(crate) attempt: Option<LastAttempt>,
    /// The hosted page's session that may pay it.
    pub(crate) session: Option<String>,
}

/// The last attempt to pay an order.
#[derive(Debug, Clone)]
pub(crate) struct LastAttempt {
    pub(crate) state: String,
    pub(crate) message: Option<String>,
    pub(crate) client_secret: Option<String>,
}

/// What a browser is told about its order: never the intent, never an amount to trust.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The order's status.
    pub(crate) status: String,
    /// `none`, `processing`, `action` (the bank asks the buyer something) or `declined`.
    pub(crate) payment: &'static str,
    /// What to tell the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// Opens the one intent that the bank asks about, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<String>,
}

impl Order {
    /// How it stands, for the browser.
    pub(crate) fn told(&self) -> Status {
        let state = self.attempt.as_ref().map(|attempt| attempt.state.as_str());
        let attempt = self.attempt.as_ref().filter(|_| self.status == "pending");
        let client_secret = attempt.and_then(|attempt| attempt.client_secret.clone());
        let payment = match state {
            None => "none",
            Some("processing") if client_secret.is_some() => "action",
            Some("declined") => "declined",
            // Succeeded at the gateway, yet not paid here until the webhook has said so.
            Some(_) => "processing",
        };
        Status {
            status: self.status.clone(),
            payment,
            message: attempt.and_then(|attempt| attempt.message.clone()),
            client_secret,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Basket {
    // The only field that is read: whatever else a form sends, an amount for instance, is not.
    item: String,
}

/// `POST /orders`: stores a pending order, then sends the buyer to its checkout page.
pub(crate) async fn create(
    State(shop): State<Shop>,
    headers: HeaderMap,
    basket: Result<Form<Basket>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(basket) = basket.map_err(|_| Problem::BadRequest)?;
    if !is_name(&basket.item) {
        return Err(Problem::NotFound);
    }
    let (buyer, cookie) = match Buyer::of(&headers) {
        Some(buyer) => (buyer, None),
        None => Buyer::new(&shop.0.settings),
    };
    let (id, now) = (new_uuid(), shop.0.clock.now_ms());
    let order = id.clone();
    let insert = move |tx: &mut Tx<'_>| {
        tx.execute(
            "insert into orders (id, user_id, plan_id, amount, currency, created_at)
             select $1, $2, id, price, currency, $4 from goods where id = $3",
            params![&order, &buyer.user_id, &basket.item, now],
        )
    };
    if shop.0.store.write::<_, Error, _>(insert).await? == 0 {
        return Err(Problem::NotFound);
    }
    shop.0.metrics.count("shop_orders_total", &[]);
    tracing::info!(order = id, "order stored");
    let mut response = (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, format!("/checkout/{id}"))],
    )
        .into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /order-status/{order}`: for its own buyer; to everybody else it does not exist.
pub(crate) async fn status(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Status>, Problem> {
    Ok(Json(of_buyer(&shop, id, &headers).await?.told()))
}

/// The buyer's own order.
pub(crate) async fn of_buyer(
    shop: &Shop,
    id: String,
    headers: &HeaderMap,
) -> Result<Order, Problem> {
    let buyer = Buyer::of(headers)
        .filter(|_| is_name(&id))
        .ok_or(Problem::NotFound)?;
    let found = shop
        .0
        .store
        .read::<_, Error, _>(move |tx| find(tx, &id, &buyer));
    found.await?.ok_or(Problem::NotFound)
}

/// The order with this id, if it is this buyer's.
pub(crate) fn find(tx: &mut Tx<'_>, id: &str, buyer: &Buyer) -> Result<Option<Order>, Error> {
    let row = tx.first(
        "select o.id, o.status, o.amount, o.currency, o.created_at, g.id, g.name, g.blurb, a.state, a.message,
             a.client_secret, o.session_id
         from orders o join goods g on g.id = o.plan_id
         left join payment_attempts a on a.order_id = o.id
             and a.number = (select max(number) from payment_attempts where order_id = o.id)
         where o.id = $1 and o.user_id = $2",
        params![id, &buyer.user_id],
    )?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Order, Error> {
    let state: Option<String> = row.get(8)?;
    let (message, client_secret) = (row.get(9)?, row.get(10)?);
    Ok(Order {
        id: row.get(0)?,
        status: row.get(1)?,
        amount: row.get(2)?,
        currency: row.get(3)?,
        created_at: row.get(4)?,
        item: row.get(5)?,
        item_name: row.get(6)?,
        item_blurb: row.get(7)?,
        attempt: state.map(|state| LastAttempt {
            state,
            message,
            client_secret,
        }),
        session: row.get(11)?,
    })
}

/// The order that an intent pays: the one its metadata names, else the one that names the intent.
pub(crate) fn paid_by(
    tx: &mut Tx<'_>,
    intent: &str,
    metadata: Option<&str>,
) -> Result<Option<String>, Error> {
    let row = tx.first(
        "select o.id from orders o where o.id = $1 or o.payment_intent_id = $2
             or o.id = (select max(order_id) from payment_attempts where payment_intent_id = $2)
         order by case when o.id = $1 then 0 else 1 end",
        params![metadata, intent],
    )?;
    row.map(|row| row.get(0)).transpose()
}

/// The success handler, of the webhook and of the orphan job alike: `pending` to `paid`, and what the buyer gets,
/// once. False when there was nothing to do.
pub(crate) fn succeed(
    tx: &mut Tx<'_>,
    order: &str,
    intent: &Intent,
    now: i64,
) -> Result<bool, Error> {
    let moved = tx.execute(
        "update orders set status = 'paid', paid_at = $5, payment_intent_id = $2, failure_reason = null
         where id = $1 and status = 'pending' and amount = $3 and currency = $4",
        params![order, &intent.id, intent.amount_received, &intent.currency, now],
    )?;
    if moved == 0 {
        let pending = tx.first(
            "select 1 from orders where id = $1 and status = 'pending'",
            params![order],
        )?;
        if pending.is_some() {
            tracing::error!(
                order,
                intent = intent.id,
                "paid with another amount; left pending"
            );
        }
        return Ok(false);
    }
    tx.execute(
        "insert into fulfilments (order_id, created_at) values ($1, $2) on conflict do nothing",
        params![order, now],
    )?;
    tracing::info!(order, "order paid");
    Ok(true)
}

/// Money given back in full: the order is refunded and what the buyer got is taken back.
pub(crate) fn refund(
    tx: &mut Tx<'_>,
    order: &str,
    refund_id: Option<&str>,
    now: i64,
) -> Result<(), Error> {
    // From `pending` too: the news of the refund may overtake the news of the payment.
    let moved = tx.execute(
        "update orders set status = 'refunded', refund_id = coalesce($2, refund_id)
         where id = $1 and status in ('pending', 'paid')",
        params![order, refund_id],
    )?;
    if moved == 1 {
        tx.execute(
            "update fulfilments set revoked_at = $2 where order_id = $1 and revoked_at is null",
            params![order, now],
        )?;
        tracing::info!(order, "order refunded");
    }
    Ok(())
}

// What an id of goods or of an order is made of: nothing else is worth a look into the database, and PostgreSQL
// takes no NUL in a text.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

// Version 4.
fn new_uuid() -> String {
    let mut bytes = [0u8; 16];
    #[expect(clippy::expect_used, reason = "without randomness no id may be made")]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

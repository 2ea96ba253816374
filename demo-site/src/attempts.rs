//! Attempts to pay: stored before they are sent, repeated under their own key until their outcome is known.
//!
//! The most dangerous answer is none at all: the bank may have charged. Then the same call is sent again with the
//! same idempotency key and the same token, by whoever notices first: this process or the one started after a crash.
//! A new key is made only after a definite no.

use store::{Error, Row, Tx, params};

use crate::Shop;
use crate::decline;
use crate::gateway::{self, Answer, Create, Intent};
use crate::orders::Order;

/// While a send is under way nobody else repeats it, in milliseconds.
const LEASE: i64 = gateway::TOTAL.as_millis() as i64 + 15_000;

/// Idempotency keys are kept for 24 hours; after this long a repeat might be a second charge.
const REPEAT_FOR: i64 = 23 * 3600 * 1000;

/// How many attempts one round repeats.
const ROUND: i64 = 20;

const NOT_REACHED: &str =
    "We could not reach the payment service. You have not been charged; please try again.";
const NOT_ACCEPTED: &str =
    "The card details could not be used. You have not been charged; please try again.";

/// What is needed to send an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    order: String,
    number: i64,
    key: String,
    token: String,
    amount: i64,
    currency: String,
}

/// Takes up an attempt to pay a pending order; none when another one has no definite decline yet.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    order: &Order,
    token: &str,
    now: i64,
) -> Result<Option<Attempt>, Error> {
    let number: i64 = tx
        .first(
            "select cast(coalesce(max(number), 0) + 1 as bigint) from payment_attempts where order_id = $1",
            params![&order.id],
        )?
        .map_or(Ok(1), |row| row.get(0))?;
    let key = format!("order_{}_{}_{number}", order.id, order.created_at);
    let inserted = tx.execute(
        "insert into payment_attempts (order_id, number, idempotency_key, token, state, sends, send_after, created_at)
         select id, $2, $3, $4, 'open', 1, $5, $6 from orders
         where id = $1 and status = 'pending' and session_id is null
         on conflict do nothing",
        params![&order.id, number, &key, token, now + LEASE, now],
    )?;
    Ok((inserted == 1).then(|| Attempt {
        order: order.id.clone(),
        number,
        key,
        token: token.to_owned(),
        amount: order.amount,
        currency: order.currency.clone(),
    }))
}

/// Sends an attempt once and records what came of it.
pub(crate) async fn send(shop: &Shop, attempt: Attempt) -> Result<(), Error> {
    let create = Create {
        amount: attempt.amount,
        currency: &attempt.currency,
        token: &attempt.token,
        order: &attempt.order,
        attempt: attempt.number,
        idempotency_key: &attempt.key,
    };
    let answer = shop.0.gateway.create(&create).await;
    let now = shop.0.clock.now_ms();
    let record = move |tx: &mut Tx<'_>| record(tx, &attempt, &answer, now);
    shop.0.store.write(record).await
}

fn record(tx: &mut Tx<'_>, attempt: &Attempt, answer: &Answer, now: i64) -> Result<(), Error> {
    let place = (attempt.order.as_str(), attempt.number);
    match answer {
        Answer::Intent(intent) => follow(tx, place, intent),
        Answer::Declined {
            intent,
            reason,
            message,
        } => {
            remember_intent(tx, place, intent.as_deref())?;
            decline(tx, place, reason, &decline::words(reason, message))
        }
        Answer::Refused { reason } => decline(tx, place, reason, NOT_ACCEPTED),
        Answer::NotTaken => {
            // The first send that did not happen is a definite no; a repeat that did not happen says nothing.
            let first = tx.first(
                "select 1 from payment_attempts where order_id = $1 and number = $2 and sends = 1",
                params![place.0, place.1],
            )?;
            match first {
                Some(_) => decline(tx, place, "not_sent", NOT_REACHED),
                None => again(tx, place, now),
            }
        }
        Answer::Unknown => again(tx, place, now),
    }
}

/// Brings an attempt to where its intent stands.
pub(crate) fn follow(tx: &mut Tx<'_>, place: (&str, i64), intent: &Intent) -> Result<(), Error> {
    remember_intent(tx, place, Some(&intent.id))?;
    let failure = || {
        let failure = intent.failure.clone();
        failure.unwrap_or_else(|| ("unspecified".into(), String::new()))
    };
    match intent.status.as_str() {
        "succeeded" => settle(tx, place, "succeeded"),
        "processing" | "requires_capture" => settle(tx, place, "processing"),
        // The bank asks the buyer something; their browser opens the intent for it.
        "requires_action" => {
            settle(tx, place, "processing")?;
            tx.execute(
                "update payment_attempts set client_secret = $3
                 where order_id = $1 and number = $2 and state = 'processing'",
                params![place.0, place.1, intent.client_secret.clone()],
            )?;
            Ok(())
        }
        "requires_confirmation" => {
            let reason = "authentication_required";
            decline(
                tx,
                place,
                reason,
                &decline::words(reason, "Your card was not charged."),
            )
        }
        _ => {
            let (reason, message) = failure();
            decline(tx, place, &reason, &decline::words(&reason, &message))
        }
    }
}

fn settle(tx: &mut Tx<'_>, place: (&str, i64), state: &str) -> Result<(), Error> {
    tx.execute(
        "update payment_attempts set state = $3, token = null, client_secret = null, message = null
         where order_id = $1 and number = $2 and state in ('open', 'processing')",
        params![place.0, place.1, state],
    )?;
    Ok(())
}

/// Records a definite no: the buyer may try again.
pub(crate) fn decline(
    tx: &mut Tx<'_>,
    place: (&str, i64),
    reason: &str,
    message: &str,
) -> Result<(), Error> {
    let changed = tx.execute(
        "update payment_attempts set state = 'declined', token = null, client_secret = null, failure_reason = $3, message = $4
         where order_id = $1 and number = $2 and state in ('open', 'processing')",
        params![place.0, place.1, reason, message],
    )?;
    if changed == 1 {
        tx.execute(
            "update orders set failure_reason = $2 where id = $1 and status = 'pending'",
            params![place.0, reason],
        )?;
        tracing::info!(
            order = place.0,
            attempt = place.1,
            reason,
            "attempt declined"
        );
    }
    Ok(())
}

// No outcome: send again later, with growing pauses up to 15 minutes.
fn again(tx: &mut Tx<'_>, place: (&str, i64), now: i64) -> Result<(), Error> {
    let row = tx.first(
        "select sends from payment_attempts where order_id = $1 and number = $2",
        params![place.0, place.1],
    )?;
    let sends: i64 = row.map_or(Ok(1), |row| row.get(0))?;
    let pause = (1000 << sends.clamp(1, 10)).min(15 * 60 * 1000);
    tx.execute(
        "update payment_attempts set send_after = $3 where order_id = $1 and number = $2 and state = 'open'",
        params![place.0, place.1, now + pause],
    )?;
    tracing::warn!(
        order = place.0,
        attempt = place.1,
        pause,
        "outcome unknown; will be asked again"
    );
    Ok(())
}

fn remember_intent(tx: &mut Tx<'_>, place: (&str, i64), intent: Option<&str>) -> Result<(), Error> {
    let Some(intent) = intent else {
        return Ok(());
    };
    tx.execute(
        "update payment_attempts set payment_intent_id = $3 where order_id = $1 and number = $2",
        params![place.0, place.1, intent],
    )?;
    // An order names the intent of its latest attempt, until it is paid.
    tx.execute(
        "update orders set payment_intent_id = $3 where id = $1 and status = 'pending'
             and $2 = (select max(number) from payment_attempts where order_id = $1)
             and not exists (select 1 from orders o where o.payment_intent_id = $3 and o.id <> $1)",
        params![place.0, place.1, intent],
    )?;
    Ok(())
}

/// Sends again what is due: attempts whose outcome is unknown, a crashed process's among them.
pub(crate) async fn resume_due(shop: &Shop) {
    let now = shop.0.clock.now_ms();
    let claimed = shop.0.store.write(move |tx| claim_due(tx, now)).await;
    match claimed {
        Ok(attempts) => {
            for attempt in attempts {
                tracing::info!(
                    order = attempt.order,
                    attempt = attempt.number,
                    "asking again"
                );
                if let Err(error) = send(shop, attempt).await {
                    tracing::error!(%error, "an attempt was not recorded");
                }
            }
        }
        Err(error) => tracing::error!(%error, "due attempts cannot be read"),
    }
}

/// Attempts that are too old to be repeated and still have no outcome: only a human can tell.
pub(crate) fn lost(tx: &mut Tx<'_>, now: i64) -> Result<i64, Error> {
    let row = tx.first(
        "select cast(count(*) as bigint) from payment_attempts where state = 'open' and created_at <= $1",
        params![now - REPEAT_FOR],
    )?;
    row.map_or(Ok(0), |row| row.get(0))
}

fn claim_due(tx: &mut Tx<'_>, now: i64) -> Result<Vec<Attempt>, Error> {
    let due = tx.all(
        "select a.order_id, a.number, a.idempotency_key, a.token, o.amount, o.currency
         from payment_attempts a join orders o on o.id = a.order_id
         where a.state = 'open' and a.send_after <= $1 and a.created_at > $2 and a.token is not null
         order by a.send_after limit $3",
        params![now, now - REPEAT_FOR, ROUND],
    )?;
    let mut claimed = vec![];
    for row in &due {
        let attempt = read(row)?;
        let taken = tx.execute(
            "update payment_attempts set send_after = $4, sends = sends + 1
             where order_id = $1 and number = $2 and state = 'open' and send_after <= $3",
            params![&attempt.order, attempt.number, now, now + LEASE],
        )?;
        claimed.extend((taken == 1).then_some(attempt));
    }
    Ok(claimed)
}

fn read(row: &Row) -> Result<Attempt, Error> {
    Ok(Attempt {
        order: row.get(0)?,
        number: row.get(1)?,
        key: row.get(2)?,
        token: row.get(3)?,
        amount: row.get(4)?,
        currency: row.get(5)?,
    })
}

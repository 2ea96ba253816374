//! The orphan job: orders still pending after an hour are looked up at the gateway, as a webhook may never come.
//!
//! An attempt that crashed before it learnt its intent is not looked up but sent again under its own key
//! ([`attempts::resume_due`]): the gateway then answers with what it did the first time.

use store::{Error, Tx, params};

use crate::gateway::Intent;
use crate::{Shop, attempts, hosted, orders};

/// How often it runs, in seconds.
pub(crate) const EVERY: i64 = 30 * 60;

const OLDER_THAN: i64 = 3600 * 1000;
/// Older ones are for a human: the daily comparison finds them.
const YOUNGER_THAN: i64 = 7 * 24 * 3600 * 1000;

/// Runs once.
pub(crate) async fn run(shop: &Shop) {
    attempts::resume_due(shop).await;
    let now = shop.0.clock.now_ms();
    match shop.0.store.read(move |tx| attempts::lost(tx, now)).await {
        Ok(0) | Err(_) => {}
        Ok(lost) => tracing::error!(
            lost,
            "attempts without an outcome are too old to be repeated"
        ),
    }
    let orphans = shop.0.store.read(move |tx| find(tx, now)).await;
    let orphans = orphans.unwrap_or_else(|error: Error| {
        tracing::error!(%error, "orphans cannot be read");
        vec![]
    });
    hosted_orphans(shop, now).await;
    for (order, attempt, intent) in orphans {
        let Some(intent) = shop.0.gateway.retrieve(&intent).await else {
            continue;
        };
        let log = order.clone();
        let adopt = move |tx: &mut Tx<'_>| adopt(tx, &order, attempt, &intent, now);
        match shop.0.store.write::<_, Error, _>(adopt).await {
            Ok(()) => shop.0.metrics.count("shop_orphans_total", &[]),
            Err(error) => tracing::error!(%error, order = log, "an orphan was not adopted"),
        }
    }
}

// Orders that went to the hosted page and never came back.
async fn hosted_orphans(shop: &Shop, now: i64) {
    let (older, younger) = (now - OLDER_THAN, now - YOUNGER_THAN);
    let find = move |tx: &mut Tx<'_>| hosted::orphans(tx, older, younger);
    let sessions = shop.0.store.read::<_, Error, _>(find).await;
    for id in sessions.unwrap_or_default() {
        let Some(session) = shop.0.gateway.session(&id).await else {
            continue;
        };
        let follow = move |tx: &mut Tx<'_>| hosted::follow(tx, &session, now);
        match shop.0.store.write::<_, Error, _>(follow).await {
            Ok(()) => shop.0.metrics.count("shop_orphans_total", &[]),
            Err(error) => tracing::error!(%error, "a session was not followed"),
        }
    }
}

type Orphan = (String, i64, String);

fn find(tx: &mut Tx<'_>, now: i64) -> Result<Vec<Orphan>, Error> {
    let rows = tx.all(
        "select a.order_id, a.number, a.payment_intent_id
         from orders o join payment_attempts a on a.order_id = o.id
         where o.status = 'pending' and o.created_at <= $1 and o.created_at > $2
             and a.payment_intent_id is not null and a.state <> 'declined'
         order by o.created_at",
        params![now - OLDER_THAN, now - YOUNGER_THAN],
    )?;
    rows.iter()
        .map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .collect()
}

fn adopt(
    tx: &mut Tx<'_>,
    order: &str,
    attempt: i64,
    intent: &Intent,
    now: i64,
) -> Result<(), Error> {
    if intent.order.as_deref().is_some_and(|named| named != order) {
        tracing::error!(order, intent = intent.id, "an intent names another order");
        return Ok(());
    }
    attempts::follow(tx, (order, attempt), intent)?;
    match intent.status.as_str() {
        "succeeded" => {
            orders::succeed(tx, order, intent, now)?;
        }
        "canceled" => {
            tx.execute(
                "update orders set status = 'cancelled' where id = $1 and status = 'pending'",
                params![order],
            )?;
        }
        _ => {}
    }
    Ok(())
}

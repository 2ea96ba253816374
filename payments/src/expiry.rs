//! Authorisations that nobody captured: when their time is over, the acquirer is asked, and what it says has expired is
//! released: the intent is canceled, the ledger's hold goes, the merchant is told. Without its word nothing changes.

use store::{Tx, params};

use crate::app::{App, Origin};
use crate::attempts::{self, Attempt};
use crate::charges::Charge;
use crate::connectors::{Payment, Verdict};
use crate::error::Error;
use crate::events;
use crate::intents::Intent;
use crate::ledger;
use crate::outcome::Outcome;
use crate::risk::reviews;

/// While one process asks, others leave it alone, seconds.
const LEASE_S: i64 = 30;
/// The acquirer still holds it: it is asked again so much later, seconds.
const HELD_S: i64 = 60 * 60;
/// The acquirer did not say: again so much later, seconds.
const AGAIN_S: i64 = 5 * 60;

/// Those whose time has come, put off so that nobody else takes them meanwhile.
pub async fn due(app: &App) -> Result<Vec<Attempt>, Error> {
    let now = app.clock.now();
    let take = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let skip_locked = tx.skip_locked();
        let sql = format!(
            "update charges set expiry_check_at = $2 where id in (
                 select id from charges where expiry_check_at <= $1 order by expiry_check_at limit 20 {skip_locked})
             returning attempt"
        );
        let mut attempts = Vec::new();
        for row in tx.all(&sql, params![now, now + LEASE_S])? {
            attempts.extend(Attempt::find(tx, &row.get::<String>(0)?)?);
        }
        Ok(attempts)
    };
    app.store.write(take).await
}

/// Asks the acquirer about one.
pub async fn look(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let asked = attempts::known(app, attempt).await?;
    let Some(found) = asked.as_deref().and_then(|all| of_attempt(attempt, all)) else {
        tracing::warn!(
            attempt = attempt.id,
            acquirer = attempt.acquirer,
            "the acquirer does not say whether an authorisation has expired"
        );
        return put_off(app, attempt, AGAIN_S).await;
    };
    match found.verdict {
        Verdict::Voided => expire(app, attempt).await,
        Verdict::Authorised => put_off(app, attempt, HELD_S).await,
        // Something else moves it; that has its own ways of finding out.
        Verdict::Captured | Verdict::Declined(_) => put_off(app, attempt, AGAIN_S).await,
    }
}

// The payment that the attempt made, among those under its reference.
fn of_attempt<'a>(attempt: &Attempt, payments: &'a [Payment]) -> Option<&'a Payment> {
    let mut ours = payments.iter().filter(|payment| {
        let adopted = attempts::adopt(attempt, (*payment).clone());
        matches!(adopted, Outcome::Approved(_) | Outcome::NotCharged)
    });
    // Two under one reference is nothing to conclude from.
    ours.next().filter(|_| ours.next().is_none())
}

async fn put_off(app: &App, attempt: &Attempt, wait: i64) -> Result<(), Error> {
    let (id, at) = (attempt.id.clone(), app.clock.now() + wait);
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "update charges set expiry_check_at = $2 where attempt = $1 and expiry_check_at is not null",
            params![&id, at],
        )?;
        Ok(())
    };
    app.store.write(write).await
}

async fn expire(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let (shared, now_ms) = (app.clone(), app.clock.now_ms());
    let attempt = attempt.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
        let (owner, origin) = (&attempt.owner, Origin::default());
        // A capture or a void that is under way hears from the acquirer itself.
        let moved = tx.execute(
            "update payment_intents set status = 'canceled', amount_capturable = 0, canceled_at = $2,
                 cancellation_reason = 'automatic' where id = $1 and status = 'requires_capture'",
            params![&attempt.intent, now_ms.div_euclid(1000)],
        )?;
        if moved == 0 {
            return Ok(false);
        }
        let row = tx.first(
            "update charges set expiry_check_at = null where attempt = $1 returning id",
            params![&attempt.id],
        )?;
        let id: String = row.ok_or(Error::Internal("a charge is gone"))?.get(0)?;
        let charge = Charge::find(tx, owner, &id)?;
        let charge = charge.ok_or(Error::Internal("a charge is gone"))?;
        ledger::release_hold(tx, &charge, now_ms)?;
        reviews::close(tx, &id, "canceled", &origin, now_ms)?;
        events::emit(
            tx,
            owner,
            "charge.expired",
            charge.object(),
            &origin,
            now_ms,
        )?;
        let intent = Intent::load(tx, owner, &attempt.intent)?.object(&shared.seal);
        events::emit(
            tx,
            owner,
            "payment_intent.canceled",
            intent,
            &origin,
            now_ms,
        )?;
        Ok(true)
    };
    if app.store.write(write).await? {
        app.deliver.notify_one();
    }
    Ok(())
}

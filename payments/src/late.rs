//! Late approvals: an attempt that was declared not charged is asked for again, at growing intervals and whenever its
//! acquirer says something about it. What turns up is reversed: the buyer may have paid otherwise meanwhile.

use store::{Tx, params};

use crate::app::App;
use crate::attempts::{self, Attempt};
use crate::connectors::{Done, Operation, Payment, Portion, Verdict};
use crate::error::Error;
use crate::outcome::Outcome;

/// After how many seconds it is asked for again, each time from the time before.
const WATCHES: [i64; 4] = [FIRST_S, 600, 3_600, 86_400];
/// The first time, seconds.
pub const FIRST_S: i64 = 60;
/// One that turned up and could not be reversed yet, seconds.
pub const AGAIN_S: i64 = 5;
/// While one process looks, others leave it alone.
const LEASE_S: i64 = 30;

/// Has an attempt that ends as not charged watched, from `wait` seconds on.
pub fn watch(tx: &mut Tx<'_>, attempt: &str, wait: i64, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "update attempts set watch_at = $2 where id = $1",
        params![attempt, now_ms.div_euclid(1000) + wait],
    )?;
    Ok(())
}

/// Those whose time has come.
pub async fn due(app: &App) -> Result<Vec<Attempt>, Error> {
    let now = app.clock.now();
    let take = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let skip_locked = tx.skip_locked();
        let sql = format!(
            "update attempts set watch_at = $2 where id in (
                 select id from attempts where watch_at <= $1 and state = 'failed' order by watch_at limit 20 {skip_locked})
             returning {}",
            attempts::COLUMNS
        );
        let rows = tx.all(&sql, params![now, now + LEASE_S])?;
        rows.iter().map(Attempt::from_row).collect()
    };
    app.store.write(take).await
}

/// Looks for a late approval; what is there is reversed.
pub async fn look(app: &App, attempt: &Attempt) -> Result<(), Error> {
    match attempts::ask(app, attempt).await? {
        // Nothing approved: one look less to go.
        Outcome::NotCharged | Outcome::Declined(_) => put_off(app, attempt).await,
        Outcome::Approved(payment) => {
            tracing::warn!(
                attempt = attempt.id,
                acquirer = attempt.acquirer,
                "a late approval"
            );
            let reversed = take_back(app, attempt, &payment).await?;
            let outcome = if reversed { "reversed" } else { "open" };
            let labels = [
                ("acquirer", attempt.acquirer.as_str()),
                ("outcome", outcome),
            ];
            app.metrics.count("payments_late_approvals_total", &labels);
            Ok(())
        }
        // It did not say: the lease brings it back.
        _ => Ok(()),
    }
}

/// Takes an approval back that nobody is to have paid; one that could not be yet is looked at again.
pub async fn take_back(app: &App, attempt: &Attempt, payment: &Payment) -> Result<bool, Error> {
    let reversed = attempts::reverse(app, attempt).await? || undo(app, attempt, payment).await?;
    ended(app, attempt, reversed).await?;
    Ok(reversed)
}

// At an acquirer without reversals: what is held is voided, what was taken is refunded, under one reference of its own.
async fn undo(app: &App, attempt: &Attempt, payment: &Payment) -> Result<bool, Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    let Some(id) = payment.id.as_deref().filter(|_| !acquirer.reverses()) else {
        return Ok(false);
    };
    let kind = match payment.verdict {
        Verdict::Captured => Operation::Refund,
        _ => Operation::Void,
    };
    let call = acquirer.connector.operation(
        kind,
        &Portion {
            payment: id,
            amount: attempt.amount,
            currency: &attempt.currency,
            reference: &format!("{}_back", attempt.reference),
        },
    );
    Ok(match acquirer.call(call).await {
        Ok((status, body)) => {
            let done = acquirer.connector.read_operation(kind, status, &body);
            done == Some(Done::Yes)
        }
        Err(error) => {
            tracing::warn!(attempt = attempt.id, %error, "taking an approval back was not answered");
            false
        }
    })
}

async fn put_off(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let (id, now) = (attempt.id.clone(), app.clock.now());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let row = tx.first(
            "update attempts set watches = watches + 1 where id = $1 returning watches",
            params![&id],
        )?;
        let watches: i64 = row.ok_or(Error::Internal("an attempt is gone"))?.get(0)?;
        let wait = usize::try_from(watches).ok().and_then(|n| WATCHES.get(n));
        tx.execute(
            "update attempts set watch_at = $2 where id = $1",
            params![&id, wait.map(|wait| now + wait)],
        )?;
        Ok(())
    };
    app.store.write(write).await
}

async fn ended(app: &App, attempt: &Attempt, reversed: bool) -> Result<(), Error> {
    let (id, now_ms) = (attempt.id.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let (at, done) = if reversed {
            (None, Some(now_ms))
        } else {
            (Some(now_ms.div_euclid(1000) + AGAIN_S), None)
        };
        tx.execute(
            "update attempts set watch_at = $2, reversed_ms = $3 where id = $1",
            params![&id, at, done],
        )?;
        Ok(())
    };
    app.store.write(write).await
}

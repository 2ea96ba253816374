//! Late approvals: an attempt that was declared not charged is asked for again, at growing intervals and whenever its
//! acquirer says something about it. What turns up is reversed: the buyer may have paid otherwise meanwhile.

use store::{Tx, params};

use crate::app::App;
use crate::attempts::{self, Attempt};
use crate::error::Error;
use crate::outcome::Outcome;

/// After how many seconds it is asked for again, each time from the time before.
const WATCHES: [i64; 4] = [60, 600, 3_600, 86_400];
/// One that turned up and could not be reversed yet.
const AGAIN_S: i64 = 5;
/// While one process looks, others leave it alone.
const LEASE_S: i64 = 30;

/// Has an attempt that ends as not charged watched.
pub fn watch(tx: &mut Tx<'_>, attempt: &str, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "update attempts set watch_at = $2 where id = $1",
        params![attempt, now_ms.div_euclid(1000) + WATCHES[0]],
    )?;
    Ok(())
}

/// Those whose time has come.
pub async fn due(app: &App) -> Result<Vec<Attempt>, Error> {
    let now = app.clock.now();
    let take = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let skip_locked = if tx.is_postgres() {
            "for update skip locked"
        } else {
            ""
        };
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
        Outcome::Approved(_) => {
            tracing::warn!(
                attempt = attempt.id,
                acquirer = attempt.acquirer,
                "a late approval"
            );
            let reversed = attempts::reverse(app, attempt).await?;
            let outcome = if reversed { "reversed" } else { "open" };
            let labels = [
                ("acquirer", attempt.acquirer.as_str()),
                ("outcome", outcome),
            ];
            app.metrics.count("payments_late_approvals_total", &labels);
            ended(app, attempt, reversed).await
        }
        // It did not say: the lease brings it back.
        _ => Ok(()),
    }
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

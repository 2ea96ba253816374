//! The resolver: finds out what became of attempts and operations that nobody waits for any more.
//!
//! An attempt that is still `sending` is closed at the vault. One that may have been sent is asked for by our
//! reference: found, it is adopted; not found is final only when a reversal under it was acknowledged, or after the
//! acquirer's time to settle and a second "no".

use std::time::Duration;

use service::listen::Stop;

use crate::app::App;
use crate::attempts::{self, Attempt};
use crate::checkout::lifecycle;
use crate::cvc_tokens;
use crate::disputes;
use crate::error::Error;
use crate::expiry;
use crate::http::idempotency;
use crate::late;
use crate::operate;
use crate::operations;
use crate::outcome::{self, Outcome};
use crate::payment_methods;
use crate::queue;
use crate::returns;
use crate::risk::velocity;
use crate::settlement;
use crate::three_ds;
use store::{Tx, params};

const POLL: Duration = Duration::from_millis(500);
/// While one resolver works on an attempt, others leave it alone for so long (seconds).
const LEASE: i64 = 30;
/// Waits between inquiries, seconds.
const WAITS: [i64; 6] = [1, 2, 5, 15, 60, 300];
/// Seconds between questions for disputes, refunds that came back and settlement files.
const REPORTS_EVERY: i64 = 60;
/// Housekeeping happens every so many polls.
const SWEEP_EVERY: u32 = 600;

/// Work of the outbox that is done is kept so long, seconds.
const DONE_KEPT: i64 = 7 * 24 * 60 * 60;

/// Runs until `stop`.
pub async fn run(app: App, stop: Stop) {
    let acquirers = tokio::spawn(ask_acquirers(app.clone()));
    for round in 0u32.. {
        if let Err(error) = once(&app).await {
            tracing::error!(%error, "resolver");
        }
        if round % SWEEP_EVERY == 0
            && let Err(error) = sweep(&app).await
        {
            tracing::error!(%error, "sweep");
        }
        tokio::select! {
            () = stop.wait() => {
                acquirers.abort();
                return;
            }
            () = app.resolve.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Reads what acquirers report by themselves: disputes, refunds that came back and settlement files. By the service's clock, so that a test
/// that moves it need not wait.
async fn ask_acquirers(app: App) {
    let mut asked = i64::MIN;
    loop {
        tokio::time::sleep(POLL).await;
        let now = app.clock.now();
        if now.saturating_sub(asked) < REPORTS_EVERY {
            continue;
        }
        asked = now;
        if let Err(error) = disputes::sync::all(&app).await {
            tracing::error!(%error, "disputes");
        }
        if let Err(error) = returns::all(&app).await {
            tracing::error!(%error, "returned refunds");
        }
        if let Err(error) = settlement::read(&app).await {
            tracing::error!(%error, "settlement files");
        }
    }
}

// Each piece of work is a task of its own: an acquirer that hangs keeps only its own waiting, and its bulkhead bounds
// how many they are. The lease on each outlasts the longest call.
async fn once(app: &App) -> Result<(), Error> {
    app.routes.switches.refresh(&app.store).await?;
    operate::carry_out(app).await?;
    for attempt in attempts::due(app, LEASE).await? {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = resolve(&app, &attempt).await {
                tracing::error!(attempt = attempt.id, %error, "an attempt could not be resolved");
            }
        });
    }
    three_ds::flow::work_off(app).await?;
    for operation in operations::due(app).await? {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = operations::perform(&app, &operation).await {
                tracing::error!(operation = operation.id, %error, "an operation could not be performed");
            }
        });
    }
    for attempt in late::due(app).await? {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = late::look(&app, &attempt).await {
                tracing::error!(attempt = attempt.id, %error, "a late approval could not be looked for");
            }
        });
    }
    for attempt in expiry::due(app).await? {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = expiry::look(&app, &attempt).await {
                tracing::error!(attempt = attempt.id, %error, "an authorisation's expiry could not be looked at");
            }
        });
    }
    lifecycle::expire_due(app).await
}

async fn resolve(app: &App, attempt: &Attempt) -> Result<(), Error> {
    // What was accepted is sent after all.
    if attempt.state == "sending" && queue::holds(app, &attempt.confirmation).await? {
        return Ok(());
    }
    // An authenticated buyer has gone: what a restart interrupted is made good without them.
    if attempt.state == "sending" && three_ds::flow::resume(app, attempt).await? {
        return Ok(());
    }
    let outcome = if attempt.state == "sending" {
        attempt.ruled_out(attempts::close(app, attempt).await?.0)
    } else {
        inquire(app, attempt).await?
    };
    let open = matches!(outcome, Outcome::Open);
    if !open {
        let unknown = matches!(outcome, Outcome::Unknown(_));
        outcome::settle(app, attempt, outcome, (None, None), None).await?;
        if !unknown {
            return Ok(());
        }
    }
    if attempt.state == "unknown" || open {
        let wait = WAITS[usize::try_from(attempt.checks)
            .unwrap_or(0)
            .min(WAITS.len() - 1)];
        put_off(app, attempt, wait).await?;
    }
    Ok(())
}

async fn inquire(app: &App, attempt: &Attempt) -> Result<Outcome, Error> {
    let asked_at = app.clock.now();
    let acquirer = app.acquirer(&attempt.acquirer)?;
    match attempts::ask(app, attempt).await? {
        Outcome::NotCharged => {}
        outcome => return Ok(outcome),
    }
    // Nothing is known under the reference. It may still be on its way: a reversal keeps it from being taken.
    if attempts::reverse(app, attempt).await? {
        return Ok(Outcome::NotCharged);
    }
    let negatives = count_negative(app, attempt).await?;
    let settled_at = attempt.created_ms.div_euclid(1000) + acquirer.settle_after_s();
    let over = negatives >= 2 && asked_at >= settled_at;
    Ok(if over {
        Outcome::NotCharged
    } else {
        Outcome::Open
    })
}

async fn count_negative(app: &App, attempt: &Attempt) -> Result<i64, Error> {
    let id = attempt.id.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<i64, Error> {
        let row = tx.first(
            "update attempts set negative_inquiries = negative_inquiries + 1 where id = $1
             returning negative_inquiries",
            params![&id],
        )?;
        Ok(row.ok_or(Error::Internal("an attempt is gone"))?.get(0)?)
    };
    app.store.write(write).await
}

/// Has an open attempt looked at again in `wait` seconds.
pub async fn put_off(app: &App, attempt: &Attempt, wait: i64) -> Result<(), Error> {
    let (id, at) = (attempt.id.clone(), app.clock.now() + wait);
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "update attempts set next_check_at = $2 where id = $1 and state in ('sending', 'unknown')",
            params![&id, at],
        )?;
        Ok(())
    };
    app.store.write(write).await
}

async fn sweep(app: &App) -> Result<(), Error> {
    let (now, now_ms) = (app.clock.now(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        idempotency::sweep(tx, now)?;
        store::outbox::sweep(tx, now - DONE_KEPT)?;
        velocity::sweep(tx, now_ms)?;
        cvc_tokens::sweep(tx, now_ms)?;
        payment_methods::sweep(tx, now_ms)
    };
    app.store.write(write).await
}

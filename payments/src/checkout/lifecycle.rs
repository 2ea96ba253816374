//! How a session ends: completed with its intent, or expired, by a call or by the clock.

use store::{Tx, params};

use super::Session;
use crate::app::{App, Origin, Owner, Shared};
use crate::error::{Error, Refusal};
use crate::events;
use crate::intents::Intent;
use crate::payment_methods::forget_token;
use crate::setup_intents::SetupIntent;

/// How many sessions one round expires.
const ROUND: i64 = 50;

/// Refuses to go on with the intent of a session that is not open any more.
pub fn check_open(tx: &mut Tx<'_>, session: Option<&str>, now: i64) -> Result<(), Error> {
    let Some(session) = session
        .map(|id| Session::by_id(tx, id))
        .transpose()?
        .flatten()
    else {
        return Ok(());
    };
    if session.is_open(now) {
        return Ok(());
    }
    let (code, object) = unexpected_state(&session);
    let how = if session.status == "complete" {
        "has been completed"
    } else {
        "has expired"
    };
    let message = format!("You cannot confirm this {object} because its Checkout Session {how}.");
    Err(Refusal::new(code, message).into())
}

/// Refuses what belongs to the session: changing or cancelling its intent by itself.
pub fn refuse_alone(session: Option<&str>) -> Result<(), Error> {
    if session.is_none() {
        return Ok(());
    }
    let message = "This intent belongs to a Checkout Session. Expire the session instead, and create another one.";
    Err(Refusal::new("payment_intent_unexpected_state", message).into())
}

fn unexpected_state(session: &Session) -> (&'static str, &'static str) {
    if session.mode == "setup" {
        ("setup_intent_unexpected_state", "SetupIntent")
    } else {
        ("payment_intent_unexpected_state", "PaymentIntent")
    }
}

/// Completes the session of an intent that has succeeded, in the same transaction.
pub fn complete(
    tx: &mut Tx<'_>,
    app: &Shared,
    session: Option<&str>,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    let Some(id) = session else {
        return Ok(());
    };
    let moved = tx.execute(
        "update checkout_sessions set status = 'complete' where id = $1 and status = 'open'",
        params![id],
    )?;
    if moved == 0 {
        return Ok(());
    }
    emit(tx, app, id, "checkout.session.completed", origin, now_ms)
}

/// Expires the session and cancels its intent, unless the money is under way: then false.
pub fn expire(
    tx: &mut Tx<'_>,
    app: &Shared,
    session: &Session,
    origin: &Origin,
    now_ms: i64,
) -> Result<bool, Error> {
    let (table, kind) = match session.mode.as_str() {
        "setup" => ("setup_intents", "setup_intent.canceled"),
        _ => ("payment_intents", "payment_intent.canceled"),
    };
    let method = tx.first(
        &format!("select payment_method from {table} where id = $1"),
        params![&session.intent],
    )?;
    let method: Option<String> = method.map(|row| row.get(0)).transpose()?.flatten();
    let moved = tx.execute(
        &format!(
            "update {table} set status = 'canceled', cancellation_reason = 'abandoned', next_action = null
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation', 'requires_action')"
        ),
        params![&session.intent],
    )?;
    if moved == 0 {
        return Ok(false);
    }
    let ended = tx.execute(
        "update checkout_sessions set status = 'expired' where id = $1 and status = 'open'",
        params![&session.id],
    )?;
    if ended == 0 {
        return Err(Error::Internal("a session was ended twice"));
    }
    if let Some(method) = &method {
        forget_token(tx, method)?;
    }
    let owner = &session.owner;
    let object = if session.mode == "setup" {
        SetupIntent::load(tx, owner, &session.intent)?.object(&app.seal)
    } else {
        tx.execute(
            "update payment_intents set canceled_at = $2 where id = $1",
            params![&session.intent, now_ms.div_euclid(1000)],
        )?;
        Intent::load(tx, owner, &session.intent)?.object(&app.seal)
    };
    events::emit(tx, owner, kind, object, origin, now_ms)?;
    let kind = "checkout.session.expired";
    emit(tx, app, &session.id, kind, origin, now_ms)?;
    Ok(true)
}

fn emit(
    tx: &mut Tx<'_>,
    app: &Shared,
    id: &str,
    kind: &str,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    let session = Session::by_id(tx, id)?.ok_or(Error::Internal("a session is gone"))?;
    let owner: &Owner = &session.owner;
    events::emit(tx, owner, kind, session.object(app), origin, now_ms)
}

/// Expires what is due by the clock. Several processes may do so at once: each session ends once.
pub async fn expire_due(app: &App) -> Result<(), Error> {
    let now_ms = app.clock.now_ms();
    let now = now_ms.div_euclid(1000);
    let find = move |tx: &mut Tx<'_>| -> Result<Vec<String>, Error> {
        let rows = tx.all(
            // One whose money is under way ends with it, or is found again when it did not succeed.
            "select id from checkout_sessions s where status = 'open' and expires_at <= $1 and not exists (
                 select 1 from payment_intents i where i.id = s.intent and i.status = 'processing')
                 and not exists (select 1 from setup_intents i where i.id = s.intent and i.status = 'processing')
             order by expires_at limit $2",
            params![now, ROUND],
        )?;
        rows.iter().map(|row| Ok(row.get(0)?)).collect()
    };
    for id in app.store.read(find).await? {
        let shared = app.clone();
        let write = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
            let session = Session::by_id(tx, &id)?.filter(|session| session.status == "open");
            let Some(session) = session else {
                return Ok(false);
            };
            expire(tx, &shared, &session, &Origin::default(), now_ms)
        };
        if app.store.write(write).await? {
            app.deliver.notify_one();
        }
    }
    Ok(())
}

//! What an authentication is for: a payment intent, or a setup intent. Both ask the buyer, and both ask for another
//! payment method when that fails.

use serde_json::{Value, json};
use store::{Tx, params};

use super::record::Authentication;
use crate::app::App;
use crate::error::Error;
use crate::events;
use crate::intents::Intent;
use crate::payment_methods::forget_token;
use crate::setup_intents::SetupIntent;

/// The buyer is asked to act.
pub fn ask(tx: &mut Tx<'_>, app: &App, a: &Authentication, action: &str) -> Result<(), Error> {
    let sql = format!(
        "update {} set status = 'requires_action', next_action = $2 where id = $1 and status = 'processing'",
        table(a)
    );
    if tx.execute(&sql, params![&a.intent, action])? == 0 {
        return Ok(());
    }
    let kind = match a.is_setup() {
        true => "setup_intent.requires_action",
        false => "payment_intent.requires_action",
    };
    emit(tx, app, a, kind)
}

/// Another payment method is asked for.
pub fn give_back(
    tx: &mut Tx<'_>,
    app: &App,
    a: &Authentication,
    error: &Value,
) -> Result<(), Error> {
    let (field, kind) = match a.is_setup() {
        true => ("last_setup_error", "setup_intent.setup_failed"),
        false => ("last_payment_error", "payment_intent.payment_failed"),
    };
    let sql = format!(
        "update {} set status = 'requires_payment_method', payment_method = null, next_action = null, {field} = $2
         where id = $1 and status in ('requires_action', 'processing')",
        table(a)
    );
    if tx.execute(&sql, params![&a.intent, error.to_string()])? == 0 {
        return Ok(());
    }
    forget_token(tx, &a.payment_method)?;
    if a.is_setup() {
        // It was to become the customer's with an authentication, and has none.
        tx.execute(
            "update payment_methods set stored_card = null where id = $1 and customer is null",
            params![&a.payment_method],
        )?;
    }
    emit(tx, app, a, kind)
}

/// The intent as it is.
pub fn object(tx: &mut Tx<'_>, app: &App, a: &Authentication) -> Result<Value, Error> {
    Ok(match a.is_setup() {
        true => SetupIntent::load(tx, &a.owner, &a.intent)?.object(&app.seal),
        false => Intent::load(tx, &a.owner, &a.intent)?.object(&app.seal),
    })
}

/// Stripe's error of a buyer who was not authenticated.
pub fn not_authenticated(a: &Authentication) -> Value {
    let code = match a.is_setup() {
        true => "setup_intent_authentication_failure",
        false => "payment_intent_authentication_failure",
    };
    json!({
        "type": "invalid_request_error",
        "code": code,
        "message": "We are unable to authenticate your payment method. Please choose a different payment method and \
                    try again.",
    })
}

fn table(a: &Authentication) -> &'static str {
    match a.is_setup() {
        true => "setup_intents",
        false => "payment_intents",
    }
}

fn emit(tx: &mut Tx<'_>, app: &App, a: &Authentication, kind: &str) -> Result<(), Error> {
    let object = object(tx, app, a)?;
    events::emit(tx, &a.owner, kind, object, &a.cause, app.clock.now_ms())
}

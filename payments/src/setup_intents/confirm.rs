//! `POST /v1/setup_intents/{id}/confirm`: the vault stores the card, and the customer has it.

use axum::extract::Path;
use axum::response::Response;
use store::{Tx, params};
use vault_api::tokens::StoredCard;

use super::{SetupIntent, answer, emit};
use crate::app::{App, Origin, Owner};
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::intents::confirm::{Source, method_id, usable};
use crate::payment_methods::PaymentMethod;
use crate::saved_cards::{give, keep, store_card};

/// One confirmation.
#[derive(Clone)]
pub struct Confirm {
    pub owner: Owner,
    pub origin: Origin,
    pub intent: String,
    /// Its id, which the setup intent remembers.
    pub subject: String,
    pub source: Option<Source>,
}

/// `POST /v1/setup_intents/{id}/confirm`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "cnf", |mut call, subject| async move {
        let source = Source::take(&mut call.params)?;
        call.params.text("return_url", 2_048)?;
        call.params.boolean("use_stripe_sdk")?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let wanted = Confirm {
            owner: owner.clone(),
            origin,
            intent: id.clone(),
            subject,
            source,
        };
        confirm(&app, wanted).await?;
        answer(&app, owner, id, expand).await
    })
    .await
}

/// Confirms; a confirmation that is done already is left as it is.
pub async fn confirm(app: &App, wanted: Confirm) -> Result<(), Error> {
    let Some(method) = prepare(app, &wanted).await? else {
        return Ok(());
    };
    match store_card(app, &method).await {
        Ok(stored) => succeed(app, wanted, method, stored).await,
        Err(error @ Error::Refused(_)) => {
            fail(app, wanted, &error).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

// The payment method to keep; None when this very confirmation has kept it.
async fn prepare(app: &App, wanted: &Confirm) -> Result<Option<PaymentMethod>, Error> {
    let (shared, wanted, now_ms) = (app.clone(), wanted.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<Option<PaymentMethod>, Error> {
        let owner = &wanted.owner;
        let intent = SetupIntent::load(tx, owner, &wanted.intent)?;
        if intent.status == "succeeded" && intent.moved_by.as_deref() == Some(&*wanted.subject) {
            return Ok(None);
        }
        if !["requires_payment_method", "requires_confirmation"].contains(&&*intent.status) {
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        let id = match &wanted.source {
            Some(Source::Token(token)) => {
                let id = method_id(&wanted.subject);
                PaymentMethod::new(&shared.seal, owner, id.clone(), now_ms, token).insert(tx)?;
                id
            }
            Some(Source::Existing(id)) => id.clone(),
            None => match &intent.payment_method {
                Some(id) => id.clone(),
                None => return Err(without_method(&shared, &intent)),
            },
        };
        usable(tx, owner, &id, intent.customer.as_deref()).map(Some)
    };
    app.store.write(write).await
}

fn without_method(app: &App, intent: &SetupIntent) -> Error {
    let message = "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent \
                   with a payment method and then confirm it again, or confirm it again directly with a payment method.";
    Refusal::new("setup_intent_unexpected_state", message)
        .intent(intent.object(&app.seal))
        .into()
}

async fn succeed(
    app: &App,
    wanted: Confirm,
    method: PaymentMethod,
    stored: Option<StoredCard>,
) -> Result<(), Error> {
    let (shared, now_ms) = (app.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let (owner, origin) = (&wanted.owner, &wanted.origin);
        let moved = tx.execute(
            "update setup_intents set status = 'succeeded', payment_method = $2, moved_by = $3, last_setup_error = null
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation')",
            params![&wanted.intent, &method.id, &wanted.subject],
        )?;
        let intent = SetupIntent::load(tx, owner, &wanted.intent)?;
        if moved == 0 {
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        if let Some(stored) = &stored {
            keep(tx, &method.id, stored)?;
        }
        if let Some(customer) = &intent.customer
            && give(tx, owner, &method.id, customer)?
        {
            let method = PaymentMethod::find(tx, owner, &method.id)?;
            let object = method
                .ok_or(Error::Internal("a payment method is gone"))?
                .object();
            events::emit(tx, owner, "payment_method.attached", object, origin, now_ms)?;
        }
        let kind = "setup_intent.succeeded";
        emit(
            tx,
            &shared.seal,
            owner,
            &wanted.intent,
            kind,
            origin,
            now_ms,
        )
    };
    app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(())
}

// The vault refused the card: another one is asked for.
async fn fail(app: &App, wanted: Confirm, error: &Error) -> Result<(), Error> {
    let (shared, now_ms) = (app.clone(), app.clock.now_ms());
    let error = error.body()["error"].to_string();
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let moved = tx.execute(
            "update setup_intents set status = 'requires_payment_method', payment_method = null, last_setup_error = $2
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation')",
            params![&wanted.intent, &error],
        )?;
        if moved == 0 {
            return Ok(());
        }
        let (owner, kind) = (&wanted.owner, "setup_intent.setup_failed");
        emit(
            tx,
            &shared.seal,
            owner,
            &wanted.intent,
            kind,
            &wanted.origin,
            now_ms,
        )
    };
    app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(())
}

//! `POST /v1/setup_intents/{id}/confirm`: the vault stores the card, and the customer has it.

use axum::extract::Path;
use axum::response::Response;
use serde_json::json;
use store::{Tx, params};
use vault_api::tokens::StoredCard;

use super::{Details, SetupIntent, answer, emit};
use crate::app::{App, Origin, Owner};
use crate::checkout::lifecycle;
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::browser::reduce;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::intents::confirm::{Source, method_id, usable};
use crate::payment_methods::PaymentMethod;
use crate::risk::address;
use crate::saved_cards::{give, keep, store_card};
use crate::three_ds::record::{self, Begin};
use crate::three_ds::{self, Authentication};

/// One confirmation.
#[derive(Clone)]
pub struct Confirm {
    pub owner: Owner,
    pub origin: Origin,
    pub intent: String,
    /// Its id, which the setup intent remembers.
    pub subject: String,
    pub source: Option<Source>,
    pub buyer: Buyer,
    /// When the buyer is authenticated, if this call says so.
    pub request: Option<&'static str>,
}

/// Where the buyer is, if somebody is there to be asked.
#[derive(Debug, Clone, Default)]
pub struct Buyer {
    /// Sent away, they return here.
    pub return_url: Option<String>,
    /// A library in the page opens what they have to do.
    pub in_page: bool,
}

/// `POST /v1/setup_intents/{id}/confirm`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "cnf", |mut call, subject| async move {
        let source = Source::take(&mut call.params)?;
        let buyer = Buyer {
            return_url: call.params.text("return_url", 2_048)?,
            in_page: call.params.boolean("use_stripe_sdk")? == Some(true),
        };
        let request = three_ds::request(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        let seen = address::of_browser(&call);
        call.params.finish()?;
        let browser = call.browser;
        address::admit(&call.app, &call.owner, seen.as_deref(), &subject).await?;
        let Call {
            app, owner, origin, ..
        } = call;
        let wanted = Confirm {
            owner: owner.clone(),
            origin,
            intent: id.clone(),
            subject,
            source,
            buyer,
            request,
        };
        let done = match confirm(&app, wanted).await {
            Ok(()) => answer(&app, owner, id, expand).await,
            Err(error) => Err(error),
        };
        if browser {
            // Before it is kept for replays.
            return done.map(reduce).map_err(Error::reduced);
        }
        done
    })
    .await
}

/// Confirms; a confirmation that is done already is left as it is.
pub async fn confirm(app: &App, wanted: Confirm) -> Result<(), Error> {
    if let Some(begun) = three_ds::of_confirmation(app, &wanted.subject).await? {
        return three_ds::flow::go_on(app, begun).await;
    }
    let Some((method, details)) = prepare(app, &wanted).await? else {
        return Ok(());
    };
    let asked = details.request_three_d_secure.as_deref();
    let is_there = wanted.buyer.in_page || wanted.buyer.return_url.is_some();
    let authenticates =
        app.three_ds.is_some() && (is_there || matches!(asked, Some("any" | "challenge")));
    match store_card(app, &method).await {
        Ok(stored) if authenticates => {
            let begun = begin(app, &wanted, &method, stored, asked == Some("challenge")).await?;
            three_ds::flow::go_on(app, begun).await
        }
        Ok(stored) => succeed(app, wanted, method, stored, None).await,
        Err(error @ Error::Refused(_)) => {
            fail(app, wanted, &error).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

// The payment method to keep; None when this very confirmation has kept it.
async fn prepare(app: &App, wanted: &Confirm) -> Result<Option<(PaymentMethod, Details)>, Error> {
    let (shared, wanted, now_ms) = (app.clone(), wanted.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<Option<(PaymentMethod, Details)>, Error> {
        let owner = &wanted.owner;
        let mut intent = SetupIntent::load(tx, owner, &wanted.intent)?;
        if intent.status == "succeeded" && intent.moved_by.as_deref() == Some(&*wanted.subject) {
            return Ok(None);
        }
        if intent.status == "requires_action" {
            intent.reopen(tx)?;
        }
        if let Some(request) = wanted.request {
            intent.details.request_three_d_secure = Some(request.to_owned());
            tx.execute(
                "update setup_intents set details = $2 where id = $1",
                params![&intent.id, json!(intent.details).to_string()],
            )?;
        }
        if !["requires_payment_method", "requires_confirmation"].contains(&&*intent.status) {
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        let session = intent.details.checkout_session.as_deref();
        lifecycle::check_open(tx, session, shared.clock.now())?;
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
        let method = usable(tx, owner, &id, intent.customer.as_deref())?;
        Ok(Some((method, intent.details)))
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

// The card is kept, and the buyer is to be authenticated before the customer has it.
async fn begin(
    app: &App,
    wanted: &Confirm,
    method: &PaymentMethod,
    stored: Option<StoredCard>,
    mandated: bool,
) -> Result<Authentication, Error> {
    let first = app
        .acquirers
        .first()
        .ok_or(Error::Internal("no acquirer is configured"))?;
    let buyer = &wanted.buyer;
    let begin = Begin {
        owner: &wanted.owner,
        cause: &wanted.origin,
        intent: &wanted.intent,
        confirmation: &wanted.subject,
        payment_method: &method.id,
        acquirer: first.name(),
        // Nothing is charged; the vault wants a grant to have a ceiling.
        amount: 1,
        currency: "usd",
        mandated,
        required: false,
        return_url: buyer.return_url.as_deref().filter(|_| !buyer.in_page),
        risk: None,
    };
    let begun = Authentication::begin(app.three_ds()?, &begin, app.clock.now_ms());
    let (shared, wanted, method) = (app.clone(), wanted.clone(), method.id.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<Authentication, Error> {
        let moved = tx.execute(
            "update setup_intents set status = 'processing', payment_method = $2, moved_by = $3, last_setup_error = null
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation')",
            params![&wanted.intent, &method, &wanted.subject],
        )?;
        if moved == 0 {
            let intent = SetupIntent::load(tx, &wanted.owner, &wanted.intent)?;
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        if let Some(stored) = &stored {
            keep(tx, &method, stored)?;
        }
        begun.insert(tx)?;
        Ok(begun.clone())
    };
    app.store.write(write).await
}

/// The buyer was authenticated, or nobody could be asked: the customer has the card.
pub async fn authenticated(app: &App, authentication: &Authentication) -> Result<(), Error> {
    let a = authentication.clone();
    let read = move |tx: &mut Tx<'_>| PaymentMethod::find(tx, &a.owner, &a.payment_method);
    let method = app.store.read(read).await?;
    let method = method.ok_or(Error::Internal("a payment method is gone"))?;
    let wanted = Confirm {
        owner: authentication.owner.clone(),
        origin: authentication.cause.clone(),
        intent: authentication.intent.clone(),
        subject: authentication.confirmation.clone(),
        source: None,
        buyer: Buyer::default(),
        request: None,
    };
    succeed(app, wanted, method, None, Some(authentication)).await
}

async fn succeed(
    app: &App,
    wanted: Confirm,
    method: PaymentMethod,
    stored: Option<StoredCard>,
    authentication: Option<&Authentication>,
) -> Result<(), Error> {
    let (shared, now_ms) = (app.clone(), app.clock.now_ms());
    let authenticated = authentication.map(|authentication| authentication.id.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let (owner, origin) = (&wanted.owner, &wanted.origin);
        if let Some(id) = &authenticated
            && !record::moved(tx, id, "authenticated", "done", now_ms.div_euclid(1000))?
        {
            return Ok(());
        }
        let moved = tx.execute(
            "update setup_intents set status = 'succeeded', payment_method = $2, moved_by = $3, last_setup_error = null,
                 next_action = null
             where id = $1 and (status in ('requires_payment_method', 'requires_confirmation')
                 or (status in ('requires_action', 'processing') and moved_by = $3))",
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
        )?;
        let session = intent.details.checkout_session.as_deref();
        lifecycle::complete(tx, &shared, session, origin, now_ms)
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

//! `POST /v1/payment_intents/{id}/confirm`: the payment method is exchanged for a grant, and the card is sent.
//!
//! A confirmation has an id (the subject of its idempotency claim), which its attempts carry: an interrupted one is
//! resumed by finding them. Its first step is always the exchange, whose key depends on intent and token alone, so
//! that it gives the same grant again; the grant itself is never stored.

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use store::{Tx, params};
use vault_api::keys::hex;
use vault_api::tokens::{Exchange, Exchanged, GrantInfo, Purpose};

use super::Intent;
use crate::app::{App, Origin, Owner};
use crate::attempts::{self, Attempt};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::Params;
use crate::payment_methods::{PaymentMethod, remember_card, take_token};
use crate::vault::Failure;

/// Where the card comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A payment method that was made before.
    Existing(String),
    /// A token; a payment method is made of it.
    Token(String),
}

impl Source {
    /// Takes `payment_method` or `payment_method_data`.
    pub fn take(params: &mut Params) -> Result<Option<Self>, Error> {
        let existing = params.text("payment_method", 100)?;
        let Some(mut data) = params.hash("payment_method_data")? else {
            return Ok(existing.map(|id| match id.strip_prefix("pm_card_") {
                // Published test aliases: by name only, the vault knows what they mean.
                Some(alias) => Self::Token(format!("tok_{alias}")),
                None => Self::Existing(id),
            }));
        };
        if data.one_of("type", &["card"])?.is_none() {
            return Err(data.missing("type"));
        }
        let token = take_token(&mut data)?;
        data.finish()?;
        if existing.is_some() {
            let message = "Pass payment_method or payment_method_data, not both.";
            return Err(Refusal::plain(message).param("payment_method").into());
        }
        Ok(Some(Self::Token(token)))
    }
}

/// Takes what a confirmation may say besides: nothing of it changes a card payment without 3-D Secure.
pub fn take_options(params: &mut Params) -> Result<(), Error> {
    params.boolean("off_session")?;
    params.text("return_url", 2_048)?;
    params.boolean("error_on_requires_action")?;
    params.boolean("use_stripe_sdk")?;
    Ok(())
}

/// The id of the payment method that a call makes, from the id of what the call makes: the same when resumed.
pub fn method_id(subject: &str) -> String {
    format!(
        "pm_{}",
        subject.split_once('_').map_or(subject, |(_, rest)| rest)
    )
}

/// That the merchant has such a payment method.
pub fn usable(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<PaymentMethod, Error> {
    let found = PaymentMethod::find(tx, owner, id)?;
    found.ok_or_else(|| {
        Refusal::no_such("PaymentMethod")
            .param("payment_method")
            .into()
    })
}

/// One confirmation.
pub struct Confirm {
    pub owner: Owner,
    pub origin: Origin,
    pub intent: String,
    /// Its id, which its attempts carry.
    pub confirmation: String,
    pub source: Option<Source>,
}

/// `POST /v1/payment_intents/{id}/confirm`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "cnf", |mut call, confirmation| async move {
        let source = Source::take(&mut call.params)?;
        take_options(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let wanted = Confirm {
            owner: owner.clone(),
            origin,
            intent: id.clone(),
            confirmation,
            source,
        };
        confirm(&app, &wanted).await?;
        answer(&app, owner, id, expand).await
    })
    .await
}

/// The intent as it is now.
pub async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let intent = Intent::load(tx, &owner, &id)?;
        expand.apply(tx, &shared.seal, &owner, intent.object(&shared.seal))
    };
    app.store.read(read).await
}

/// Confirms, or goes on with a confirmation that was interrupted. An error of kind [`Error::Card`] is a decline.
pub async fn confirm(app: &App, wanted: &Confirm) -> Result<(), Error> {
    let before = attempts::of_confirmation(app, &wanted.confirmation).await?;
    if let Some(last) = before.last().filter(|attempt| attempt.state != "sending") {
        return attempts::verdict(app, last).await;
    }
    let (intent, method) = match before.last() {
        None => prepare(app, wanted).await?,
        Some(open) => resumed(app, wanted, open).await?,
    };
    let grant = exchange(app, &intent, &method).await;
    let first = match (before.last(), &grant) {
        (Some(open), _) => open.clone(),
        (None, Ok(exchanged)) => begin(app, wanted, &intent, &method, exchanged).await?,
        (None, Err(_)) => return grant.map(|_| ()),
    };
    let grant: Option<GrantInfo> = grant.ok().and_then(|exchanged| exchanged.grant);
    let last = attempts::run(app, first, before.is_empty(), grant).await?;
    attempts::verdict(app, &last).await
}

// Stores the payment method and binds it to the intent.
async fn prepare(app: &App, wanted: &Confirm) -> Result<(Intent, PaymentMethod), Error> {
    let fresh = match &wanted.source {
        Some(Source::Token(token)) => {
            let id = method_id(&wanted.confirmation);
            Some(PaymentMethod::new(
                &app.seal,
                &wanted.owner,
                id,
                app.clock.now_ms(),
                token,
            ))
        }
        _ => None,
    };
    let named = match &wanted.source {
        Some(Source::Existing(id)) => Some(id.clone()),
        _ => None,
    };
    let (shared, owner, id) = (app.clone(), wanted.owner.clone(), wanted.intent.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<(Intent, PaymentMethod), Error> {
        let intent = Intent::load(tx, &owner, &id)?;
        let confirmable =
            ["requires_payment_method", "requires_confirmation"].contains(&intent.status.as_str());
        if !confirmable {
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        let method = match (&fresh, named.as_ref().or(intent.payment_method.as_ref())) {
            (Some(fresh), _) => {
                fresh.insert(tx)?;
                usable(tx, &owner, &fresh.id)?
            }
            (None, Some(id)) => usable(tx, &owner, id)?,
            (None, None) => return Err(without_method(&shared, &intent)),
        };
        Ok((intent, method))
    };
    app.store.write(write).await
}

fn without_method(app: &App, intent: &Intent) -> Error {
    let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update \
                   the PaymentIntent with a payment method and then confirm it again, or confirm it again directly \
                   with a payment method.";
    Refusal::new("payment_intent_unexpected_state", message)
        .intent(intent.object(&app.seal))
        .into()
}

async fn resumed(
    app: &App,
    wanted: &Confirm,
    open: &Attempt,
) -> Result<(Intent, PaymentMethod), Error> {
    let (owner, intent, method) = (
        wanted.owner.clone(),
        open.intent.clone(),
        open.payment_method.clone(),
    );
    let read = move |tx: &mut Tx<'_>| {
        Ok((
            Intent::load(tx, &owner, &intent)?,
            usable(tx, &owner, &method)?,
        ))
    };
    app.store.read(read).await
}

async fn exchange(app: &App, intent: &Intent, method: &PaymentMethod) -> Result<Exchanged, Error> {
    let token = method.token(&app.seal)?;
    let key = hex(&app
        .seal
        .mac("exchange", &[intent.id.as_bytes(), token.as_bytes()]));
    let body = Exchange {
        source: token,
        purpose: Purpose::Payment,
        intent: Some(intent.id.clone()),
        amount: Some(intent.amount),
        currency: Some(intent.currency.clone()),
        cvc_token: None,
        store: None,
    };
    let exchanged = app
        .vault
        .exchange(&intent.owner.merchant, &key, &body)
        .await;
    let exchanged = exchanged.map_err(|failure| exchange_error(&failure))?;
    if exchanged.grant.is_none() {
        return Err(Error::Vault("exchange: no grant in the answer".into()));
    }
    Ok(exchanged)
}

fn exchange_error(failure: &Failure) -> Error {
    let Failure::Refused(problem) = failure else {
        return Error::Vault(format!("exchange: {failure}"));
    };
    let refusal = match problem.code.as_str() {
        "token_already_used" | "idempotency_mismatch" | "grant_exhausted" => Refusal::new(
            "token_already_used",
            "The token has already been used. Each token can be used once; ask the buyer for the card again.",
        ),
        "token_expired" | "token_revoked" | "grant_expired" => Refusal::new(
            "resource_missing",
            "No such token: it has expired. Ask the buyer for the card again.",
        ),
        "not_found" => Refusal::no_such("token"),
        "binding_mismatch" => Refusal::new(
            "payment_intent_incompatible_payment_method",
            "The token is bound to another PaymentIntent, amount or currency.",
        ),
        "rate_limited" => {
            let refusal = Refusal::new("rate_limit", "Too many requests. Please try again later.");
            refusal.status(http::StatusCode::TOO_MANY_REQUESTS)
        }
        _ => return Error::Vault(format!("exchange: {failure}")),
    };
    refusal.param("payment_method").into()
}

// The attempt and the intent's new state, in one transaction, before anything is sent.
async fn begin(
    app: &App,
    wanted: &Confirm,
    intent: &Intent,
    method: &PaymentMethod,
    exchanged: &Exchanged,
) -> Result<Attempt, Error> {
    let first = app
        .acquirers
        .first()
        .ok_or(Error::Internal("no acquirer is configured"))?;
    let attempt = Attempt::new(app, first, wanted, intent, &method.id);
    let (shared, card) = (app.clone(), exchanged.card.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<Attempt, Error> {
        // Whoever changed amount or state since it was read wins; this confirmation begins again with a new call.
        let moved = tx.execute(
            "update payment_intents set status = 'processing', payment_method = $2, last_payment_error = null
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation')
               and amount = $3 and currency = $4",
            params![&attempt.intent, &attempt.payment_method, attempt.amount, &attempt.currency],
        )?;
        if moved == 0 {
            let intent = Intent::load(tx, &attempt.owner, &attempt.intent)?;
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        remember_card(tx, &attempt.payment_method, &card)?;
        attempt.insert(tx)?;
        Ok(attempt.clone())
    };
    app.store.write(write).await
}

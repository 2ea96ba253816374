//! `POST /v1/payment_intents/{id}/confirm`: the payment method is exchanged for a grant, and the card is sent.
//!
//! A confirmation has an id (the subject of its idempotency claim), which its attempts carry: an interrupted one is
//! resumed by finding them. Its first step is always the exchange, whose key depends on intent and token alone, so
//! that it gives the same grant again; the grant itself is never stored.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Tx, params};
use vault_api::tokens::{Exchanged, GrantInfo};

use super::begin::{Beginning, Begun};
use super::{Details, Intent};
use crate::app::{App, Origin, Owner};
use crate::attempts::{self, Attempt};
use crate::checkout::lifecycle;
use crate::conversion;
use crate::cvc_tokens;
use crate::error::{Error, Refusal};
use crate::exchange;
use crate::http::browser::reduce;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::Params;
use crate::payment_methods::{PaymentMethod, published_token, take_token};
use crate::risk::address::{self, Told};
use crate::three_ds;

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
            return Ok(existing.map(|id| match published_token(&id) {
                Some(token) => Self::Token(token),
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

/// What a confirmation may say besides.
#[derive(Debug, Clone, Default)]
pub struct Options {
    off_session: Option<bool>,
    return_url: Option<String>,
    setup_future_usage: Option<&'static str>,
    request_three_d_secure: Option<&'static str>,
    /// The security code of a saved card, given again. Of this confirmation alone: the intent does not have it.
    cvc_token: Option<String>,
    error_on_requires_action: Option<bool>,
    use_stripe_sdk: Option<bool>,
    told: Told,
}

/// When the card may be used again.
pub const USAGES: &[&str] = &["off_session", "on_session"];

impl Options {
    /// Takes them.
    pub fn take(params: &mut Params) -> Result<Self, Error> {
        let (request_three_d_secure, cvc_token) = three_ds::request_and(params, cvc_tokens::take)?;
        Ok(Self {
            off_session: params.boolean("off_session")?,
            return_url: params.text("return_url", 2_048)?,
            setup_future_usage: params.one_of("setup_future_usage", USAGES)?,
            request_three_d_secure,
            cvc_token,
            error_on_requires_action: params.boolean("error_on_requires_action")?,
            use_stripe_sdk: params.boolean("use_stripe_sdk")?,
            told: Told::take(params)?,
        })
    }

    /// Refuses what an intent cannot keep for a later confirmation: a security code.
    pub fn without_confirm(self) -> Result<Self, Error> {
        if self.cvc_token.is_none() {
            return Ok(self);
        }
        let message =
            "A cvc_token is of one confirmation. Pass it with confirm=true, or when you confirm.";
        Err(Refusal::plain(message).param(cvc_tokens::PARAM).into())
    }

    /// Writes them into the intent's details; false when they say nothing.
    pub fn apply(&self, details: &mut Details) -> bool {
        let before = json!(details);
        if let Some(off_session) = self.off_session {
            details.off_session = Some(off_session);
        }
        if let Some(url) = &self.return_url {
            details.return_url = Some(url.clone());
        }
        if let Some(usage) = self.setup_future_usage {
            details.setup_future_usage = Some(usage.to_owned());
        }
        if let Some(request) = self.request_three_d_secure {
            details.request_three_d_secure = Some(request.to_owned());
        }
        if let Some(fail) = self.error_on_requires_action {
            details.error_on_requires_action = Some(fail);
        }
        if let Some(in_page) = self.use_stripe_sdk {
            details.use_stripe_sdk = Some(in_page);
        }
        if let Some(address) = &self.told.address {
            details.buyer_address = Some(address.clone());
        }
        if let Some(session) = &self.told.session {
            details.buyer_session = Some(session.clone());
        }
        before != json!(details)
    }
}

/// The id of the payment method that a call makes, from the id of what the call makes: the same when resumed.
pub fn method_id(subject: &str) -> String {
    format!(
        "pm_{}",
        subject.split_once('_').map_or(subject, |(_, rest)| rest)
    )
}

/// The merchant's payment method with this id, if an intent of `customer` may use it.
pub fn usable(
    tx: &mut Tx<'_>,
    owner: &Owner,
    id: &str,
    customer: Option<&str>,
) -> Result<PaymentMethod, Error> {
    let found = PaymentMethod::find(tx, owner, id)?;
    let found = found.ok_or_else(|| Refusal::no_such("PaymentMethod").param("payment_method"))?;
    found.check_customer(customer)?;
    Ok(found)
}

/// One confirmation.
#[derive(Debug, Clone)]
pub struct Confirm {
    pub owner: Owner,
    pub origin: Origin,
    pub intent: String,
    /// Its id, which its attempts carry.
    pub confirmation: String,
    pub source: Option<Source>,
    pub options: Options,
}

/// `POST /v1/payment_intents/{id}/confirm`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "cnf", |mut call, confirmation| async move {
        let source = Source::take(&mut call.params)?;
        let mut options = Options::take(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        let seen = address::of_browser(&call);
        call.params.finish()?;
        let browser = call.browser;
        address::admit(&call.app, &call.owner, seen.as_deref(), &confirmation).await?;
        options.told.address = seen.or(options.told.address);
        let Call {
            app, owner, origin, ..
        } = call;
        let wanted = Confirm {
            owner: owner.clone(),
            origin,
            intent: id.clone(),
            confirmation,
            source,
            options,
        };
        let done = match confirm(&app, &wanted).await {
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

/// The intent as it is now.
pub async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let intent = Intent::load(tx, &owner, &id)?;
        expand.apply(tx, &shared, &owner, intent.object(&shared.seal))
    };
    app.store.read(read).await
}

/// Confirms, or goes on with a confirmation that was interrupted. An error of kind [`Error::Card`] is a decline.
pub async fn confirm(app: &App, wanted: &Confirm) -> Result<(), Error> {
    let before = attempts::of_confirmation(app, &wanted.confirmation).await?;
    if let Some(last) = before.last().filter(|attempt| attempt.state != "sending") {
        stepped_up(app, last).await?;
        return attempts::verdict(app, last).await;
    }
    if before.is_empty()
        && let Some(begun) = three_ds::of_confirmation(app, &wanted.confirmation).await?
    {
        return three_ds::flow::go_on(app, begun).await;
    }
    let (intent, method) = match before.last() {
        None => prepare(app, wanted).await?,
        Some(open) => resumed(app, wanted, open).await?,
    };
    let grant = exchange::for_payment(app, &intent, &method, &wanted.confirmation).await;
    let first = match (before.last(), &grant) {
        (Some(open), _) => open.clone(),
        (None, Ok(exchanged)) => {
            match Beginning::new(app, wanted, &intent, &method, exchanged)
                .commit()
                .await?
            {
                Begun::Sending(attempt) => attempt,
                Begun::Authenticating(begun) => {
                    return three_ds::flow::enrol(app, begun, granted(exchanged)?).await;
                }
            }
        }
        (None, Err(_)) => return grant.map(|_| ()),
    };
    let grant: Option<GrantInfo> = grant.ok().and_then(|exchanged| exchanged.grant);
    let last = attempts::run(app, first, before.is_empty(), grant.clone()).await?;
    stepped_up(app, &last).await?;
    attempts::verdict(app, &last).await
}

fn granted(exchanged: &Exchanged) -> Result<GrantInfo, Error> {
    let missing = || Error::Vault("exchange: no grant in the answer".into());
    exchanged.grant.clone().ok_or_else(missing)
}

// A soft decline that an authentication follows: it begins at once.
async fn stepped_up(app: &App, last: &Attempt) -> Result<(), Error> {
    if last.state != "declined" || last.error.is_some() {
        return Ok(());
    }
    match three_ds::of_confirmation(app, &last.confirmation).await? {
        Some(begun) => three_ds::flow::go_on(app, begun).await,
        None => Ok(()),
    }
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
    let (options, confirmation) = (wanted.options.clone(), wanted.confirmation.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<(Intent, PaymentMethod), Error> {
        let mut intent = Intent::load(tx, &owner, &id)?;
        if intent.status == "requires_action" {
            // The buyer tries again, maybe with another card: what was asked of them before is over.
            intent.reopen(tx)?;
        }
        let confirmable =
            ["requires_payment_method", "requires_confirmation"].contains(&intent.status.as_str());
        if !confirmable {
            return Err(intent.unexpected_state(&shared.seal, "confirm"));
        }
        let session = intent.details.checkout_session.as_deref();
        lifecycle::check_open(tx, session, shared.clock.now())?;
        conversion::quote(&shared, &owner, intent.amount, &intent.currency)?;
        if options.apply(&mut intent.details) {
            tx.execute(
                "update payment_intents set details = $2 where id = $1",
                params![&id, json!(intent.details).to_string()],
            )?;
        }
        let customer = intent.customer.as_deref();
        let method = match (&fresh, named.as_ref().or(intent.payment_method.as_ref())) {
            (Some(fresh), _) => {
                fresh.insert(tx)?;
                usable(tx, &owner, &fresh.id, customer)?
            }
            (None, Some(id)) => usable(tx, &owner, id, customer)?,
            (None, None) => return Err(without_method(&shared, &intent)),
        };
        if let Some(token) = &options.cvc_token {
            if method.sealed_token.is_some() {
                let message = "A cvc_token goes with a saved card; this payment method brings its own security code.";
                return Err(Refusal::plain(message).param(cvc_tokens::PARAM).into());
            }
            let now_ms = shared.clock.now_ms();
            cvc_tokens::keep(tx, &shared.seal, &confirmation, token, now_ms)?;
        }
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
        let method = PaymentMethod::find(tx, &owner, &method)?;
        let method = method.ok_or(Error::Internal("an attempt's payment method is gone"))?;
        Ok((Intent::load(tx, &owner, &intent)?, method))
    };
    app.store.read(read).await
}

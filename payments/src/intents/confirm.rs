//! `POST /v1/payment_intents/{id}/confirm`: the payment method is exchanged for a grant, and the card is sent.
//!
//! A confirmation has an id (the subject of its idempotency claim), which its attempts carry: an interrupted one is
//! resumed by finding them. Its first step is always the exchange, whose key depends on intent and token alone, so
//! that it gives the same grant again; the grant itself is never stored. Until then nothing is written: the first
//! transaction ([`super::begin`]) claims the key, stores the payment method, takes the intent and stores the attempt.
//! Where the caller would rather not wait, it is accepted before all that, and a worker does the same ([`crate::queue`]).

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use store::Tx;
use vault_api::tokens::{Exchanged, GrantInfo};

use super::Intent;
use super::begin::{Beginning, Begun};
use super::options::Options;
use crate::app::{App, Origin, Owner, Shared};
use crate::attempts::{self, Attempt};
use crate::billing::{Billing, Fresh};
use crate::checkout::lifecycle;
use crate::conversion;
use crate::cvc_tokens;
use crate::error::{Error, Refusal};
use crate::exchange;
use crate::http::browser::reduce;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::made::Made;
use crate::http::params::Params;
use crate::http::subject::Subject;
use crate::payment_methods::{PaymentMethod, published_token, take_token};
use crate::queue;
use crate::risk::address;
use crate::three_ds;

/// Where the card comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A payment method that was made before.
    Existing(String),
    /// A payment method is made of it.
    Token(Fresh),
}

impl Source {
    /// Takes `payment_method` or `payment_method_data`.
    pub fn take(params: &mut Params) -> Result<Option<Self>, Error> {
        let existing = params.text("payment_method", 100)?;
        let Some(mut data) = params.hash("payment_method_data")? else {
            return Ok(existing.map(|id| match published_token(&id) {
                Some(token) => Self::Token(Fresh {
                    token,
                    billing: None,
                }),
                None => Self::Existing(id),
            }));
        };
        if data.one_of("type", &["card"])?.is_none() {
            return Err(data.missing("type"));
        }
        let token = take_token(&mut data)?;
        let billing = Billing::take(&mut data)?;
        data.finish()?;
        if existing.is_some() {
            let message = "Pass payment_method or payment_method_data, not both.";
            return Err(Refusal::plain(message).param("payment_method").into());
        }
        Ok(Some(Self::Token(Fresh { token, billing })))
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
    /// Its id, which its attempts carry, and the key that is claimed with it.
    pub confirmation: Subject,
    pub source: Option<Source>,
    pub options: Options,
    pub reply: Reply,
}

/// How the caller is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub expand: Expand,
    /// A browser sees less.
    pub browser: bool,
    /// At once, when it is accepted: a worker does the rest.
    pub early: bool,
}

/// What a confirmation came to: the intent, or a decline ([`Error::Card`]).
pub type Answer = Result<Made, Error>;

/// `POST /v1/payment_intents/{id}/confirm`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run_claiming(call, "cnf", |mut call, confirmation| async move {
        let source = Source::take(&mut call.params)?;
        let mut options = Options::take(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        let seen = address::of_browser(&call);
        call.params.finish()?;
        let (browser, early) = (call.browser, call.prefers_async);
        address::admit(&call.app, &call.owner, seen.as_deref(), &confirmation.id).await?;
        options.told.address = seen.or(options.told.address);
        let Call {
            app, owner, origin, ..
        } = call;
        let wanted = Confirm {
            owner,
            origin,
            intent: id,
            confirmation,
            source,
            options,
            reply: Reply {
                expand,
                browser,
                early,
            },
        };
        finish(&app, &wanted).await
    })
    .await
}

/// Confirms and answers.
pub async fn finish(app: &App, wanted: &Confirm) -> Answer {
    let done = match confirm(app, wanted).await {
        Ok(Some(answer)) => return answer,
        Ok(None) => {
            let (owner, id) = (wanted.owner.clone(), wanted.intent.clone());
            let shown = answer(app, owner, id, wanted.reply.expand.clone()).await;
            shown.map(Made::from)
        }
        Err(error) => Err(error),
    };
    // Before it is kept for replays.
    wanted.reply.shown(done)
}

impl Reply {
    pub fn shown(&self, answer: Answer) -> Answer {
        if self.browser {
            let reduced = answer.map(|made| made.map(reduce));
            return reduced.map_err(Error::reduced);
        }
        answer
    }
}

/// The intent as it is now.
pub async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let intent = Intent::load(tx, &owner, &id)?;
        expand.apply(tx, &shared, &owner, intent.object(&shared.seal))
    };
    app.store.look_up(read).await
}

/// Confirms, or goes on with a confirmation that was interrupted. The answer, if it is known already.
pub async fn confirm(app: &App, wanted: &Confirm) -> Result<Option<Answer>, Error> {
    let confirmation = &wanted.confirmation.id;
    let before = match wanted.confirmation.is_fresh {
        true => vec![],
        false => attempts::of_confirmation(app, confirmation).await?,
    };
    if let Some(last) = before.last().filter(|attempt| attempt.state != "sending") {
        stepped_up(app, last).await?;
        return attempts::verdict(app, last).await.map(|()| None);
    }
    if before.is_empty()
        && !wanted.confirmation.is_fresh
        && let Some(begun) = three_ds::of_confirmation(app, confirmation).await?
    {
        let going = three_ds::flow::go_on(app, begun);
        return Box::pin(going).await.map(|()| None);
    }
    let paying = match before.last() {
        None => Paying::of(app, wanted).await?,
        Some(open) => resumed(app, wanted, open).await?,
    };
    if wanted.reply.early && before.is_empty() {
        return queue::accept(app, wanted, paying).await.map(Some);
    }
    let cvc_token = wanted.options.cvc_token.clone();
    let (intent, method) = (&paying.intent, &paying.method);
    let grant = exchange::for_payment(app, intent, method, confirmation, cvc_token).await;
    let first = match (before.last(), &grant) {
        (Some(open), _) => open.clone(),
        (None, Ok(exchanged)) => {
            match Beginning::new(app, wanted, paying, exchanged)
                .commit()
                .await?
            {
                Begun::Sending(attempt) => attempt,
                Begun::Authenticating(begun) => {
                    let grant = granted(exchanged)?;
                    let enrolling = three_ds::flow::enrol(app, begun, grant);
                    return Box::pin(enrolling).await.map(|()| None);
                }
            }
        }
        (None, Err(_)) => return grant.map(|_| None),
    };
    let grant: Option<GrantInfo> = grant.ok().and_then(|exchanged| exchanged.grant);
    let sending = attempts::run(app, first, before.is_empty(), grant, Some(wanted));
    let answer = Box::pin(sending).await?;
    if answer.is_some() {
        return Ok(answer);
    }
    let last = attempts::last(app, confirmation).await?;
    stepped_up(app, &last).await?;
    attempts::verdict(app, &last).await.map(|()| None)
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
        Some(begun) => Box::pin(three_ds::flow::go_on(app, begun)).await,
        None => Ok(()),
    }
}

/// An intent and the payment method that it is confirmed with, as they were read.
#[derive(Debug, Clone)]
pub struct Paying {
    pub intent: Intent,
    pub method: PaymentMethod,
    /// The payment method is made by this confirmation, and is not stored yet.
    pub is_new: bool,
}

impl Paying {
    async fn of(app: &App, wanted: &Confirm) -> Result<Self, Error> {
        let (shared, wanted) = (app.clone(), wanted.clone());
        let read = move |tx: &mut Tx<'_>| Self::read(tx, &shared, &wanted);
        app.store.look_up(read).await
    }

    fn read(tx: &mut Tx<'_>, app: &App, wanted: &Confirm) -> Result<Self, Error> {
        let (intent, _) = wanted.confirmable(tx, app)?;
        let named = match &wanted.source {
            Some(Source::Token(token)) => {
                let (id, now_ms) = (method_id(&wanted.confirmation.id), app.clock.now_ms());
                let method = PaymentMethod::new(&app.seal, &wanted.owner, id, now_ms, token);
                let is_new = true;
                return wanted.check_cvc_token(&method).map(|()| Self {
                    intent,
                    method,
                    is_new,
                });
            }
            Some(Source::Existing(id)) => Some(id),
            None => intent.payment_method.as_ref(),
        };
        let id = named.ok_or_else(|| without_method(app, &intent))?;
        let method = usable(tx, &wanted.owner, id, intent.customer.as_deref())?;
        wanted.check_cvc_token(&method)?;
        Ok(Self {
            intent,
            method,
            is_new: false,
        })
    }
}

impl Confirm {
    /// The intent with the options in it, and whether they change it; they are not written yet.
    pub fn confirmable(&self, tx: &mut Tx<'_>, app: &App) -> Result<(Intent, bool), Error> {
        let mut intent = Intent::load(tx, &self.owner, &self.intent)?;
        let states = [
            "requires_payment_method",
            "requires_confirmation",
            // The buyer tries again, maybe with another card: what was asked of them before is over.
            "requires_action",
        ];
        // What was accepted was open then.
        let is_ours = intent.queued.as_deref() == Some(&self.confirmation.id);
        if !is_ours {
            if !states.contains(&intent.status.as_str()) {
                return Err(intent.unexpected_state(&app.seal, "confirm"));
            }
            let session = intent.details.checkout_session.as_deref();
            lifecycle::check_open(tx, session, app.clock.now())?;
        }
        conversion::quote(app, &self.owner, intent.amount, &intent.currency)?;
        let changed = self.options.apply(&mut intent.details);
        Ok((intent, changed))
    }

    /// Keeps the security code that it brought.
    pub fn keep_cvc_token(&self, tx: &mut Tx<'_>, app: &App) -> Result<(), Error> {
        if let Some(token) = &self.options.cvc_token {
            let now_ms = app.clock.now_ms();
            cvc_tokens::keep(tx, &app.seal, &self.confirmation.id, token, now_ms)?;
        }
        Ok(())
    }

    /// The answer to the outcome, kept for replays in the transaction that settles it. None when it cannot be told there.
    pub fn answer(
        &self,
        tx: &mut Tx<'_>,
        app: &Shared,
        intent: &Intent,
        decline: Option<Value>,
    ) -> Result<Option<Answer>, Error> {
        if !self.confirmation.is_fresh {
            return Ok(None);
        }
        let object = intent.object(&app.seal);
        let answer = match decline {
            Some(mut error) => {
                error["payment_intent"] = object;
                Err(Error::Card(error))
            }
            None => match self.reply.expand.apply(tx, app, &self.owner, object) {
                Ok(expanded) => Ok(expanded.into()),
                // The payment is made all the same; the caller is told what was wrong.
                Err(Error::Refused(_)) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let answer = self.reply.shown(answer);
        self.confirmation.keep(tx, app, &answer)?;
        Ok(Some(answer))
    }

    fn check_cvc_token(&self, method: &PaymentMethod) -> Result<(), Error> {
        if self.options.cvc_token.is_none() || method.sealed_token.is_none() {
            return Ok(());
        }
        let message =
            "A cvc_token goes with a saved card; this payment method brings its own security code.";
        Err(Refusal::plain(message).param(cvc_tokens::PARAM).into())
    }
}

fn without_method(app: &App, intent: &Intent) -> Error {
    let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update \
                   the PaymentIntent with a payment method and then confirm it again, or confirm it again directly \
                   with a payment method.";
    Refusal::new("payment_intent_unexpected_state", message)
        .intent(intent.object(&app.seal))
        .into()
}

async fn resumed(app: &App, wanted: &Confirm, open: &Attempt) -> Result<Paying, Error> {
    let (owner, intent, method) = (
        wanted.owner.clone(),
        open.intent.clone(),
        open.payment_method.clone(),
    );
    let read = move |tx: &mut Tx<'_>| {
        let method = PaymentMethod::find(tx, &owner, &method)?;
        let method = method.ok_or(Error::Internal("an attempt's payment method is gone"))?;
        Ok(Paying {
            intent: Intent::load(tx, &owner, &intent)?,
            method,
            is_new: false,
        })
    };
    app.store.look_up(read).await
}

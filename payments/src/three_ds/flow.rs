//! From the versioning request to the authorisation. Each step is a conditional update, and each send has an id of its
//! own at the vault, so that whoever takes it up again, after a restart too, neither sends twice nor loses it.

use serde_json::{Value, json};
use store::{Tx, params};
use vault_api::forward::{BytesSent, Forward, Forwarded};
use vault_api::tokens::GrantInfo;

use super::messages::{self, Enrolment, Result as Said};
use super::record::{self, Authentication};
use super::{ThreeDs, carried, next_action, subject};
use crate::app::App;
use crate::attempts::{self, Attempt};
use crate::connectors::responses;
use crate::conversion;
use crate::cvc_tokens;
use crate::error::Error;
use crate::exchange;
use crate::intents::Intent;
use crate::payment_methods::PaymentMethod;
use crate::setup_intents;
use crate::vault::Failure;

/// While one process works on an authentication, others leave it alone for so long (seconds).
const LEASE: i64 = 30;

/// Why an authentication does not lead to a payment.
#[derive(Debug, Clone)]
enum Reason {
    /// The buyer was not authenticated: no, rejected, canceled, too late.
    NotAuthenticated,
    /// The issuer wants it and nobody can be asked for it.
    NotPossible,
    /// Stripe's error object.
    Other(Value),
}

/// Takes up what nobody waits for any more: interrupted steps, and pages whose time is over.
pub async fn work_off(app: &App) -> Result<(), Error> {
    if app.three_ds.is_none() {
        return Ok(());
    }
    let now = app.clock.now();
    let due = move |tx: &mut Tx<'_>| record::due(tx, now, LEASE);
    for authentication in app.store.write(due).await? {
        if let Err(error) = go_on(app, authentication.clone()).await {
            tracing::warn!(id = authentication.intent, %error, "an authentication could not be taken further");
        }
    }
    Ok(())
}

/// Goes on with an authentication from where it stands. An error of kind [`Error::Card`] is a decline.
pub async fn go_on(app: &App, authentication: Authentication) -> Result<(), Error> {
    match authentication.state.as_str() {
        "enrolling" => {
            let grant = grant(app, &authentication).await?;
            enrol(app, authentication, grant).await
        }
        "authenticating" => authenticate(app, authentication).await,
        "authenticated" => authorise(app, &authentication).await,
        "ready" | "challenge" if authentication.expires_at <= app.clock.now() => {
            fail(app, &authentication, Reason::NotAuthenticated)
                .await
                .map(drop)
        }
        "done" => match attempts::of_confirmation(app, &authentication.confirmation)
            .await?
            .last()
        {
            Some(last) => attempts::verdict(app, last).await,
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

// The grant of the confirmation; a vault that refuses it ends the authentication.
async fn grant(app: &App, authentication: &Authentication) -> Result<GrantInfo, Error> {
    let (of, shared) = (authentication.clone(), app.clone());
    let read = move |tx: &mut Tx<'_>| -> Result<_, Error> {
        let method = PaymentMethod::find(tx, &of.owner, &of.payment_method)?;
        let method = method.ok_or(Error::Internal(
            "an authentication's payment method is gone",
        ))?;
        let intent = match of.is_setup() {
            true => None,
            false => Some(Intent::load(tx, &of.owner, &of.intent)?),
        };
        let cvc_token = cvc_tokens::find(tx, &shared.seal, &of.confirmation)?;
        Ok((intent, method, cvc_token))
    };
    let (intent, method, cvc_token) = app.store.read(read).await?;
    let exchanged = match &intent {
        Some(intent) => {
            let confirmation = &authentication.confirmation;
            exchange::for_payment(app, intent, &method, confirmation, cvc_token).await
        }
        None => exchange::for_setup(app, authentication, &method).await,
    };
    match exchanged {
        Ok(exchanged) => exchanged
            .grant
            .ok_or_else(|| Error::Vault("exchange: no grant in the answer".into())),
        Err(error @ Error::Refused(_)) => {
            let why = error.body()["error"].clone();
            fail(app, authentication, Reason::Other(why)).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Asks whether the card takes part; then it is the buyer's turn, or the payment goes on without.
pub async fn enrol(
    app: &App,
    authentication: Authentication,
    grant: GrantInfo,
) -> Result<(), Error> {
    let setup = app.three_ds()?;
    let body = messages::versioning();
    let sent = send(app, &authentication, &grant, "v", &setup.versioning, body).await?;
    let enrolment = sent.and_then(|(status, body)| messages::read_versioning(status, &body));
    match enrolment {
        Some(Enrolment::Yes {
            version,
            method_url,
        }) => ready(app, setup, authentication, version, method_url).await,
        none => {
            let why = none.is_none().then_some("05");
            without(app, authentication, "enrolling", why).await
        }
    }
}

// The buyer's turn.
async fn ready(
    app: &App,
    setup: &ThreeDs,
    authentication: Authentication,
    version: String,
    method_url: Option<String>,
) -> Result<(), Error> {
    let action = next_action(setup, &authentication).to_string();
    let shared = app.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let a = &authentication;
        if !record::moved(tx, &a.id, "enrolling", "ready", a.expires_at)? {
            return Ok(());
        }
        tx.execute(
            "update authentications set version = $2, method_url = $3 where id = $1",
            params![&a.id, &version, method_url.clone()],
        )?;
        subject::ask(tx, &shared, a, &action)
    };
    app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(())
}

// Nobody can be asked: the payment goes on without, unless an issuer has said that it will not have it so.
async fn without(
    app: &App,
    authentication: Authentication,
    from: &'static str,
    why: Option<&'static str>,
) -> Result<(), Error> {
    if authentication.required {
        let error = fail(app, &authentication, Reason::NotPossible).await?;
        return Err(Error::Card(error));
    }
    let (id, now) = (authentication.id.clone(), app.clock.now());
    let write = move |tx: &mut Tx<'_>| -> Result<Option<Authentication>, Error> {
        record::moved(tx, &id, from, "authenticated", now + LEASE)?;
        tx.execute(
            "update authentications set reason = coalesce(reason, $2) where id = $1",
            params![&id, why.map(str::to_owned)],
        )?;
        Authentication::find(tx, &id)
    };
    match app.store.write(write).await? {
        Some(now) if now.state == "authenticated" => authorise(app, &now).await,
        _ => Ok(()),
    }
}

/// Sends the AReq of an authentication in state `authenticating`.
pub async fn authenticate(app: &App, authentication: Authentication) -> Result<(), Error> {
    let setup = app.three_ds()?;
    let grant = grant(app, &authentication).await?;
    let body = messages::areq(setup, &authentication, app.clock.now());
    let sent = send(app, &authentication, &grant, "a", &setup.authenticate, body).await?;
    let said = sent.and_then(|(status, body)| {
        let whole = (status == 200)
            .then(|| messages::read_result("ARes", &authentication.transaction_id, &body));
        if whole.as_ref().is_none_or(Option::is_none) {
            // EMV's own code and elements: names, not values.
            let detail = body["errorDetail"].as_str().unwrap_or_default();
            let code = body["errorCode"].as_str().unwrap_or("none");
            tracing::warn!(code, why = detail, "the directory server gave no ARes");
        }
        whole.flatten()
    });
    match said {
        Some(said) => take(app, &authentication, "authenticating", said)
            .await
            .map(drop),
        None => without(app, authentication, "authenticating", Some("05")).await,
    }
}

/// Takes the issuer's word: of an ARes in state `authenticating`, of an RReq in state `challenge`. False when it had
/// been taken before. What follows from it runs on by itself.
pub async fn take(
    app: &App,
    authentication: &Authentication,
    from: &'static str,
    said: Said,
) -> Result<bool, Error> {
    app.metrics.count(
        "payments_authentications_total",
        &[("status", said.status.as_str())],
    );
    let (shared, a, now_ms) = (app.clone(), authentication.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<Option<Authentication>, Error> {
        let flow = match (from, said.status.as_str()) {
            ("challenge", _) | (_, "C") => Some("challenge"),
            (_, "U") => None,
            _ => Some("frictionless"),
        };
        let to = match said.status.as_str() {
            "C" => "challenge",
            _ => "authenticated",
        };
        let next = match to {
            "challenge" => a.expires_at,
            _ => now_ms.div_euclid(1000) + LEASE,
        };
        if !record::moved(tx, &a.id, from, to, next)? {
            return Ok(None);
        }
        tx.execute(
            "update authentications set trans_status = $2, reason = $3, cancel = $4, eci = $5, cavv = $6,
                 acs_trans_id = $7, ds_trans_id = $8, flow = $9, acs_url = coalesce($10, acs_url) where id = $1",
            params![
                &a.id,
                &said.status,
                said.reason.clone(),
                said.cancel.clone(),
                said.eci.clone(),
                said.cavv.clone(),
                &said.acs_trans_id,
                &said.ds_trans_id,
                flow.map(str::to_owned),
                said.acs_url.clone(),
            ],
        )?;
        let now = Authentication::find(tx, &a.id)?;
        let now = now.ok_or(Error::Internal("an authentication is gone"))?;
        let reason = match said.status.as_str() {
            "N" | "R" => Some(Reason::NotAuthenticated),
            "U" if now.required => Some(Reason::NotPossible),
            _ => None,
        };
        if let Some(reason) = reason {
            failed(tx, &shared, &now, &reason)?;
        }
        Authentication::find(tx, &a.id)
    };
    let Some(now) = app.store.write(write).await? else {
        return Ok(false);
    };
    app.deliver.notify_one();
    if now.state == "authenticated" {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = authorise(&app, &now).await
                && !matches!(error, Error::Card(_))
            {
                tracing::warn!(intent = now.intent, %error, "an authenticated payment goes on later");
            }
        });
    }
    Ok(true)
}

/// Sends the card to the acquirer, with what the issuer gave. An error of kind [`Error::Card`] is a decline.
pub async fn authorise(app: &App, authentication: &Authentication) -> Result<(), Error> {
    if authentication.is_setup() {
        return setup_intents::confirm::authenticated(app, authentication).await;
    }
    let grant = grant(app, authentication).await?;
    let acquirer = app.acquirer(&authentication.acquirer)?;
    let a = authentication.clone();
    let before = attempts::of_confirmation(app, &a.confirmation).await?;
    let (shared, converting, now) = (app.clone(), app.clone(), app.clock.now());
    let blank = Attempt::of_authentication(app, acquirer, &a, before.len());
    let write = move |tx: &mut Tx<'_>| -> Result<Option<Attempt>, Error> {
        if !record::moved(tx, &a.id, "authenticated", "done", now)? {
            return Ok(None);
        }
        let intent = Intent::load(tx, &a.owner, &a.intent)?;
        let moved = tx.execute(
            "update payment_intents set status = 'processing', next_action = null
             where id = $1 and status in ('requires_action', 'processing') and amount = $2 and currency = $3",
            params![&a.intent, a.amount, &a.currency],
        )?;
        if moved == 0 {
            // It was canceled meanwhile: nobody is charged.
            record::moved(tx, &a.id, "done", "abandoned", now)?;
            return Ok(None);
        }
        let method = PaymentMethod::find(tx, &a.owner, &a.payment_method)?;
        let method = method.ok_or(Error::Internal(
            "an authentication's payment method is gone",
        ))?;
        let mut attempt = blank.clone();
        attempt.capture = intent.capture_method != "manual";
        attempt.carried = carried::Carried::new(&intent, &method);
        attempt.carried.authentication = Some(a.id.clone());
        attempt.carried.risk.clone_from(&a.risk);
        attempt.carried.conversion = conversion::newest(&converting, &a.owner, &a.currency)?;
        attempt.insert(tx)?;
        Ok(Some(attempt))
    };
    let Some(attempt) = shared.store.write(write).await? else {
        return Ok(());
    };
    attempts::run(app, attempt, true, Some(grant), None).await?;
    let last = attempts::last(app, &authentication.confirmation).await?;
    attempts::verdict(app, &last).await
}

/// An attempt of an authenticated payment that a restart found open: asked about at the vault, then taken further.
pub async fn resume(app: &App, attempt: &Attempt) -> Result<bool, Error> {
    let Some(id) = attempt.carried.authentication.clone() else {
        return Ok(false);
    };
    let read = move |tx: &mut Tx<'_>| Authentication::find(tx, &id);
    let Some(authentication) = app.store.read(read).await? else {
        return Ok(false);
    };
    let Ok(grant) = grant(app, &authentication).await else {
        return Ok(false);
    };
    attempts::run(app, attempt.clone(), false, Some(grant), None)
        .await
        .map(|_| true)
}

// One send of kind `authenticate`. None when the directory server gave no answer, for certain; an error when that
// cannot be told yet, so that the step is taken up again.
async fn send(
    app: &App,
    authentication: &Authentication,
    grant: &GrantInfo,
    step: &str,
    operation: &str,
    body: Value,
) -> Result<Option<(u16, Value)>, Error> {
    let setup = app.three_ds()?;
    let merchant = authentication.owner.merchant.as_str();
    let attempt = |n: i64| format!("{}.{step}{n}", authentication.id);
    for n in 0..authentication.checks {
        let closed = app.vault.close(merchant, &attempt(n)).await;
        let closed = closed.map_err(|failure| Error::Vault(format!("close: {failure}")))?;
        if closed.bytes_sent != BytesSent::None {
            return Ok(answer(closed));
        }
    }
    let forward = Forward {
        attempt: attempt(authentication.checks),
        grant: grant.id.clone(),
        destination: setup.destination.clone(),
        operation: operation.to_owned(),
        amount: authentication.amount,
        currency: authentication.currency.clone(),
        reference: authentication.transaction_id.clone(),
        body,
        three_d_secure: None,
        dry_run: false,
    };
    let forwarded = app.vault.forward(&setup.client, merchant, &forward).await;
    match forwarded {
        Ok(forwarded) => Ok(answer(forwarded)),
        Err(failure) => {
            tracing::warn!(intent = authentication.intent, %failure, "an authentication was not forwarded");
            if let Failure::Refused(_) = failure {
                return Ok(None);
            }
            // Nothing may be in flight when the payment goes on.
            let closed = app.vault.close(merchant, &forward.attempt).await;
            let closed = closed.map_err(|failure| Error::Vault(format!("close: {failure}")))?;
            Ok(answer(closed))
        }
    }
}

fn answer(forwarded: Forwarded) -> Option<(u16, Value)> {
    let answer = forwarded.response?;
    Some((answer.status, answer.body))
}

// Ends it in a transaction of its own; the error object, with the intent in it.
async fn fail(app: &App, authentication: &Authentication, reason: Reason) -> Result<Value, Error> {
    let (shared, a) = (app.clone(), authentication.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let mut error = failed(tx, &shared, &a, &reason)?;
        let intent = subject::object(tx, &shared, &a)?;
        let name = if a.is_setup() {
            "setup_intent"
        } else {
            "payment_intent"
        };
        error[name] = intent;
        Ok(error)
    };
    let error = app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(error)
}

// The intent asks for another payment method; whoever comes second changes nothing.
fn failed(tx: &mut Tx<'_>, app: &App, a: &Authentication, reason: &Reason) -> Result<Value, Error> {
    let method = PaymentMethod::find(tx, &a.owner, &a.payment_method)?;
    let mut error = reason.error(a);
    error["payment_method"] = json!(method.map(|method| method.object()));
    let sql = format!(
        "update authentications set state = 'failed' where id = $1 and state in {}",
        record::OPEN
    );
    if tx.execute(&sql, params![&a.id])? == 0 {
        return Ok(error);
    }
    subject::give_back(tx, app, a, &error)?;
    Ok(error)
}

impl Reason {
    fn error(&self, a: &Authentication) -> Value {
        match self {
            Self::NotAuthenticated => subject::not_authenticated(a),
            Self::NotPossible => {
                let decline = responses::decline("1A");
                json!({
                    "type": "card_error", "code": decline.code, "decline_code": decline.decline_code,
                    "message": decline.message, "advice_code": decline.advice,
                })
            }
            Self::Other(error) => error.clone(),
        }
    }
}

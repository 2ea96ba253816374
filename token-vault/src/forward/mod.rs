//! Forward: one send of a card to an acquirer, at most once.
//!
//! The attempt is committed as `sending` before the vault connects; the outcome after. The same attempt id answers
//! what is recorded and never sends again. Reading order: this file, [`destinations`] (what is registered), [`template`]
//! and [`body`] (a tree becomes bytes), [`opened`] (the grant's card), [`wire`] (one send), [`answer`] (what comes back), [`dry_run`], [`retry`],
//! [`running`] (beside the requests); [`command`] is the operator's side.

mod answer;
mod body;
pub mod command;
mod connect;
mod counted;
pub mod destinations;
mod dry_run;
mod opened;
mod operation;
mod registration;
pub mod retry;
pub mod running;
mod secrets;
mod template;
mod tls;
mod wire;

pub use destinations::Destinations;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use pan::CardData;
use store::Tx;
use vault_api::Code;
use vault_api::forward::{Answer, BytesSent, Close, Forward, Forwarded};
use vault_api::keys::Mode;

use crate::audit::{self, Act, Actor};
use crate::crypto::cvv::SealedCvv;
use crate::forward::destinations::Target;
use crate::forward::operation::Operation;
use crate::forward::template::Filling;
use crate::http::{Caller, Json};
use crate::private::keyed_hash;
use crate::records::attempts::{self, NewAttempt, Recorded, Sending};
use crate::records::cvvs;
use crate::records::grants::{self, GrantRow};
use crate::records::row_mac::RowMacs;
use crate::records::tokens::Owner;
use crate::{App, Error};

/// `POST /v1/forward`. With `dry_run` the masked request, else how the send ended.
pub async fn forward(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Forward>,
) -> Result<Response, Error> {
    caller.may("forward")?;
    check(&body)?;
    let (actor, mode) = (Actor::from(&caller), caller.mode);
    let target = app
        .destinations
        .target(&actor.merchant, &body.destination, &body.operation)?;
    template::check(&body.body, &target.operation)?;
    if body.dry_run {
        let shown = dry_run::show(&app, &actor, mode, &body, &target).await?;
        return Ok(Json(shown).into_response());
    }
    // The send goes on when the caller hangs up: its outcome must be recorded.
    let sending = tokio::spawn(service::traces::carried(send(
        app, actor, mode, body, target,
    )));
    let outcome = sending
        .await
        .map_err(|_| Error::Internal("a send panicked"))??;
    Ok(Json(outcome).into_response())
}

async fn send(
    app: App,
    actor: Actor,
    mode: Mode,
    body: Forward,
    target: Target,
) -> Result<Forwarded, Error> {
    // What cannot be built is refused before anything is recorded.
    template::build(&body, &target.operation, Filling::Masked { last4: "0000" })?;
    let started = start(&app, &actor, mode, &body, &target.operation).await?;
    let (card, under_way) = match started {
        Started::Recorded(outcome) => return Ok(*outcome),
        Started::Sending(card, under_way) => (card, under_way),
    };
    let cvc_sent = card.cvc.is_some();
    let outcome = match template::build(&body, &target.operation, Filling::Card(&card)) {
        Ok(request) => {
            drop(card);
            let sent = wire::send(&target, &body.attempt, request).await;
            outcome(&body, &target, sent, cvc_sent)
        }
        Err(_) => Forwarded {
            attempt: body.attempt.clone(),
            bytes_sent: BytesSent::None,
            response: None,
            failure: Some("malformed".to_owned()),
            cvc_sent: false,
        },
    };
    app.metrics.count(
        "vault_forwards_total",
        &[("bytes_sent", outcome.bytes_sent.as_str())],
    );
    finish(&app, actor, mode, body, target, outcome, *under_way).await
}

enum Started {
    Recorded(Box<Forwarded>),
    Sending(CardData, Box<UnderWay>),
}

/// A send, as it was committed before it began.
struct UnderWay {
    attempt: Sending,
    grant: GrantRow,
    /// The CVV as it is at rest, when the request asks for it.
    cvv: Option<SealedCvv>,
}

async fn start(
    app: &App,
    actor: &Actor,
    mode: Mode,
    body: &Forward,
    operation: &Operation,
) -> Result<Started, Error> {
    let json =
        serde_json::to_vec(body).map_err(|_| Error::Internal("a request could not be written"))?;
    let hash = keyed_hash(app, &[actor.merchant.as_bytes(), &json]);
    let (app, actor, body, send) = (app.clone(), actor.clone(), body.clone(), operation.kind);
    let now = app.clock.now();
    let parts = app.clone();
    app.write(move |tx| {
        let owner = Owner {
            merchant: &actor.merchant,
            mode: mode.as_str(),
        };
        let macs = parts.root.macs();
        if let Some(outcome) = recorded(tx, macs, owner, &body.attempt, &hash)? {
            return Ok(Started::Recorded(outcome));
        }
        let mut grant = grants::find(tx, macs, owner, &body.grant)?.ok_or(Code::NotFound)?;
        opened::check(&grant, &body, now)?;
        let (card, cvv) = opened::open(&parts, tx, &grant, &body, now)?;
        if !grants::open_attempt(tx, macs, &mut grant, &body.attempt, send)? {
            let busy = grants::has_open_attempt(&grant)?;
            return Err(if busy {
                Code::AttemptInFlight
            } else {
                Code::GrantExhausted
            }
            .into());
        }
        let new = NewAttempt {
            id: &body.attempt,
            grant: body.grant.public(),
            destination: &body.destination,
            operation: &body.operation,
            amount: body.amount,
            currency: &body.currency,
            reference: &body.reference,
            request_hash: &hash,
            process: &parts.process,
        };
        let attempt = attempts::insert(tx, macs, owner, &new, now)?.ok_or(Code::AttemptInFlight)?;
        audit::record(
            tx,
            &actor,
            Act::ForwardSending,
            &body.attempt,
            &body.destination,
            now,
        )?;
        let grant = grant.without_card();
        let under_way = UnderWay {
            attempt,
            grant,
            cvv,
        };
        Ok(Started::Sending(card, Box::new(under_way)))
    })
    .await
}

// What is recorded of this very attempt, if anything is.
fn recorded(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    attempt: &str,
    hash: &[u8; 32],
) -> Result<Option<Box<Forwarded>>, Error> {
    match attempts::find(tx, macs, owner, attempt)? {
        Some(Recorded::Sending) => Err(Code::AttemptInFlight.into()),
        Some(Recorded::Closed) => Err(Code::AttemptClosed.into()),
        Some(Recorded::Done {
            request_hash,
            outcome,
        }) => {
            if request_hash == hash {
                Ok(Some(outcome))
            } else {
                Err(Code::IdempotencyMismatch.into())
            }
        }
        None => Ok(None),
    }
}

fn outcome(body: &Forward, target: &Target, sent: wire::Sent, cvc_sent: bool) -> Forwarded {
    let (response, failure) = match sent.answer {
        Ok(received) => {
            let read = received.body.as_ref();
            let allowed = read.map(|read| answer::allowed(read, &target.operation));
            let failure = read.is_none().then(|| "malformed".to_owned());
            let response = Answer {
                status: received.status,
                body: allowed.unwrap_or_default(),
            };
            (Some(response), failure)
        }
        Err(failure) => (None, Some(failure.to_owned())),
    };
    let cvc_sent = cvc_sent && sent.bytes != BytesSent::None;
    Forwarded {
        attempt: body.attempt.clone(),
        bytes_sent: sent.bytes,
        response,
        failure,
        cvc_sent,
    }
}

async fn finish(
    app: &App,
    actor: Actor,
    mode: Mode,
    body: Forward,
    target: Target,
    outcome: Forwarded,
    under_way: UnderWay,
) -> Result<Forwarded, Error> {
    let now = app.clock.now();
    let parts = app.clone();
    let UnderWay {
        attempt: sending,
        grant: opened,
        cvv,
    } = under_way;
    let grant = body.grant.public().to_owned();
    let authorised = target.operation.kind == grants::Send::Authorise;
    let approved = target.operation.approves(outcome.response.as_ref());
    // PCI DSS 3.3.1: the first complete response ends the CVV, whatever it says.
    let cvv_ends = outcome.response.is_some() && outcome.cvc_sent && authorised;
    match cvv {
        Some(cvv) if cvv_ends && !approved => app.cvvs.keep(&grant, cvv, now),
        _ if cvv_ends => app.cvvs.forget(&grant),
        _ => {}
    }
    app.store
        .write(move |tx| {
            let macs = parts.root.macs();
            let owner = Owner {
                merchant: &actor.merchant,
                mode: mode.as_str(),
            };
            if cvv_ends {
                cvvs::delete(tx, &grant)?;
            }
            if !sending.finish(tx, macs, &outcome, now)? {
                // Others took this process for dead and recorded `unknown`. That was answered, so it stands.
                return match attempts::find(tx, macs, owner, &body.attempt)? {
                    Some(Recorded::Done { outcome, .. }) => Ok(*outcome),
                    _ => Err(Error::Internal("an attempt is gone")),
                };
            }
            let nothing_sent = outcome.bytes_sent == BytesSent::None;
            let attempt = &body.attempt;
            let given_back = nothing_sent.then_some(target.operation.kind);
            if !opened.close_attempt(tx, macs, given_back)? {
                grants::close_attempt(tx, macs, owner, &grant, attempt, given_back)?;
            }
            if approved {
                opened.activate_pending_card(tx, macs, owner)?;
            }
            let sent = outcome.bytes_sent.as_str();
            audit::record(tx, &actor, Act::ForwardOutcome, attempt, sent, now)?;
            Ok::<_, Error>(outcome.clone())
        })
        .await
}

/// `POST /v1/attempts/close`: the recorded outcome, or, if it never started, the id is made unusable.
pub async fn close(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Close>,
) -> Result<Json<Forwarded>, Error> {
    caller.may("forward")?;
    if !fits(&body.attempt) {
        return Err(Code::InvalidRequest.into());
    }
    if card::filter::holds_card_number(&body.attempt) {
        return Err(Code::CardNumberInWrongPlace.into());
    }
    let (now, mode) = (app.clock.now(), caller.mode);
    let parts = app.clone();
    let outcome = app
        .store
        .write(move |tx| {
            let macs = parts.root.macs();
            let owner = Owner {
                merchant: &caller.merchant,
                mode: mode.as_str(),
            };
            if attempts::insert_closed(tx, macs, owner, &body.attempt, now)? {
                audit::record(
                    tx,
                    &Actor::from(&caller),
                    Act::CloseAttempt,
                    &body.attempt,
                    "none",
                    now,
                )?;
            }
            match attempts::find(tx, macs, owner, &body.attempt)? {
                Some(Recorded::Done { outcome, .. }) => Ok(*outcome),
                Some(Recorded::Sending) => Err(Code::AttemptInFlight.into()),
                // The row may be another mode's: as absent as none.
                None => Err(Error::from(Code::NotFound)),
                Some(Recorded::Closed) => Ok(Forwarded {
                    attempt: body.attempt.clone(),
                    bytes_sent: BytesSent::None,
                    response: None,
                    failure: Some("closed".to_owned()),
                    cvc_sent: false,
                }),
            }
        })
        .await?;
    Ok(Json(outcome))
}

fn check(body: &Forward) -> Result<(), Error> {
    if let Some(values) = &body.three_d_secure {
        template::check_three_d_secure(values)?;
    }
    let ids = fits(&body.attempt) && fits(&body.reference) && !body.destination.is_empty();
    let currency =
        body.currency.len() == 3 && body.currency.bytes().all(|b| b.is_ascii_lowercase());
    if !(ids && currency && body.amount > 0) {
        return Err(Code::InvalidRequest.into());
    }
    if card::filter::holds_card_number(&body.attempt) || template_holds_card_number(&body.body) {
        return Err(Code::CardNumberInWrongPlace.into());
    }
    Ok(())
}

// A number that the caller wrote into its template itself: in metadata, or instead of a placeholder.
fn template_holds_card_number(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => card::filter::holds_card_number(text),
        Value::Number(number) => card::filter::holds_card_number(&number.to_string()),
        Value::Array(items) => items.iter().any(template_holds_card_number),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            card::filter::holds_card_number(name) || template_holds_card_number(value)
        }),
        Value::Null | Value::Bool(_) => false,
    }
}

// Ids of the caller's: typed fields, so that no free text reaches an acquirer through them.
fn fits(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

//! Forward: one send of a card to an acquirer, at most once.
//!
//! The attempt is committed as `sending` before the vault connects; the outcome after. The same attempt id answers
//! what is recorded and never sends again. Reading order: this file, [`destinations`], [`template`], [`wire`].

pub mod destinations;
mod template;
mod wire;

pub use destinations::Destinations;

use axum::extract::State;
use card::{Brand, Expiry};
use pan::{CardData, Cvv};
use store::Tx;
use vault_api::Code;
use vault_api::forward::{Answer, BytesSent, Close, Forward, Forwarded};
use vault_api::keys::Mode;

use crate::audit::{self, Act, Actor};
use crate::crypto::envelope::Place;
use crate::forward::destinations::{Operation, Target};
use crate::http::{Caller, Json};
use crate::private::keyed_hash;
use crate::records::attempts::{self, NewAttempt, Recorded};
use crate::records::cvvs;
use crate::records::grants::{self, GrantRow};
use crate::records::tokens::Owner;
use crate::{App, Error};

/// `POST /v1/forward`.
pub async fn forward(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Forward>,
) -> Result<Json<Forwarded>, Error> {
    caller.may("forward")?;
    check(&body)?;
    // The send goes on when the caller hangs up: its outcome must be recorded.
    let sending = tokio::spawn(send(app, Actor::from(&caller), caller.mode, body));
    sending
        .await
        .map_err(|_| Error::Internal("a send panicked"))?
        .map(Json)
}

async fn send(app: App, actor: Actor, mode: Mode, body: Forward) -> Result<Forwarded, Error> {
    let target = app
        .destinations
        .target(&actor.merchant, &body.destination, &body.operation)?;
    template::check(&body.body, &target.operation)?;
    let started = start(&app, &actor, mode, &body, &target.operation).await?;
    let card = match started {
        Started::Recorded(outcome) => return Ok(*outcome),
        Started::Sending(card) => card,
    };
    let cvc_sent = template::wants_cvc(&body.body);
    let outcome = match template::fill(&body, &target.operation, &card) {
        Ok(request) => {
            drop(card);
            let sent = wire::send(&target, request).await;
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
    finish(&app, actor, mode, body, target, outcome).await
}

enum Started {
    Recorded(Box<Forwarded>),
    Sending(CardData),
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
    app.store
        .write(move |tx| {
            let owner = Owner {
                merchant: &actor.merchant,
                mode: mode.as_str(),
            };
            match attempts::find(tx, owner, &body.attempt)? {
                Some(Recorded::Sending) => return Err(Error::from(Code::AttemptInFlight)),
                Some(Recorded::Closed) => return Err(Code::AttemptClosed.into()),
                Some(Recorded::Done {
                    request_hash,
                    outcome,
                }) => {
                    let same = request_hash == hash;
                    return if same {
                        Ok(Started::Recorded(outcome))
                    } else {
                        Err(Code::IdempotencyMismatch.into())
                    };
                }
                None => {}
            }
            let grant = grants::find(tx, owner, &body.grant)?.ok_or(Code::NotFound)?;
            check_grant(&grant, &body, now)?;
            let card = open(&parts, tx, &grant, &body, now)?;
            if !grants::open_attempt(tx, body.grant.public(), &body.attempt, send)? {
                let busy = grants::has_open_attempt(tx, body.grant.public())?;
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
            if !attempts::insert(tx, owner, &new, now)? {
                return Err(Code::AttemptInFlight.into());
            }
            audit::record(
                tx,
                &actor,
                Act::ForwardSending,
                &body.attempt,
                &body.destination,
                now,
            )?;
            Ok(Started::Sending(card))
        })
        .await
}

fn check_grant(grant: &GrantRow, body: &Forward, now: i64) -> Result<(), Error> {
    if grant.expires_at <= now {
        return Err(Code::GrantExpired.into());
    }
    if body.currency != grant.currency || body.amount > grant.amount {
        return Err(Code::BindingMismatch.into());
    }
    Ok(())
}

// The card, and its CVV when the template asks for it.
fn open(
    app: &App,
    tx: &mut Tx<'_>,
    grant: &GrantRow,
    body: &Forward,
    now: i64,
) -> Result<CardData, Error> {
    let sealed = grant.sealed.as_ref().ok_or(Code::GrantExpired)?;
    let tenant = app.tenants.by_id(tx, &app.root, &sealed.key_id)?;
    let record = body.grant.public();
    let opened = tenant.open_card(
        Place {
            kind: "grant",
            record,
            expires_at: grant.expires_at,
        },
        sealed,
    )?;
    let expiry = Expiry::new(grant.card.exp_year, grant.card.exp_month);
    Ok(CardData {
        number: opened.number,
        expiry: expiry.ok_or(Error::Internal("a kept card has no expiry"))?,
        cvc: if template::wants_cvc(&body.body) {
            Some(cvv(app, tx, body, grant, now)?)
        } else {
            None
        },
        name: opened.name,
    })
}

fn cvv(
    app: &App,
    tx: &mut Tx<'_>,
    body: &Forward,
    grant: &GrantRow,
    now: i64,
) -> Result<Cvv, Error> {
    let sealed = cvvs::find(tx, body.grant.public())?.ok_or(Code::CvcGone)?;
    crate::replicas::fetch(app, tx, &sealed.key, now)?;
    let brand = Brand::from_id(&grant.card.brand).unwrap_or(Brand::Unknown);
    let opened = app.epochs.open(
        &sealed,
        body.grant.secret(),
        body.grant.public(),
        brand,
        now,
    );
    opened.map_err(|_| Code::CvcGone.into())
}

fn outcome(body: &Forward, target: &Target, sent: wire::Sent, cvc_sent: bool) -> Forwarded {
    let (response, failure) = match sent.answer {
        Ok(answer) => {
            let allowed = template::allowed(&answer.body, &target.operation);
            (
                Some(Answer {
                    status: answer.status,
                    body: allowed,
                }),
                None,
            )
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
) -> Result<Forwarded, Error> {
    let now = app.clock.now();
    app.store
        .write(move |tx| {
            let owner = Owner {
                merchant: &actor.merchant,
                mode: mode.as_str(),
            };
            if attempts::finish(tx, owner, &body.attempt, &outcome, now)? {
                let nothing_sent = outcome.bytes_sent == BytesSent::None;
                let grant = body.grant.public();
                grants::close_attempt(
                    tx,
                    grant,
                    &body.attempt,
                    target.operation.kind,
                    nothing_sent,
                )?;
                if outcome.response.is_some()
                    && outcome.cvc_sent
                    && target.operation.kind == grants::Send::Authorise
                {
                    // PCI DSS 3.3.1: the first complete response ends the CVV, whatever it says.
                    cvvs::delete(tx, grant)?;
                }
                if target.operation.approves(outcome.response.as_ref()) {
                    grants::activate_pending_card(tx, grant)?;
                }
                audit::record(
                    tx,
                    &actor,
                    Act::ForwardOutcome,
                    &body.attempt,
                    outcome.bytes_sent.as_str(),
                    now,
                )?;
            }
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
    let (now, mode) = (app.clock.now(), caller.mode);
    let outcome = app
        .store
        .write(move |tx| {
            let owner = Owner {
                merchant: &caller.merchant,
                mode: mode.as_str(),
            };
            if attempts::insert_closed(tx, owner, &body.attempt, now)? {
                audit::record(
                    tx,
                    &Actor::from(&caller),
                    Act::CloseAttempt,
                    &body.attempt,
                    "none",
                    now,
                )?;
            }
            match attempts::find(tx, owner, &body.attempt)? {
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
    let ids = fits(&body.attempt) && fits(&body.reference) && !body.destination.is_empty();
    let currency =
        body.currency.len() == 3 && body.currency.bytes().all(|b| b.is_ascii_lowercase());
    if ids && currency && body.amount > 0 {
        Ok(())
    } else {
        Err(Code::InvalidRequest.into())
    }
}

// Ids of the caller's: typed fields, so that no free text reaches an acquirer through them.
fn fits(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

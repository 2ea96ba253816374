//! One send, which the vault does, and what it says of one that nobody heard the end of.

use store::Tx;
use vault_api::forward::{BytesSent, Forward, Forwarded, ThreeDSecure};
use vault_api::tokens::GrantInfo;

use super::{Attempt, adopt};
use crate::app::App;
use crate::connectors::{Acquirer, Authorise};
use crate::error::Error;
use crate::outcome::Outcome;
use crate::routing::health::Ending;
use crate::three_ds::{self, Authentication};
use crate::vault::Failure;

/// Has the vault send the card, if the acquirer may have another send under way.
pub async fn send(
    app: &App,
    attempt: &Attempt,
    grant: &GrantInfo,
    cvc: bool,
) -> Result<(Outcome, bool), Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    let Some(_permit) = acquirer.health.send() else {
        let why = "as many sends as it may have are under way";
        return Ok((Outcome::not_sent(why.into()), false));
    };
    acquirer.health.begins(app.clock.now_ms());
    let sent = send_with_permit(app, acquirer, attempt, grant, cvc).await?;
    note(app, acquirer, &sent.0);
    Ok(sent)
}

// What came of a send, for the breaker and the route's figures. A vault that cannot be reached says nothing about the
// acquirer.
fn note(app: &App, acquirer: &Acquirer, outcome: &Outcome) {
    let ending = match outcome {
        Outcome::Approved(_) => Ending::Approved,
        Outcome::Declined(_) => Ending::Declined,
        Outcome::NotSent { again: false, .. } | Outcome::Unknown(_) => Ending::Failed,
        _ => return,
    };
    let (health, name) = (&acquirer.health, acquirer.name());
    let now_ms = app.clock.now_ms();
    if health.ended(ending, now_ms) {
        let state = if health.is_open(now_ms) {
            "open"
        } else {
            "closed"
        };
        tracing::warn!(acquirer = name, state, "breaker");
    }
    let labels = [("acquirer", name)];
    let open = f64::from(u8::from(health.is_open(now_ms)));
    app.metrics.set("payments_route_open", &labels, open);
    let in_flight = health.in_flight() as f64;
    app.metrics
        .set("payments_route_in_flight", &labels, in_flight);
    app.metrics
        .set("payments_route_answered_ratio", &labels, health.success());
    if let Some(rate) = health.approval_rate() {
        app.metrics
            .set("payments_route_approval_ratio", &labels, rate);
    }
}

async fn send_with_permit(
    app: &App,
    acquirer: &Acquirer,
    attempt: &Attempt,
    grant: &GrantInfo,
    cvc: bool,
) -> Result<(Outcome, bool), Error> {
    let merchant = attempt.owner.merchant.as_str();
    let (operation, body) = acquirer.connector.authorise(&Authorise {
        merchant,
        capture: attempt.capture,
        cvc,
        credential: attempt.carried.credential.as_ref(),
        exemption: attempt.carried.exemption,
        address: attempt.carried.address.as_ref(),
    });
    let forward = Forward {
        attempt: attempt.id.clone(),
        grant: grant.id.clone(),
        destination: acquirer.destination().to_owned(),
        operation: operation.to_owned(),
        amount: attempt.amount,
        currency: attempt.currency.clone(),
        reference: attempt.reference.clone(),
        body,
        three_d_secure: authenticated(app, attempt).await?,
        dry_run: false,
    };
    match app
        .vault
        .forward(acquirer.forward_client(), merchant, &forward)
        .await
    {
        Ok(forwarded) => Ok((classify(acquirer, attempt, &forwarded), forwarded.cvc_sent)),
        Err(Failure::NotSent(why)) => Ok((Outcome::not_sent(why), false)),
        Err(failure) => {
            tracing::warn!(attempt = attempt.id, %failure, "the vault did not say how the send went");
            let gone = matches!(&failure, Failure::Refused(problem) if problem.code == "cvc_gone");
            let (mut outcome, cvc_sent) = close(app, attempt).await?;
            if let Outcome::NotSent {
                again, cvc_gone, ..
            } = &mut outcome
            {
                (*again, *cvc_gone) = (gone && cvc, gone);
            }
            Ok((outcome, cvc_sent))
        }
    }
}

// What the issuer gave for it, when the buyer was authenticated.
async fn authenticated(app: &App, attempt: &Attempt) -> Result<Option<ThreeDSecure>, Error> {
    let Some(id) = attempt.carried.authentication.clone() else {
        return Ok(None);
    };
    let read = move |tx: &mut Tx<'_>| Authentication::find(tx, &id);
    let found = app.store.read(read).await?;
    Ok(found.as_ref().and_then(three_ds::outcome::values))
}

/// Closes an attempt at the vault: its recorded outcome, or the certainty that it never starts.
pub async fn close(app: &App, attempt: &Attempt) -> Result<(Outcome, bool), Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    match app.vault.close(&attempt.owner.merchant, &attempt.id).await {
        Ok(forwarded) => {
            let mut outcome = classify(acquirer, attempt, &forwarded);
            if let Outcome::NotSent { again, .. } = &mut outcome {
                // It never started, so the same acquirer has not been asked.
                *again = forwarded
                    .failure
                    .as_deref()
                    .is_none_or(|failure| failure == "closed");
            }
            Ok((outcome, forwarded.cvc_sent))
        }
        Err(failure) => {
            tracing::warn!(attempt = attempt.id, %failure, "an attempt could not be closed at the vault yet");
            Ok((Outcome::Open, false))
        }
    }
}

fn classify(acquirer: &Acquirer, attempt: &Attempt, forwarded: &Forwarded) -> Outcome {
    if forwarded.attempt != attempt.id {
        return Outcome::Unknown("the vault answered about another attempt".into());
    }
    let Some(answer) = &forwarded.response else {
        let why = forwarded.failure.clone().unwrap_or_default();
        return match forwarded.bytes_sent {
            BytesSent::None => Outcome::not_sent(why),
            _ => Outcome::Unknown(why),
        };
    };
    match acquirer
        .connector
        .read_authorisation(answer.status, &answer.body)
    {
        Some(payment) => adopt(attempt, payment),
        None => Outcome::Unknown(format!("status {} without a valid answer", answer.status)),
    }
}

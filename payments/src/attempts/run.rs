//! A confirmation's sends, one acquirer after the other, until something is decided.

use store::Tx;
use vault_api::tokens::GrantInfo;

use super::send::{close, send};
use super::{Attempt, of_confirmation};
use crate::app::App;
use crate::error::Error;
use crate::intents::Intent;
use crate::intents::confirm::{Answer, Confirm};
use crate::outcome::{self, Outcome};
use crate::risk;
use crate::routing::{self, limits};
use crate::three_ds;

/// Sends the first attempt (or, when it is not `fresh`, asks the vault what became of it), then goes on with the
/// next acquirer for as long as nothing was decided. The answer to the call that waits for it (`wanted`), where the last
/// attempt was settled with it.
pub async fn run(
    app: &App,
    first: Attempt,
    fresh: bool,
    grant: Option<GrantInfo>,
    wanted: Option<&Confirm>,
) -> Result<Option<Answer>, Error> {
    let (mut current, mut send_it) = (first, fresh);
    let mut tried = vec![current.acquirer.clone()];
    let mut cvc = grant.as_ref().is_some_and(|grant| grant.cvc);
    // One send per acquirer, and one more for a resumed one that had never started or lost its security code.
    for _ in 0..=app.acquirers.len() + 1 {
        let (outcome, cvc_sent) = match (&grant, send_it) {
            _ if send_it && current.is_blocked() => (Outcome::Declined(risk::refused()), false),
            (Some(grant), true) => match limits::refusal(app, &current, false).await? {
                Some(refused) => (Outcome::Declined(refused), false),
                None => send(app, &current, grant, cvc).await?,
            },
            _ => {
                let (outcome, cvc_sent) = close(app, &current).await?;
                (current.ruled_out(outcome), cvc_sent)
            }
        };
        // PCI DSS 3.3.1: the code does not outlive the first complete answer, so the next send goes without it.
        cvc &= !cvc_sent;
        let next = match (&outcome, &grant) {
            (Outcome::NotSent { again: true, .. }, Some(_)) => {
                app.acquirers.iter().find(|a| a.name() == current.acquirer)
            }
            (outcome, Some(_)) if outcome.may_go_elsewhere() => {
                let declined = matches!(outcome, Outcome::Declined(_));
                match declined && limits::refusal(app, &current, true).await?.is_some() {
                    true => None,
                    false => routing::next(app, &current, &tried).await?,
                }
            }
            _ => None,
        };
        if let Outcome::NotSent {
            again: true,
            cvc_gone: true,
            ..
        } = &outcome
        {
            cvc = false;
        }
        let next = next.map(|acquirer| current.following(app, acquirer));
        if matches!(outcome, Outcome::Open) {
            // The vault is still sending, or out of reach: the resolver asks again, soon.
            crate::resolver::put_off(app, &current, 1).await?;
        }
        let step_up = match &grant {
            Some(_) if next.is_none() => three_ds::step_up(app, &current, &outcome),
            _ => None,
        };
        let follows = (next.clone(), step_up.as_ref());
        let settled = outcome::settle(app, &current, outcome, follows, wanted).await?;
        match next.filter(|_| settled.changed) {
            None => return Ok(settled.answer),
            Some(next) => {
                tried.push(next.acquirer.clone());
                (current, send_it) = (next, true);
            }
        }
    }
    Ok(None)
}

/// The last attempt of a confirmation.
pub async fn last(app: &App, confirmation: &str) -> Result<Attempt, Error> {
    let all = of_confirmation(app, confirmation).await?;
    let last = all.into_iter().last();
    last.ok_or(Error::Internal("an attempt is gone"))
}

/// What the confirmation's caller is told: nothing wrong, or the decline.
pub async fn verdict(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let Some(mut error) = attempt.error.clone() else {
        return Ok(());
    };
    let (owner, id) = (attempt.owner.clone(), attempt.intent.clone());
    let intent = app
        .store
        .look_up(move |tx: &mut Tx<'_>| Intent::load(tx, &owner, &id))
        .await?;
    error["payment_intent"] = intent.object(&app.seal);
    Err(Error::Card(error))
}

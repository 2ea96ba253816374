//! The outcome of an attempt: attempt, intent, charge, ledger and events move together, in one transaction, once. [`step`] has what each
//! outcome changes.

mod step;

use store::Tx;

use crate::app::App;
use crate::attempts::Attempt;
use crate::connectors::{Class, Payment, Verdict};
use crate::cvc_tokens;
use crate::error::Error;
use crate::intents::confirm::{Answer, Confirm};
use crate::late;
use crate::risk::{self, Assessment};
use crate::three_ds::Authentication;
use step::Step;

/// What is known of an attempt.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Certainly nothing was sent. `again`: the same acquirer may be asked, it has not been.
    NotSent {
        why: String,
        again: bool,
        cvc_gone: bool,
    },
    Approved(Payment),
    Declined(Payment),
    /// The issuer approved it, and a fraud rule will not have it: it is reversed.
    Blocked(Payment, Assessment),
    /// Something may have been sent: the acquirer has to be asked.
    Unknown(String),
    /// Not even the vault could be asked yet: it stays as it is.
    Open,
    /// The acquirer knows nothing of it, twice, after its time to settle.
    NotCharged,
}

impl Outcome {
    pub fn not_sent(why: String) -> Self {
        Self::NotSent {
            why,
            again: false,
            cvc_gone: false,
        }
    }

    /// Whether another acquirer may be asked: nothing was decided, or only that it does not work here.
    pub fn may_go_elsewhere(&self) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::Declined(payment) => {
                matches!(&payment.verdict, Verdict::Declined(decline) if decline.class == Class::Soft)
            }
            _ => false,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Approved(_) => "approved",
            Self::Declined(_) => "declined",
            Self::Blocked(..) => "blocked",
            Self::Unknown(_) => "unknown",
            Self::Open => "open",
            Self::NotCharged => "not_charged",
        }
    }
}

/// What a settlement did.
pub struct Settled {
    /// False when somebody else had settled the attempt before.
    pub changed: bool,
    /// What the caller is told, where that is known with the outcome.
    pub answer: Option<Answer>,
}

/// Commits an outcome. The attempt or the authentication that follows is committed in the same transaction, and the
/// intent stays `processing`; so is the answer to the call that waits for the outcome (`wanted`).
pub async fn settle(
    app: &App,
    attempt: &Attempt,
    outcome: Outcome,
    (next, step_up): (Option<Attempt>, Option<&Authentication>),
    wanted: Option<&Confirm>,
) -> Result<Settled, Error> {
    let (attempt, outcome) = &judged(app, attempt, outcome);
    let name = outcome.name();
    app.metrics.count(
        "payments_attempts_total",
        &[("acquirer", &attempt.acquirer), ("outcome", name)],
    );
    match outcome {
        Outcome::NotSent { why, .. } | Outcome::Unknown(why) => {
            tracing::warn!(
                attempt = attempt.id,
                acquirer = attempt.acquirer,
                outcome = name,
                why,
                "attempt"
            );
        }
        _ => tracing::info!(
            attempt = attempt.id,
            acquirer = attempt.acquirer,
            outcome = name,
            "attempt"
        ),
    }
    let (shared, now_ms) = (app.clone(), app.clock.now_ms());
    let (step_up, wanted) = (step_up.cloned(), wanted.cloned());
    let subject = wanted.as_ref().map(|wanted| wanted.confirmation.clone());
    let blocked = match outcome {
        Outcome::Blocked(payment, _) => Some(payment.clone()),
        _ => None,
    };
    let (settling, outcome) = (attempt.clone(), outcome.clone());
    let acquirer = app.acquirer(&attempt.acquirer)?;
    let (fees, authorisation_days) = (acquirer.fees().clone(), acquirer.authorisation_days());
    let write = move |tx: &mut Tx<'_>| {
        let mut step = Step {
            tx,
            app: &shared,
            seal: &shared.seal,
            attempt: &settling,
            fees: &fees,
            authorisation_days,
            now_ms,
            intent: None,
            decline: None,
        };
        let is_over = step_up.is_none() && next.is_none();
        if is_over && !matches!(outcome, Outcome::Open | Outcome::Unknown(_)) {
            cvc_tokens::forget(step.tx, &step.attempt.confirmation)?;
        }
        let changed = match &outcome {
            Outcome::Open => false,
            Outcome::Unknown(_) => step.unknown()?,
            Outcome::Approved(payment) => step.approved(payment)?,
            Outcome::Declined(_) if step_up.is_some() => step.step_up(step_up.as_ref())?,
            Outcome::Declined(payment) => step.declined(payment, next.as_ref())?,
            Outcome::Blocked(payment, assessment) => step.blocked(payment, assessment)?,
            Outcome::NotSent { .. } => step.failed(false, next.as_ref())?,
            Outcome::NotCharged => step.failed(true, None)?,
        };
        let is_decided = matches!(outcome, Outcome::Approved(_) | Outcome::Declined(_));
        let answer = match (&wanted, step.intent.take()) {
            (Some(wanted), Some(intent)) if changed && is_over && is_decided => {
                wanted.answer(step.tx, &shared, &intent, step.decline.take())?
            }
            _ => None,
        };
        Ok::<_, Error>(Settled { changed, answer })
    };
    let settled = app.store.write(write).await?;
    if let (Some(subject), Some(_)) = (subject, &settled.answer) {
        subject.has_kept();
    }
    app.deliver.notify_one();
    if name == "unknown" {
        app.resolve.notify_one();
    }
    if let Some(payment) = blocked.filter(|_| settled.changed) {
        late::take_back(app, attempt, &payment).await?;
    }
    Ok(settled)
}

// What the fraud rules make of an approval.
fn judged(app: &App, attempt: &Attempt, outcome: Outcome) -> (Attempt, Outcome) {
    let mut attempt = attempt.clone();
    let judged = attempt.carried.risk.clone();
    if let (Some(before), Outcome::Approved(payment)) = (judged, &outcome) {
        let paid = (attempt.amount, attempt.currency.as_str());
        let after = risk::after(&app.risk, &attempt.owner, &before, payment, paid);
        risk::note(app, after.as_ref().unwrap_or(&before));
        match after {
            Some(after) if after.blocks() => {
                let blocked = Outcome::Blocked(payment.clone(), after);
                return (attempt, blocked);
            }
            Some(after) => attempt.carried.risk = Some(after),
            None => {}
        }
    }
    (attempt, outcome)
}

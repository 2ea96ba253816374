//! The outcome of an attempt: attempt, intent, charge, ledger and events move together, in one transaction, once.

use serde_json::{Value, json};
use store::{Tx, params};

use crate::app::{App, Shared};
use crate::attempts::Attempt;
use crate::charges::Charge;
use crate::checkout::lifecycle;
use crate::config::Fees;
use crate::connectors::responses::PROCESSING_ERROR;
use crate::connectors::{Class, Decline, Payment, Verdict};
use crate::cvc_tokens;
use crate::error::Error;
use crate::events;
use crate::intents::confirm::{Answer, Confirm};
use crate::intents::{self, Intent};
use crate::late;
use crate::ledger;
use crate::payment_methods::{self, PaymentMethod, forget_token};
use crate::risk::{self, Action, Assessment, reviews};
use crate::seal::Seal;
use crate::three_ds::carried::remember_network_transaction;
use crate::three_ds::exemptions;
use crate::three_ds::{self, Authentication};

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

/// One settlement under way.
struct Step<'a, 'c> {
    tx: &'a mut Tx<'c>,
    app: &'a Shared,
    seal: &'a Seal,
    attempt: &'a Attempt,
    fees: &'a Fees,
    /// How long the acquirer holds what is not captured.
    authorisation_days: i64,
    now_ms: i64,
    /// The intent as it is left.
    intent: Option<Intent>,
    /// What the caller is told of a decline.
    decline: Option<Value>,
}

impl Step<'_, '_> {
    /// Leaves the open states; whoever comes second changes nothing.
    fn leave_open(
        &mut self,
        state: &str,
        charge: Option<&str>,
        error: Option<&Value>,
    ) -> Result<bool, Error> {
        let changed = self.tx.execute(
            "update attempts set state = $2, charge = $3, error = $4 where id = $1 and state in ('sending', 'unknown')",
            params![&self.attempt.id, state, charge.map(str::to_owned), error.map(Value::to_string)],
        )?;
        Ok(changed == 1)
    }

    fn unknown(&mut self) -> Result<bool, Error> {
        let changed = self.tx.execute(
            "update attempts set state = 'unknown', next_check_at = $2 where id = $1 and state = 'sending'",
            params![&self.attempt.id, self.now_ms.div_euclid(1000)],
        )?;
        if changed == 1 {
            let intent = Intent::load(self.tx, &self.attempt.owner, &self.attempt.intent)?;
            self.emit("payment_intent.processing", intent.object(self.seal))?;
        }
        Ok(changed == 1)
    }

    fn approved(&mut self, payment: &Payment) -> Result<bool, Error> {
        let captured = payment.verdict == Verdict::Captured;
        let mut charge = self.charge(payment, None);
        if !captured {
            let held_s = self.authorisation_days * 24 * 60 * 60;
            charge.capture_before = Some(self.now_ms.div_euclid(1000) + held_s);
        }
        let state = if captured { "captured" } else { "authorized" };
        if !self.leave_open(state, Some(&charge.id), None)? {
            return Ok(false);
        }
        charge.insert(self.tx)?;
        let attempt = self.attempt;
        three_ds::outcome::mark(self.tx, attempt, &charge.id)?;
        let (status, received, capturable) = if captured {
            ("succeeded", attempt.amount, 0)
        } else {
            ("requires_capture", 0, attempt.amount)
        };
        let intent = self.move_intent(
            "status = $2, amount_received = $3, amount_capturable = $4, latest_charge = $5, last_payment_error = null",
            params![&attempt.intent, status, received, capturable, &charge.id],
        )?;
        let carried = &attempt.carried;
        let authenticated = carried.authentication.is_some();
        let (confirmation, exemption) = (&attempt.confirmation, carried.exemption);
        exemptions::approved(
            self.tx,
            confirmation,
            exemption,
            authenticated,
            attempt.amount,
        )?;
        self.keep_card(&intent)?;
        // Only a card that is kept, or was, has the scheme's id to remember.
        if carried.credential.is_some() {
            let network = payment.facts.network_transaction_id.as_deref();
            remember_network_transaction(self.tx, &attempt.payment_method, network)?;
        }
        if captured {
            let rate = attempt.carried.conversion.as_ref();
            ledger::sale(self.tx, &charge, rate, self.fees, self.now_ms)?;
        } else {
            ledger::hold(self.tx, &charge, self.now_ms)?;
        }
        if charge
            .risk
            .as_ref()
            .is_some_and(|risk| risk.action == Action::Review)
        {
            reviews::open(self.tx, &charge, &attempt.origin, self.now_ms)?;
        }
        self.emit_charge("charge.succeeded", &charge.id)?;
        let kind = if captured {
            "payment_intent.succeeded"
        } else {
            "payment_intent.amount_capturable_updated"
        };
        self.emit(kind, intent.object(self.seal))?;
        let session = intent.details.checkout_session.as_deref();
        lifecycle::complete(self.tx, self.app, session, &attempt.origin, self.now_ms)?;
        Ok(true)
    }

    // A stored card that was asked for is active when the vault itself saw the approval, not when we learned of it by
    // asking the acquirer.
    fn keep_card(&mut self, intent: &Intent) -> Result<(), Error> {
        let attempt = self.attempt;
        if attempt.state == "unknown" {
            return forget_token(self.tx, &attempt.payment_method);
        }
        let customer = intent.customer.as_deref();
        if !payment_methods::approved(self.tx, &attempt.payment_method, customer)? {
            return Ok(());
        }
        let method = PaymentMethod::find(self.tx, &attempt.owner, &attempt.payment_method)?;
        let object = method
            .ok_or(Error::Internal("a payment method is gone"))?
            .object();
        self.emit("payment_method.attached", object)
    }

    // Moves the intent out of `processing`; as it is then, also when somebody else had moved it.
    fn move_intent(&mut self, sets: &str, values: &[store::Value]) -> Result<Intent, Error> {
        let columns = intents::LISTED.columns;
        let sql = format!(
            "update payment_intents set {sets} where id = $1 and status = 'processing' returning {columns}"
        );
        let intent = match self.tx.first(&sql, values)? {
            Some(row) => Intent::from_row(&row)?,
            None => Intent::load(self.tx, &self.attempt.owner, &self.attempt.intent)?,
        };
        self.intent = Some(intent.clone());
        Ok(intent)
    }

    // The issuer wants the buyer authenticated: no charge yet, and no failure.
    fn step_up(&mut self, authentication: Option<&Authentication>) -> Result<bool, Error> {
        if !self.leave_open("declined", None, None)? {
            return Ok(false);
        }
        authentication
            .map_or(Ok(()), |begun| begun.insert(self.tx))
            .map(|()| true)
    }

    fn declined(&mut self, payment: &Payment, next: Option<&Attempt>) -> Result<bool, Error> {
        let Verdict::Declined(decline) = &payment.verdict else {
            return Err(Error::Internal("a decline that is none"));
        };
        let charge = self.charge(payment, Some(decline));
        let error = self.error_object(
            decline,
            Some(&charge.id),
            payment.facts.response_code.as_deref(),
        )?;
        if !self.leave_open("declined", Some(&charge.id), Some(&error))? {
            return Ok(false);
        }
        charge.insert(self.tx)?;
        three_ds::outcome::mark(self.tx, self.attempt, &charge.id)?;
        self.emit_charge("charge.failed", &charge.id)?;
        match next {
            Some(next) => next.insert(self.tx)?,
            None => {
                forget_token(self.tx, &self.attempt.payment_method)?;
                self.give_back(&error, Some(&charge.id))?;
                self.decline = Some(error);
            }
        }
        Ok(true)
    }

    // Approved at the acquirer until it is taken back, and a failed payment to everybody else.
    fn blocked(&mut self, payment: &Payment, assessment: &Assessment) -> Result<bool, Error> {
        let mut charge = self.charge(payment, Some(&risk::BLOCKED));
        charge.risk = Some(assessment.clone());
        let error = self.error_object(&risk::BLOCKED, Some(&charge.id), None)?;
        if !self.leave_open("failed", Some(&charge.id), Some(&error))? {
            return Ok(false);
        }
        charge.insert(self.tx)?;
        three_ds::outcome::mark(self.tx, self.attempt, &charge.id)?;
        late::watch(self.tx, &self.attempt.id, late::AGAIN_S, self.now_ms)?;
        self.emit_charge("charge.failed", &charge.id)?;
        forget_token(self.tx, &self.attempt.payment_method)?;
        self.give_back(&error, Some(&charge.id))?;
        Ok(true)
    }

    fn failed(&mut self, card_used: bool, next: Option<&Attempt>) -> Result<bool, Error> {
        let error = self.error_object(&PROCESSING_ERROR, None, None)?;
        if !self.leave_open("failed", None, Some(&error))? {
            return Ok(false);
        }
        if let Some(next) = next {
            next.insert(self.tx)?;
            return Ok(true);
        }
        if card_used {
            // Whoever said that nothing was charged may be wrong.
            late::watch(self.tx, &self.attempt.id, late::FIRST_S, self.now_ms)?;
        }
        // A card that was never sent may be confirmed once more for the same intent: its token stays.
        if card_used {
            forget_token(self.tx, &self.attempt.payment_method)?;
        }
        self.give_back(&error, None)?;
        Ok(true)
    }

    // There is no status `failed`: the intent asks for another payment method.
    fn give_back(&mut self, error: &Value, charge: Option<&str>) -> Result<(), Error> {
        let intent = self.move_intent(
            "status = 'requires_payment_method', payment_method = null, last_payment_error = $2,
                 latest_charge = coalesce($3, latest_charge)",
            params![
                &self.attempt.intent,
                error.to_string(),
                charge.map(str::to_owned)
            ],
        )?;
        self.emit("payment_intent.payment_failed", intent.object(self.seal))
    }

    fn charge(&self, payment: &Payment, decline: Option<&Decline>) -> Charge {
        Charge::of_attempt(self.attempt, payment, decline, self.now_ms)
    }

    fn error_object(
        &mut self,
        decline: &Decline,
        charge: Option<&str>,
        response_code: Option<&str>,
    ) -> Result<Value, Error> {
        let method =
            PaymentMethod::find(self.tx, &self.attempt.owner, &self.attempt.payment_method)?;
        let mut error = json!({
            "type": "card_error",
            "code": decline.code,
            "decline_code": decline.decline_code,
            "message": decline.message,
            "advice_code": decline.advice,
            "payment_method": method.map(|method| method.object()),
        });
        for (name, value) in [("charge", charge), ("network_decline_code", response_code)] {
            if let Some(value) = value {
                error[name] = json!(value);
            }
        }
        Ok(error)
    }

    fn emit_charge(&mut self, kind: &str, id: &str) -> Result<(), Error> {
        let charge = Charge::find(self.tx, &self.attempt.owner, id)?;
        let object = charge.ok_or(Error::Internal("a charge is gone"))?.object();
        self.emit(kind, object)
    }

    fn emit(&mut self, kind: &str, object: Value) -> Result<(), Error> {
        let Attempt { owner, origin, .. } = self.attempt;
        events::emit(self.tx, owner, kind, object, origin, self.now_ms)
    }
}

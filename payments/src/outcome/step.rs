//! What each outcome of an attempt changes.

use serde_json::{Value, json};
use store::{Tx, params};

use crate::app::Shared;
use crate::attempts::Attempt;
use crate::charges::Charge;
use crate::checkout::lifecycle;
use crate::config::Fees;
use crate::connectors::responses::PROCESSING_ERROR;
use crate::connectors::{Decline, Payment, Verdict};
use crate::error::Error;
use crate::events;
use crate::intents::{self, Intent};
use crate::late;
use crate::ledger;
use crate::payment_methods::{self, PaymentMethod, forget_token};
use crate::risk::{self, Action, Assessment, reviews};
use crate::seal::Seal;
use crate::three_ds::carried::remember_network_transaction;
use crate::three_ds::exemptions;
use crate::three_ds::{self, Authentication};

/// One settlement under way.
pub struct Step<'a, 'c> {
    pub tx: &'a mut Tx<'c>,
    pub app: &'a Shared,
    pub seal: &'a Seal,
    pub attempt: &'a Attempt,
    pub fees: &'a Fees,
    /// How long the acquirer holds what is not captured.
    pub authorisation_days: i64,
    pub now_ms: i64,
    /// The intent as it is left.
    pub intent: Option<Intent>,
    /// What the caller is told of a decline.
    pub decline: Option<Value>,
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

    pub fn unknown(&mut self) -> Result<bool, Error> {
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

    pub fn approved(&mut self, payment: &Payment) -> Result<bool, Error> {
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
    pub fn step_up(&mut self, authentication: Option<&Authentication>) -> Result<bool, Error> {
        if !self.leave_open("declined", None, None)? {
            return Ok(false);
        }
        authentication
            .map_or(Ok(()), |begun| begun.insert(self.tx))
            .map(|()| true)
    }

    pub fn declined(&mut self, payment: &Payment, next: Option<&Attempt>) -> Result<bool, Error> {
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
    pub fn blocked(&mut self, payment: &Payment, assessment: &Assessment) -> Result<bool, Error> {
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

    pub fn failed(&mut self, card_used: bool, next: Option<&Attempt>) -> Result<bool, Error> {
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

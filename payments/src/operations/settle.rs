//! What a definite answer to an operation changes: operation, charge, intent or refund, ledger and events, in one
//! transaction, once.

use serde_json::Value;
use store::{Tx, params};

use super::{Operation, kind_name};
use crate::app::App;
use crate::charges::Charge;
use crate::config::Fees;
use crate::connectors::{Done, Operation as Kind};
use crate::error::Error;
use crate::events;
use crate::intents::Intent;
use crate::ledger;
use crate::refunds;
use crate::risk::reviews;
use crate::seal::Seal;

/// Commits the answer.
pub async fn settle(
    app: &App,
    operation: &Operation,
    charge: Charge,
    done: Done,
) -> Result<(), Error> {
    let (ok, code) = match done {
        Done::No(code) => (false, code),
        _ => (true, String::new()),
    };
    tracing::info!(
        operation = operation.id,
        kind = kind_name(operation.kind),
        ok,
        "operation settled"
    );
    let (shared, operation, now_ms) = (app.clone(), operation.clone(), app.clock.now_ms());
    let fees = app.acquirer(&charge.acquirer)?.fees().clone();
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let state = if ok { "succeeded" } else { "failed" };
        let changed = tx.execute(
            "update operations set state = $2 where id = $1 and state = 'pending'",
            params![&operation.id, state],
        )?;
        if changed == 0 {
            return Ok(());
        }
        let mut step = Step {
            tx,
            seal: &shared.seal,
            operation: &operation,
            charge: &charge,
            fees: &fees,
            code: &code,
            now_ms,
        };
        match (operation.kind, ok) {
            (Kind::Capture, true) => step.captured(),
            (Kind::Void, true) => step.voided(),
            (Kind::Refund, true) => step.refunded(),
            (Kind::Capture | Kind::Void, false) => step.back_to_capture(),
            (Kind::Refund, false) => step.refund_failed(),
        }
    };
    app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(())
}

/// One settlement under way.
struct Step<'a, 'c> {
    tx: &'a mut Tx<'c>,
    seal: &'a Seal,
    operation: &'a Operation,
    charge: &'a Charge,
    fees: &'a Fees,
    /// Of a no.
    code: &'a str,
    now_ms: i64,
}

impl<'a> Step<'a, '_> {
    fn captured(&mut self) -> Result<(), Error> {
        let amount = self.operation.amount;
        self.tx.execute(
            "update charges set captured = 1, amount_captured = $2, expiry_check_at = null where id = $1",
            params![&self.charge.id, amount],
        )?;
        self.tx.execute(
            "update payment_intents set status = 'succeeded', amount_received = $2, amount_capturable = 0
             where id = $1 and status = 'processing'",
            params![&self.operation.intent, amount],
        )?;
        let rate = self.operation.conversion.as_ref();
        ledger::capture(self.tx, self.charge, amount, rate, self.fees, self.now_ms)?;
        self.emit_charge("charge.captured")?;
        self.emit_intent("payment_intent.succeeded")
    }

    fn voided(&mut self) -> Result<(), Error> {
        self.tx.execute(
            "update payment_intents set status = 'canceled', amount_capturable = 0, canceled_at = $2,
                 cancellation_reason = $3 where id = $1 and status = 'processing'",
            params![&self.operation.intent, self.now_ms.div_euclid(1000), self.operation.reason.clone()],
        )?;
        self.tx.execute(
            "update charges set expiry_check_at = null where id = $1",
            params![&self.charge.id],
        )?;
        ledger::release_hold(self.tx, self.charge, self.now_ms)?;
        self.close_review("canceled")?;
        self.emit_intent("payment_intent.canceled")
    }

    fn back_to_capture(&mut self) -> Result<(), Error> {
        self.tx.execute(
            "update payment_intents set status = 'requires_capture' where id = $1 and status = 'processing'",
            params![&self.operation.intent],
        )?;
        Ok(())
    }

    fn refunded(&mut self) -> Result<(), Error> {
        let amount = self.operation.amount;
        self.tx.execute(
            "update charges set amount_refunded = amount_refunded + $2, refund_reserved = refund_reserved - $2
             where id = $1",
            params![&self.charge.id, amount],
        )?;
        let id = self.move_refund("succeeded", None)?;
        ledger::settle_refund(self.tx, self.charge, id, amount, self.now_ms)?;
        self.emit_refund("refund.updated", id)?;
        let charge = Charge::find(self.tx, &self.operation.owner, &self.charge.id)?;
        if charge.is_some_and(|charge| charge.amount_refunded == charge.amount_captured) {
            self.close_review("refunded")?;
        }
        self.emit_charge("charge.refunded")
    }

    fn refund_failed(&mut self) -> Result<(), Error> {
        let amount = self.operation.amount;
        self.tx.execute(
            "update charges set refund_reserved = refund_reserved - $2 where id = $1",
            params![&self.charge.id, amount],
        )?;
        let why = refunds::failure_reason(self.code);
        let id = self.move_refund("failed", Some(why))?;
        ledger::release_refund(self.tx, self.charge, id, amount, self.now_ms)?;
        self.emit_refund("refund.failed", id)
    }

    fn emit_refund(&mut self, kind: &str, id: &str) -> Result<(), Error> {
        let (owner, origin) = (&self.operation.owner, &self.operation.origin);
        refunds::emit(self.tx, owner, kind, id, origin, self.now_ms)
    }

    fn move_refund(&mut self, status: &str, why: Option<&str>) -> Result<&'a str, Error> {
        let id = self
            .operation
            .refund
            .as_deref()
            .ok_or(Error::Internal("a refund without its row"))?;
        self.tx.execute(
            "update refunds set status = $2, failure_reason = $3 where id = $1 and status = 'pending'",
            params![id, status, why.map(str::to_owned)],
        )?;
        Ok(id)
    }

    fn close_review(&mut self, reason: &str) -> Result<(), Error> {
        let origin = &self.operation.origin;
        reviews::close(self.tx, &self.charge.id, reason, origin, self.now_ms)
    }

    fn emit_charge(&mut self, kind: &str) -> Result<(), Error> {
        let charge = Charge::find(self.tx, &self.operation.owner, &self.charge.id)?;
        let mut object = charge.ok_or(Error::Internal("a charge is gone"))?.object();
        if kind == "charge.refunded" {
            object["refunds"] = refunds::list_of(self.tx, &self.charge.id)?;
        }
        self.emit(kind, object)
    }

    fn emit_intent(&mut self, kind: &str) -> Result<(), Error> {
        let intent = Intent::load(self.tx, &self.operation.owner, &self.operation.intent)?;
        let object = intent.object(self.seal);
        self.emit(kind, object)
    }

    fn emit(&mut self, kind: &str, object: Value) -> Result<(), Error> {
        let Operation { owner, origin, .. } = self.operation;
        events::emit(self.tx, owner, kind, object, origin, self.now_ms)
    }
}

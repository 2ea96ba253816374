//! Taking over what an acquirer reports of a dispute: object, money and events move together, each once. Reports may
//! come twice, late or in any order: only what the acquirer says when it is asked counts, and a dispute that was
//! decided stays decided.

use serde_json::{Value, json};
use store::{Tx, params};
use vault_api::ids::new_id;

use super::{Dispute, LISTED};
use crate::app::{App, Origin};
use crate::charges::{self, Charge};
use crate::config::Fees;
use crate::connectors::Acquirer;
use crate::connectors::reports::{DisputeReport, Standing};
use crate::error::Error;
use crate::events;
use crate::ledger;
use crate::risk::reviews;

/// How far back disputes are asked for, milliseconds: as long as one can last, and more.
const LOOK_BACK_MS: i64 = 60 * 24 * 60 * 60 * 1000;

/// Asks every acquirer for its disputes: what a lost notification did not say is learned here.
pub async fn all(app: &App) -> Result<(), Error> {
    let since = app.clock.now_ms() - LOOK_BACK_MS;
    for acquirer in &app.acquirers {
        let connector = &acquirer.connector;
        match acquirer.call(connector.disputes(since)).await {
            Ok((status, body)) => {
                for report in connector.read_disputes(status, &body).unwrap_or_default() {
                    take(app, acquirer, report).await?;
                }
            }
            Err(error) => {
                tracing::debug!(acquirer = acquirer.name(), %error, "disputes were not answered");
            }
        }
    }
    Ok(())
}

/// Asks for one dispute. False when the acquirer did not say, or it is about a payment that we do not know (yet): a
/// notification can be faster than the answer to the payment.
pub async fn one(app: &App, acquirer: &Acquirer, id: &str) -> Result<bool, Error> {
    let connector = &acquirer.connector;
    let Ok((status, body)) = acquirer.call(connector.dispute(id)).await else {
        return Ok(false);
    };
    let Some(reports) = connector.read_disputes(status, &body) else {
        return Ok(false);
    };
    let mut known = true;
    for report in reports {
        known &= take(app, acquirer, report).await?;
    }
    Ok(known)
}

fn status(report: &DisputeReport) -> &'static str {
    match (report.inquiry, report.standing) {
        (true, Standing::NeedsResponse) => "warning_needs_response",
        (true, Standing::UnderReview) => "warning_under_review",
        (true, Standing::Won | Standing::Lost) => "warning_closed",
        (false, Standing::NeedsResponse) => "needs_response",
        (false, Standing::UnderReview) => "under_review",
        (false, Standing::Won) => "won",
        (false, Standing::Lost) => "lost",
    }
}

/// Stripe's reason for a scheme's code (Visa's; Mastercard's four digits).
fn reason(code: &str) -> &'static str {
    match code {
        "10.1" | "10.2" | "10.3" | "10.4" | "10.5" | "4837" | "4840" | "4849" => "fraudulent",
        "13.1" | "4855" => "product_not_received",
        "13.2" | "4841" => "subscription_canceled",
        "13.3" | "13.4" | "13.5" | "4853" => "product_unacceptable",
        "13.6" | "13.7" | "4860" => "credit_not_processed",
        "12.6" | "4834" => "duplicate",
        _ => "general",
    }
}

/// Takes a report over. One about a payment that is not ours changes nothing: false.
pub async fn take(app: &App, acquirer: &Acquirer, report: DisputeReport) -> Result<bool, Error> {
    let (now_ms, name) = (app.clock.now_ms(), acquirer.name().to_owned());
    let fees = acquirer.fees().clone();
    let write = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
        let sql = format!(
            "select {} from charges where acquirer = $1 and acquirer_payment = $2 and status = 'succeeded'",
            charges::LISTED.columns
        );
        let row = tx.first(&sql, params![&name, &report.payment])?;
        let Some(charge) = row.as_ref().map(Charge::from_row).transpose()? else {
            return Ok(false);
        };
        let mut step = Step {
            tx,
            charge: &charge,
            report: &report,
            fees: &fees,
            now_ms,
        };
        step.take(&name)?;
        Ok(true)
    };
    let known = app.store.write(write).await?;
    if known {
        app.deliver.notify_one();
    }
    Ok(known)
}

struct Step<'a, 'c> {
    tx: &'a mut Tx<'c>,
    charge: &'a Charge,
    report: &'a DisputeReport,
    fees: &'a Fees,
    now_ms: i64,
}

impl Step<'_, '_> {
    fn take(&mut self, acquirer: &str) -> Result<(), Error> {
        let report = self.report;
        let id = new_id("dp");
        let begins = if report.inquiry {
            "warning_needs_response"
        } else {
            "needs_response"
        };
        let inserted = self.tx.execute(
            "insert into disputes (id, merchant, livemode, created_ms, charge, intent, acquirer, acquirer_dispute,
                 amount, currency, reason, network_reason_code, status, due_by, has_evidence, evidence, metadata)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '{}', '{}')
             on conflict do nothing",
            params![
                &id,
                &self.charge.owner.merchant,
                self.charge.owner.livemode,
                self.now_ms,
                &self.charge.id,
                &self.charge.intent,
                acquirer,
                &report.id,
                report.amount,
                &report.currency,
                reason(&report.reason),
                &report.reason,
                begins,
                report.due_at.div_euclid(1000),
            ],
        )?;
        let dispute = self.load(acquirer)?;
        if inserted == 1 {
            self.emit(&dispute, "charge.dispute.created")?;
            let origin = Origin::default();
            reviews::close(self.tx, &dispute.charge, "disputed", &origin, self.now_ms)?;
            if !report.inquiry {
                self.move_money(&dispute, "withdrawn")?;
                self.emit(&dispute, "charge.dispute.funds_withdrawn")?;
            }
        }
        self.advance(&dispute)
    }

    // A question may become a chargeback; what was decided stays.
    fn advance(&mut self, before: &Dispute) -> Result<(), Error> {
        let report = self.report;
        let status = status(report);
        let submitted = i64::from(report.has_evidence && !before.has_evidence);
        let changed = self.tx.execute(
            "update disputes set status = $2, has_evidence = $3, submissions = submissions + $4
             where id = $1 and status not in ('won', 'lost', 'warning_closed')
               and (status <> $2 or has_evidence <> $3)",
            params![&before.id, status, report.has_evidence, submitted],
        )?;
        if changed == 0 {
            return Ok(());
        }
        if before.status.starts_with("warning") && !report.inquiry {
            self.move_money(before, "withdrawn")?;
            self.emit(before, "charge.dispute.funds_withdrawn")?;
        }
        self.emit(before, "charge.dispute.updated")?;
        match status {
            "won" => {
                self.move_money(before, "reinstated")?;
                self.emit(before, "charge.dispute.funds_reinstated")?;
                self.emit(before, "charge.dispute.closed")
            }
            "lost" | "warning_closed" => self.emit(before, "charge.dispute.closed"),
            _ => Ok(()),
        }
    }

    fn load(&mut self, acquirer: &str) -> Result<Dispute, Error> {
        let sql = format!(
            "select {} from disputes where acquirer = $1 and acquirer_dispute = $2",
            LISTED.columns
        );
        let row = self.tx.first(&sql, params![acquirer, &self.report.id])?;
        Dispute::from_row(&row.ok_or(Error::Internal("a dispute is gone"))?)
    }

    // The amount leaves with the scheme's fee for it, and comes back without.
    fn move_money(&mut self, dispute: &Dispute, step: &'static str) -> Result<(), Error> {
        let amount = if step == "withdrawn" {
            -dispute.amount
        } else {
            dispute.amount
        };
        let (charge, fees) = (self.charge, self.fees);
        ledger::dispute(
            self.tx,
            charge,
            &dispute.id,
            step,
            amount,
            fees,
            self.now_ms,
        )
    }

    fn emit(&mut self, dispute: &Dispute, kind: &str) -> Result<(), Error> {
        let found = Dispute::find(self.tx, &dispute.owner, &dispute.id)?;
        let found = found.ok_or(Error::Internal("a dispute is gone"))?;
        let object: Value = found.object(self.tx, self.now_ms.div_euclid(1000))?;
        let origin = Origin::default();
        events::emit(
            self.tx,
            &dispute.owner,
            kind,
            json!(object),
            &origin,
            self.now_ms,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_reasons() {
        for (code, expected) in [
            ("10.4", "fraudulent"),
            ("13.1", "product_not_received"),
            ("4853", "product_unacceptable"),
            ("99", "general"),
        ] {
            assert_eq!(reason(code), expected);
        }
    }
}

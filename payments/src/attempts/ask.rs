//! What the acquirer itself says of an attempt, by our reference; and taking back what it may have taken.

use super::Attempt;
use crate::app::App;
use crate::connectors::{Payment, Verdict};
use crate::error::Error;
use crate::outcome::Outcome;

/// The outcome that a reported payment is, when it is the one that we asked for.
pub fn adopt(attempt: &Attempt, payment: Payment) -> Outcome {
    let same = payment.amount.is_none_or(|amount| amount == attempt.amount)
        && payment
            .currency
            .as_ref()
            .is_none_or(|currency| *currency == attempt.currency)
        && payment
            .reference
            .as_ref()
            .is_none_or(|reference| *reference == attempt.reference);
    match payment.verdict {
        Verdict::Declined(_) => Outcome::Declined(payment),
        Verdict::Voided if same => Outcome::NotCharged,
        _ if same => Outcome::Approved(payment),
        _ => {
            tracing::error!(
                attempt = attempt.id,
                "the acquirer reports another amount, currency or reference"
            );
            Outcome::Unknown("the acquirer's answer is about another payment".into())
        }
    }
}

/// Asks the acquirer by our reference. [`Outcome::NotCharged`]: it knows nothing of it, or holds nothing any more;
/// [`Outcome::Open`]: it did not say.
pub async fn ask(app: &App, attempt: &Attempt) -> Result<Outcome, Error> {
    let Some(payments) = known(app, attempt).await? else {
        return Ok(Outcome::Open);
    };
    if payments.len() > 1 {
        tracing::error!(
            attempt = attempt.id,
            count = payments.len(),
            "several payments under one reference"
        );
    }
    // Among several an approved one counts: it moves money.
    let found = payments.into_iter().map(|payment| adopt(attempt, payment));
    let best = found.reduce(|best, other| {
        if matches!(other, Outcome::Approved(_)) {
            other
        } else {
            best
        }
    });
    Ok(best.unwrap_or(Outcome::NotCharged))
}

/// The payments that the acquirer knows under our reference. None: it did not say.
pub async fn known(app: &App, attempt: &Attempt) -> Result<Option<Vec<Payment>>, Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    let connector = &acquirer.connector;
    Ok(
        match acquirer.call(connector.inquiry(&attempt.reference)).await {
            Ok((status, body)) => connector.read_inquiry(status, &body),
            Err(error) => {
                tracing::warn!(attempt = attempt.id, %error, "an inquiry was not answered");
                None
            }
        },
    )
}

/// Takes back whatever was taken under the attempt's reference, for good. Whether it was acknowledged.
pub async fn reverse(app: &App, attempt: &Attempt) -> Result<bool, Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    if !acquirer.reverses() {
        return Ok(false);
    }
    let connector = &acquirer.connector;
    let acknowledged = match acquirer.call(connector.reversal(&attempt.reference)).await {
        Ok((status, body)) => connector.read_reversal(status, &body),
        Err(error) => {
            tracing::warn!(attempt = attempt.id, %error, "a reversal was not answered");
            false
        }
    };
    let outcome = if acknowledged { "acknowledged" } else { "open" };
    let labels = [("acquirer", acquirer.name()), ("outcome", outcome)];
    app.metrics.count("payments_reversals_total", &labels);
    Ok(acknowledged)
}

//! Exemptions from strong customer authentication that the acquirer is told to ask for: low value and transaction risk
//! analysis (Delegated Regulation (EU) 2018/389, articles 16 and 18). The issuer may still want the buyer: it declines
//! softly, and the authentication follows. Payments that the merchant initiates are out of scope and ask for none.

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Tx, params};

use crate::error::Error;
use crate::intents::Intent;
use crate::risk;

/// `[exemptions]` of the 3-D Secure file. Amounts are in the smallest units of `currency`; payments in another currency
/// ask for none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exemptions {
    currency: String,
    /// At most so much for one payment of low value; without it none is.
    #[serde(default)]
    low_value: i64,
    /// So many in a row, with one card, since its holder was authenticated.
    #[serde(default = "in_a_row")]
    low_value_in_a_row: i64,
    /// And so much in all.
    #[serde(default = "in_all")]
    low_value_in_all: i64,
    /// At most so much where the risk is normal: what the acquirer's rate of fraud allows; without it none.
    #[serde(default)]
    risk_analysis: i64,
}

fn in_a_row() -> i64 {
    5
}

fn in_all() -> i64 {
    10_000
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exemption {
    LowValue,
    TransactionRiskAnalysis,
}

impl Exemption {
    /// As the dialects write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::LowValue => "low_value",
            Self::TransactionRiskAnalysis => "transaction_risk_analysis",
        }
    }

    /// Stripe's `three_d_secure` of a charge that was approved with it: whoever asks to do without bears the fraud.
    pub fn object(self) -> Value {
        json!({
            "authentication_flow": null,
            "electronic_commerce_indicator": null,
            "exemption_indicator": if self == Self::LowValue { "low_value" } else { "low_risk" },
            "exemption_indicator_applied": true,
            "liability_shift": false,
            "result": "exempted",
            "result_reason": null,
            "transaction_id": null,
            "version": null,
        })
    }
}

impl Exemptions {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> anyhow::Result<()> {
        let amounts = [
            self.low_value,
            self.low_value_in_a_row,
            self.low_value_in_all,
            self.risk_analysis,
        ];
        ensure!(
            amounts.iter().all(|amount| *amount >= 0),
            "exemptions: an amount or a count is negative"
        );
        ensure!(
            self.currency.len() == 3 && self.currency.bytes().all(|b| b.is_ascii_lowercase()),
            "exemptions: currency has three small letters"
        );
        Ok(())
    }

    /// What is asked for, if anything: the buyer is there, and the merchant did not ask for an authentication.
    pub fn of(
        &self,
        tx: &mut Tx<'_>,
        intent: &Intent,
        facts: &risk::Facts,
        level: &str,
    ) -> Result<Option<Exemption>, Error> {
        let details = &intent.details;
        let asked = details.request_three_d_secure.as_deref();
        let by_merchant = details.off_session == Some(true);
        if intent.currency != self.currency
            || by_merchant
            || matches!(asked, Some("any" | "challenge"))
        {
            return Ok(None);
        }
        if intent.amount <= self.low_value && self.is_within(tx, facts)? {
            return Ok(Some(Exemption::LowValue));
        }
        let low_risk = level == "normal" && intent.amount <= self.risk_analysis;
        Ok(low_risk.then_some(Exemption::TransactionRiskAnalysis))
    }

    // What the card was paid with so far, since its holder was authenticated. A card that nobody can tell from another
    // cannot be counted.
    fn is_within(&self, tx: &mut Tx<'_>, facts: &risk::Facts) -> Result<bool, Error> {
        let Some(card) = &facts.card else {
            return Ok(false);
        };
        let row = tx.first(
            "select cast(count(*) as bigint), cast(coalesce(sum(amount), 0) as bigint) from low_value_payments
             where merchant = $1 and livemode = $2 and card = $3",
            params![&facts.owner.merchant, facts.owner.livemode, card],
        )?;
        let row = row.ok_or(Error::Internal("a count without a row"))?;
        let (count, sum): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(count < self.low_value_in_a_row && sum + facts.amount <= self.low_value_in_all)
    }
}

/// Counts an approval: one of low value adds to the card's row of them, an authenticated one ends it.
pub fn approved(
    tx: &mut Tx<'_>,
    confirmation: &str,
    exemption: Option<Exemption>,
    authenticated: bool,
    amount: i64,
) -> Result<(), Error> {
    if exemption == Some(Exemption::LowValue) {
        tx.execute(
            "insert into low_value_payments (confirmation, merchant, livemode, card, amount)
             select confirmation, merchant, livemode, card, $2 from confirmation_cards where confirmation = $1",
            params![confirmation, amount],
        )?;
    }
    if authenticated {
        tx.execute(
            "delete from low_value_payments where (merchant, livemode, card) in
                 (select merchant, livemode, card from confirmation_cards where confirmation = $1)",
            params![confirmation],
        )?;
    }
    Ok(())
}

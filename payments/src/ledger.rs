//! The ledger: append only, double entry. A transfer debits one account and credits another, so every currency sums
//! to zero; authorisations and refunds are two-phase (a hold, then its release or settlement).
//!
//! | account | holds |
//! |---|---|
//! | `hold.acquirer` / `hold.merchant` | what is authorised and not yet captured |
//! | `acquirer_receivable` | what the acquirer owes us |
//! | `merchant_balance` | what the merchant is owed (credit) |
//! | `fees` | what the merchant paid for captures (credit) |
//! | `refund_reserve` | refunds that the acquirer has not acknowledged |
//! | `bank` | what acquirers paid out |
//! | `acquirer_costs` | what acquirers kept of it |

use store::{Tx, params};

use crate::app::Owner;
use crate::balance::Movement;
use crate::charges::Charge;
use crate::config::Fees;
use crate::error::Error;

const HOLD_ACQUIRER: &str = "hold.acquirer";
const HOLD_MERCHANT: &str = "hold.merchant";
const RECEIVABLE: &str = "acquirer_receivable";
const MERCHANT: &str = "merchant_balance";
const FEES: &str = "fees";
const RESERVE: &str = "refund_reserve";
const BANK: &str = "bank";
const COSTS: &str = "acquirer_costs";

/// An amount that moves between two accounts, once per name.
struct Transfer<'a> {
    name: String,
    owner: &'a Owner,
    currency: &'a str,
    intent: &'a str,
    debit: &'static str,
    credit: &'static str,
    amount: i64,
}

impl Transfer<'_> {
    // The primary key refuses the same transfer a second time, and with it the transaction that tried.
    fn post(&self, tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
        for (account, amount) in [(self.debit, self.amount), (self.credit, -self.amount)] {
            tx.execute(
                "insert into ledger_entries (transfer, account, merchant, livemode, currency, amount, intent, created_ms)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
                params![
                    &self.name,
                    account,
                    &self.owner.merchant,
                    self.owner.livemode,
                    self.currency,
                    amount,
                    self.intent,
                    now_ms,
                ],
            )?;
        }
        Ok(())
    }
}

fn of_charge<'a>(
    charge: &'a Charge,
    step: &str,
    debit: &'static str,
    credit: &'static str,
) -> Transfer<'a> {
    Transfer {
        name: format!("{}:{step}", charge.id),
        owner: &charge.owner,
        currency: &charge.currency,
        intent: &charge.intent,
        debit,
        credit,
        amount: charge.amount,
    }
}

/// Authorised and captured at once.
pub fn sale(tx: &mut Tx<'_>, charge: &Charge, fees: &Fees, now_ms: i64) -> Result<(), Error> {
    earn(tx, charge, charge.amount, fees, now_ms)
}

// The gross goes to the merchant and the fee comes off it, so that both are seen in the books.
fn earn(
    tx: &mut Tx<'_>,
    charge: &Charge,
    amount: i64,
    fees: &Fees,
    now_ms: i64,
) -> Result<(), Error> {
    Transfer {
        amount,
        ..of_charge(charge, "capture", RECEIVABLE, MERCHANT)
    }
    .post(tx, now_ms)?;
    let fee = fees.of(amount, &charge.currency);
    if fee > 0 {
        Transfer {
            amount: fee,
            ..of_charge(charge, "fee", MERCHANT, FEES)
        }
        .post(tx, now_ms)?;
    }
    Movement::of_charge(charge, amount, fee).insert(tx, now_ms)
}

/// Authorised.
pub fn hold(tx: &mut Tx<'_>, charge: &Charge, now_ms: i64) -> Result<(), Error> {
    of_charge(charge, "hold", HOLD_ACQUIRER, HOLD_MERCHANT).post(tx, now_ms)
}

/// The authorisation is over: captured or voided. The whole hold goes.
pub fn release_hold(tx: &mut Tx<'_>, charge: &Charge, now_ms: i64) -> Result<(), Error> {
    of_charge(charge, "release", HOLD_MERCHANT, HOLD_ACQUIRER).post(tx, now_ms)
}

/// `amount` of an authorisation is captured.
pub fn capture(
    tx: &mut Tx<'_>,
    charge: &Charge,
    amount: i64,
    fees: &Fees,
    now_ms: i64,
) -> Result<(), Error> {
    release_hold(tx, charge, now_ms)?;
    earn(tx, charge, amount, fees, now_ms)
}

/// A step of a refund.
pub enum RefundStep {
    Reserve,
    Settle,
    Release,
}

/// Reserves, settles or gives back the amount of a refund.
pub fn refund(
    tx: &mut Tx<'_>,
    charge: &Charge,
    refund: &str,
    step: RefundStep,
    amount: i64,
    now_ms: i64,
) -> Result<(), Error> {
    let (name, debit, credit) = match &step {
        RefundStep::Reserve => ("reserve", MERCHANT, RESERVE),
        RefundStep::Settle => ("settle", RESERVE, RECEIVABLE),
        RefundStep::Release => ("release", RESERVE, MERCHANT),
    };
    let name = format!("{refund}:{name}");
    // The balance has paid once the amount is reserved; the acquirer's yes changes nothing there.
    let moved = match step {
        RefundStep::Reserve => Some(("refund", -amount)),
        RefundStep::Settle => None,
        RefundStep::Release => Some(("refund_failure", amount)),
    };
    if let Some((kind, amount)) = moved {
        let movement = Movement::of_charge(charge, amount, 0);
        Movement {
            kind,
            source: refund,
            ..movement
        }
        .insert(tx, now_ms)?;
    }
    Transfer {
        name,
        amount,
        ..of_charge(charge, "", debit, credit)
    }
    .post(tx, now_ms)
}

/// A chargeback takes `amount` (negative) with a fee, or its end gives it back.
pub fn dispute(
    tx: &mut Tx<'_>,
    charge: &Charge,
    dispute: &str,
    step: &str,
    amount: i64,
    fee: i64,
    now_ms: i64,
) -> Result<(), Error> {
    Transfer {
        name: format!("{dispute}:{step}"),
        amount,
        ..of_charge(charge, "", RECEIVABLE, MERCHANT)
    }
    .post(tx, now_ms)?;
    if fee == 0 {
        return Ok(());
    }
    Transfer {
        name: format!("{dispute}:{step}:fee"),
        amount: fee,
        ..of_charge(charge, "", MERCHANT, FEES)
    }
    .post(tx, now_ms)
}

/// A line of a settlement file.
pub struct Paid<'a> {
    /// Its name among transfers.
    pub name: String,
    pub owner: &'a Owner,
    pub intent: &'a str,
    pub currency: &'a str,
    /// Negative when it left us.
    pub gross: i64,
    pub fee: i64,
}

/// What an acquirer paid out is at the bank, less what it kept.
pub fn settle(tx: &mut Tx<'_>, paid: &Paid<'_>, now_ms: i64) -> Result<(), Error> {
    for (step, debit, amount) in [
        ("net", BANK, paid.gross - paid.fee),
        ("fee", COSTS, paid.fee),
    ] {
        if amount == 0 {
            continue;
        }
        Transfer {
            name: format!("{}:{step}", paid.name),
            owner: paid.owner,
            currency: paid.currency,
            intent: paid.intent,
            debit,
            credit: RECEIVABLE,
            amount,
        }
        .post(tx, now_ms)?;
    }
    Ok(())
}

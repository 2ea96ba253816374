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
//! | `conversion.A_B` | what was taken in A and is owed in B: a side in each currency |
//! | `conversion_result` | what a refund at another rate than its payment's left us (credit) or cost us |

use store::{Tx, params};

use crate::app::Owner;
use crate::balance::{self, Movement};
use crate::charges::Charge;
use crate::config::Fees;
use crate::conversion::Rate;
use crate::error::Error;

const HOLD_ACQUIRER: &str = "hold.acquirer";
const HOLD_MERCHANT: &str = "hold.merchant";
const RECEIVABLE: &str = "acquirer_receivable";
const MERCHANT: &str = "merchant_balance";
const FEES: &str = "fees";
const RESERVE: &str = "refund_reserve";
const BANK: &str = "bank";
const COSTS: &str = "acquirer_costs";
const RESULT: &str = "conversion_result";

/// An amount that moves between two accounts, once per name.
struct Transfer<'a> {
    name: String,
    owner: &'a Owner,
    currency: &'a str,
    intent: &'a str,
    debit: &'a str,
    credit: &'a str,
    amount: i64,
}

impl Transfer<'_> {
    // The primary key refuses the same transfer a second time, and with it the transaction that tried.
    fn post(&self, tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
        tx.execute(
            "insert into ledger_entries (transfer, account, amount, merchant, livemode, currency, intent, created_ms)
             values ($1, $2, $3, $6, $7, $8, $9, $10), ($1, $4, $5, $6, $7, $8, $9, $10)",
            params![
                &self.name,
                self.debit,
                self.amount,
                self.credit,
                -self.amount,
                &self.owner.merchant,
                self.owner.livemode,
                self.currency,
                self.intent,
                now_ms,
            ],
        )?;
        Ok(())
    }

    /// Posts one that reaches the merchant's balance. Where that is kept in another currency, the position of the two
    /// stands between: it takes the one and gives the other, so that each sums to zero.
    fn post_settled(&self, tx: &mut Tx<'_>, rate: Option<&Rate>, now_ms: i64) -> Result<(), Error> {
        let Some(rate) = rate else {
            return self.post(tx, now_ms);
        };
        let position = position(self.currency, rate);
        let paid = |account| {
            if account == MERCHANT {
                position.as_str()
            } else {
                account
            }
        };
        let settled = |account| {
            if account == MERCHANT {
                MERCHANT
            } else {
                position.as_str()
            }
        };
        Transfer {
            name: self.name.clone(),
            debit: paid(self.debit),
            credit: paid(self.credit),
            ..*self
        }
        .post(tx, now_ms)?;
        Transfer {
            name: format!("{}:settled", self.name),
            currency: &rate.currency,
            debit: settled(self.debit),
            credit: settled(self.credit),
            amount: rate.convert(self.amount, self.currency)?,
            ..*self
        }
        .post(tx, now_ms)
    }
}

fn position(from: &str, rate: &Rate) -> String {
    format!("conversion.{from}_{}", rate.currency)
}

/// Posts the opposite of a transfer, if there was one.
fn undo(tx: &mut Tx<'_>, name: &str, undoing: &str, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "insert into ledger_entries (transfer, account, merchant, livemode, currency, amount, intent, created_ms)
         select cast($2 as text), account, merchant, livemode, currency, -amount, intent, cast($3 as bigint)
         from ledger_entries where transfer = $1",
        params![name, undoing, now_ms],
    )?;
    Ok(())
}

fn of_charge<'a>(charge: &'a Charge, step: &str, debit: &'a str, credit: &'a str) -> Transfer<'a> {
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
pub fn sale(
    tx: &mut Tx<'_>,
    charge: &Charge,
    rate: Option<&Rate>,
    fees: &Fees,
    now_ms: i64,
) -> Result<(), Error> {
    earn(tx, charge, charge.amount, rate, fees, now_ms)
}

// The gross goes to the merchant and the fee comes off it, so that both are seen in the books.
fn earn(
    tx: &mut Tx<'_>,
    charge: &Charge,
    amount: i64,
    rate: Option<&Rate>,
    fees: &Fees,
    now_ms: i64,
) -> Result<(), Error> {
    Transfer {
        amount,
        ..of_charge(charge, "capture", RECEIVABLE, MERCHANT)
    }
    .post_settled(tx, rate, now_ms)?;
    let (settled, currency) = balance::settled(amount, &charge.currency, rate)?;
    let fee = fees.of(settled, currency, rate.is_some());
    if fee > 0 {
        Transfer {
            amount: fee,
            currency,
            ..of_charge(charge, "fee", MERCHANT, FEES)
        }
        .post(tx, now_ms)?;
    }
    Movement::of_charge(charge, amount, rate, fee).insert(tx, now_ms)
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
    rate: Option<&Rate>,
    fees: &Fees,
    now_ms: i64,
) -> Result<(), Error> {
    release_hold(tx, charge, now_ms)?;
    earn(tx, charge, amount, rate, fees, now_ms)
}

/// What a refund of a converted payment is converted at.
pub struct Refunding {
    /// The rate of now, which the merchant's balance pays.
    pub now: Rate,
    /// The payment's own, at which the position gives back what it took.
    pub then: Rate,
}

/// Reserves the amount of a refund: the merchant's balance has paid then, and the acquirer's yes changes nothing there.
/// `before`: what was refunded or reserved of the charge already.
pub fn reserve_refund(
    tx: &mut Tx<'_>,
    charge: &Charge,
    refund: &str,
    (before, amount): (i64, i64),
    rates: Option<&Refunding>,
    now_ms: i64,
) -> Result<(), Error> {
    let rate = rates.map(|rates| &rates.now);
    Movement {
        kind: "refund",
        source: refund,
        ..Movement::of_charge(charge, -amount, rate, 0)
    }
    .insert(tx, now_ms)?;
    let reserve = Transfer {
        name: format!("{refund}:reserve"),
        amount,
        ..of_charge(charge, "", MERCHANT, RESERVE)
    };
    reserve.post_settled(tx, rate, now_ms)?;
    let Some(Refunding { now, then }) = rates else {
        return Ok(());
    };
    let paid = now.convert(amount, &charge.currency)?;
    let taken = then.convert(before + amount, &charge.currency)?
        - then.convert(before, &charge.currency)?;
    if paid == taken {
        return Ok(());
    }
    Transfer {
        name: format!("{refund}:reserve:result"),
        currency: &now.currency,
        debit: &position(&charge.currency, now),
        credit: RESULT,
        amount: paid - taken,
        ..reserve
    }
    .post(tx, now_ms)
}

/// The acquirer has taken a refund.
pub fn settle_refund(
    tx: &mut Tx<'_>,
    charge: &Charge,
    refund: &str,
    amount: i64,
    now_ms: i64,
) -> Result<(), Error> {
    Transfer {
        name: format!("{refund}:settle"),
        amount,
        ..of_charge(charge, "", RESERVE, RECEIVABLE)
    }
    .post(tx, now_ms)
}

/// A refund that the acquirer had taken came back.
pub fn return_refund(
    tx: &mut Tx<'_>,
    charge: &Charge,
    refund: &str,
    amount: i64,
    now_ms: i64,
) -> Result<(), Error> {
    let (settle, back) = (format!("{refund}:settle"), format!("{refund}:return"));
    undo(tx, &settle, &back, now_ms)?;
    release_refund(tx, charge, refund, amount, now_ms)
}

/// A refund did not reach the buyer: what was reserved goes back at the rates at which it came.
pub fn release_refund(
    tx: &mut Tx<'_>,
    charge: &Charge,
    refund: &str,
    amount: i64,
    now_ms: i64,
) -> Result<(), Error> {
    let rate = balance::rate_of(tx, refund, "refund")?;
    Movement {
        kind: "refund_failure",
        source: refund,
        ..Movement::of_charge(charge, amount, rate.as_ref(), 0)
    }
    .insert(tx, now_ms)?;
    for part in ["", ":settled", ":result"] {
        let (reserve, release) = (
            format!("{refund}:reserve{part}"),
            format!("{refund}:release{part}"),
        );
        undo(tx, &reserve, &release, now_ms)?;
    }
    Ok(())
}

/// A chargeback takes `amount` (negative) with a fee, or its end gives it back. Nobody chose the day of it: a converted
/// payment's goes at the payment's own rate.
pub fn dispute(
    tx: &mut Tx<'_>,
    charge: &Charge,
    dispute: &str,
    step: &'static str,
    amount: i64,
    fees: &Fees,
    now_ms: i64,
) -> Result<(), Error> {
    let rate = balance::rate_of(tx, &charge.id, "charge")?;
    let rate = rate.as_ref();
    let (_, currency) = balance::settled(amount, &charge.currency, rate)?;
    let fee = if amount < 0 {
        fees.of_dispute(currency)
    } else {
        0
    };
    Movement {
        kind: "adjustment",
        source: dispute,
        step,
        description: Some(format!("Chargeback {step} for {}", charge.id)),
        ..Movement::of_charge(charge, amount, rate, fee)
    }
    .insert(tx, now_ms)?;
    Transfer {
        name: format!("{dispute}:{step}"),
        amount,
        ..of_charge(charge, "", RECEIVABLE, MERCHANT)
    }
    .post_settled(tx, rate, now_ms)?;
    if fee == 0 {
        return Ok(());
    }
    Transfer {
        name: format!("{dispute}:{step}:fee"),
        amount: fee,
        currency,
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

//! Reversal by reference: whatever was taken under it goes back, and nothing can be taken under it any more.

use store::{Error, Tx, params};

use super::{Payment, by_reference, new_entry_id};
use crate::acquirer::Acquirer;
use crate::issuer::APPROVED;

/// How a reversal found things.
#[derive(Debug, Clone)]
pub(crate) struct Reversed {
    pub(crate) reference: String,
    /// The payment, when there was one.
    pub(crate) payment: Option<Payment>,
    /// What went back.
    pub(crate) amount: i64,
}

/// Whether the reference was reversed.
pub(super) fn is_reversed(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    reference: &str,
) -> Result<bool, Error> {
    let row = tx.first(
        "select 1 from reversals where acquirer = $1 and reference = $2",
        params![acquirer.name(), reference],
    )?;
    Ok(row.is_some())
}

/// Reverses; the second time it answers what the first one did.
pub(crate) fn reverse(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    reference: &str,
    now: i64,
) -> Result<Reversed, Error> {
    let payment = by_reference(tx, acquirer, reference)?.into_iter().next();
    let id = payment.as_ref().map(|payment| payment.id.clone());
    let left = payment
        .as_ref()
        .map_or(0, |payment| payment.captured - payment.refunded);
    let inserted = tx.execute(
        "insert into reversals (acquirer, reference, payment_id, amount, created_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        params![acquirer.name(), reference, id.clone(), left, now],
    )?;
    if inserted == 1
        && let Some(id) = &id
    {
        take_back(tx, id, left, now)?;
    }
    let row = tx.first(
        "select amount from reversals where acquirer = $1 and reference = $2",
        params![acquirer.name(), reference],
    )?;
    Ok(Reversed {
        reference: reference.to_owned(),
        payment,
        amount: row.ok_or(Error::Column(0))?.get(0)?,
    })
}

// What was never captured, or is still in today's batch as a whole, is voided; the rest is given back.
fn take_back(tx: &mut Tx<'_>, id: &str, left: i64, now: i64) -> Result<(), Error> {
    let voided = tx.execute(
        "update payments set captured = 0, voided_at = $2
         where id = $1 and voided_at is null and authorised > 0 and refunded = 0 and created_at / $3 = $2 / $3",
        params![id, now, super::settlement::DAY_MS],
    )?;
    let (kind, status) = if voided == 1 {
        ("void", "voided")
    } else {
        let refunded = tx.execute(
            "update payments set refunded = captured where id = $1 and captured > refunded",
            params![id],
        )?;
        if refunded == 0 {
            return Ok(());
        }
        ("refund", "refunded")
    };
    tx.execute(
        "insert into entries (id, payment_id, kind, reference, amount, status, response_code, created_at)
         values ($1, $2, $3, 'reversal', $4, $5, $6, $7) on conflict do nothing",
        params![new_entry_id(), id, kind, left, status, APPROVED, now],
    )?;
    Ok(())
}

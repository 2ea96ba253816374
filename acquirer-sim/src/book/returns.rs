//! Refunds that do not end with their answer: some are taken as pending and done later, some are done and come back,
//! because the card's account takes no money any more.

use serde_json::json;
use store::{Error, Tx, params};

use super::notifications;
use crate::acquirer::Acquirer;
use crate::issuer::Course;

/// So long after it was asked for, such a refund is done or comes back.
const COURSE_MS: i64 = 5_000;
/// Why it comes back: `54`, the card has expired.
const RETURNED_FOR: &str = "54";

/// A refund that came back.
#[derive(Debug, Clone)]
pub(crate) struct Returned {
    /// Of the refund's message.
    pub(crate) reference: String,
    pub(crate) payment: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) code: &'static str,
    /// Unix milliseconds.
    pub(crate) at: i64,
}

/// Puts a new refund on the course that its payment has for refunds.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    entry_id: &str,
    payment_id: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into refund_courses (entry_id, course, due_at)
         select $1, refund_course, $3 from payments where id = $2 and refund_course is not null",
        params![entry_id, payment_id, now + COURSE_MS],
    )?;
    Ok(())
}

/// Does what is due, and tells of it.
pub(crate) fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
    let rows = tx.all(
        "select r.entry_id, r.course, e.payment_id, e.amount, e.reference, p.dialect
         from refund_courses r join entries e on e.id = r.entry_id join payments p on p.id = e.payment_id
         where r.done_at is null and r.due_at <= $1 order by r.due_at, r.entry_id",
        params![now],
    )?;
    for row in &rows {
        let (entry, course): (String, String) = (row.get(0)?, row.get(1)?);
        let (payment, amount): (String, i64) = (row.get(2)?, row.get(3)?);
        let (reference, dialect): (String, String) = (row.get(4)?, row.get(5)?);
        tx.execute(
            "update refund_courses set done_at = $2 where entry_id = $1",
            params![&entry, now],
        )?;
        let kind = if course == Course::Returned.name() {
            tx.execute(
                "update payments set refunded = refunded - $2 where id = $1",
                params![&payment, amount],
            )?;
            "refund.returned"
        } else {
            "refund.done"
        };
        let acquirer = Acquirer::from_name(&dialect).ok_or(Error::Column(5))?;
        let what = json!({ "type": kind, "refund": reference });
        notifications::put(tx, acquirer, &what, now)?;
    }
    Ok(())
}

/// Whether a refund is still under way.
pub(crate) fn is_open(tx: &mut Tx<'_>) -> Result<bool, Error> {
    let row = tx.first(
        "select 1 from refund_courses where done_at is null",
        params![],
    )?;
    Ok(row.is_some())
}

/// Whether this refund is.
pub(crate) fn is_pending(tx: &mut Tx<'_>, entry_id: &str) -> Result<bool, Error> {
    let row = tx.first(
        "select 1 from refund_courses where entry_id = $1 and course = 'late' and done_at is null",
        params![entry_id],
    )?;
    Ok(row.is_some())
}

/// The acquirer's refunds that came back since (milliseconds), oldest first.
pub(crate) fn since(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    since: i64,
) -> Result<Vec<Returned>, Error> {
    let rows = tx.all(
        "select e.reference, e.payment_id, e.amount, p.currency, r.done_at
         from refund_courses r join entries e on e.id = r.entry_id join payments p on p.id = e.payment_id
         where p.dialect = $1 and r.course = 'returned' and r.done_at >= $2 order by r.done_at, e.id limit 500",
        params![acquirer.name(), since],
    )?;
    let returned = rows.iter().map(|row| {
        Ok(Returned {
            reference: row.get(0)?,
            payment: row.get(1)?,
            amount: row.get(2)?,
            currency: row.get(3)?,
            code: RETURNED_FOR,
            at: row.get(4)?,
        })
    });
    returned.collect()
}

//! What an acquirer pays out: the lines of a day's batch. A batch is closed at midnight UTC and never changes after.

use store::{Error, Row, Tx, params};

use crate::acquirer::{Acquirer, reference_of};

/// A day, milliseconds.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A line of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// `capture`, `refund`, `refund_return`, `chargeback` or `reinstatement`.
    pub(crate) kind: &'static str,
    pub(crate) payment: String,
    /// The payment's reference.
    pub(crate) payment_reference: String,
    /// The message's own reference; of a chargeback, the dispute's id.
    pub(crate) reference: String,
    pub(crate) last4: String,
    pub(crate) currency: String,
    /// Negative when it leaves the merchant.
    pub(crate) gross: i64,
    pub(crate) fee: i64,
}

/// A closed batch.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) acquirer: Acquirer,
    /// Days since 1970-01-01.
    pub(crate) day: i64,
    pub(crate) lines: Vec<Line>,
}

impl Batch {
    /// The day its money is there.
    pub(crate) fn value_day(&self) -> i64 {
        self.day + self.acquirer.value_days()
    }
}

/// The batch of a day; None while it is open.
pub(crate) fn batch(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    day: i64,
    now: i64,
) -> Result<Option<Batch>, Error> {
    let (from, until) = (day * DAY_MS, (day + 1) * DAY_MS);
    if until > now {
        return Ok(None);
    }
    let rows = tx.all(
        "select e.kind, p.id, p.reference, e.reference, p.last4, p.currency, e.amount
         from entries e join payments p on p.id = e.payment_id
             left join refund_courses r on r.entry_id = e.id and r.course = 'late'
         where p.dialect = $1 and e.status in ('captured', 'refunded')
           and case when r.entry_id is null then e.created_at else r.done_at end >= $2
           and case when r.entry_id is null then e.created_at else r.done_at end < $3
           and not (p.voided_at is not null and p.captured = 0)
         order by e.created_at, e.id",
        params![acquirer.name(), from, until],
    )?;
    let mut lines = Vec::new();
    for row in &rows {
        lines.push(line(acquirer, row)?);
    }
    let rows = tx.all(
        "select 'refund_return', p.id, p.reference, e.reference, p.last4, p.currency, e.amount
         from refund_courses r join entries e on e.id = r.entry_id join payments p on p.id = e.payment_id
         where p.dialect = $1 and r.course = 'returned' and r.done_at >= $2 and r.done_at < $3
         order by r.done_at, e.id",
        params![acquirer.name(), from, until],
    )?;
    for row in &rows {
        lines.push(line(acquirer, row)?);
    }
    for (column, kind, sign) in [
        ("withdrawn_at", "chargeback", -1),
        ("reinstated_at", "reinstatement", 1),
    ] {
        let rows = tx.all(
            &format!(
                "select p.id, p.reference, d.id, p.last4, p.currency, d.amount
                 from disputes d join payments p on p.id = d.payment_id
                 where d.acquirer = $1 and d.{column} >= $2 and d.{column} < $3 order by d.{column}, d.id"
            ),
            params![acquirer.name(), from, until],
        )?;
        for row in &rows {
            lines.push(Line {
                kind,
                payment: row.get(0)?,
                payment_reference: reference_of(&row.get::<String>(1)?),
                reference: row.get(2)?,
                last4: row.get(3)?,
                currency: row.get(4)?,
                gross: sign * row.get::<i64>(5)?,
                fee: 0,
            });
        }
    }
    Ok(Some(Batch {
        acquirer,
        day,
        lines,
    }))
}

fn line(acquirer: Acquirer, row: &Row) -> Result<Line, Error> {
    let kind: String = row.get(0)?;
    let amount: i64 = row.get(6)?;
    let (kind, sign) = match kind.as_str() {
        "refund" => ("refund", -1),
        "refund_return" => ("refund_return", 1),
        _ => ("capture", 1),
    };
    Ok(Line {
        kind,
        payment: row.get(1)?,
        payment_reference: reference_of(&row.get::<String>(2)?),
        reference: row.get(3)?,
        last4: row.get(4)?,
        currency: row.get(5)?,
        gross: sign * amount,
        fee: if kind == "capture" {
            acquirer.fee(amount)
        } else {
            0
        },
    })
}

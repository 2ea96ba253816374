//! `token-vault retention report`: proves that nothing overdue is left (PCI DSS 3.2.1), table by table.

use serde::Serialize;
use store::{Tx, params};

use crate::Error;

/// The sweeper comes every 5 seconds: what has been over for longer than three rounds is overdue.
pub const GRACE: i64 = 15;

/// A table that holds something sealed or short-lived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// Rows that still hold it.
    pub rows: i64,
    /// When the oldest of them was made or, where that is not kept, when it ends; Unix seconds.
    pub oldest: Option<i64>,
    /// Rows that should have been emptied.
    pub overdue: i64,
}

/// CVVs of an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CvvEpoch {
    /// The epoch.
    pub epoch: i64,
    /// Seconds since its start.
    pub age: i64,
    /// Its CVVs.
    pub rows: i64,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Unix seconds.
    pub at: i64,
    /// The tables.
    pub tables: Vec<Table>,
    /// The CVVs.
    pub cvv_epochs: Vec<CvvEpoch>,
    /// Overdue rows of all tables; 0 is what the report is for.
    pub overdue: i64,
}

const HOLDS: &str =
    "sealed_number is not null or wrapped_key is not null or sealed_name is not null
     or sealed_address is not null";

// Name, which rows hold something, what tells their age, which of them are over at $1.
const TABLES: [(&str, &str, &str, &str); 6] = [
    (
        "tokens",
        HOLDS,
        "created_at",
        "expires_at <= $1",
    ),
    // A grant whose send is under way keeps its card until the outcome is recorded.
    (
        "grants",
        HOLDS,
        "created_at",
        "expires_at <= $1 and open_attempt is null",
    ),
    // A stored card stays until it is deleted; one that waits for an approval, until its grant is over.
    (
        "stored_cards",
        HOLDS,
        "created_at",
        "state = 'deleted' or (state = 'pending' and exists (select 1 from grants g
             where g.pending_card = stored_cards.id and g.expires_at <= $1 and g.open_attempt is null))",
    ),
    // Epochs start every 300 s.
    ("cvvs", "1 = 1", "epoch * 300", "expires_at <= $1"),
    ("sealed_seen", "1 = 1", "expires_at", "expires_at <= $1"),
    ("idempotency", "1 = 1", "created_at", "expires_at <= $1"),
];

/// Looks at every table.
///
/// # Errors
/// The store's.
pub fn report(tx: &mut Tx<'_>, now: i64) -> Result<Report, Error> {
    let mut tables = vec![];
    for (table, holds, age, over) in TABLES {
        let sql = format!(
            "select count(*), min({age}), cast(coalesce(sum(case when {over} then 1 else 0 end), 0) as bigint)
             from {table} where {holds}"
        );
        let row = tx
            .first(&sql, params![now - GRACE])?
            .ok_or(Error::Internal("a count gave no row"))?;
        tables.push(Table {
            table,
            rows: row.get(0)?,
            oldest: row.get(1)?,
            overdue: row.get(2)?,
        });
    }
    let epochs = tx.all(
        "select epoch, count(*) from cvvs group by epoch order by epoch",
        &[],
    )?;
    let cvv_epochs = epochs
        .iter()
        .map(|row| {
            let epoch: i64 = row.get(0)?;
            Ok(CvvEpoch {
                epoch,
                age: now - epoch * crate::crypto::cvv::EPOCH,
                rows: row.get(1)?,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Report {
        at: now,
        overdue: tables.iter().map(|table| table.overdue).sum(),
        tables,
        cvv_epochs,
    })
}

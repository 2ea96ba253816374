//! Reads events back, for `token-vault audit list`.

use serde::Serialize;
use store::{Row, Tx, params};

use super::chain::Event;
use crate::Error;

/// An event as it was written.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// Its id.
    pub id: String,
    /// Unix seconds.
    pub at: i64,
    /// What was done.
    pub kind: String,
    /// The merchant it was done for.
    pub merchant: String,
    /// Who did it.
    pub actor: String,
    /// To what.
    pub object: String,
    /// With what result.
    pub outcome: String,
    /// In which request.
    pub request_id: String,
    /// How often.
    pub times: i64,
    /// Its chain; none when it was written by a binary that knew no chains.
    pub chain: Option<String>,
    /// Its number in the chain.
    pub seq: Option<i64>,
    /// Its link.
    #[serde(skip)]
    pub mac: Option<[u8; 32]>,
}

impl Written {
    /// What the MAC covers.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        Event {
            id: &self.id,
            at: self.at,
            kind: &self.kind,
            merchant: &self.merchant,
            actor: &self.actor,
            object: &self.object,
            outcome: &self.outcome,
            request_id: &self.request_id,
            times: self.times,
        }
    }
}

/// The columns that [`written`] reads.
pub(super) const COLUMNS: &str =
    "id, at, kind, merchant, actor, object, outcome, request_id, times, chain, seq, mac";

pub(super) fn written(row: &Row) -> Result<Written, Error> {
    Ok(Written {
        id: row.get(0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        merchant: row.get(3)?,
        actor: row.get(4)?,
        object: row.get(5)?,
        outcome: row.get(6)?,
        request_id: row.get(7)?,
        times: row.get(8)?,
        chain: row.get(9)?,
        seq: row.get(10)?,
        mac: row
            .get::<Option<Vec<u8>>>(11)?
            .and_then(|mac| mac.try_into().ok()),
    })
}

/// A page of events since a time, oldest first, after the event `(at, id)`; of one merchant, or of all.
///
/// # Errors
/// The store's.
pub fn page(
    tx: &mut Tx<'_>,
    merchant: Option<&str>,
    after: (i64, &str),
    most: i64,
) -> Result<Vec<Written>, Error> {
    let sql = format!(
        "select {COLUMNS} from audit_events
         where (at > $2 or (at = $2 and id > $3)) and ($1 = '' or merchant = $1)
         order by at, id limit $4"
    );
    let rows = tx.all(
        &sql,
        params![merchant.unwrap_or(""), after.0, after.1, most],
    )?;
    rows.iter().map(written).collect()
}

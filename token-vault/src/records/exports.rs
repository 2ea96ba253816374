//! Exports of stored cards: `requested → approved → running → done`, by two operators, each step once.

use store::{Tx, Value, params};

use super::row_mac::{RowMacs, Sql, StateRow, Table};
use super::tokens::Owner;
use crate::Error;

/// What an export's MAC covers.
pub static TABLE: Table = Table {
    name: "exports",
    columns: &[
        "id",
        "merchant",
        "mode",
        "state",
        "receiver",
        "cards",
        "requested_by",
        "requested_at",
        "expires_at",
        "approved_by",
        "approved_at",
        "run_by",
        "finished_at",
        "exported",
        "sha256",
    ],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// An export as it stands.
pub struct Export {
    /// `exp_..`.
    pub id: String,
    /// Whose cards.
    pub merchant: String,
    /// `requested`, `approved`, `running` or `done`.
    pub state: String,
    /// The receiver's public key.
    pub receiver: Vec<u8>,
    /// How many cards there were when it was asked for: no more are exported.
    pub cards: i64,
    /// The operator who asked.
    pub requested_by: String,
    /// Unix seconds; cards that were stored later are not exported.
    pub requested_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// The other operator.
    pub approved_by: Option<String>,
    row: StateRow,
}

/// Asks for an export.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
    (receiver, cards): (&[u8; 32], i64),
    by: &str,
    (now, expires_at): (i64, i64),
) -> Result<bool, Error> {
    let state = [
        ("id", Value::from(id)),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("state", Value::from("requested")),
        ("receiver", Value::from(receiver)),
        ("cards", Value::from(cards)),
        ("requested_by", Value::from(by)),
        ("requested_at", Value::from(now)),
        ("expires_at", Value::from(expires_at)),
    ];
    TABLE.insert_new(tx, macs, &state)
}

/// The export with this id, to take its next step.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn find(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
    id: &str,
) -> Result<Option<Export>, Error> {
    let lock = if tx.is_postgres() { " for update" } else { "" };
    let sql = format!(
        "select {} from exports where id = $1 and mode = $2{lock}",
        TABLE.selected()
    );
    let row = tx.first(&sql, params![id, mode])?;
    row.map(|row| export(TABLE.checked(macs, &row)?))
        .transpose()
}

/// All exports of a mode, newest first.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when a row was tampered with.
pub fn all(tx: &mut Tx<'_>, macs: &RowMacs, mode: &str) -> Result<Vec<Export>, Error> {
    let sql = format!(
        "select {} from exports where mode = $1 order by requested_at desc, id",
        TABLE.selected()
    );
    let rows = tx.all(&sql, params![mode])?;
    rows.iter()
        .map(|row| export(TABLE.checked(macs, row)?))
        .collect()
}

fn export(row: StateRow) -> Result<Export, Error> {
    Ok(Export {
        id: row.get("id")?,
        merchant: row.get("merchant")?,
        state: row.get("state")?,
        receiver: row.get("receiver")?,
        cards: row.get("cards")?,
        requested_by: row.get("requested_by")?,
        requested_at: row.get("requested_at")?,
        expires_at: row.get("expires_at")?,
        approved_by: row.get("approved_by")?,
        row,
    })
}

impl Export {
    /// Takes the step from `requested` to `approved`; false when somebody took it meanwhile.
    ///
    /// # Errors
    /// The store's.
    pub fn approve(
        &mut self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        by: &str,
        now: i64,
    ) -> Result<bool, Error> {
        let changes = [
            ("state", Value::from("approved")),
            ("approved_by", Value::from(by)),
            ("approved_at", Value::from(now)),
        ];
        self.row.change(tx, macs, &changes, false)
    }

    /// Takes the step from `approved` to `running`: the approval is used up.
    ///
    /// # Errors
    /// The store's.
    pub fn start(&mut self, tx: &mut Tx<'_>, macs: &RowMacs, by: &str) -> Result<bool, Error> {
        let changes = [
            ("state", Value::from("running")),
            ("run_by", Value::from(by)),
        ];
        self.row.change(tx, macs, &changes, false)
    }

    /// Records what was exported.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(
        &mut self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        (exported, sha256): (i64, &str),
        now: i64,
    ) -> Result<bool, Error> {
        let changes = [
            ("state", Value::from("done")),
            ("finished_at", Value::from(now)),
            ("exported", Value::from(exported)),
            ("sha256", Value::from(sha256)),
        ];
        self.row.change(tx, macs, &changes, false)
    }
}

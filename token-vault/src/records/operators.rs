//! Operators who may approve what takes two of them: only a hash of what each knows is kept.

use store::{Tx, Value, params};

use super::row_mac::{Read, RowMacs, Sql, Table};
use super::tokens::Owner;
use crate::Error;

/// What an operator's MAC covers.
pub static TABLE: Table = Table {
    name: "operators",
    columns: &[
        "id",
        "merchant",
        "mode",
        "name",
        "secret_hash",
        "created_at",
        "ended_at",
    ],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// An operator who has shown a good credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `op_..`: what the audit names.
    pub id: String,
    /// What people call them.
    pub name: String,
}

/// Adds an operator; false when the name is taken.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
    operator: &Operator,
    secret_hash: &[u8; 32],
    now: i64,
) -> Result<bool, Error> {
    let state = [
        ("id", Value::from(&operator.id)),
        ("merchant", Value::from("")),
        ("mode", Value::from(mode)),
        ("name", Value::from(&operator.name)),
        ("secret_hash", Value::from(secret_hash)),
        ("created_at", Value::from(now)),
    ];
    TABLE.insert_new(tx, macs, &state)
}

/// The operator with this credential, unless they were ended.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn by_secret(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
    secret_hash: &[u8; 32],
) -> Result<Option<Operator>, Error> {
    let sql = format!(
        "select {} from operators where secret_hash = $1 and mode = $2",
        TABLE.selected()
    );
    let Some(row) = tx.first(&sql, params![secret_hash, mode])? else {
        return Ok(None);
    };
    let row = TABLE.checked(macs, &row)?;
    if row.get::<Option<i64>>("ended_at")?.is_some() {
        return Ok(None);
    }
    Ok(Some(Operator {
        id: row.get("id")?,
        name: row.get("name")?,
    }))
}

/// Operators of a mode: id, name, when they were added, when they were ended.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when a row was tampered with.
pub fn all(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
) -> Result<Vec<(Operator, i64, Option<i64>)>, Error> {
    let sql = format!(
        "select {} from operators where mode = $1 order by created_at, id",
        TABLE.selected()
    );
    let rows = tx.all(&sql, params![mode])?;
    rows.iter()
        .map(|row| {
            let row = TABLE.checked(macs, row)?;
            let operator = Operator {
                id: row.get("id")?,
                name: row.get("name")?,
            };
            Ok((operator, row.get("created_at")?, row.get("ended_at")?))
        })
        .collect()
}

/// Ends an operator; whether there was one who had not ended.
///
/// # Errors
/// The store's.
pub fn end(tx: &mut Tx<'_>, macs: &RowMacs, mode: &str, id: &str, now: i64) -> Result<bool, Error> {
    let owner = Owner { merchant: "", mode };
    let Some(mut row) = TABLE.find(tx, macs, owner, id, Read::Change)? else {
        return Ok(false);
    };
    if row.get::<Option<i64>>("ended_at")?.is_some() {
        return Ok(false);
    }
    row.change(tx, macs, &[("ended_at", Value::from(now))], false)
}

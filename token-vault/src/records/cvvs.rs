//! CVVs, by the public id of the token or grant they belong to.

use store::{Row, Tx, params};

use crate::Error;
use crate::crypto::cvv::SealedCvv;

/// Keeps a sealed CVV.
///
/// # Errors
/// The store's.
pub fn insert(tx: &mut Tx<'_>, record: &str, cvv: &SealedCvv) -> Result<(), Error> {
    tx.execute(
        "insert into cvvs (record, epoch, sealed, expires_at, key_id) values ($1, $2, $3, $4, $5)",
        params![record, cvv.epoch, &cvv.sealed, cvv.expires_at(), &cvv.key],
    )?;
    Ok(())
}

/// The sealed CVV of a record.
///
/// # Errors
/// The store's.
pub fn find(tx: &mut Tx<'_>, record: &str) -> Result<Option<SealedCvv>, Error> {
    let sql = "select epoch, sealed, key_id from cvvs where record = $1";
    sealed(tx.first(sql, params![record])?)
}

/// Deletes it, and gives what there was.
///
/// # Errors
/// The store's.
pub fn take(tx: &mut Tx<'_>, record: &str) -> Result<Option<SealedCvv>, Error> {
    let sql = "delete from cvvs where record = $1 returning epoch, sealed, key_id";
    sealed(tx.first(sql, params![record])?)
}

fn sealed(row: Option<Row>) -> Result<Option<SealedCvv>, Error> {
    row.map(|row| {
        Ok(SealedCvv {
            epoch: row.get(0)?,
            sealed: row.get(1)?,
            key: row.get(2)?,
        })
    })
    .transpose()
}

/// Deletes it.
///
/// # Errors
/// The store's.
pub fn delete(tx: &mut Tx<'_>, record: &str) -> Result<(), Error> {
    tx.execute("delete from cvvs where record = $1", params![record])?;
    Ok(())
}

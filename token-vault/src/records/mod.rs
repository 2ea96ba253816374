//! All SQL of the vault's rows, one file a table. Every look-up by an id names merchant and mode too, so that another
//! merchant's object is as absent as one that never was.

pub mod attempts;
pub mod cards;
pub mod cvvs;
pub mod grants;
pub mod keys;
pub mod processes;
pub mod tokens;

use store::{Migration, Row};
use vault_api::tokens::CardSummary;

use crate::Error;
use crate::crypto::envelope::SealedCard;

/// The vault's schema.
pub const MIGRATIONS: &[Migration] = &[
    ("0001_vault", include_str!("../schema/0001_vault.sql")),
    ("0006_model", include_str!("../schema/0006_model.sql")),
];

// Four columns from `at`: brand, last4, exp_month, exp_year.
fn summary(row: &Row, at: usize) -> Result<CardSummary, Error> {
    Ok(CardSummary {
        brand: row.get(at)?,
        last4: row.get(at + 1)?,
        exp_month: row.get(at + 2)?,
        exp_year: row.get(at + 3)?,
    })
}

// Four columns from `at`: key_id, wrapped_key, sealed_number, sealed_name. None once they were emptied.
fn sealed(row: &Row, at: usize) -> Result<Option<SealedCard>, Error> {
    let Some(number) = row.get::<Option<Vec<u8>>>(at + 2)? else {
        return Ok(None);
    };
    Ok(Some(SealedCard {
        key_id: row.get(at)?,
        wrapped_key: row.get(at + 1)?,
        number,
        name: row.get(at + 3)?,
    }))
}

/// Empties what is overdue: tokens and grants that ended, CVVs whose epoch is over, seen sealed cards. How many rows.
///
/// # Errors
/// The store's.
pub fn sweep(tx: &mut store::Tx<'_>, now: i64) -> Result<u64, Error> {
    let mut rows = 0;
    for sql in [
        "update tokens set key_id = null, wrapped_key = null, sealed_number = null, sealed_name = null,
                state = 'revoked' where expires_at <= $1 and sealed_number is not null",
        "update grants set key_id = null, wrapped_key = null, sealed_number = null, sealed_name = null
         where expires_at <= $1 and sealed_number is not null and open_attempt is null",
        "delete from cvvs where expires_at <= $1",
        "delete from sealed_seen where expires_at <= $1",
    ] {
        rows += tx.execute(sql, store::params![now])?;
    }
    Ok(rows + store::idempotency::sweep(tx, now)?)
}

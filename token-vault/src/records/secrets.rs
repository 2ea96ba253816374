//! The service's own secrets, wrapped.

use store::{Row, Tx, params};
use vault_api::keys::Mode;

use crate::Error;
use crate::crypto::secrets::Purpose;

/// A wrapped secret.
#[derive(Debug, Clone)]
pub struct StoredSecret {
    /// Counts up from 1.
    pub generation: i64,
    /// The root that wraps it.
    pub root_id: String,
    /// The wrap.
    pub wrapped: Vec<u8>,
}

/// The secret's newest generation.
///
/// # Errors
/// The store's.
pub fn current(
    tx: &mut Tx<'_>,
    mode: Mode,
    purpose: Purpose,
) -> Result<Option<StoredSecret>, Error> {
    let row = tx.first(
        "select generation, root_id, wrapped from service_secrets where mode = $1 and purpose = $2
         order by generation desc limit 1",
        params![mode.as_str(), purpose.as_str()],
    )?;
    row.as_ref().map(stored).transpose()
}

/// Every generation of a secret, oldest first.
///
/// # Errors
/// The store's.
pub fn all(tx: &mut Tx<'_>, mode: Mode, purpose: Purpose) -> Result<Vec<StoredSecret>, Error> {
    let rows = tx.all(
        "select generation, root_id, wrapped from service_secrets where mode = $1 and purpose = $2
         order by generation",
        params![mode.as_str(), purpose.as_str()],
    )?;
    rows.iter().map(stored).collect()
}

fn stored(row: &Row) -> Result<StoredSecret, Error> {
    Ok(StoredSecret {
        generation: row.get(0)?,
        root_id: row.get(1)?,
        wrapped: row.get(2)?,
    })
}

/// Keeps a secret; false when there is one of that generation.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    mode: Mode,
    purpose: Purpose,
    secret: &StoredSecret,
    now: i64,
) -> Result<bool, Error> {
    let rows = tx.execute(
        "insert into service_secrets (mode, purpose, generation, root_id, wrapped, created_at)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        params![
            mode.as_str(),
            purpose.as_str(),
            secret.generation,
            &secret.root_id,
            &secret.wrapped,
            now
        ],
    )?;
    Ok(rows == 1)
}

/// Replaces a secret's wrap, if it is still the one that was read.
///
/// # Errors
/// The store's.
pub fn rewrap(
    tx: &mut Tx<'_>,
    mode: Mode,
    purpose: Purpose,
    from: &StoredSecret,
    root_id: &str,
    wrapped: &[u8],
) -> Result<bool, Error> {
    let rows = tx.execute(
        "update service_secrets set root_id = $4, wrapped = $5
         where mode = $1 and purpose = $2 and generation = $3 and root_id = $6",
        params![
            mode.as_str(),
            purpose.as_str(),
            from.generation,
            root_id,
            wrapped,
            &from.root_id
        ],
    )?;
    Ok(rows == 1)
}

//! Rules of single keys: bound sessions only, one client certificate only.

use store::{Tx, params};

use crate::Error;

/// What a key asks for beyond being known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// A publishable key: only sessions that are bound to a payment.
    pub bound_sessions: bool,
    /// A service key: only with the client certificate of this SHA-256.
    pub certificate_sha256: Option<String>,
}

/// The rules of a key.
///
/// # Errors
/// The store's.
pub fn of(tx: &mut Tx<'_>, key_id: &str) -> Result<KeyRules, Error> {
    let sql = "select bound_sessions, certificate_sha256 from api_keys where id = $1";
    match tx.first(sql, params![key_id])? {
        Some(row) => Ok(KeyRules {
            bound_sessions: row.get::<i64>(0)? != 0,
            certificate_sha256: row.get(1)?,
        }),
        None => Ok(KeyRules::default()),
    }
}

/// Sets the rules of a key.
///
/// # Errors
/// The store's.
pub fn set(tx: &mut Tx<'_>, key_id: &str, rules: &KeyRules) -> Result<(), Error> {
    tx.execute(
        "update api_keys set bound_sessions = $2, certificate_sha256 = $3 where id = $1",
        params![
            key_id,
            i64::from(rules.bound_sessions),
            rules.certificate_sha256.as_ref()
        ],
    )?;
    Ok(())
}

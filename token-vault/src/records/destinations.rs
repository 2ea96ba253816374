//! Registered destinations and the sealed secrets they name.

use store::{Tx, Value, params};

use super::row_mac::{RowMacs, Sql, Table};
use crate::Error;

/// What a destination's MAC covers.
static TABLE: Table = Table {
    name: "destinations",
    columns: &["name", "mode", "entry"],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// What is registered for one mode, in the order of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// What the operator registered.
    pub entries: Vec<Entry>,
    /// Name and sealed secret.
    pub secrets: Vec<(String, Vec<u8>)>,
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The file's entry, JSON.
    pub json: String,
    mac: Option<Vec<u8>>,
}

impl Entry {
    /// Whether the row is as the command line wrote it: whoever writes to the database must not choose where cards go.
    #[must_use]
    pub fn is_registered(&self, macs: &RowMacs, mode: &str) -> bool {
        let values = [self.name.as_str(), mode, &self.json].map(Value::from);
        TABLE.is_mac(macs, &values, self.mac.as_deref().unwrap_or_default())
    }
}

/// All of a mode.
///
/// # Errors
/// The store's.
pub fn all(tx: &mut Tx<'_>, mode: &str) -> Result<Registered, Error> {
    let entries = tx.all(
        "select name, entry, row_mac from destinations where mode = $1 order by name",
        params![mode],
    )?;
    let secrets = tx.all(
        "select name, sealed from destination_secrets where mode = $1 order by name",
        params![mode],
    )?;
    Ok(Registered {
        entries: entries
            .iter()
            .map(|row| {
                Ok(Entry {
                    name: row.get(0)?,
                    json: row.get(1)?,
                    mac: row.get(2)?,
                })
            })
            .collect::<Result<_, Error>>()?,
        secrets: secrets
            .iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?)))
            .collect::<Result<_, Error>>()?,
    })
}

/// Registers a destination, in place of the one of the same name.
///
/// # Errors
/// The store's.
pub fn put(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
    (name, entry): (&str, &str),
    now: i64,
) -> Result<(), Error> {
    let mac = TABLE.mac_of(macs, &[name, mode, entry].map(Value::from));
    tx.execute(
        "insert into destinations (mode, name, entry, created_at, row_mac) values ($1, $2, $3, $4, $5)
         on conflict (mode, name) do update
         set entry = excluded.entry, created_at = excluded.created_at, row_mac = excluded.row_mac",
        params![mode, name, entry, now, mac],
    )?;
    Ok(())
}

/// Removes one; false when there is none.
///
/// # Errors
/// The store's.
pub fn remove(tx: &mut Tx<'_>, mode: &str, name: &str) -> Result<bool, Error> {
    let rows = tx.execute(
        "delete from destinations where mode = $1 and name = $2",
        params![mode, name],
    )?;
    Ok(rows == 1)
}

/// Keeps a sealed secret, in place of the one of the same name.
///
/// # Errors
/// The store's.
pub fn put_secret(
    tx: &mut Tx<'_>,
    mode: &str,
    name: &str,
    sealed: &[u8],
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into destination_secrets (mode, name, sealed, created_at) values ($1, $2, $3, $4)
         on conflict (mode, name) do update set sealed = excluded.sealed, created_at = excluded.created_at",
        params![mode, name, sealed, now],
    )?;
    Ok(())
}

/// Removes a secret; false when there is none.
///
/// # Errors
/// The store's.
pub fn remove_secret(tx: &mut Tx<'_>, mode: &str, name: &str) -> Result<bool, Error> {
    let rows = tx.execute(
        "delete from destination_secrets where mode = $1 and name = $2",
        params![mode, name],
    )?;
    Ok(rows == 1)
}

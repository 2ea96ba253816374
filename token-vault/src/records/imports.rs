//! What an import needs to know: the keys that other vaults seal to, and which card of theirs became which here.

use store::{Tx, Value, params};

use super::row_mac::{Read, RowMacs, Sql, Table};
use super::tokens::Owner;
use crate::Error;

/// What an import key's MAC covers.
pub static KEYS: Table = Table {
    name: "import_keys",
    columns: &[
        "id",
        "merchant",
        "mode",
        "public_key",
        "sealed",
        "created_at",
    ],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// What the MAC of an imported card's row covers.
pub static CARDS: Table = Table {
    name: "imported_cards",
    columns: &["id", "merchant", "mode", "card", "export", "created_at"],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// Keeps a key: its public half, and its private half as it is sealed.
///
/// # Errors
/// The store's.
pub fn insert_key(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
    id: &str,
    (public, sealed): (&[u8; 32], &[u8]),
    now: i64,
) -> Result<bool, Error> {
    let state = [
        ("id", Value::from(id)),
        ("merchant", Value::from("")),
        ("mode", Value::from(mode)),
        ("public_key", Value::from(public)),
        ("sealed", Value::from(sealed)),
        ("created_at", Value::from(now)),
    ];
    KEYS.insert_new(tx, macs, &state)
}

/// The private half of a key as it is sealed; none when it was never here, or forgotten.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn key(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: &str,
    id: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let owner = Owner { merchant: "", mode };
    match KEYS.find(tx, macs, owner, id, Read::Look)? {
        Some(row) => row.get("sealed"),
        None => Ok(None),
    }
}

/// Forgets the private half of a key; whether it was there.
///
/// # Errors
/// The store's.
pub fn forget_key(tx: &mut Tx<'_>, macs: &RowMacs, mode: &str, id: &str) -> Result<bool, Error> {
    let owner = Owner { merchant: "", mode };
    let Some(mut row) = KEYS.find(tx, macs, owner, id, Read::Change)? else {
        return Ok(false);
    };
    let there = row.get::<Option<Vec<u8>>>("sealed")?.is_some();
    Ok(there && row.change(tx, macs, &[("sealed", Value::Null)], false)?)
}

/// Which card here the other vault's `id` became.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn card(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
) -> Result<Option<String>, Error> {
    let row = CARDS.find(tx, macs, owner, id, Read::Look)?;
    row.map(|row| row.get("card")).transpose()
}

/// Notes what became of a card.
///
/// # Errors
/// The store's.
pub fn insert_card(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    (id, card, export): (&str, &str, &str),
    now: i64,
) -> Result<(), Error> {
    let state = [
        ("id", Value::from(id)),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("card", Value::from(card)),
        ("export", Value::from(export)),
        ("created_at", Value::from(now)),
    ];
    if CARDS.insert_new(tx, macs, &state)? {
        Ok(())
    } else {
        Err(Error::Internal(
            "a card is being imported twice at once; run it again",
        ))
    }
}

/// Whose stored card has this id, and its state; every merchant's and mode's counts, because ids are unique.
///
/// # Errors
/// The store's.
pub fn holder_of(tx: &mut Tx<'_>, id: &str) -> Result<Option<(String, String, String)>, Error> {
    let sql = "select merchant, mode, state from stored_cards where id = $1";
    let row = tx.first(sql, params![id])?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .transpose()
}

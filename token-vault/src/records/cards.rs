//! Stored cards: no secret in the id, no CVV by type.

use store::{Tx, Value, params};
use vault_api::tokens::{CardSummary, StoredCard};

use super::row_mac::{Read, RowMacs, Sql, StateRow, Table};
use super::tokens::Owner;
use super::{NETWORKS, shown, summary};
use crate::Error;
use crate::crypto::envelope::SealedCard;

/// What a stored card's MAC covers.
pub static TABLE: Table = Table {
    name: "stored_cards",
    columns: &[
        "id",
        "merchant",
        "mode",
        "state",
        "created_at",
        "brand",
        "last4",
        "exp_month",
        "exp_year",
    ],
    later: NETWORKS,
    sealed: true,
    sql: Sql::new(),
};

/// Adds a stored card.
///
/// # Errors
/// The store's.
#[expect(clippy::too_many_arguments, reason = "each is a column or two")]
pub fn insert(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
    state: &str,
    card: &CardSummary,
    sealed: &SealedCard,
    now: i64,
) -> Result<StoredCard, Error> {
    let columns = [
        ("id", Value::from(id)),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("state", Value::from(state)),
        ("created_at", Value::from(now)),
    ];
    TABLE.insert(
        tx,
        macs,
        &[&columns[..], &shown(card)].concat(),
        Some(sealed),
    )?;
    Ok(StoredCard {
        id: id.to_owned(),
        object: "stored_card".to_owned(),
        status: state.to_owned(),
        card: card.clone(),
        bin: None,
        created: now,
    })
}

fn stored(row: &StateRow) -> Result<StoredCard, Error> {
    Ok(StoredCard {
        id: row.get("id")?,
        object: "stored_card".to_owned(),
        status: row.get("state")?,
        created: row.get("created_at")?,
        card: summary(row)?,
        bin: None,
    })
}

/// The card and what is sealed of it.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn find(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
) -> Result<Option<(StoredCard, SealedCard)>, Error> {
    let Some(row) = TABLE.find(tx, macs, owner, id, Read::Look)? else {
        return Ok(None);
    };
    let sealed = row.sealed.clone();
    sealed.map(|sealed| Ok((stored(&row)?, sealed))).transpose()
}

/// A page of cards, newest first, after the card `after`.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when a row was tampered with.
pub fn list(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    after: Option<&str>,
    most: i64,
) -> Result<Vec<StoredCard>, Error> {
    let sql = format!(
        "select {} from stored_cards
         where merchant = $1 and mode = $2 and state <> 'deleted'
           and ($3 = '' or (created_at, id) < (select created_at, id from stored_cards where id = $3 and merchant = $1))
         order by created_at desc, id desc limit $4",
        TABLE.selected()
    );
    let rows = tx.all(
        &sql,
        params![owner.merchant, owner.mode, after.unwrap_or(""), most],
    )?;
    rows.iter()
        .map(|row| stored(&TABLE.checked(macs, row)?))
        .collect()
}

/// A page of active cards stored until `until`, and what is sealed of each, in the order of their ids after `after`.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when a row was tampered with.
pub fn page_by_id(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    until: i64,
    after: &str,
    most: i64,
) -> Result<Vec<(StoredCard, SealedCard)>, Error> {
    let sql = format!(
        "select {} from stored_cards
         where merchant = $1 and mode = $2 and state = 'active' and created_at <= $3 and id > $4 order by id limit $5",
        TABLE.selected()
    );
    let rows = tx.all(
        &sql,
        params![owner.merchant, owner.mode, until, after, most],
    )?;
    rows.iter()
        .map(|row| {
            let row = TABLE.checked(macs, row)?;
            let sealed = row.sealed.clone().ok_or(crate::crypto::CannotOpen)?;
            Ok((stored(&row)?, sealed))
        })
        .collect()
}

/// Deletes a card: what is sealed of it goes at once, the row stays as a record. Whether it was there.
///
/// # Errors
/// The store's.
pub fn delete(tx: &mut Tx<'_>, macs: &RowMacs, owner: Owner<'_>, id: &str) -> Result<bool, Error> {
    let Some(mut row) = TABLE.find(tx, macs, owner, id, Read::Change)? else {
        return Ok(false);
    };
    if row.get::<String>("state")? == "deleted" {
        return Ok(false);
    }
    row.change(tx, macs, &[("state", Value::from("deleted"))], true)
}

/// Changes what may change of a card that is not deleted: its expiry and the buyer's choice of network. None when there
/// is no such card. The number is sealed apart from both and stays as it is.
///
/// # Errors
/// The store's, what `change` refuses, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn update<F>(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
    change: F,
) -> Result<Option<StoredCard>, Error>
where
    F: FnOnce(&mut CardSummary) -> Result<(), Error>,
{
    let Some(mut row) = TABLE.find(tx, macs, owner, id, Read::Change)? else {
        return Ok(None);
    };
    if row.get::<String>("state")? == "deleted" {
        return Ok(None);
    }
    let mut card = summary(&row)?;
    change(&mut card)?;
    if !row.change(tx, macs, &shown(&card), false)? {
        return Err(Error::Internal("a card changed while it was locked"));
    }
    stored(&row).map(Some)
}

/// Makes a card that waited for its first approval active.
///
/// # Errors
/// The store's.
pub fn activate(tx: &mut Tx<'_>, macs: &RowMacs, owner: Owner<'_>, id: &str) -> Result<(), Error> {
    if let Some(mut row) = TABLE.find(tx, macs, owner, id, Read::Change)?
        && row.get::<String>("state")? == "pending"
    {
        row.change(tx, macs, &[("state", Value::from("active"))], false)?;
    }
    Ok(())
}

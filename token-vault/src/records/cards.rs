//! Stored cards: no secret in the id, no CVV by type.

use store::{Row, Tx, params};
use vault_api::tokens::{CardSummary, StoredCard};

use super::tokens::Owner;
use super::{sealed, summary};
use crate::Error;
use crate::crypto::envelope::SealedCard;

/// Adds a stored card.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    id: &str,
    state: &str,
    card: &CardSummary,
    sealed: &SealedCard,
    now: i64,
) -> Result<StoredCard, Error> {
    tx.execute(
        "insert into stored_cards (id, merchant, mode, state, created_at, brand, last4, exp_month, exp_year, key_id,
             wrapped_key, sealed_number, sealed_name)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        params![
            id,
            owner.merchant,
            owner.mode,
            state,
            now,
            &card.brand,
            &card.last4,
            card.exp_month,
            card.exp_year,
            &sealed.key_id,
            &sealed.wrapped_key,
            &sealed.number,
            sealed.name.as_ref()
        ],
    )?;
    Ok(StoredCard {
        id: id.to_owned(),
        object: "stored_card".to_owned(),
        status: state.to_owned(),
        card: card.clone(),
        created: now,
    })
}

const COLUMNS: &str =
    "id, state, created_at, brand, last4, exp_month, exp_year, key_id, wrapped_key, sealed_number,
    sealed_name";

fn stored(row: &Row) -> Result<StoredCard, Error> {
    Ok(StoredCard {
        id: row.get(0)?,
        object: "stored_card".to_owned(),
        status: row.get(1)?,
        created: row.get(2)?,
        card: summary(row, 3)?,
    })
}

/// The card and what is sealed of it.
///
/// # Errors
/// The store's.
pub fn find(
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    id: &str,
) -> Result<Option<(StoredCard, SealedCard)>, Error> {
    let sql =
        format!("select {COLUMNS} from stored_cards where id = $1 and merchant = $2 and mode = $3");
    let Some(row) = tx.first(&sql, params![id, owner.merchant, owner.mode])? else {
        return Ok(None);
    };
    sealed(&row, 7)?
        .map(|sealed| Ok((stored(&row)?, sealed)))
        .transpose()
}

/// A page of cards, newest first, after the card `after`.
///
/// # Errors
/// The store's.
pub fn list(
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    after: Option<&str>,
    most: i64,
) -> Result<Vec<StoredCard>, Error> {
    let sql = format!(
        "select {COLUMNS} from stored_cards
         where merchant = $1 and mode = $2 and state <> 'deleted'
           and ($3 = '' or (created_at, id) < (select created_at, id from stored_cards where id = $3 and merchant = $1))
         order by created_at desc, id desc limit $4"
    );
    let rows = tx.all(
        &sql,
        params![owner.merchant, owner.mode, after.unwrap_or(""), most],
    )?;
    rows.iter().map(stored).collect()
}

/// Deletes a card: what is sealed of it goes at once, the row stays as a record. Whether it was there.
///
/// # Errors
/// The store's.
pub fn delete(tx: &mut Tx<'_>, owner: Owner<'_>, id: &str) -> Result<bool, Error> {
    let rows = tx.execute(
        "update stored_cards set state = 'deleted', key_id = null, wrapped_key = null, sealed_number = null,
             sealed_name = null
         where id = $1 and merchant = $2 and mode = $3 and state <> 'deleted'",
        params![id, owner.merchant, owner.mode],
    )?;
    Ok(rows == 1)
}

//! Grants: the right to send a card a few times, within an amount, a currency and a quarter of an hour.

use store::{Tx, params};
use subtle::ConstantTimeEq as _;
use vault_api::Grant;
use vault_api::tokens::CardSummary;

use super::tokens::Owner;
use super::{sealed, summary};
use crate::Error;
use crate::crypto::envelope::SealedCard;

/// Seconds a grant lasts.
pub const LIFE: i64 = 15 * 60;

/// Sends of each kind that a grant allows.
pub const SENDS: i64 = 3;

/// What a new grant is for.
pub struct NewGrant<'a> {
    /// The payment.
    pub intent: Option<&'a str>,
    /// Ceiling, smallest currency unit.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: &'a str,
    /// What may be shown.
    pub card: &'a CardSummary,
    /// The card.
    pub sealed: &'a SealedCard,
    /// A stored card that the first approval makes active.
    pub pending_card: Option<&'a str>,
    /// Unix seconds.
    pub expires_at: i64,
}

/// A grant's row.
pub struct GrantRow {
    /// Ceiling.
    pub amount: i64,
    /// Currency.
    pub currency: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// What may be shown.
    pub card: CardSummary,
    /// The card; none once it was swept.
    pub sealed: Option<SealedCard>,
}

/// Adds a grant.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    grant: &Grant,
    new: &NewGrant<'_>,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into grants (id, merchant, mode, secret_hash, intent, amount, currency, created_at, expires_at,
             authorisations_left, authentications_left, brand, last4, exp_month, exp_year, key_id, wrapped_key,
             sealed_number, sealed_name, pending_card)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        params![
            grant.public(),
            owner.merchant,
            owner.mode,
            grant.secret_hash(),
            new.intent,
            new.amount,
            new.currency,
            now,
            new.expires_at,
            SENDS,
            &new.card.brand,
            &new.card.last4,
            new.card.exp_month,
            new.card.exp_year,
            &new.sealed.key_id,
            &new.sealed.wrapped_key,
            &new.sealed.number,
            new.sealed.name.as_ref(),
            new.pending_card
        ],
    )?;
    Ok(())
}

/// The grant, if this is its owner and its secret.
///
/// # Errors
/// The store's.
pub fn find(tx: &mut Tx<'_>, owner: Owner<'_>, grant: &Grant) -> Result<Option<GrantRow>, Error> {
    let row = tx.first(
        "select secret_hash, amount, currency, expires_at, brand, last4, exp_month, exp_year, key_id, wrapped_key,
             sealed_number, sealed_name
         from grants where id = $1 and merchant = $2 and mode = $3",
        params![grant.public(), owner.merchant, owner.mode],
    )?;
    let Some(row) = row else { return Ok(None) };
    if !bool::from(row.get::<Vec<u8>>(0)?.ct_eq(&grant.secret_hash())) {
        return Ok(None);
    }
    Ok(Some(GrantRow {
        amount: row.get(1)?,
        currency: row.get(2)?,
        expires_at: row.get(3)?,
        card: summary(&row, 4)?,
        sealed: sealed(&row, 8)?,
    }))
}

/// What kind of send a grant is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// An authorisation.
    Authorise,
    /// A 3-D Secure authentication.
    Authenticate,
    /// A check of the card without an amount; not counted.
    Verify,
}

/// Opens an attempt on a grant and counts the send; false when another attempt is open or the sends are used up.
///
/// # Errors
/// The store's.
pub fn open_attempt(
    tx: &mut Tx<'_>,
    grant: &str,
    attempt: &str,
    send: Send,
) -> Result<bool, Error> {
    let (authorise, authenticate) = counts(send);
    let rows = tx.execute(
        "update grants set open_attempt = $2, authorisations_left = authorisations_left - $3,
             authentications_left = authentications_left - $4
         where id = $1 and open_attempt is null and authorisations_left >= $3 and authentications_left >= $4",
        params![grant, attempt, authorise, authenticate],
    )?;
    Ok(rows == 1)
}

/// Whether another attempt is open.
///
/// # Errors
/// The store's.
pub fn has_open_attempt(tx: &mut Tx<'_>, grant: &str) -> Result<bool, Error> {
    Ok(tx
        .first(
            "select 1 from grants where id = $1 and open_attempt is not null",
            params![grant],
        )?
        .is_some())
}

/// Ends the open attempt. A send of which nothing left the vault is given back.
///
/// # Errors
/// The store's.
pub fn close_attempt(
    tx: &mut Tx<'_>,
    grant: &str,
    attempt: &str,
    send: Send,
    nothing_sent: bool,
) -> Result<(), Error> {
    let (authorise, authenticate) = if nothing_sent { counts(send) } else { (0, 0) };
    tx.execute(
        "update grants set open_attempt = null, authorisations_left = authorisations_left + $3,
             authentications_left = authentications_left + $4
         where id = $1 and open_attempt = $2",
        params![grant, attempt, authorise, authenticate],
    )?;
    Ok(())
}

/// Makes the stored card that waits for this grant's first approval active.
///
/// # Errors
/// The store's.
pub fn activate_pending_card(tx: &mut Tx<'_>, grant: &str) -> Result<(), Error> {
    tx.execute(
        "update stored_cards set state = 'active'
         where state = 'pending' and id = (select pending_card from grants where id = $1)",
        params![grant],
    )?;
    Ok(())
}

fn counts(send: Send) -> (i64, i64) {
    match send {
        Send::Authorise => (1, 0),
        Send::Authenticate => (0, 1),
        Send::Verify => (0, 0),
    }
}

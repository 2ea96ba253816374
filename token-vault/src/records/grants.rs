//! Grants: the right to send a card a few times, within an amount, a currency and a quarter of an hour.

use store::{Tx, Value};
use subtle::ConstantTimeEq as _;
use vault_api::Grant;
use vault_api::tokens::CardSummary;

use super::row_mac::{Read, RowMacs, Sql, StateRow, Table};
use super::tokens::Owner;
use super::{NETWORKS, shown, summary};
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

/// What a grant's MAC covers.
pub static TABLE: Table = Table {
    name: "grants",
    columns: &[
        "id",
        "merchant",
        "mode",
        "secret_hash",
        "intent",
        "amount",
        "currency",
        "created_at",
        "expires_at",
        "authorisations_left",
        "authentications_left",
        "open_attempt",
        "brand",
        "last4",
        "exp_month",
        "exp_year",
        "pending_card",
    ],
    later: NETWORKS,
    sealed: true,
    sql: Sql::new(),
};

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
    row: StateRow,
}

/// Adds a grant.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    grant: &Grant,
    new: &NewGrant<'_>,
    now: i64,
) -> Result<(), Error> {
    let state = [
        ("id", Value::from(grant.public())),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("secret_hash", Value::from(grant.secret_hash())),
        ("intent", Value::from(new.intent)),
        ("amount", Value::from(new.amount)),
        ("currency", Value::from(new.currency)),
        ("created_at", Value::from(now)),
        ("expires_at", Value::from(new.expires_at)),
        ("authorisations_left", Value::from(SENDS)),
        ("authentications_left", Value::from(SENDS)),
        ("pending_card", Value::from(new.pending_card)),
    ];
    let state = [&state[..], &shown(new.card)].concat();
    TABLE.insert(tx, macs, &state, Some(new.sealed))
}

/// The grant, if this is its owner and its secret; read to open an attempt on it.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn find(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    grant: &Grant,
) -> Result<Option<GrantRow>, Error> {
    let Some(row) = TABLE.find(tx, macs, owner, grant.public(), Read::Change)? else {
        return Ok(None);
    };
    if !bool::from(
        row.get::<Vec<u8>>("secret_hash")?
            .ct_eq(&grant.secret_hash()),
    ) {
        return Ok(None);
    }
    Ok(Some(GrantRow {
        amount: row.get("amount")?,
        currency: row.get("currency")?,
        expires_at: row.get("expires_at")?,
        card: summary(&row)?,
        sealed: row.sealed.clone(),
        row,
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
    macs: &RowMacs,
    grant: &mut GrantRow,
    attempt: &str,
    send: Send,
) -> Result<bool, Error> {
    let (authorise, authenticate) = counts(send);
    let row = &mut grant.row;
    let authorisations = row.get::<i64>("authorisations_left")? - authorise;
    let authentications = row.get::<i64>("authentications_left")? - authenticate;
    let busy = row.get::<Option<String>>("open_attempt")?.is_some();
    if busy || authorisations < 0 || authentications < 0 {
        return Ok(false);
    }
    let changes = [
        ("open_attempt", Value::from(attempt)),
        ("authorisations_left", Value::from(authorisations)),
        ("authentications_left", Value::from(authentications)),
    ];
    row.change(tx, macs, &changes, false)
}

/// Whether another attempt is open.
///
/// # Errors
/// When the row is malformed.
pub fn has_open_attempt(grant: &GrantRow) -> Result<bool, Error> {
    Ok(grant.row.get::<Option<String>>("open_attempt")?.is_some())
}

impl GrantRow {
    /// The grant without its card, to end the attempt that was opened on it.
    #[must_use]
    pub fn without_card(mut self) -> Self {
        (self.sealed, self.row.sealed) = (None, None);
        self
    }

    /// Ends the attempt that was opened on it; false when somebody else changed the grant since. A send of which nothing
    /// left the vault is given back.
    ///
    /// # Errors
    /// The store's.
    pub fn close_attempt(
        &self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        given_back: Option<Send>,
    ) -> Result<bool, Error> {
        self.row
            .change_last(tx, macs, &closed(&self.row, given_back)?)
    }

    /// Makes the stored card that waits for this grant's first approval active.
    ///
    /// # Errors
    /// The store's.
    pub fn activate_pending_card(
        &self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        owner: Owner<'_>,
    ) -> Result<(), Error> {
        match self.row.get::<Option<String>>("pending_card")? {
            Some(card) => super::cards::activate(tx, macs, owner, &card),
            None => Ok(()),
        }
    }
}

fn closed(row: &StateRow, given_back: Option<Send>) -> Result<[(&'static str, Value); 3], Error> {
    let (authorise, authenticate) = given_back.map_or((0, 0), counts);
    let authorisations = row.get::<i64>("authorisations_left")? + authorise;
    let authentications = row.get::<i64>("authentications_left")? + authenticate;
    Ok([
        ("open_attempt", Value::Null),
        ("authorisations_left", Value::from(authorisations)),
        ("authentications_left", Value::from(authentications)),
    ])
}

/// Ends the open attempt. A send of which nothing left the vault is given back.
///
/// # Errors
/// The store's.
pub fn close_attempt(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    grant: &str,
    attempt: &str,
    given_back: Option<Send>,
) -> Result<(), Error> {
    let Some(mut row) = TABLE.find(tx, macs, owner, grant, Read::Change)? else {
        return Ok(());
    };
    if row.get::<Option<String>>("open_attempt")?.as_deref() != Some(attempt) {
        return Ok(());
    }
    let changes = closed(&row, given_back)?;
    row.change(tx, macs, &changes, false)?;
    Ok(())
}

fn counts(send: Send) -> (i64, i64) {
    match send {
        Send::Authorise => (1, 0),
        Send::Authenticate => (0, 1),
        Send::Verify => (0, 0),
    }
}

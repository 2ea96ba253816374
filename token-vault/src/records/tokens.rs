//! Tokens: `active → exchanged | revoked`, or expired by time. One atomic statement takes each step.

use store::{Tx, Value, params};
use subtle::ConstantTimeEq as _;
use vault_api::Token;
use vault_api::tokens::CardSummary;

use super::row_mac::{Read, RowMacs, Sql, StateRow, Table};
use super::{NETWORKS, shown, summary};
use crate::Error;
use crate::crypto::envelope::SealedCard;

/// Seconds a token lasts.
pub const LIFE: i64 = 15 * 60;

/// What a field session binds a token to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The intent.
    pub intent: Option<String>,
    /// The amount, smallest currency unit.
    pub amount: Option<i64>,
    /// The currency.
    pub currency: Option<String>,
}

/// A token's row.
pub struct TokenRow {
    /// `active`, `exchanged` or `revoked`.
    pub state: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// What may be shown of the card; none when the token is of a security code alone.
    pub card: Option<CardSummary>,
    /// The card; none once it was used, revoked or swept.
    pub sealed: Option<SealedCard>,
    /// What it is bound to.
    pub binding: Binding,
    /// The one use.
    pub used: Option<Use>,
    row: StateRow,
}

/// The one use of a token.
pub struct Use {
    /// Unix seconds.
    pub at: i64,
    /// The request.
    pub request: String,
    /// Its idempotency key.
    pub key: String,
    /// Its HMAC.
    pub hash: Vec<u8>,
    /// Its answer without the secret.
    pub answer: String,
}

/// Whose token.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The merchant.
    pub merchant: &'a str,
    /// Test or live.
    pub mode: &'a str,
}

/// What a token's MAC covers.
pub static TABLE: Table = Table {
    name: "tokens",
    columns: &[
        "id",
        "merchant",
        "mode",
        "secret_hash",
        "state",
        "created_at",
        "expires_at",
        "brand",
        "last4",
        "exp_month",
        "exp_year",
        "bound_intent",
        "bound_amount",
        "bound_currency",
        "used_at",
        "used_request",
        "used_key",
        "used_hash",
        "answer",
    ],
    later: NETWORKS,
    sealed: true,
    sql: Sql::new(),
};

/// Adds a token.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    token: &Token,
    card: Option<(&CardSummary, &SealedCard)>,
    binding: &Binding,
    now: i64,
) -> Result<(), Error> {
    let state = [
        ("id", Value::from(token.public())),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("secret_hash", Value::from(token.secret_hash())),
        ("state", Value::from("active")),
        ("created_at", Value::from(now)),
        ("expires_at", Value::from(now + LIFE)),
        ("bound_intent", Value::from(binding.intent.as_ref())),
        ("bound_amount", Value::from(binding.amount)),
        ("bound_currency", Value::from(binding.currency.as_ref())),
    ];
    // The columns of a card that is not there are empty; no brand has the name "".
    let no_card = || CardSummary {
        brand: String::new(),
        last4: String::new(),
        exp_month: 0,
        exp_year: 0,
        networks: None,
    };
    let shown = card.map_or_else(|| shown(&no_card()), |(card, _)| shown(card));
    let sealed = card.map(|(_, sealed)| sealed);
    TABLE.insert(tx, macs, &[&state[..], &shown].concat(), sealed)
}

/// The token, if this is its owner and its secret.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn find(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    token: &Token,
    read: Read,
) -> Result<Option<TokenRow>, Error> {
    let Some(row) = TABLE.find(tx, macs, owner, token.public(), read)? else {
        return Ok(None);
    };
    if !bool::from(
        row.get::<Vec<u8>>("secret_hash")?
            .ct_eq(&token.secret_hash()),
    ) {
        return Ok(None);
    }
    let used = match row.get::<Option<i64>>("used_at")? {
        Some(at) => Some(Use {
            at,
            request: row.get("used_request")?,
            key: row.get("used_key")?,
            hash: row.get("used_hash")?,
            answer: row.get("answer")?,
        }),
        None => None,
    };
    Ok(Some(TokenRow {
        state: row.get("state")?,
        expires_at: row.get("expires_at")?,
        card: Some(summary(&row)?).filter(|card| !card.brand.is_empty()),
        sealed: row.sealed.clone(),
        binding: Binding {
            intent: row.get("bound_intent")?,
            amount: row.get("bound_amount")?,
            currency: row.get("bound_currency")?,
        },
        used,
        row,
    }))
}

/// Takes the one use of a token that was read to change; whether it was there to take. The card leaves the row in the
/// same statement.
///
/// # Errors
/// The store's.
pub fn take(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    token: &mut TokenRow,
    used: &Use,
) -> Result<bool, Error> {
    if token.state != "active" || token.expires_at <= used.at {
        return Ok(false);
    }
    let changes = [
        ("state", Value::from("exchanged")),
        ("used_at", Value::from(used.at)),
        ("used_request", Value::from(&used.request)),
        ("used_key", Value::from(&used.key)),
        ("used_hash", Value::from(&used.hash)),
        ("answer", Value::from(&used.answer)),
    ];
    token.row.change(tx, macs, &changes, true)
}

/// Revokes an active token that was read to change; whether it was active.
///
/// # Errors
/// The store's.
pub fn revoke(tx: &mut Tx<'_>, macs: &RowMacs, token: &mut TokenRow) -> Result<bool, Error> {
    if token.state != "active" {
        return Ok(false);
    }
    let changes = [("state", Value::from("revoked"))];
    token.row.change(tx, macs, &changes, true)
}

/// Notes that a sealed card was opened; false when it was before.
///
/// # Errors
/// The store's.
pub fn first_sight(tx: &mut Tx<'_>, hash: &[u8; 32], expires_at: i64) -> Result<bool, Error> {
    let sql = "insert into sealed_seen (hash, expires_at) values ($1, $2) on conflict do nothing";
    Ok(tx.execute(sql, params![hash, expires_at])? == 1)
}

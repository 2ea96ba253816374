//! Tokens: `active → exchanged | revoked`, or expired by time. One atomic statement takes each step.

use store::{Tx, params};
use subtle::ConstantTimeEq as _;
use vault_api::Token;
use vault_api::tokens::CardSummary;

use super::{sealed, summary};
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
    /// What may be shown.
    pub card: CardSummary,
    /// The card; none once it was used, revoked or swept.
    pub sealed: Option<SealedCard>,
    /// What it is bound to.
    pub binding: Binding,
    /// The one use.
    pub used: Option<Use>,
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

/// Adds a token.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    token: &Token,
    card: &CardSummary,
    sealed: &SealedCard,
    binding: &Binding,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into tokens (id, merchant, mode, secret_hash, state, created_at, expires_at, brand, last4, exp_month,
             exp_year, key_id, wrapped_key, sealed_number, sealed_name, bound_intent, bound_amount, bound_currency)
         values ($1, $2, $3, $4, 'active', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        params![
            token.public(),
            owner.merchant,
            owner.mode,
            token.secret_hash(),
            now,
            now + LIFE,
            &card.brand,
            &card.last4,
            card.exp_month,
            card.exp_year,
            &sealed.key_id,
            &sealed.wrapped_key,
            &sealed.number,
            sealed.name.as_ref(),
            binding.intent.as_ref(),
            binding.amount,
            binding.currency.as_ref()
        ],
    )?;
    Ok(())
}

/// Lets one transaction at a time look at a token and use it. On SQLite the single writer does that already.
///
/// # Errors
/// The store's.
pub fn lock(tx: &mut Tx<'_>, token: &Token) -> Result<(), Error> {
    if tx.is_postgres() {
        tx.first(
            "select 1 from tokens where id = $1 for update",
            params![token.public()],
        )?;
    }
    Ok(())
}

/// The token, if this is its owner and its secret.
///
/// # Errors
/// The store's.
pub fn find(tx: &mut Tx<'_>, owner: Owner<'_>, token: &Token) -> Result<Option<TokenRow>, Error> {
    let row = tx.first(
        "select secret_hash, state, expires_at, brand, last4, exp_month, exp_year, key_id, wrapped_key, sealed_number,
             sealed_name, bound_intent, bound_amount, bound_currency, used_at, used_request, used_key, used_hash, answer
         from tokens where id = $1 and merchant = $2 and mode = $3",
        params![token.public(), owner.merchant, owner.mode],
    )?;
    let Some(row) = row else { return Ok(None) };
    if !bool::from(row.get::<Vec<u8>>(0)?.ct_eq(&token.secret_hash())) {
        return Ok(None);
    }
    let used = match row.get::<Option<i64>>(14)? {
        Some(at) => Some(Use {
            at,
            request: row.get(15)?,
            key: row.get(16)?,
            hash: row.get(17)?,
            answer: row.get(18)?,
        }),
        None => None,
    };
    Ok(Some(TokenRow {
        state: row.get(1)?,
        expires_at: row.get(2)?,
        card: summary(&row, 3)?,
        sealed: sealed(&row, 7)?,
        binding: Binding {
            intent: row.get(11)?,
            amount: row.get(12)?,
            currency: row.get(13)?,
        },
        used,
    }))
}

/// Takes the one use; whether it was there to take. The card leaves the row in the same statement.
///
/// # Errors
/// The store's.
pub fn take(tx: &mut Tx<'_>, owner: Owner<'_>, token: &Token, used: &Use) -> Result<bool, Error> {
    let rows = tx.execute(
        "update tokens set state = 'exchanged', used_at = $4, used_request = $5, used_key = $6, used_hash = $7,
             answer = $8, key_id = null, wrapped_key = null, sealed_number = null, sealed_name = null
         where id = $1 and merchant = $2 and mode = $3 and state = 'active' and expires_at > $4",
        params![
            token.public(),
            owner.merchant,
            owner.mode,
            used.at,
            &used.request,
            &used.key,
            &used.hash,
            &used.answer
        ],
    )?;
    Ok(rows == 1)
}

/// Revokes an active token; whether it was active.
///
/// # Errors
/// The store's.
pub fn revoke(tx: &mut Tx<'_>, owner: Owner<'_>, token: &Token) -> Result<bool, Error> {
    let rows = tx.execute(
        "update tokens set state = 'revoked', key_id = null, wrapped_key = null, sealed_number = null,
             sealed_name = null
         where id = $1 and merchant = $2 and mode = $3 and state = 'active'",
        params![token.public(), owner.merchant, owner.mode],
    )?;
    Ok(rows == 1)
}

/// Notes that a sealed card was opened; false when it was before.
///
/// # Errors
/// The store's.
pub fn first_sight(tx: &mut Tx<'_>, hash: &[u8; 32], expires_at: i64) -> Result<bool, Error> {
    let sql = "insert into sealed_seen (hash, expires_at) values ($1, $2) on conflict do nothing";
    Ok(tx.execute(sql, params![hash, expires_at])? == 1)
}

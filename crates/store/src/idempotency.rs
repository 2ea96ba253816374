//! Idempotency keys: claimed by a unique insert before the work, compared, replayed (draft-ietf-httpapi-idempotency-key).

use crate::{Error, Tx, params};

/// What a key turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// New, and now ours: do the work, then [`complete`] it.
    New,
    /// The work was done: answer this again, byte for byte.
    Replay {
        /// HTTP status.
        status: u16,
        /// Body.
        body: Vec<u8>,
    },
    /// Claimed before and not complete: running elsewhere, or interrupted. Same request.
    Open,
    /// Claimed by another request: 422 (or Stripe's 400).
    Mismatch,
}

/// Claims `key` in `scope` (merchant and route) for a request with this hash until `expires_at` (Unix seconds).
///
/// # Errors
/// The database's.
pub fn claim(
    tx: &mut Tx<'_>,
    scope: &str,
    key: &str,
    request_hash: &[u8; 32],
    now: i64,
    expires_at: i64,
) -> Result<Claim, Error> {
    // One that is over makes room.
    let inserted = tx.execute(
        "insert into idempotency (scope, key, request_hash, created_at, expires_at) values ($1, $2, $3, $4, $5)
         on conflict (scope, key) do update
         set request_hash = excluded.request_hash, status = null, body = null, created_at = excluded.created_at,
             expires_at = excluded.expires_at
         where idempotency.expires_at <= excluded.created_at",
        params![scope, key, request_hash, now, expires_at],
    )?;
    if inserted == 1 {
        return Ok(Claim::New);
    }
    let row = tx.first(
        "select request_hash, status, body from idempotency where scope = $1 and key = $2",
        params![scope, key],
    )?;
    let Some(row) = row else {
        return Ok(Claim::Open);
    };
    if row.get::<Vec<u8>>(0)? != request_hash {
        return Ok(Claim::Mismatch);
    }
    Ok(match row.get::<Option<u16>>(1)? {
        Some(status) => Claim::Replay {
            status,
            body: row.get::<Option<Vec<u8>>>(2)?.unwrap_or_default(),
        },
        None => Claim::Open,
    })
}

/// Whether `key` was claimed in `scope`, by whatever request, and perhaps is over by now.
///
/// # Errors
/// The database's.
pub fn is_known(tx: &mut Tx<'_>, scope: &str, key: &str) -> Result<bool, Error> {
    let row = tx.first(
        "select 1 from idempotency where scope = $1 and key = $2",
        params![scope, key],
    )?;
    Ok(row.is_some())
}

/// Records the answer that replays will get.
///
/// # Errors
/// The database's.
pub fn complete(
    tx: &mut Tx<'_>,
    scope: &str,
    key: &str,
    status: u16,
    body: &[u8],
) -> Result<(), Error> {
    tx.execute(
        "update idempotency set status = $3, body = $4 where scope = $1 and key = $2",
        params![scope, key, status, body],
    )?;
    Ok(())
}

/// Gives an unfinished claim back: the request was refused before it did anything.
///
/// # Errors
/// The database's.
pub fn release(tx: &mut Tx<'_>, scope: &str, key: &str) -> Result<(), Error> {
    tx.execute(
        "delete from idempotency where scope = $1 and key = $2 and status is null",
        params![scope, key],
    )?;
    Ok(())
}

/// Forgets keys that are over; how many.
///
/// # Errors
/// The database's.
pub fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<u64, Error> {
    tx.execute(
        "delete from idempotency where expires_at <= $1",
        params![now],
    )
}

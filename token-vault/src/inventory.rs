//! `token-vault keys inventory`: the crypto architecture that is running, read from what runs (PCI DSS 3.6.1.1):
//! each level with algorithm, strength, provider, generation, age, state, count and use. No key is in it.

use serde_json::{Value, json};
use store::{Row, Store, Tx, params};
use vault_api::keys::Mode;

use crate::Error;
use crate::crypto::secrets::Purpose;
use crate::crypto::{cvv, sealing, session};

/// When a root or tenant key is due (PCI DSS 3.7.4), seconds after it was made. Nothing stops then: the operator rotates.
pub const CRYPTOPERIOD: i64 = 365 * 86_400;

/// The inventory of one mode.
///
/// # Errors
/// The store's.
pub async fn of(store: &Store, mode: Mode, now: i64) -> Result<Value, Error> {
    store.read(move |tx| read(tx, mode, now)).await
}

fn read(tx: &mut Tx<'_>, mode: Mode, now: i64) -> Result<Value, Error> {
    Ok(json!({
        "mode": mode.as_str(),
        "generated_at": now,
        "levels": [
            { "level": "root", "strength_bits": 256, "wraps": ["tenant", "service"], "keys": roots(tx, mode)? },
            {
                "level": "tenant", "algorithm": "AES-256-GCM with HKDF-SHA-256 key commitment", "strength_bits": 256,
                "wraps": ["record"], "used_in": "envelope of tokens, grants and stored cards",
                "expires": "on `keys rotate tenant`", "keys": tenants(tx, mode)?, "destroyed": destroyed(tx, mode)?,
            },
            {
                "level": "record", "algorithm": "AES-256-GCM with HKDF-SHA-256 key commitment", "strength_bits": 256,
                "encrypts": "card number and holder name, one random key per record",
                "expires": "with its record", "count": records(tx, mode)?,
            },
            {
                "level": "service", "algorithm": "HKDF-SHA-256, HMAC-SHA-256", "strength_bits": 256,
                "keys": secrets(tx, mode)?,
            },
            {
                "level": "cvv_epoch", "algorithm": "AES-256-GCM under HKDF-SHA-256(epoch key, bearer secret, record)",
                "strength_bits": 256, "provider": "memory of the running process, never stored",
                "new_every_seconds": cvv::EPOCH, "destroyed_after_seconds": cvv::LIFE, "encrypts": "CVV",
                "records": count(tx, "select count(*) from cvvs where $1 = $1", mode)?,
            },
            {
                "level": "sealing", "algorithm": "HPKE (RFC 9180): DHKEM(X25519 or P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM",
                "strength_bits": 128, "provider": "memory of the running process, never stored",
                "new_every_seconds": sealing::ISSUED_FOR, "destroyed_after_seconds": sealing::LIFE,
                "encrypts": "the card on its way from the frame",
            },
            {
                "level": "field_session", "algorithm": "Ed25519 (JWT, EdDSA)", "strength_bits": 128,
                "provider": "derived from the service secret, one key a day", "session_seconds": session::LIFE,
                "signs": "field sessions",
            },
            {
                "level": "api_key", "algorithm": "SHA-256 of a 190-bit random key", "strength_bits": 190,
                "count": count(tx, &live_keys(now), mode)?,
            },
        ],
    }))
}

fn live_keys(now: i64) -> String {
    format!(
        "select count(*) from api_keys where mode = $1 and (expires_at is null or expires_at > {now})"
    )
}

fn count(tx: &mut Tx<'_>, sql: &str, mode: Mode) -> Result<i64, Error> {
    let row = tx.first(sql, params![mode.as_str()])?;
    Ok(row.ok_or(Error::Internal("no count"))?.get(0)?)
}

fn list(
    tx: &mut Tx<'_>,
    sql: &str,
    mode: Mode,
    of: impl Fn(&Row) -> Result<Value, store::Error>,
) -> Result<Vec<Value>, Error> {
    let rows = tx.all(sql, params![mode.as_str()])?;
    Ok(rows.iter().map(of).collect::<Result<_, _>>()?)
}

fn roots(tx: &mut Tx<'_>, mode: Mode) -> Result<Vec<Value>, Error> {
    let sql = "select r.id, r.provider, r.algorithm, r.state, r.created_at, r.retired_at,
                   (select count(*) from tenant_keys k where k.root_id = r.id),
                   (select count(*) from service_secrets s where s.root_id = r.id)
               from roots r where r.mode = $1 order by r.created_at, r.id";
    list(tx, sql, mode, |row| {
        Ok(json!({
            "id": row.get::<String>(0)?, "provider": row.get::<String>(1)?, "algorithm": row.get::<String>(2)?,
            "state": row.get::<String>(3)?, "created_at": row.get::<i64>(4)?, "rotate_by": row.get::<i64>(4)? + CRYPTOPERIOD, "retired_at": row.get::<Option<i64>>(5)?,
            "tenant_keys": row.get::<i64>(6)?, "service_secrets": row.get::<i64>(7)?,
        }))
    })
}

fn tenants(tx: &mut Tx<'_>, mode: Mode) -> Result<Vec<Value>, Error> {
    let sql = "select k.id, k.merchant, k.generation, k.state, k.created_at, k.root_id,
                   (select count(*) from tokens t where t.key_id = k.id),
                   (select count(*) from grants g where g.key_id = k.id),
                   (select count(*) from stored_cards c where c.key_id = k.id)
               from tenant_keys k where k.mode = $1 order by k.merchant, k.generation";
    list(tx, sql, mode, |row| {
        Ok(json!({
            "id": row.get::<String>(0)?, "merchant": row.get::<String>(1)?, "generation": row.get::<i64>(2)?,
            "state": row.get::<String>(3)?, "created_at": row.get::<i64>(4)?, "rotate_by": row.get::<i64>(4)? + CRYPTOPERIOD, "wrapped_by": row.get::<String>(5)?,
            "records": {
                "tokens": row.get::<i64>(6)?, "grants": row.get::<i64>(7)?, "stored_cards": row.get::<i64>(8)?,
            },
        }))
    })
}

fn destroyed(tx: &mut Tx<'_>, mode: Mode) -> Result<Vec<Value>, Error> {
    let sql = "select id, merchant, generation, created_at, destroyed_at from destroyed_keys
               where mode = $1 order by destroyed_at, id";
    list(tx, sql, mode, |row| {
        Ok(json!({
            "id": row.get::<String>(0)?, "merchant": row.get::<String>(1)?, "generation": row.get::<i64>(2)?,
            "state": "destroyed", "created_at": row.get::<i64>(3)?, "destroyed_at": row.get::<i64>(4)?,
        }))
    })
}

fn records(tx: &mut Tx<'_>, mode: Mode) -> Result<i64, Error> {
    let mut sum = 0;
    for table in ["tokens", "grants", "stored_cards"] {
        let sql =
            format!("select count(*) from {table} where mode = $1 and sealed_number is not null");
        sum += count(tx, &sql, mode)?;
    }
    Ok(sum)
}

fn secrets(tx: &mut Tx<'_>, mode: Mode) -> Result<Vec<Value>, Error> {
    let sql = "select purpose, generation, root_id, created_at from service_secrets where mode = $1
               order by purpose, generation";
    list(tx, sql, mode, |row| {
        let purpose: String = row.get(0)?;
        let known = Purpose::ALL.into_iter().find(|p| p.as_str() == purpose);
        Ok(json!({
            "purpose": purpose, "generation": row.get::<i64>(1)?, "state": "active",
            "wrapped_by": row.get::<String>(2)?, "created_at": row.get::<i64>(3)?,
            "used_in": known.map(Purpose::used_for),
        }))
    })
}

//! Merchants and API keys.

use store::{Tx, params};
use vault_api::keys::{ApiKey, KeyInfo, Kind, Mode};

use crate::Error;

/// A new key's limits.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Scopes of a restricted key.
    pub scopes: Vec<String>,
    /// Origins of a publishable key.
    pub origins: Vec<String>,
    /// Merchants that a service key may act for.
    pub merchants: Vec<String>,
}

/// Makes a merchant.
///
/// # Errors
/// The store's.
pub fn create_merchant(tx: &mut Tx<'_>, id: &str, name: &str, now: i64) -> Result<(), Error> {
    tx.execute(
        "insert into merchants (id, name, created_at) values ($1, $2, $3)",
        params![id, name, now],
    )?;
    Ok(())
}

/// The id and name of each merchant.
///
/// # Errors
/// The store's.
pub fn merchants(tx: &mut Tx<'_>) -> Result<Vec<(String, String)>, Error> {
    let rows = tx.all(
        "select id, name from merchants order by created_at, id",
        &[],
    )?;
    rows.iter()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .collect()
}

/// Keeps the hash of a key.
///
/// # Errors
/// The store's.
pub fn create_key(
    tx: &mut Tx<'_>,
    id: &str,
    key: &ApiKey,
    merchant: Option<&str>,
    limits: &Limits,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into api_keys (id, merchant, mode, kind, sha256, scopes, origins, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            id,
            merchant,
            key.mode().as_str(),
            kind_name(key.kind()),
            key.sha256_hex(),
            limits.scopes.join(" "),
            limits.origins.join(" "),
            now
        ],
    )?;
    for merchant in &limits.merchants {
        tx.execute(
            "insert into service_merchants (key_id, merchant) values ($1, $2)",
            params![id, merchant],
        )?;
    }
    Ok(())
}

/// The key with this hash, unless it has ended.
///
/// # Errors
/// The store's.
pub fn by_hash(tx: &mut Tx<'_>, sha256: &str, now: i64) -> Result<Option<KeyInfo>, Error> {
    let row = tx.first(
        "select k.id, k.merchant, m.name, k.mode, k.kind, k.scopes, k.origins
         from api_keys k left join merchants m on m.id = k.merchant
         where k.sha256 = $1 and (k.expires_at is null or k.expires_at > $2)",
        params![sha256, now],
    )?;
    let Some(row) = row else { return Ok(None) };
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    Ok(Some(KeyInfo {
        id: row.get(0)?,
        merchant: row.get::<Option<String>>(1)?.unwrap_or_default(),
        merchant_name: row.get::<Option<String>>(2)?.unwrap_or_default(),
        mode: Mode::from_name(&row.get::<String>(3)?).ok_or(Error::Internal("unknown mode"))?,
        kind: kind(&row.get::<String>(4)?)?,
        scopes: words(row.get(5)?),
        origins: words(row.get(6)?),
    }))
}

/// Whether a service key may act for a merchant.
///
/// # Errors
/// The store's.
pub fn is_linked(tx: &mut Tx<'_>, key_id: &str, merchant: &str) -> Result<bool, Error> {
    let sql = "select 1 from service_merchants where key_id = $1 and merchant = $2";
    Ok(tx.first(sql, params![key_id, merchant])?.is_some())
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Publishable => "publishable",
        Kind::Secret => "secret",
        Kind::Restricted => "restricted",
        Kind::Service => "service",
    }
}

fn kind(name: &str) -> Result<Kind, Error> {
    [
        Kind::Publishable,
        Kind::Secret,
        Kind::Restricted,
        Kind::Service,
    ]
    .into_iter()
    .find(|kind| kind_name(*kind) == name)
    .ok_or(Error::Internal("unknown kind of key"))
}

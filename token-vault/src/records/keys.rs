//! Merchants and API keys.

use ipnet::IpNet;
use serde::Serialize;
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
    /// Addresses that may use the key; any when empty.
    pub allow_ip: Vec<IpNet>,
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
        "insert into api_keys (id, merchant, mode, kind, sha256, scopes, origins, allow_ip, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            id,
            merchant,
            key.mode().as_str(),
            kind_name(key.kind()),
            key.sha256_hex(),
            limits.scopes.join(" "),
            limits.origins.join(" "),
            limits
                .allow_ip
                .iter()
                .map(IpNet::to_string)
                .collect::<Vec<_>>()
                .join(" "),
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
    Ok(with_addresses(tx, sha256, now)?.map(|(info, _)| info))
}

/// The key with this hash, unless it has ended, and the addresses that may use it (any when empty).
///
/// # Errors
/// The store's.
pub fn with_addresses(
    tx: &mut Tx<'_>,
    sha256: &str,
    now: i64,
) -> Result<Option<(KeyInfo, Vec<IpNet>)>, Error> {
    let row = tx.first(
        "select k.id, k.merchant, m.name, k.mode, k.kind, k.scopes, k.origins, k.allow_ip
         from api_keys k left join merchants m on m.id = k.merchant
         where k.sha256 = $1 and (k.expires_at is null or k.expires_at > $2)",
        params![sha256, now],
    )?;
    let Some(row) = row else { return Ok(None) };
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    let allowed = row.get::<String>(7)?;
    // A block that cannot be read must not open the key to everybody.
    let allowed = allowed
        .split_whitespace()
        .map(|block| {
            block
                .parse()
                .map_err(|_| Error::Internal("a key's allowed addresses are malformed"))
        })
        .collect::<Result<_, Error>>()?;
    let info = KeyInfo {
        id: row.get(0)?,
        merchant: row.get::<Option<String>>(1)?.unwrap_or_default(),
        merchant_name: row.get::<Option<String>>(2)?.unwrap_or_default(),
        mode: Mode::from_name(&row.get::<String>(3)?).ok_or(Error::Internal("unknown mode"))?,
        kind: kind(&row.get::<String>(4)?)?,
        scopes: words(row.get(5)?),
        origins: words(row.get(6)?),
    };
    Ok(Some((info, allowed)))
}

/// A key as the operator sees it: no secret, not even its hash.
#[derive(Debug, Serialize)]
pub struct KeyRow {
    /// `key_..`.
    pub id: String,
    /// The merchant; none for a service key.
    pub merchant: Option<String>,
    /// Test or live.
    pub mode: String,
    /// `publishable`, `secret`, `restricted` or `service`.
    pub kind: String,
    /// Scopes, separated by spaces.
    pub scopes: String,
    /// Origins, separated by spaces.
    pub origins: String,
    /// Addresses that may use it, separated by spaces; any when empty.
    pub allow_ip: String,
    /// Unix seconds.
    pub created_at: i64,
    /// When it ends or ended, Unix seconds.
    pub expires_at: Option<i64>,
    /// The key it replaced.
    pub rolled_from: Option<String>,
}

/// All keys, oldest first.
///
/// # Errors
/// The store's.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<KeyRow>, Error> {
    let rows = tx.all(
        "select id, merchant, mode, kind, scopes, origins, allow_ip, created_at, expires_at, rolled_from
         from api_keys order by created_at, id",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            Ok(KeyRow {
                id: row.get(0)?,
                merchant: row.get(1)?,
                mode: row.get(2)?,
                kind: row.get(3)?,
                scopes: row.get(4)?,
                origins: row.get(5)?,
                allow_ip: row.get(6)?,
                created_at: row.get(7)?,
                expires_at: row.get(8)?,
                rolled_from: row.get(9)?,
            })
        })
        .collect()
}

/// The kind and mode of a key that has not ended.
///
/// # Errors
/// The store's.
pub fn kind_of(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<Option<(Kind, Mode)>, Error> {
    let row = tx.first(
        "select kind, mode from api_keys where id = $1 and (expires_at is null or expires_at > $2)",
        params![id, now],
    )?;
    let Some(row) = row else { return Ok(None) };
    let mode = Mode::from_name(&row.get::<String>(1)?).ok_or(Error::Internal("unknown mode"))?;
    Ok(Some((kind(&row.get::<String>(0)?)?, mode)))
}

/// Keeps the hash of a key that may do what the key `old` may, and lets that one end at `ends_at`, unless it ends
/// before. False when there is no such key, or it has ended.
///
/// # Errors
/// The store's.
pub fn roll(
    tx: &mut Tx<'_>,
    old: &str,
    id: &str,
    key: &ApiKey,
    ends_at: i64,
    now: i64,
) -> Result<bool, Error> {
    let made = tx.execute(
        "insert into api_keys (id, merchant, mode, kind, sha256, scopes, origins, allow_ip, created_at, rolled_from)
         select $1, merchant, mode, kind, $3, scopes, origins, allow_ip, $4, id from api_keys
         where id = $2 and (expires_at is null or expires_at > $4)",
        params![id, old, key.sha256_hex(), now],
    )?;
    if made != 1 {
        return Ok(false);
    }
    tx.execute(
        "insert into service_merchants (key_id, merchant) select $1, merchant from service_merchants where key_id = $2",
        params![id, old],
    )?;
    tx.execute(
        "update api_keys set expires_at = $2 where id = $1 and (expires_at is null or expires_at > $2)",
        params![old, ends_at],
    )?;
    Ok(true)
}

/// Ends a key now; whether there was one that had not ended.
///
/// # Errors
/// The store's.
pub fn revoke(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<bool, Error> {
    let rows = tx.execute(
        "update api_keys set expires_at = $2 where id = $1 and (expires_at is null or expires_at > $2)",
        params![id, now],
    )?;
    Ok(rows == 1)
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

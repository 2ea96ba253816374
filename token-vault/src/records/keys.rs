//! Merchants and API keys.

use ipnet::IpNet;
use serde::Serialize;
use store::{Tx, Value, params};
use vault_api::keys::{ApiKey, KeyInfo, Kind, Mode};

use super::row_mac::{RowMacs, Sql, StateRow, Table};
use crate::Error;
use crate::card_rules::CardRules;

/// What a key's MAC covers: all there is.
pub static TABLE: Table = Table {
    name: "api_keys",
    columns: &[
        "id",
        "merchant",
        "mode",
        "kind",
        "sha256",
        "scopes",
        "origins",
        "allow_ip",
        "bound_sessions",
        "certificate_sha256",
        "created_at",
        "expires_at",
        "rolled_from",
    ],
    later: &["bin_digits", "card_rules"],
    sealed: false,
    sql: Sql::new(),
};

/// For whom a service key acts.
static LINKS: Table = Table {
    name: "service_merchants",
    columns: &["key_id", "merchant"],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// What a key asks for beyond being known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// A publishable key: only sessions that are bound to a payment.
    pub bound_sessions: bool,
    /// A publishable key: so many digits of the number its pages may see while it is typed, 6 or 8.
    pub bin_digits: Option<u8>,
    /// A publishable key: brands of the merchant's own, and which funding it takes.
    pub cards: CardRules,
    /// A service key: only with the client certificate of this SHA-256.
    pub certificate_sha256: Option<String>,
}

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
    /// What the key asks for beyond being known.
    pub rules: KeyRules,
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
    macs: &RowMacs,
    id: &str,
    key: &ApiKey,
    merchant: Option<&str>,
    limits: &Limits,
    now: i64,
) -> Result<(), Error> {
    let blocks: Vec<String> = limits.allow_ip.iter().map(IpNet::to_string).collect();
    let rules = &limits.rules;
    let state = [
        ("id", Value::from(id)),
        ("merchant", Value::from(merchant)),
        ("mode", Value::from(key.mode().as_str())),
        ("kind", Value::from(kind_name(key.kind()))),
        ("sha256", Value::from(key.sha256_hex())),
        ("scopes", Value::from(limits.scopes.join(" "))),
        ("origins", Value::from(limits.origins.join(" "))),
        ("allow_ip", Value::from(blocks.join(" "))),
        (
            "bound_sessions",
            Value::from(i64::from(rules.bound_sessions)),
        ),
        (
            "certificate_sha256",
            Value::from(rules.certificate_sha256.as_ref()),
        ),
        ("created_at", Value::from(now)),
        ("bin_digits", Value::from(rules.bin_digits.map(i64::from))),
        ("card_rules", Value::from(rules.cards.to_text()?)),
    ];
    if !TABLE.insert_new(tx, macs, &state)? {
        return Err(Error::Internal("there is such a key already"));
    }
    limits
        .merchants
        .iter()
        .try_for_each(|merchant| link(tx, macs, id, merchant))
}

fn link(tx: &mut Tx<'_>, macs: &RowMacs, id: &str, merchant: &str) -> Result<(), Error> {
    let state = [
        ("key_id", Value::from(id)),
        ("merchant", Value::from(merchant)),
    ];
    LINKS.insert_new(tx, macs, &state).map(|_| ())
}

/// A key that was found by its hash, and whose row is as it was written.
pub struct Found {
    /// What may be told of it.
    pub info: KeyInfo,
    /// Addresses that may use it; any when empty.
    pub allow_ip: Vec<IpNet>,
    /// What it asks for beyond being known.
    pub rules: KeyRules,
    /// Whether it has ended.
    pub ended: bool,
}

/// The key with this hash, unless it has ended.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn by_hash(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    sha256: &str,
    now: i64,
) -> Result<Option<Found>, Error> {
    let found = by_hash_even_ended(tx, macs, sha256, now)?;
    Ok(found.filter(|found| !found.ended))
}

/// The key with this hash, for what outlives it.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn by_hash_even_ended(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    sha256: &str,
    now: i64,
) -> Result<Option<Found>, Error> {
    let sql = format!(
        "select {}, (select m.name from merchants m where m.id = api_keys.merchant) from api_keys where sha256 = $1",
        TABLE.selected()
    );
    let Some(row) = tx.first(&sql, params![sha256])? else {
        return Ok(None);
    };
    let name: Option<String> = row.get(TABLE.all_columns().count() + 1)?;
    let row = TABLE.checked(macs, &row)?;
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    // A block that cannot be read must not open the key to everybody.
    let malformed = |_| Error::Internal("a key's allowed addresses are malformed");
    let allow_ip: String = row.get("allow_ip")?;
    let allow_ip = allow_ip
        .split_whitespace()
        .map(|block| block.parse().map_err(malformed));
    Ok(Some(Found {
        ended: ended(&row, now)?,
        allow_ip: allow_ip.collect::<Result<_, Error>>()?,
        rules: KeyRules {
            bound_sessions: row.get("bound_sessions")?,
            bin_digits: match row.get::<Option<i64>>("bin_digits")? {
                Some(digits @ (6 | 8)) => Some(digits as u8),
                _ => None,
            },
            cards: CardRules::of_text(row.get("card_rules")?)?,
            certificate_sha256: row.get("certificate_sha256")?,
        },
        info: KeyInfo {
            id: row.get("id")?,
            merchant: row.get::<Option<String>>("merchant")?.unwrap_or_default(),
            merchant_name: name.unwrap_or_default(),
            mode: mode_of(&row)?,
            kind: kind(&row.get::<String>("kind")?)?,
            scopes: words(row.get("scopes")?),
            origins: words(row.get("origins")?),
        },
    }))
}

fn ended(row: &StateRow, now: i64) -> Result<bool, Error> {
    Ok(row
        .get::<Option<i64>>("expires_at")?
        .is_some_and(|ends| ends <= now))
}

fn mode_of(row: &StateRow) -> Result<Mode, Error> {
    Mode::from_name(&row.get::<String>("mode")?).ok_or(Error::Internal("unknown mode"))
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
    /// How many digits of the number its pages may see while it is typed.
    pub bin_digits: Option<i64>,
    /// Brands of the merchant's own, and which funding it takes.
    pub card_rules: CardRules,
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
        "select id, merchant, mode, kind, scopes, origins, allow_ip, created_at, expires_at, rolled_from,
             bin_digits, card_rules
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
                bin_digits: row.get(10)?,
                card_rules: CardRules::of_text(row.get(11)?)?,
            })
        })
        .collect()
}

// A key of this mode that has not ended, to change it.
fn to_change(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: Mode,
    id: &str,
    now: i64,
) -> Result<Option<StateRow>, Error> {
    let lock = if tx.is_postgres() { " for update" } else { "" };
    let sql = format!(
        "select {} from api_keys where id = $1 and mode = $2{lock}",
        TABLE.selected()
    );
    let Some(row) = tx.first(&sql, params![id, mode.as_str()])? else {
        return Ok(None);
    };
    let row = TABLE.checked(macs, &row)?;
    Ok(if ended(&row, now)? { None } else { Some(row) })
}

/// Makes a key `id` that may do what the key `old` may, and lets that one end at `ends_at`, unless it ends before. None
/// when there is no such key of this mode, or it has ended.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the old row was tampered with.
pub fn roll(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: Mode,
    (old, id): (&str, &str),
    ends_at: i64,
    now: i64,
) -> Result<Option<ApiKey>, Error> {
    let Some(mut row) = to_change(tx, macs, mode, old, now)? else {
        return Ok(None);
    };
    let key = ApiKey::random(kind(&row.get::<String>("kind")?)?, mode);
    let mut state = vec![];
    for column in TABLE.all_columns() {
        let value = match column {
            "id" => Value::from(id),
            "sha256" => Value::from(key.sha256_hex()),
            "created_at" => Value::from(now),
            "rolled_from" => Value::from(old),
            "expires_at" => Value::Null,
            same => row.get(same)?,
        };
        state.push((column, value));
    }
    if !TABLE.insert_new(tx, macs, &state)? {
        return Err(Error::Internal("a new key's id is taken"));
    }
    for merchant in links(tx, macs, old)? {
        link(tx, macs, id, &merchant)?;
    }
    if row
        .get::<Option<i64>>("expires_at")?
        .is_none_or(|ends| ends > ends_at)
    {
        row.change(tx, macs, &[("expires_at", Value::from(ends_at))], false)?;
    }
    Ok(Some(key))
}

/// Ends a key now; whether there was one of this mode that had not ended.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn revoke(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    mode: Mode,
    id: &str,
    now: i64,
) -> Result<bool, Error> {
    match to_change(tx, macs, mode, id, now)? {
        Some(mut row) => row.change(tx, macs, &[("expires_at", Value::from(now))], false),
        None => Ok(false),
    }
}

/// Whether a service key may act for a merchant.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn is_linked(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    key_id: &str,
    merchant: &str,
) -> Result<bool, Error> {
    let sql = format!(
        "select {} from service_merchants where key_id = $1 and merchant = $2",
        LINKS.selected()
    );
    match tx.first(&sql, params![key_id, merchant])? {
        Some(row) => LINKS.checked(macs, &row).map(|_| true),
        None => Ok(false),
    }
}

fn links(tx: &mut Tx<'_>, macs: &RowMacs, key_id: &str) -> Result<Vec<String>, Error> {
    let sql = format!(
        "select {} from service_merchants where key_id = $1",
        LINKS.selected()
    );
    let rows = tx.all(&sql, params![key_id])?;
    rows.iter()
        .map(|row| LINKS.checked(macs, row)?.get("merchant"))
        .collect()
}

/// Gives rows from before they carried a MAC the one they lack; the ids of the keys. What stands in them is taken as it
/// is, which is why an operator must say so.
///
/// # Errors
/// The store's.
pub fn adopt(tx: &mut Tx<'_>, macs: &RowMacs, mode: Mode) -> Result<Vec<String>, Error> {
    let sql = format!(
        "select {} from api_keys where row_mac is null and mode = $1",
        TABLE.selected()
    );
    let mut adopted = vec![];
    for row in tx.all(&sql, params![mode.as_str()])? {
        let id: String = row.get(0)?;
        let mac = TABLE.mac(macs, &row)?;
        let sql = "update api_keys set row_mac = $2 where id = $1 and row_mac is null";
        tx.execute(sql, params![&id, mac])?;
        let sql = format!(
            "select {} from service_merchants where key_id = $1 and row_mac is null",
            LINKS.selected()
        );
        for row in tx.all(&sql, params![&id])? {
            let (mac, merchant): (Vec<u8>, String) = (LINKS.mac(macs, &row)?, row.get(1)?);
            tx.execute(
                "update service_merchants set row_mac = $3 where key_id = $1 and merchant = $2",
                params![&id, merchant, mac],
            )?;
        }
        adopted.push(id);
    }
    Ok(adopted)
}

/// Keys of a mode whose rows are not as they were written.
///
/// # Errors
/// The store's.
pub fn tampered(tx: &mut Tx<'_>, macs: &RowMacs, mode: Mode) -> Result<Vec<String>, Error> {
    let sql = format!("select {} from api_keys where mode = $1", TABLE.selected());
    let rows = tx.all(&sql, params![mode.as_str()])?;
    let wrong = rows.iter().filter(|row| TABLE.checked(macs, row).is_err());
    Ok(wrong.map(|row| row.get(0)).collect::<Result<_, _>>()?)
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

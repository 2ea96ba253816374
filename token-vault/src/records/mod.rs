//! All SQL of the vault's rows, one file a table. Every look-up by an id names merchant and mode too, so that another
//! merchant's object is as absent as one that never was.

pub mod attempts;
pub mod cards;
pub mod cvvs;
pub mod destinations;
pub mod exports;
pub mod grants;
pub mod imports;
pub mod keys;
pub mod operators;
pub mod processes;
pub mod retention;
pub mod roots;
pub mod row_mac;
pub mod secrets;
pub mod tokens;

use store::{Migration, Row, Value};
use vault_api::tokens::{CardSummary, Networks};

use crate::Error;
use crate::crypto::envelope::SealedCard;
use row_mac::StateRow;

/// The vault's schema.
pub const MIGRATIONS: &[Migration] = &[
    ("0001_vault", include_str!("../schema/0001_vault.sql")),
    ("0002_keys", include_str!("../schema/0002_keys.sql")),
    ("0003_audit", include_str!("../schema/0003_audit.sql")),
    ("0004_forward", include_str!("../schema/0004_forward.sql")),
    ("0005_limits", include_str!("../schema/0005_limits.sql")),
    ("0006_cards", include_str!("../schema/0006_cards.sql")),
    ("0007_replicas", include_str!("../schema/0007_replicas.sql")),
    ("0008_rows", include_str!("../schema/0008_rows.sql")),
    ("0009_transfer", include_str!("../schema/0009_transfer.sql")),
    (
        "0010_destinations",
        include_str!("../schema/0010_destinations.sql"),
    ),
    ("0011_bin_rule", include_str!("../schema/0011_bin_rule.sql")),
    ("0012_indexes", include_str!("../schema/0012_indexes.sql")),
    (
        "0013_card_rules",
        include_str!("../schema/0013_card_rules.sql"),
    ),
];

/// What is sealed of a card: a row's last columns.
const SEALED: &str = "key_id, wrapped_key, sealed_number, sealed_name, sealed_address";

/// What takes the card out of its row.
const EMPTY: &str = "key_id = null, wrapped_key = null, sealed_number = null, sealed_name = null, sealed_address = null";

/// Columns of every table of cards that came after the first release: the networks a card may be paid through, when
/// they are several, and which of them the buyer chose.
const NETWORKS: &[&str] = &["networks", "network"];

fn summary(row: &StateRow) -> Result<CardSummary, Error> {
    let brand: String = row.get("brand")?;
    let available = match row.get::<Option<String>>("networks")? {
        Some(several) => several.split(' ').map(str::to_owned).collect(),
        None if brand == "unknown" => vec![],
        None => vec![brand.clone()],
    };
    Ok(CardSummary {
        brand,
        last4: row.get("last4")?,
        exp_month: row.get("exp_month")?,
        exp_year: row.get("exp_year")?,
        networks: Some(Networks {
            available,
            preferred: row.get("network")?,
        }),
    })
}

// The columns of a summary, as they are kept.
fn shown(card: &CardSummary) -> [(&'static str, Value); 6] {
    let networks = card.networks.as_ref();
    let several = networks.filter(|networks| networks.available.len() > 1);
    let preferred = networks.and_then(|networks| networks.preferred.as_ref());
    [
        ("brand", Value::from(&card.brand)),
        ("last4", Value::from(&card.last4)),
        ("exp_month", Value::from(card.exp_month)),
        ("exp_year", Value::from(card.exp_year)),
        (
            "networks",
            Value::from(several.map(|networks| networks.available.join(" "))),
        ),
        ("network", Value::from(preferred)),
    ]
}

// The columns [`SEALED`] from `at`. None once they were emptied.
fn sealed(row: &Row, at: usize) -> Result<Option<SealedCard>, Error> {
    let Some(number) = row.get::<Option<Vec<u8>>>(at + 2)? else {
        return Ok(None);
    };
    Ok(Some(SealedCard {
        key_id: row.get(at)?,
        wrapped_key: row.get(at + 1)?,
        number,
        name: row.get(at + 3)?,
        address: row.get(at + 4)?,
    }))
}

/// Empties what is overdue: tokens and grants that ended, CVVs whose epoch is over, seen sealed cards. How many rows.
///
/// # Errors
/// The store's.
pub fn sweep(tx: &mut store::Tx<'_>, now: i64) -> Result<u64, Error> {
    let mut rows = 0;
    for sql in [
        // The state stays, and so does the row's MAC: a token that ended is over whatever its state says.
        &format!("update tokens set {EMPTY} where expires_at <= $1 and sealed_number is not null"),
        // A card that waits for a grant's first approval is over with the grant. Its state and MAC stay.
        &format!(
            "update stored_cards set {EMPTY}
             where state = 'pending' and sealed_number is not null and exists (select 1 from grants g
                 where g.pending_card = stored_cards.id and g.expires_at <= $1 and g.open_attempt is null)"
        ),
        &format!(
            "update grants set {EMPTY}
             where expires_at <= $1 and sealed_number is not null and open_attempt is null"
        ),
        "delete from cvvs where expires_at <= $1",
        "delete from sealed_seen where expires_at <= $1",
    ] {
        rows += tx.execute(sql, store::params![now])?;
    }
    Ok(rows + store::idempotency::sweep(tx, now)?)
}

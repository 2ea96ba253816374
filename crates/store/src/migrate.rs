//! Migrations: embedded SQL, applied once each, in order, inside one transaction.
//!
//! They only ever add (expand, then contract a release later), so an old binary works on a new schema: a migration
//! it does not know is left alone.

use crate::{Error, Tx, params};

/// A numbered step: `("0001_tokens", include_str!(..))`.
pub type Migration = (&'static str, &'static str);

/// The tables of this crate's own features; the first steps of every store.
const OWN: &[Migration] = &[("0000_store", include_str!("own.sql"))];

pub(crate) fn up(tx: &mut Tx<'_>, migrations: &[Migration]) -> Result<(), Error> {
    tx.batch("create table if not exists schema_migrations (name text primary key)")?;
    for (name, sql) in OWN.iter().chain(migrations) {
        let claimed = tx.execute(
            "insert into schema_migrations (name) values ($1) on conflict do nothing",
            params![*name],
        )?;
        if claimed == 1 {
            let sql = if tx.is_postgres() {
                for_postgres(sql)
            } else {
                (*sql).to_owned()
            };
            tx.batch(&sql)?;
            tracing::info!(migration = name, "schema step applied");
        }
    }
    Ok(())
}

// Schemas are written in SQLite's words, upper case, so that they are found whole.
fn for_postgres(sql: &str) -> String {
    sql.replace("INTEGER", "BIGINT")
        .replace("BLOB", "BYTEA")
        .replace(") STRICT", ")")
}

//! Which processes live: several vaults may share one PostgreSQL, and only a dead one's attempts are interrupted.
//!
//! Time is the database server's, so that the machines' clocks need not agree. SQLite has one process at a time:
//! whatever another left there is over.

use store::{Tx, params};

use crate::Error;

/// Seconds of silence after which a process is taken for dead. Longer than a commit may hang, shorter than a buyer waits
/// for the word that a payment's outcome is unknown.
pub const SILENCE: i64 = 10;

/// Seconds after which a dead process's row goes.
const FORGOTTEN: i64 = 24 * 3600;

/// A sign of life.
///
/// # Errors
/// The store's.
pub fn beat(tx: &mut Tx<'_>, process: &str) -> Result<(), Error> {
    if tx.is_postgres() {
        tx.execute(
            "insert into processes (id, seen_at) values ($1, extract(epoch from clock_timestamp())::bigint)
             on conflict (id) do update set seen_at = excluded.seen_at",
            params![process],
        )?;
        tx.execute(
            "delete from processes where seen_at < extract(epoch from clock_timestamp())::bigint - $1",
            params![FORGOTTEN],
        )?;
    }
    Ok(())
}

/// The condition on an attempt's row that its process, which is not `$1`, lives no more.
#[must_use]
pub fn is_dead(tx: &Tx<'_>) -> String {
    if tx.is_postgres() {
        format!(
            "process <> $1 and not exists (select 1 from processes where id = process
             and seen_at > extract(epoch from clock_timestamp())::bigint - {SILENCE})"
        )
    } else {
        "process <> $1".to_owned()
    }
}

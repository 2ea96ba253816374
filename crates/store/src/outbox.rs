//! Outbox: put work in the same transaction as what causes it; workers lease it and say how it went.
//!
//! At least once: a worker that dies loses its lease, and the work is done again under the same id.

use crate::{Error, Tx, params};

/// Leased work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The id it was put under.
    pub id: String,
    /// What it was put with.
    pub payload: String,
    /// How often it was leased before.
    pub attempts: i64,
}

/// Puts work; the same id twice is once.
///
/// # Errors
/// The database's.
pub fn put(
    tx: &mut Tx<'_>,
    id: &str,
    topic: &str,
    payload: &str,
    due_at: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into outbox (id, topic, payload, due_at) values ($1, $2, $3, $4) on conflict do nothing",
        params![id, topic, payload, due_at],
    )?;
    Ok(())
}

/// Leases up to `most` pieces of due work of a topic until `until` (Unix seconds).
///
/// # Errors
/// The database's.
pub fn lease(
    tx: &mut Tx<'_>,
    topic: &str,
    most: i64,
    now: i64,
    until: i64,
) -> Result<Vec<Leased>, Error> {
    let skip_locked = tx.skip_locked();
    let sql = format!(
        "update outbox set leased_until = $4, attempts = attempts + 1 where id in (
             select id from outbox where topic = $1 and done_at is null and due_at <= $3 and leased_until <= $3
             order by due_at limit $2 {skip_locked})
         returning id, payload, attempts - 1"
    );
    let rows = tx.all(&sql, params![topic, most, now, until])?;
    rows.iter()
        .map(|row| {
            Ok(Leased {
                id: row.get(0)?,
                payload: row.get(1)?,
                attempts: row.get(2)?,
            })
        })
        .collect()
}

/// The topics with this prefix that have due work, each found by one step of the index.
///
/// # Errors
/// The database's.
pub fn due_topics(tx: &mut Tx<'_>, prefix: &str, now: i64) -> Result<Vec<String>, Error> {
    let rows = tx.all(
        "with recursive topics (topic) as (
             select min(topic) from outbox where done_at is null and topic >= $1
             union all
             select (select min(topic) from outbox where done_at is null and topic > topics.topic)
             from topics where topics.topic is not null)
         select topic from topics where topic is not null and exists (
             select 1 from outbox where outbox.topic = topics.topic and done_at is null and due_at <= $2
                 and leased_until <= $2)",
        params![prefix, now],
    )?;
    let topics: Result<Vec<String>, Error> = rows.iter().map(|row| row.get(0)).collect();
    Ok(topics?
        .into_iter()
        .filter(|topic| topic.starts_with(prefix))
        .collect())
}

/// Forgets work that was done before `before` (Unix seconds); how much.
///
/// # Errors
/// The database's.
pub fn sweep(tx: &mut Tx<'_>, before: i64) -> Result<u64, Error> {
    tx.execute("delete from outbox where done_at < $1", params![before])
}

/// The work is done.
///
/// # Errors
/// The database's.
pub fn done(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<(), Error> {
    tx.execute(
        "update outbox set done_at = $2, leased_until = 0 where id = $1",
        params![id, now],
    )?;
    Ok(())
}

/// The work failed; try again at `due_at`.
///
/// # Errors
/// The database's.
pub fn again(tx: &mut Tx<'_>, id: &str, due_at: i64) -> Result<(), Error> {
    tx.execute(
        "update outbox set due_at = $2, leased_until = 0 where id = $1",
        params![id, due_at],
    )?;
    Ok(())
}

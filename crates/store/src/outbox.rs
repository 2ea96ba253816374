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

/// The work is left alone until then (Unix seconds), by whoever leases it too; its place in the queue stays.
///
/// # Errors
/// The database's.
pub fn put_off(tx: &mut Tx<'_>, id: &str, until: i64) -> Result<(), Error> {
    tx.execute(
        "update outbox set leased_until = $2 where id = $1",
        params![id, until],
    )?;
    Ok(())
}

/// Whether work was put under this id, done or not.
///
/// # Errors
/// The database's.
pub fn is_known(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    let row = tx.first("select 1 from outbox where id = $1", params![id])?;
    Ok(row.is_some())
}

/// Whether work was put under this id and is not done.
///
/// # Errors
/// The database's.
pub fn is_open(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    let sql = "select 1 from outbox where id = $1 and done_at is null";
    Ok(tx.first(sql, params![id])?.is_some())
}

/// What of a topic is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Pieces of work, leased ones included.
    pub count: i64,
    /// When the first of them was due (Unix seconds).
    pub oldest: Option<i64>,
}

/// How much of a topic is not done.
///
/// # Errors
/// The database's.
pub fn waiting(tx: &mut Tx<'_>, topic: &str) -> Result<Waiting, Error> {
    let sql = "select count(*), min(due_at) from outbox where topic = $1 and done_at is null";
    let row = tx.first(sql, params![topic])?;
    let row = row.ok_or(Error::Column(0))?;
    Ok(Waiting {
        count: row.get(0)?,
        oldest: row.get(1)?,
    })
}

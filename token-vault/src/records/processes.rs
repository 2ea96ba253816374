//! Which vault processes live: the one registry of them, for attempts that were left open, for the keys that replicas
//! hand each other, and for who reads the audit's chains. Each says so every few seconds; one that has not for a while
//! is taken for dead, and one on this very machine as soon as it is gone, so that a restart need not wait.

use store::{Row, Tx, params};

use crate::Error;

/// Seconds between two signs of life.
pub const BEAT: u64 = 3;

/// Seconds without one until a process is taken for dead. Its attempts become `unknown`, which is true of them even
/// if it comes back: the outcome it then brings is not recorded.
pub const LEASE: i64 = 20;

/// Seconds until a dead process's row is removed.
const KEPT: i64 = 24 * 60 * 60;

/// This process.
#[derive(Debug, Clone)]
pub struct Here {
    /// Names it in the attempts that it sends.
    pub id: String,
    host: String,
    pid: i64,
    pid_started: String,
}

impl Here {
    /// This process under the name `id`.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let pid = i64::from(std::process::id());
        Self {
            id: id.to_owned(),
            host: host(),
            pid,
            pid_started: started(pid).unwrap_or_default(),
        }
    }
}

/// A sign of life; the first one registers the process. Removes rows of processes that died long ago.
///
/// # Errors
/// The store's.
pub fn beat(tx: &mut Tx<'_>, here: &Here) -> Result<(), Error> {
    let clock = database_time(tx)?;
    tx.execute(
        "insert into processes (id, host, pid, pid_started, seen_at) values ($1, $2, $3, $4, $5)
         on conflict (id) do update set seen_at = excluded.seen_at",
        params![&here.id, &here.host, here.pid, &here.pid_started, clock],
    )?;
    tx.execute(
        "delete from processes where seen_at < $1",
        params![clock - KEPT],
    )?;
    Ok(())
}

/// Another process that lives, and the key that others seal to it.
pub struct Peer {
    /// The process.
    pub id: String,
    /// Its public key.
    pub public_key: Vec<u8>,
    /// What proves that it has the root.
    pub mac: Vec<u8>,
}

/// Publishes the key that others seal to this process; false when the process is not registered.
///
/// # Errors
/// The store's.
pub fn publish(tx: &mut Tx<'_>, id: &str, public_key: &[u8], mac: &[u8]) -> Result<bool, Error> {
    let rows = tx.execute(
        "update processes set public_key = $2, mac = $3 where id = $1",
        params![id, public_key, mac],
    )?;
    Ok(rows == 1)
}

/// The key that is published for this process.
///
/// # Errors
/// The store's.
pub fn published(tx: &mut Tx<'_>, id: &str) -> Result<Option<Vec<u8>>, Error> {
    let row = tx.first(
        "select public_key from processes where id = $1",
        params![id],
    )?;
    Ok(row.map(|row| row.get(0)).transpose()?.flatten())
}

/// The other processes that live and published a key.
///
/// # Errors
/// The store's.
pub fn peers(tx: &mut Tx<'_>, here: &Here) -> Result<Vec<Peer>, Error> {
    let rows = tx.all(
        "select id, public_key, mac, host, pid, pid_started, seen_at from processes
         where id <> $1 and public_key is not null and mac is not null",
        params![&here.id],
    )?;
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let clock = database_time(tx)?;
    let mut peers = vec![];
    for row in &rows {
        if lives(row, 3, here, clock)? {
            peers.push(Peer {
                id: row.get(0)?,
                public_key: row.get(1)?,
                mac: row.get(2)?,
            });
        }
    }
    Ok(peers)
}

/// Whether the process of this name lives.
///
/// # Errors
/// The store's.
pub fn is_alive(tx: &mut Tx<'_>, id: &str, here: &Here) -> Result<bool, Error> {
    let row = tx.first(
        "select host, pid, pid_started, seen_at from processes where id = $1",
        params![id],
    )?;
    let Some(row) = row else { return Ok(false) };
    let clock = database_time(tx)?;
    lives(&row, 0, here, clock)
}

/// The last sign: its attempts are over, so nobody need wait for the lease.
///
/// # Errors
/// The store's.
pub fn leave(tx: &mut Tx<'_>, here: &Here) -> Result<(), Error> {
    tx.execute("delete from processes where id = $1", params![&here.id])?;
    Ok(())
}

/// The database's clock, Unix seconds: the one clock that all replicas share.
///
/// # Errors
/// The store's.
pub fn database_time(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let sql = if tx.is_postgres() {
        "select cast(extract(epoch from clock_timestamp()) as bigint)"
    } else {
        "select cast(strftime('%s', 'now') as integer)"
    };
    let row = tx.first(sql, &[])?;
    let row = row.ok_or(Error::Internal("the database tells no time"))?;
    Ok(row.get(0)?)
}

/// Whether the process in a row's four columns from `at` (host, pid, pid_started, seen_at; null when it has none)
/// lives.
///
/// # Errors
/// The store's.
pub fn lives(row: &Row, at: usize, here: &Here, clock: i64) -> Result<bool, Error> {
    let Some(host) = row.get::<Option<String>>(at)? else {
        return Ok(false);
    };
    if row.get::<i64>(at + 3)? + LEASE < clock {
        return Ok(false);
    }
    let (pid, pid_started): (i64, String) = (row.get(at + 1)?, row.get(at + 2)?);
    let same_host = !here.host.is_empty() && host == here.host;
    Ok(!same_host || started(pid).as_deref() == Some(pid_started.as_str()))
}

// Boot and process namespace: within one of these a process id means one process, and it can be seen. Empty
// when this system does not tell, and then the lease alone decides.
fn host() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default();
    // Where /proc hides other users' processes (hidepid), it may hide one of this user's that dumps no core, too.
    let shows_others = std::fs::metadata("/proc/1/stat").is_ok();
    match (boot.trim(), namespace.as_str()) {
        ("", _) | (_, "") => String::new(),
        _ if !shows_others => String::new(),
        (boot, namespace) => format!("{boot}/{namespace}"),
    }
}

// When a process started, in clock ticks since boot (proc(5), field 22): a number that is used again starts later.
// None for one that is gone, and for one that only waits to be reaped.
fn started(pid: i64) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_and_a_number_used_again_is_another() {
        let here = Here::new("proc_1");
        assert_eq!(
            started(here.pid).as_deref(),
            Some(here.pid_started.as_str())
        );
        assert!(!here.pid_started.is_empty() && !here.host.is_empty());
        assert_ne!(started(1).as_deref(), Some(here.pid_started.as_str()));
        assert!(started(i64::from(i32::MAX)).is_none());
    }
}

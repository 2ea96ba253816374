//! SQLite: one writer thread that commits in groups, a few readers.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::lane::{Context, Lane};
use crate::{Error, Migration, Tx, migrate};

/// How many transactions one fsync may carry.
const GROUP: usize = 256;
const READERS: usize = 4;

/// A group waits for those who are around for this share of what the last one took.
const LINGER: u32 = 8;

/// How often the write-ahead log is emptied: until then it holds old pages, with what has since been deleted.
const TRUNCATE_EVERY: Duration = Duration::from_secs(30);

/// Writers wait no longer than this for a reader that keeps the log from being emptied.
const TRUNCATE_WAIT: Duration = Duration::from_millis(50);

/// Any other lock is waited for this long.
const BUSY: Duration = Duration::from_secs(10);

pub(crate) fn open(
    path: &Path,
    migrations: &[Migration],
    context: &Context,
) -> Result<(Queue, Queue), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::Directory)?;
    }
    create_private(path).map_err(Error::Directory)?;
    let writer = connect(path, OpenFlags::default())?;
    // WAL with FULL: an acknowledged commit survives a power cut (with NORMAL the last ones may not).
    writer.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;",
    )?;
    // What is looked up by secret hashes and the like lands all over the tree: 16 MB of pages at hand, and 64 MB of log between checkpoints,
    // which write a page once however often it changed.
    writer.execute_batch("PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=16000;")?;
    writer.execute_batch("BEGIN IMMEDIATE")?;
    migrate::up(&mut Tx::sqlite(&writer, &Lane::default()), migrations)?;
    writer.execute_batch("COMMIT")?;

    let (writes, inbox) = queue();
    let lane = Lane::writer(0, context);
    thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || write_loop(&writer, &inbox, &lane))
        .map_err(Error::Directory)?;
    let (reads, inbox) = queue();
    for _ in 0..READERS {
        let reader = reader(path)?;
        let (inbox, lane) = (inbox.clone(), Lane::reader(context));
        thread::Builder::new()
            .name("store-reader".into())
            .spawn(move || read_loop(&reader, &inbox, &lane))
            .map_err(Error::Directory)?;
    }
    Ok((writes, reads))
}

/// Connections that only read.
pub(crate) fn readers(path: &Path) -> Result<Vec<Connection>, Error> {
    (0..READERS).map(|_| reader(path)).collect()
}

fn reader(path: &Path) -> Result<Connection, Error> {
    let reader = connect(path, OpenFlags::default())?;
    reader.execute_batch("PRAGMA query_only=ON")?;
    Ok(reader)
}

// A database is its owner's to read; the write-ahead log takes the mode of its database.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(256);
    // A plan does not depend on what is bound: otherwise a statement whose index has a condition is compiled anew at
    // each use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;")?;
    Ok(connection)
}

fn write_loop(connection: &Connection, inbox: &Inbox, lane: &Lane) {
    let mut truncated = Instant::now();
    let (mut around, mut patience) = (1, Duration::ZERO);
    while let Some(mut jobs) = inbox.take(GROUP) {
        // Those who were just answered come back while others wait. Taken one after the other they would make two groups
        // of every one, and each waits for the other's fsync.
        inbox.linger(&mut jobs, around.min(GROUP), patience);
        let started = Instant::now();
        let committed = group(connection, &mut jobs, lane);
        around = jobs.len() + inbox.1.waiting() as usize;
        patience = started.elapsed() / LINGER;
        if matches!(committed, Ok(true)) {
            inbox.1.commit();
        }
        inbox.1.done(jobs.len(), started.elapsed());
        for job in jobs {
            job.answer(
                committed
                    .as_ref()
                    .map(|_| ())
                    .map_err(|e| Error::CommitUnknown(e.to_string())),
            );
        }
        if truncated.elapsed() >= TRUNCATE_EVERY && truncate_wal(connection) {
            truncated = Instant::now();
        }
    }
}

// One transaction for the group. A savepoint for each member would copy every page that it touches, so there is none at
// first: a member that fails after it changed something has the group rolled back and run again, then with savepoints.
// Whether there was something to commit.
fn group(connection: &Connection, jobs: &mut [Job], lane: &Lane) -> Result<bool, Error> {
    let done = match together(connection, jobs, lane) {
        Ok(None) => apart(connection, jobs, lane).map(Some),
        done => done,
    };
    // Whatever went wrong, no transaction is left open; SQLite may have rolled it back itself.
    done.map(|kept| kept.unwrap_or(false))
        .inspect_err(|_| drop(step(connection, "ROLLBACK")))
}

// None when a member has to be rolled back alone; the transaction is over then.
fn together(connection: &Connection, jobs: &mut [Job], lane: &Lane) -> Result<Option<bool>, Error> {
    step(connection, "BEGIN IMMEDIATE")?;
    let (many, mut kept) = (jobs.len() > 1, false);
    for job in jobs {
        let mut tx = Tx::sqlite(connection, lane);
        if job.run(&mut tx) == Outcome::Keep {
            kept = true;
        } else if many && tx.touched() {
            step(connection, "ROLLBACK")?;
            return Ok(None);
        }
    }
    step(connection, if kept { "COMMIT" } else { "ROLLBACK" })?;
    Ok(Some(kept))
}

// A savepoint for each member: a member that fails rolls back alone.
fn apart(connection: &Connection, jobs: &mut [Job], lane: &Lane) -> Result<bool, Error> {
    step(connection, "BEGIN IMMEDIATE")?;
    let mut kept = false;
    for job in jobs {
        step(connection, "SAVEPOINT member")?;
        if job.run(&mut Tx::sqlite(connection, lane)) == Outcome::Keep {
            kept = true;
        } else {
            step(connection, "ROLLBACK TO member")?;
        }
        step(connection, "RELEASE member")?;
    }
    step(connection, if kept { "COMMIT" } else { "ROLLBACK" })?;
    Ok(kept)
}

// Prepared once, unlike `execute_batch`.
fn step(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn read_loop(connection: &Connection, inbox: &Inbox, lane: &Lane) {
    while let Some(jobs) = inbox.take(1) {
        for mut job in jobs {
            let started = Instant::now();
            job.run(&mut Tx::sqlite(connection, lane));
            inbox.1.done(1, started.elapsed());
            job.answer(Ok(()));
        }
    }
}

// Whether the log is empty now. Not so while another connection reads an old page of it: then after a later group.
fn truncate_wal(connection: &Connection) -> bool {
    let truncate = || -> Result<bool, rusqlite::Error> {
        connection.busy_timeout(TRUNCATE_WAIT)?;
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    };
    let done = truncate();
    if let Err(error) = connection.busy_timeout(BUSY) {
        tracing::warn!(%error, "the busy timeout could not be set");
    }
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "the write-ahead log could not be emptied; it will be tried again");
        false
    })
}

//! SQLite: one writer thread that commits in groups, a few readers.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;

use rusqlite::{Connection, OpenFlags};

use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::{Commits, Error, Migration, Tx, migrate};

/// How many transactions one fsync may carry.
const GROUP: usize = 256;
const READERS: usize = 4;

pub(crate) fn open(
    path: &Path,
    migrations: &[Migration],
    commits: &Commits,
) -> Result<(Queue, Queue), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::Directory)?;
    }
    let writer = connect(path, OpenFlags::default())?;
    // WAL with FULL: an acknowledged commit survives a power cut (with NORMAL the last ones may not).
    writer.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;",
    )?;
    // Ids are random, so writes land all over the tree: 16 MB of pages at hand, and a longer log between checkpoints,
    // which write a page once however often it changed.
    writer.execute_batch("PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000;")?;
    writer.execute_batch("BEGIN IMMEDIATE")?;
    migrate::up(&mut Tx::sqlite(&writer), migrations)?;
    writer.execute_batch("COMMIT")?;

    let (writes, inbox) = queue();
    thread::Builder::new()
        .name("store-writer".into())
        .spawn({
            let commits = commits.clone();
            move || write_loop(&writer, &inbox, &commits)
        })
        .map_err(Error::Directory)?;
    let (reads, inbox) = queue();
    for _ in 0..READERS {
        let reader = reader(path)?;
        let inbox = inbox.clone();
        thread::Builder::new()
            .name("store-reader".into())
            .spawn(move || read_loop(&reader, &inbox))
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

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.execute_batch("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;")?;
    Ok(connection)
}

fn write_loop(connection: &Connection, inbox: &Inbox, commits: &Commits) {
    while let Some(mut jobs) = inbox.take(GROUP) {
        let committed = group(connection, &mut jobs, commits);
        for job in jobs {
            job.answer(
                committed
                    .as_ref()
                    .copied()
                    .map_err(|e| Error::CommitUnknown(e.to_string())),
            );
        }
    }
}

// One transaction for the group, a savepoint for each member: a member that fails rolls back alone.
fn group(connection: &Connection, jobs: &mut [Job], commits: &Commits) -> Result<(), Error> {
    step(connection, "BEGIN IMMEDIATE")?;
    let mut kept = false;
    if let [job] = jobs {
        kept = job.run(&mut Tx::sqlite(connection)) == Outcome::Keep;
    } else {
        for job in jobs {
            step(connection, "SAVEPOINT member")?;
            if job.run(&mut Tx::sqlite(connection)) == Outcome::Keep {
                kept = true;
            } else {
                step(connection, "ROLLBACK TO member")?;
            }
            step(connection, "RELEASE member")?;
        }
    }
    if !kept {
        return step(connection, "ROLLBACK");
    }
    commits.fetch_add(1, Ordering::Relaxed);
    step(connection, "COMMIT").inspect_err(|_| drop(step(connection, "ROLLBACK")))
}

// Prepared once, unlike `execute_batch`.
fn step(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn read_loop(connection: &Connection, inbox: &Inbox) {
    while let Some(jobs) = inbox.take(1) {
        for mut job in jobs {
            job.run(&mut Tx::sqlite(connection));
            job.answer(Ok(()));
        }
    }
}

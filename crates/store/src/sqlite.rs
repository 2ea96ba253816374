//! SQLite: one writer thread that commits in groups, a few readers.

use std::path::Path;
use std::thread;

use rusqlite::{Connection, OpenFlags};

use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::{Error, Migration, Tx, migrate};

/// How many transactions one fsync may carry.
const GROUP: usize = 256;
const READERS: usize = 4;

pub(crate) fn open(path: &Path, migrations: &[Migration]) -> Result<(Queue, Queue), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::Directory)?;
    }
    create_private(path).map_err(Error::Directory)?;
    let writer = connect(path, OpenFlags::default())?;
    // WAL with FULL: an acknowledged commit survives a power cut (with NORMAL the last ones may not).
    writer.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;",
    )?;
    writer.execute_batch("BEGIN IMMEDIATE")?;
    migrate::up(&mut Tx::sqlite(&writer), migrations)?;
    writer.execute_batch("COMMIT")?;

    let (writes, inbox) = queue();
    thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || write_loop(&writer, &inbox))
        .map_err(Error::Directory)?;
    let (reads, inbox) = queue();
    for _ in 0..READERS {
        let reader = connect(path, OpenFlags::default())?;
        reader.execute_batch("PRAGMA query_only=ON")?;
        let inbox = inbox.clone();
        thread::Builder::new()
            .name("store-reader".into())
            .spawn(move || read_loop(&reader, &inbox))
            .map_err(Error::Directory)?;
    }
    Ok((writes, reads))
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
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.execute_batch("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;")?;
    Ok(connection)
}

fn write_loop(connection: &Connection, inbox: &Inbox) {
    while let Some(mut jobs) = inbox.take(GROUP) {
        let started = std::time::Instant::now();
        let committed = group(connection, &mut jobs);
        inbox.1.committed(jobs.len(), started.elapsed());
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
fn group(connection: &Connection, jobs: &mut [Job]) -> Result<(), Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for job in jobs {
        connection.execute_batch("SAVEPOINT member")?;
        if job.run(&mut Tx::sqlite(connection)) != Outcome::Keep {
            connection.execute_batch("ROLLBACK TO member")?;
        }
        connection.execute_batch("RELEASE member")?;
    }
    connection.execute_batch("COMMIT").map_err(|error| {
        drop(connection.execute_batch("ROLLBACK"));
        Error::from(error)
    })
}

fn read_loop(connection: &Connection, inbox: &Inbox) {
    while let Some(jobs) = inbox.take(1) {
        for mut job in jobs {
            let started = std::time::Instant::now();
            job.run(&mut Tx::sqlite(connection));
            inbox.1.committed(1, started.elapsed());
            job.answer(Ok(()));
        }
    }
}

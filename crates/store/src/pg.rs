//! PostgreSQL: a few threads, a connection each. What waits is committed together, as on SQLite.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::tx::Prepared;
use crate::{Commits, Error, Migration, Tx, migrate};

const WRITERS: usize = 8;
const READERS: usize = 4;

/// How many transactions of a full queue one commit carries. Small: they also share their row locks.
const GROUP: usize = 16;

/// How often a deadlocked transaction is run again.
const RETRIES: usize = 5;

/// Two processes that start at once migrate one after the other.
const MIGRATION_LOCK: &str = "select pg_advisory_xact_lock(74084513530188)";

pub(crate) fn open(
    url: &str,
    migrations: &[Migration],
    commits: &Commits,
) -> Result<(Queue, Queue), Error> {
    // The blocking client brings its own runtime, which must not run inside the caller's.
    thread::scope(|scope| {
        scope
            .spawn(|| migrate_up(url, migrations))
            .join()
            .unwrap_or(Err(Error::Panicked))
    })?;
    Ok((
        threads(url, WRITERS, commits, WRITE)?,
        threads(url, READERS, commits, READ)?,
    ))
}

fn migrate_up(url: &str, migrations: &[Migration]) -> Result<(), Error> {
    let mut client = Client::connect(url, NoTls)?;
    let mut prepared = Prepared::new();
    client.batch_execute("begin")?;
    client.batch_execute(MIGRATION_LOCK)?;
    migrate::up(&mut Tx::postgres(&mut client, &mut prepared), migrations)?;
    Ok(client.batch_execute("commit")?)
}

fn threads(url: &str, count: usize, commits: &Commits, serve: Serve) -> Result<Queue, Error> {
    let (sender, inbox) = queue();
    for _ in 0..count {
        let (url, inbox, commits) = (url.to_owned(), inbox.clone(), commits.clone());
        thread::Builder::new()
            .name("store-postgres".into())
            .spawn(move || session_loop(&url, &inbox, &commits, serve))
            .map_err(Error::Directory)?;
    }
    Ok(sender)
}

/// What a thread does with work, and how much of it it takes at once.
#[derive(Clone, Copy)]
struct Serve {
    run: fn(&mut Session, Vec<Job>),
    most: usize,
}

const WRITE: Serve = Serve {
    run: write,
    most: GROUP,
};

const READ: Serve = Serve { run: read, most: 1 };

/// A connection and its prepared statements.
struct Session {
    client: Client,
    prepared: Prepared,
    commits: Commits,
}

fn session_loop(url: &str, inbox: &Inbox, commits: &Commits, serve: Serve) {
    let mut session: Option<Session> = None;
    while let Some(jobs) = inbox.take(serve.most) {
        match connected(&mut session, url, commits) {
            Ok(session) => (serve.run)(session, jobs),
            Err(error) => {
                let why = error.to_string();
                for job in jobs {
                    job.answer(Err(Error::Unreachable(why.clone())));
                }
            }
        }
        if session.as_ref().is_some_and(|s| s.client.is_closed()) {
            session = None;
        }
    }
}

fn connected<'a>(
    session: &'a mut Option<Session>,
    url: &str,
    commits: &Commits,
) -> Result<&'a mut Session, Error> {
    if session.is_none() {
        let client = Client::connect(url, NoTls)?;
        *session = Some(Session {
            client,
            prepared: Prepared::new(),
            commits: commits.clone(),
        });
    }
    session.as_mut().ok_or(Error::Stopped)
}

// What waits is done together where that can be: one commit, one wait for the disk.
fn write(session: &mut Session, mut jobs: Vec<Job>) {
    let together = jobs.len() > 1;
    let done = if together {
        group(session, &mut jobs)
    } else {
        Ok(false)
    };
    for mut job in jobs {
        let answer = match &done {
            Ok(true) => Ok(()),
            Ok(false) => alone(session, &mut job),
            Err(error) => Err(Error::CommitUnknown(error.to_string())),
        };
        job.answer(answer);
    }
}

// One transaction for all of them. False, with nothing done, when one has something to roll back: savepoints would cost
// every member a round trip for what few need.
fn group(session: &mut Session, jobs: &mut [Job]) -> Result<bool, Error> {
    if session.client.batch_execute("begin").is_err() {
        return Ok(false);
    }
    let mut kept = false;
    for job in jobs {
        let mut tx = Tx::postgres(&mut session.client, &mut session.prepared);
        let keep = job.run(&mut tx) == Outcome::Keep;
        if !keep && tx.touched() {
            drop(session.client.batch_execute("rollback"));
            return Ok(false);
        }
        kept |= keep;
    }
    if !kept {
        drop(session.client.batch_execute("rollback"));
        return Ok(true);
    }
    match commit(session) {
        Ok(()) => Ok(true),
        Err(Error::Postgres(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn commit(session: &mut Session) -> Result<(), Error> {
    session.commits.fetch_add(1, Ordering::Relaxed);
    let commit = session.client.batch_execute("commit");
    commit.map_err(|error| match error.as_db_error() {
        Some(_) => Error::from(error),
        // No answer to the commit: it may have taken.
        None => Error::CommitUnknown(error.to_string()),
    })
}

fn alone(session: &mut Session, job: &mut Job) -> Result<(), Error> {
    for round in 0..=RETRIES {
        session.client.batch_execute("begin")?;
        let outcome = job.run(&mut Tx::postgres(
            &mut session.client,
            &mut session.prepared,
        ));
        if outcome == Outcome::Keep {
            return commit(session);
        }
        session.client.batch_execute("rollback")?;
        if outcome == Outcome::RollBack || round == RETRIES {
            break;
        }
        thread::sleep(Duration::from_millis(2 << round));
    }
    Ok(())
}

fn read(session: &mut Session, jobs: Vec<Job>) {
    for mut job in jobs {
        job.run(&mut Tx::postgres(
            &mut session.client,
            &mut session.prepared,
        ));
        job.answer(Ok(()));
    }
}

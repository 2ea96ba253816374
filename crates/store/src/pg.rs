//! PostgreSQL: a few threads, a connection each; the server groups commits itself.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::tx::Prepared;
use crate::{Commits, Error, Migration, Tx, migrate};

const WRITERS: usize = 12;
const READERS: usize = 4;

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
        threads(url, WRITERS, commits, write)?,
        threads(url, READERS, commits, read)?,
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

fn threads(
    url: &str,
    count: usize,
    commits: &Commits,
    serve: fn(&mut Session, &mut Job) -> Result<(), Error>,
) -> Result<Queue, Error> {
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

/// A connection and its prepared statements.
struct Session {
    client: Client,
    prepared: Prepared,
    commits: Commits,
}

fn session_loop(
    url: &str,
    inbox: &Inbox,
    commits: &Commits,
    serve: fn(&mut Session, &mut Job) -> Result<(), Error>,
) {
    let mut session: Option<Session> = None;
    while let Some(jobs) = inbox.take(1) {
        for mut job in jobs {
            let answer = match connected(&mut session, url, commits) {
                Ok(session) => serve(session, &mut job),
                Err(error) => Err(error),
            };
            job.answer(answer);
            if session.as_mut().is_some_and(|s| s.client.is_closed()) {
                session = None;
            }
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

fn write(session: &mut Session, job: &mut Job) -> Result<(), Error> {
    for round in 0..=RETRIES {
        session.client.batch_execute("begin")?;
        let outcome = job.run(&mut Tx::postgres(
            &mut session.client,
            &mut session.prepared,
        ));
        if outcome == Outcome::Keep {
            session.commits.fetch_add(1, Ordering::Relaxed);
            let commit = session.client.batch_execute("commit");
            return commit.map_err(|error| match error.as_db_error() {
                Some(_) => Error::from(error),
                // No answer to the commit: it may have taken.
                None => Error::CommitUnknown(error.to_string()),
            });
        }
        session.client.batch_execute("rollback")?;
        if outcome == Outcome::RollBack || round == RETRIES {
            break;
        }
        thread::sleep(Duration::from_millis(2 << round));
    }
    Ok(())
}

fn read(session: &mut Session, job: &mut Job) -> Result<(), Error> {
    job.run(&mut Tx::postgres(
        &mut session.client,
        &mut session.prepared,
    ));
    Ok(())
}

//! PostgreSQL: a few threads, a connection each; the server groups commits itself.

use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::lane::{Context, Lane};
use crate::tx::Prepared;
use crate::{Error, Migration, Tx, migrate};

const WRITERS: u32 = 12;
const READERS: u32 = 4;

/// How often a deadlocked transaction is run again.
const RETRIES: usize = 5;

/// Two processes that start at once migrate one after the other.
const MIGRATION_LOCK: &str = "select pg_advisory_xact_lock(74084513530188)";

pub(crate) fn open(
    url: &str,
    migrations: &[Migration],
    context: &Context,
) -> Result<(Queue, Queue), Error> {
    // The blocking client brings its own runtime, which must not run inside the caller's.
    thread::scope(|scope| {
        scope
            .spawn(|| migrate_up(url, migrations))
            .join()
            .unwrap_or(Err(Error::Panicked))
    })?;
    let writers = (0..WRITERS).map(|number| Lane::writer(number, context));
    let readers = (0..READERS).map(|_| Lane::reader(context));
    Ok((threads(url, writers, write)?, threads(url, readers, read)?))
}

fn migrate_up(url: &str, migrations: &[Migration]) -> Result<(), Error> {
    let mut client = Client::connect(url, NoTls)?;
    let mut prepared = Prepared::new();
    client.batch_execute("begin")?;
    client.batch_execute(MIGRATION_LOCK)?;
    let lane = Lane::default();
    migrate::up(
        &mut Tx::postgres(&mut client, &mut prepared, &lane),
        migrations,
    )?;
    Ok(client.batch_execute("commit")?)
}

fn threads(url: &str, lanes: impl Iterator<Item = Lane>, serve: Serve) -> Result<Queue, Error> {
    let (sender, inbox) = queue();
    for lane in lanes {
        let (url, inbox) = (url.to_owned(), inbox.clone());
        thread::Builder::new()
            .name("store-postgres".into())
            .spawn(move || session_loop(&url, &inbox, &lane, serve))
            .map_err(Error::Directory)?;
    }
    Ok(sender)
}

/// How a thread serves a job.
type Serve = fn(&mut Session, &mut Job, &Lane) -> Result<(), Error>;

/// A connection and its prepared statements.
struct Session {
    client: Client,
    prepared: Prepared,
}

fn session_loop(url: &str, inbox: &Inbox, lane: &Lane, serve: Serve) {
    let mut session: Option<Session> = None;
    while let Some(jobs) = inbox.take(1) {
        for mut job in jobs {
            let started = std::time::Instant::now();
            let answer = match connected(&mut session, url) {
                Ok(session) => serve(session, &mut job, lane),
                Err(error) => Err(error),
            };
            inbox.1.committed(1, started.elapsed());
            job.answer(answer);
            if session.as_mut().is_some_and(|s| s.client.is_closed()) {
                session = None;
            }
        }
    }
}

fn connected<'a>(session: &'a mut Option<Session>, url: &str) -> Result<&'a mut Session, Error> {
    if session.is_none() {
        let client = Client::connect(url, NoTls)?;
        *session = Some(Session {
            client,
            prepared: Prepared::new(),
        });
    }
    session.as_mut().ok_or(Error::Stopped)
}

fn write(session: &mut Session, job: &mut Job, lane: &Lane) -> Result<(), Error> {
    for round in 0..=RETRIES {
        session.client.batch_execute("begin")?;
        let outcome = job.run(&mut Tx::postgres(
            &mut session.client,
            &mut session.prepared,
            lane,
        ));
        if outcome == Outcome::Keep {
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

fn read(session: &mut Session, job: &mut Job, lane: &Lane) -> Result<(), Error> {
    job.run(&mut Tx::postgres(
        &mut session.client,
        &mut session.prepared,
        lane,
    ));
    Ok(())
}

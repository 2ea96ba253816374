//! PostgreSQL: a few threads, a connection each. What waits is committed together, as on SQLite.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::figures::Counters;
use crate::job::{Inbox, Job, Outcome, Queue, queue};
use crate::lane::{Context, Lane};
use crate::tx::Prepared;
use crate::{Error, Migration, Tx, migrate};

const WRITERS: u32 = 8;
const READERS: u32 = 4;

/// How many transactions of a full queue one commit carries. Small: they also share their row locks.
const GROUP: usize = 16;

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
    Ok((threads(url, writers, WRITE)?, threads(url, readers, READ)?))
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
            .spawn(move || session_loop(&url, &inbox, lane, serve))
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
    lane: Lane,
    counters: Arc<Counters>,
}

impl Session {
    fn connect(url: &str, lane: &Lane, inbox: &Inbox) -> Result<Self, Error> {
        Ok(Self {
            client: Client::connect(url, NoTls)?,
            prepared: Prepared::new(),
            lane: lane.clone(),
            counters: Arc::clone(&inbox.1),
        })
    }

    fn tx(&mut self) -> Tx<'_> {
        Tx::postgres(&mut self.client, &mut self.prepared, &self.lane)
    }
}

fn session_loop(url: &str, inbox: &Inbox, lane: Lane, serve: Serve) {
    let mut session: Option<Session> = None;
    while let Some(jobs) = inbox.take(serve.most) {
        let (many, started) = (jobs.len(), Instant::now());
        let ready = match session.take() {
            Some(session) => Ok(session),
            None => Session::connect(url, &lane, inbox),
        };
        match ready {
            Ok(mut connected) => {
                (serve.run)(&mut connected, jobs);
                session = Some(connected).filter(|session| !session.client.is_closed());
            }
            Err(error) => {
                let why = error.to_string();
                for job in jobs {
                    job.answer(Err(Error::Unreachable(why.clone())));
                }
            }
        }
        inbox.1.done(many, started.elapsed());
    }
}

// What waits is done together where that can be: one commit, one wait for the disk.
fn write(session: &mut Session, mut jobs: Vec<Job>) {
    let done = if jobs.len() > 1 {
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
        let mut tx = session.tx();
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
    session.counters.commit();
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
        let outcome = job.run(&mut session.tx());
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
        job.run(&mut session.tx());
        job.answer(Ok(()));
    }
}

//! One store for every service, on SQLite (default) and PostgreSQL (when one machine is not enough).
//!
//! A transaction is a closure that runs to its end in a thread of the store, so an HTTP client that hangs up can
//! never leave one open. On SQLite one writer thread commits whatever is waiting in one fsync (group commit,
//! `synchronous=FULL`); a closure that fails rolls back alone. No domain types live here.
//!
//! SQL is written once: `$1` parameters, `INTEGER`, `TEXT` and `BLOB` columns, conditional single statements.
//! Read in this order: [`Store`], [`Tx`], [`value`], [`migrate`], [`idempotency`], [`outbox`].

mod error;
mod figures;
pub mod idempotency;
mod job;
mod lane;
pub mod migrate;
pub mod outbox;
mod pg;
mod sqlite;
mod tx;
pub mod value;

pub use error::Error;
pub use figures::Figures;
pub use migrate::Migration;
pub use tx::Tx;
pub use value::{Row, Value};

use std::any::Any;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use job::{Job, Queue, Task};
use lane::{Context, Lane};

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file; it is made when missing, its folder too.
    Sqlite(PathBuf),
    /// A PostgreSQL connection string.
    Postgres(String),
}

impl std::str::FromStr for Location {
    type Err = Error;

    /// `sqlite:PATH` or `postgres://..`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(PathBuf::from(
                path.strip_prefix("//").unwrap_or(path),
            )));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(Error::Location)
    }
}

/// An open store; cheap to clone. The last clone's drop ends its threads after the work that is queued.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writes: Queue,
    reads: Queue,
    /// SQLite's connections for look-ups on the caller's thread; empty for PostgreSQL.
    here: Mutex<Vec<rusqlite::Connection>>,
    postgres: bool,
    context: Context,
}

impl Store {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    /// What stood in the way; the message says what to do.
    pub fn open(location: &Location, migrations: &[Migration]) -> Result<Self, Error> {
        let context = Context::default();
        let (writes, reads, here, postgres) = match location {
            Location::Sqlite(path) => {
                let (writes, reads) = sqlite::open(path, migrations, &context)?;
                (writes, reads, sqlite::readers(path)?, false)
            }
            Location::Postgres(url) => {
                let (writes, reads) = pg::open(url, migrations, &context)?;
                (writes, reads, vec![], true)
            }
        };
        Ok(Self(Arc::new(Inner {
            writes,
            reads,
            here: Mutex::new(here),
            postgres,
            context,
        })))
    }

    /// Runs `work` in a transaction of its own and answers once it is durable. An error from `work` rolls back what
    /// it did. `work` may run again when PostgreSQL finds a deadlock.
    ///
    /// # Errors
    /// The error of `work`, or the store's.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Retry + Send + 'static,
    {
        run(&self.0.writes, work).await
    }

    /// Runs `work` on a connection that only reads; each statement sees what was committed before it.
    ///
    /// # Errors
    /// The error of `work`, or the store's.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Retry + Send + 'static,
    {
        run(&self.0.reads, work).await
    }

    /// [`read`](Self::read) for a look-up by key: on SQLite it runs on the caller's thread, because two hops between
    /// threads cost several times what the look-up does. A scan would hold up the thread's other work.
    ///
    /// # Errors
    /// The error of `work`, or the store's.
    pub async fn look_up<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Retry + Send + 'static,
    {
        let free = || self.0.here.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = free().pop();
        if let Some(connection) = connection {
            // A panic costs the connection and, like any in a handler, the request.
            let lane = Lane::reader(&self.0.context);
            let found = work(&mut Tx::sqlite(&connection, &lane));
            free().push(connection);
            return found;
        }
        run(&self.0.reads, work).await
    }

    /// What the writing and the reading queue are doing.
    #[must_use]
    pub fn figures(&self) -> (Figures, Figures) {
        (self.0.writes.1.read(), self.0.reads.1.read())
    }

    /// Gives every transaction something of the service's own, found again with [`Tx::context`]. Once; false when
    /// there was one before.
    pub fn set_context<T: Any + Send + Sync>(&self, context: T) -> bool {
        self.0.context.set(Arc::new(context)).is_ok()
    }

    /// What [`Store::set_context`] gave, if it is of this type.
    #[must_use]
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.0.context.get()?.downcast_ref()
    }

    /// Whether this is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.0.postgres
    }
}

/// Whether a transaction that failed so may be run again from its start.
pub trait Retry {
    /// True for a deadlock or serialisation failure.
    fn may_retry(&self) -> bool {
        false
    }
}

async fn run<T, E, F>(queue: &Queue, work: F) -> Result<T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Retry + Send + 'static,
{
    let (reply, answer) = tokio::sync::oneshot::channel();
    let job: Job = Box::new(Task::new(work, reply));
    queue.send(job).map_err(E::from)?;
    answer
        .await
        .unwrap_or_else(|_| Err(E::from(Error::Stopped)))
}

//! What can go wrong in a store, and what to do about it.

/// An error of the store. Its text goes to the log, never to a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A location that is neither.
    #[error("a store is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
    Location,
    /// SQLite said no.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL said no.
    #[error("PostgreSQL: {}", describe(.0))]
    Postgres(#[from] postgres::Error),
    /// The folder of the database cannot be made.
    #[error("the data directory cannot be made: {0}")]
    Directory(#[source] std::io::Error),
    /// A column is missing or of another type: the code and the schema disagree.
    #[error("column {0} is not of the type that the code expects")]
    Column(usize),
    /// No connection; nothing was done.
    #[error("{0}")]
    Unreachable(String),
    /// The commit was sent and nobody knows whether it took: treat what was asked as unknown.
    #[error("the commit was not acknowledged; its outcome is unknown: {0}")]
    CommitUnknown(String),
    /// The work panicked; it was rolled back.
    #[error("the transaction's code panicked; it was rolled back")]
    Panicked,
    /// The store is closed.
    #[error("the store is closed")]
    Stopped,
}

impl Error {
    /// Whether this is a deadlock or a serialisation failure (SQLSTATE class 40).
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Postgres(error) => error
                .code()
                .is_some_and(|code| code.code().starts_with("40")),
            _ => false,
        }
    }
}

impl crate::Retry for Error {
    fn may_retry(&self) -> bool {
        Self::may_retry(self)
    }
}

// The server's message without its DETAIL, which quotes row values.
fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

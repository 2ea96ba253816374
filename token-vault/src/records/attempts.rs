//! Attempts to send a card: `sending → done`, or `closed` before they started. The same id never sends twice.

use store::{Tx, Value, params};
use vault_api::forward::{BytesSent, Forwarded};

use super::grants;
use super::processes::{self, Here};
use super::row_mac::{Read, RowMacs, Sql, StateRow, Table};
use super::tokens::Owner;
use crate::Error;

/// What an attempt's MAC covers.
pub static TABLE: Table = Table {
    name: "attempts",
    columns: &[
        "id",
        "merchant",
        "mode",
        "grant_id",
        "state",
        "destination",
        "operation",
        "amount",
        "currency",
        "reference",
        "request_hash",
        "process",
        "created_at",
        "finished_at",
        "outcome",
    ],
    later: &[],
    sealed: false,
    sql: Sql::new(),
};

/// What is recorded of an attempt.
pub enum Recorded {
    /// On its way.
    Sending,
    /// Closed before it started.
    Closed,
    /// Over.
    Done {
        /// HMAC of the request.
        request_hash: Vec<u8>,
        /// How it ended.
        outcome: Box<Forwarded>,
    },
}

/// A new attempt.
pub struct NewAttempt<'a> {
    /// The caller's id.
    pub id: &'a str,
    /// The grant's public id.
    pub grant: &'a str,
    /// The destination.
    pub destination: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// Smallest currency unit.
    pub amount: i64,
    /// Currency.
    pub currency: &'a str,
    /// Our reference at the acquirer.
    pub reference: &'a str,
    /// HMAC of the request.
    pub request_hash: &'a [u8; 32],
    /// The sending process.
    pub process: &'a str,
}

/// The attempt with this id.
///
/// # Errors
/// The store's, or [`crate::crypto::CannotOpen`] when the row was tampered with.
pub fn find(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
) -> Result<Option<Recorded>, Error> {
    let Some(row) = TABLE.find(tx, macs, owner, id, Read::Look)? else {
        return Ok(None);
    };
    Ok(Some(match row.get::<String>("state")?.as_str() {
        "sending" => Recorded::Sending,
        "closed" => Recorded::Closed,
        _ => Recorded::Done {
            request_hash: row.get("request_hash")?,
            outcome: outcome(&row.get::<String>("outcome")?)?,
        },
    }))
}

/// An attempt as this process left it: `sending`.
pub struct Sending(StateRow);

/// Commits the attempt as `sending`, before anything is sent; none when the id is taken.
///
/// # Errors
/// The store's.
pub fn insert(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    new: &NewAttempt<'_>,
    now: i64,
) -> Result<Option<Sending>, Error> {
    let state = [
        ("id", Value::from(new.id)),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("grant_id", Value::from(new.grant)),
        ("state", Value::from("sending")),
        ("destination", Value::from(new.destination)),
        ("operation", Value::from(new.operation)),
        ("amount", Value::from(new.amount)),
        ("currency", Value::from(new.currency)),
        ("reference", Value::from(new.reference)),
        ("request_hash", Value::from(new.request_hash)),
        ("process", Value::from(new.process)),
        ("created_at", Value::from(now)),
    ];
    Ok(TABLE.insert_row(tx, macs, &state)?.map(Sending))
}

impl Sending {
    /// Records how the send ended; false when somebody recorded it before.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(
        &self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        outcome: &Forwarded,
        now: i64,
    ) -> Result<bool, Error> {
        self.0.change_last(tx, macs, &done(outcome, now)?)
    }
}

fn done(outcome: &Forwarded, now: i64) -> Result<[(&'static str, Value); 3], Error> {
    let text = serde_json::to_string(outcome)
        .map_err(|_| Error::Internal("an outcome could not be written"))?;
    Ok([
        ("state", Value::from("done")),
        ("outcome", Value::from(text)),
        ("finished_at", Value::from(now)),
    ])
}

// Records how a send of another process ended; false when somebody recorded it before.
fn finish(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
    outcome: &Forwarded,
    now: i64,
) -> Result<bool, Error> {
    let Some(row) = TABLE.find(tx, macs, owner, id, Read::Change)? else {
        return Ok(false);
    };
    if row.get::<String>("state")? != "sending" {
        return Ok(false);
    }
    Sending(row).finish(tx, macs, outcome, now)
}

/// Makes an id unusable; false when it is taken.
///
/// # Errors
/// The store's.
pub fn insert_closed(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    owner: Owner<'_>,
    id: &str,
    now: i64,
) -> Result<bool, Error> {
    let state = [
        ("id", Value::from(id)),
        ("merchant", Value::from(owner.merchant)),
        ("mode", Value::from(owner.mode)),
        ("state", Value::from("closed")),
        ("created_at", Value::from(now)),
    ];
    TABLE.insert_new(tx, macs, &state)
}

/// Attempts that a process which is gone left open become `unknown`: nobody can tell what was sent. Whose and which.
/// Those of a process that lives are its own.
///
/// # Errors
/// The store's.
pub fn interrupt(
    tx: &mut Tx<'_>,
    macs: &RowMacs,
    here: &Here,
    now: i64,
) -> Result<Vec<(String, String)>, Error> {
    let open = tx.all(
        "select a.merchant, a.id, a.mode, a.grant_id, p.host, p.pid, p.pid_started, p.seen_at
         from attempts a left join processes p on p.id = a.process
         where a.state = 'sending' and a.process <> $1",
        params![&here.id],
    )?;
    if open.is_empty() {
        return Ok(vec![]);
    }
    let clock = processes::database_time(tx)?;
    let mut interrupted = vec![];
    for row in &open {
        if processes::lives(row, 4, here, clock)? {
            continue;
        }
        let (merchant, id, mode): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let owner = Owner {
            merchant: &merchant,
            mode: &mode,
        };
        let outcome = Forwarded {
            attempt: id.clone(),
            bytes_sent: BytesSent::Unknown,
            response: None,
            failure: Some("interrupted".to_owned()),
            cvc_sent: false,
        };
        match finish(tx, macs, owner, &id, &outcome, now) {
            Ok(true) => {}
            Ok(false) => continue,
            // What was tampered with stays as it is, and is answered to nobody; the others go on.
            Err(error @ Error::CannotOpen(_)) => {
                tracing::error!(%error, attempt = id, "an attempt's row");
                continue;
            }
            Err(error) => return Err(error),
        }
        let grant: String = row.get(3)?;
        match grants::close_attempt(tx, macs, owner, &grant, &id, None) {
            // A grant that was tampered with is of no use to anybody, and no reason not to start.
            Err(error @ Error::CannotOpen(_)) => tracing::error!(%error, grant, "a grant's row"),
            closed => closed?,
        }
        interrupted.push((merchant, id));
    }
    Ok(interrupted)
}

/// How many sends of a process are under way.
///
/// # Errors
/// The store's.
pub fn count_open(tx: &mut Tx<'_>, process: &str) -> Result<i64, Error> {
    let sql = "select count(*) from attempts where state = 'sending' and process = $1";
    let row = tx.first(sql, params![process])?;
    Ok(row.map_or(Ok(0), |row| row.get(0))?)
}

fn outcome(text: &str) -> Result<Box<Forwarded>, Error> {
    serde_json::from_str(text)
        .map(Box::new)
        .map_err(|_| Error::Internal("an outcome could not be read"))
}

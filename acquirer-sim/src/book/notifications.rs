//! What the acquirers have to tell the processor: kept until it was told.

use serde_json::{Value, json};
use store::{Error, Tx, params};

use super::{BASE36, random};
use crate::acquirer::Acquirer;

/// A notification to deliver.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) id: String,
    pub(crate) acquirer: Acquirer,
    pub(crate) body: String,
    pub(crate) tries: i64,
}

/// The waits between tries, milliseconds.
const WAITS: [i64; 6] = [1_000, 2_000, 5_000, 30_000, 300_000, 3_600_000];

/// Puts one.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    what: &Value,
    now: i64,
) -> Result<(), Error> {
    let id = format!("ntf{}", random(BASE36, 20));
    let mut body = json!({ "id": id, "created": now });
    if let (Some(body), Some(what)) = (body.as_object_mut(), what.as_object()) {
        body.extend(what.clone());
    }
    tx.execute(
        "insert into notifications (id, acquirer, body, next_at, created_at) values ($1, $2, $3, $4, $4)",
        params![&id, acquirer.name(), body.to_string(), now],
    )?;
    Ok(())
}

/// Those whose time has come, oldest first, put off meanwhile.
pub(crate) fn due(tx: &mut Tx<'_>, now: i64) -> Result<Vec<Notification>, Error> {
    let rows = tx.all(
        "select id, acquirer, body, tries from notifications where done_at is null and next_at <= $1
         order by created_at, id limit 50",
        params![now],
    )?;
    let mut due = Vec::new();
    for row in &rows {
        let acquirer: String = row.get(1)?;
        due.push(Notification {
            id: row.get(0)?,
            acquirer: Acquirer::from_name(&acquirer).ok_or(Error::Column(1))?,
            body: row.get(2)?,
            tries: row.get(3)?,
        });
    }
    Ok(due)
}

/// It was told, or given up.
pub(crate) fn done(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<(), Error> {
    tx.execute(
        "update notifications set done_at = $2 where id = $1",
        params![id, now],
    )?;
    Ok(())
}

/// It was not taken: again later.
pub(crate) fn put_off(
    tx: &mut Tx<'_>,
    one: &Notification,
    wait: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    let at = usize::try_from(one.tries).unwrap_or(0);
    let wait = wait.unwrap_or(WAITS[at.min(WAITS.len() - 1)]);
    tx.execute(
        "update notifications set tries = tries + 1, next_at = $2 where id = $1",
        params![&one.id, now + wait],
    )?;
    Ok(())
}

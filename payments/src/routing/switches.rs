//! Acquirers that an operator has taken out: kept in the database, so that every process knows within a second, with a
//! record of who did it and why.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use store::{Store, Tx, params};
use vault_api::ids::new_id;

use crate::error::Error;

/// What is disabled, as this process last read it.
#[derive(Default)]
pub struct Switches(RwLock<BTreeSet<String>>);

impl Switches {
    /// Whether an operator took it out.
    pub fn is_disabled(&self, acquirer: &str) -> bool {
        let disabled = self.0.read().unwrap_or_else(PoisonError::into_inner);
        disabled.contains(acquirer)
    }

    /// Reads them again.
    pub async fn refresh(&self, store: &Store) -> Result<(), Error> {
        let read = |tx: &mut Tx<'_>| -> Result<BTreeSet<String>, Error> {
            let rows = tx.all("select acquirer from disabled_routes", params![])?;
            rows.iter().map(|row| Ok(row.get(0)?)).collect()
        };
        let now = store.read(read).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }
}

/// An operator's act.
#[derive(Debug, Clone)]
pub struct Act {
    pub by: String,
    pub reason: String,
}

impl Act {
    /// Records it.
    pub fn record(
        &self,
        tx: &mut Tx<'_>,
        act: &str,
        subject: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        tx.execute(
            "insert into operator_acts (id, created_ms, by_whom, act, subject, reason) values ($1, $2, $3, $4, $5, $6)",
            params![new_id("act"), now_ms, &self.by, act, subject, &self.reason],
        )?;
        Ok(())
    }
}

/// Takes a route out, or back in. False when it was so already.
pub fn switch(
    tx: &mut Tx<'_>,
    acquirer: &str,
    disable: bool,
    act: &Act,
    now_ms: i64,
) -> Result<bool, Error> {
    let changed = if disable {
        tx.execute(
            "insert into disabled_routes (acquirer, reason, by_whom, created_ms) values ($1, $2, $3, $4)
             on conflict do nothing",
            params![acquirer, &act.reason, &act.by, now_ms],
        )
    } else {
        tx.execute(
            "delete from disabled_routes where acquirer = $1",
            params![acquirer],
        )
    }?;
    if changed == 1 {
        let name = if disable {
            "route.disable"
        } else {
            "route.enable"
        };
        act.record(tx, name, acquirer, now_ms)?;
    }
    Ok(changed == 1)
}

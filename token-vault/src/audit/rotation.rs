//! A new generation of the audit key: made by the operator, picked up by running processes, which begin new chains.

use anyhow::Context as _;
use serde::Serialize;
use service::Clock;
use store::Store;
use zeroize::Zeroizing;

use super::chain::Ledger;
use super::{Act, Actor, AuditKey};
use crate::crypto::root::Root;
use crate::crypto::secrets::{Purpose, place};
use crate::crypto::{Key, random};
use crate::records::secrets::{self as rows, StoredSecret};
use crate::{App, Error, records};

/// What a rotation of the audit key did.
#[derive(Debug, Serialize)]
pub struct Rotated {
    /// New chains are under this generation; servers begin theirs within half a minute.
    pub generation: i64,
}

/// Gives the audit key a new generation, wrapped by the active root. The former ones are kept: they verify what was
/// written under them.
///
/// # Errors
/// When the store or a root fails.
pub async fn rotate(
    store: &Store,
    root: &Root,
    clock: &Clock,
    actor: &Actor,
) -> anyhow::Result<Rotated> {
    let mode = root.mode();
    loop {
        let (newest, active) = store
            .read(move |tx| {
                let newest = rows::current(tx, mode, Purpose::Audit)?;
                Ok::<_, Error>((newest, records::roots::active(tx, mode)?))
            })
            .await?;
        let root_id = active.context("no root is active")?;
        let generation = newest.context("there is no audit key yet")?.generation + 1;
        let provider = root.provider_or_reload(&root_id).await?;
        let key: Key = Zeroizing::new(random());
        let place = place(mode, Purpose::Audit, generation);
        let made = StoredSecret {
            generation,
            wrapped: provider.wrap(&key, place).await?,
            root_id,
        };
        let (actor, now) = (actor.clone(), clock.now());
        let kept = store
            .write(move |tx| {
                // The root may have been rotated since, or the audit key by somebody else.
                let root = records::roots::active(tx, mode)?;
                if root.as_ref() != Some(&made.root_id)
                    || !rows::insert(tx, mode, Purpose::Audit, &made, now)?
                {
                    return Ok(false);
                }
                let object = format!("generation {generation}");
                super::record(tx, &actor, Act::RotateAuditKey, &object, "rotated", now)?;
                Ok::<_, Error>(true)
            })
            .await?;
        if kept {
            return Ok(Rotated { generation });
        }
    }
}

/// Writes under the newest generation from now on, if this process does not yet.
///
/// # Errors
/// The store's or the root's; then the former generation goes on.
pub async fn pick_up(app: &App) -> Result<(), Error> {
    let mode = app.root.mode();
    let newest = app
        .store
        .read(move |tx| rows::current(tx, mode, Purpose::Audit))
        .await?
        .ok_or(Error::Internal("the audit key is gone from the database"))?;
    let ledger = Ledger::of_store(&app.store)?;
    if newest.generation <= ledger.key().generation() {
        return Ok(());
    }
    let provider = app.root.provider_or_reload(&newest.root_id).await?;
    let place = place(mode, Purpose::Audit, newest.generation);
    let secret = provider.unwrap(&newest.wrapped, place).await?;
    ledger.renew(AuditKey::new(mode, newest.generation, &secret));
    tracing::info!(generation = newest.generation, "a new audit key is in use");
    Ok(())
}

//! Rotation while traffic runs. Three levels: a merchant's tenant key gets a new generation and the record keys are
//! wrapped again, in batches; another root wraps the tenant keys and the service's secrets; the old key is destroyed
//! once nothing names it. Cards are never opened: only their wrapped record keys change.
//!
//! A server needs no restart and no message: each transaction that seals reads the active generation, and a row that
//! names a destroyed key was rewrapped before, so the transaction that read it too early is run again
//! ([`crate::tenants`]).

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use service::Clock;
use store::{Store, Tx, params};

use crate::Error;
use crate::audit::{self, Act, Actor};
use crate::crypto::envelope::{Place, TenantKey};
use crate::crypto::root::{Provider, Root};
use crate::crypto::secrets::{self, Purpose};
use crate::records;
use crate::records::secrets::StoredSecret;
use crate::tenants::{self, NewKey};

/// Rows a transaction rewraps: about a millisecond of the one writer's time.
const BATCH: i64 = 100;

/// How long transactions from before a switch may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What holds wrapped record keys: table, kind of [`Place`].
const SEALED: [(&str, &str); 3] = [
    ("tokens", "token"),
    ("grants", "grant"),
    ("stored_cards", "stored_card"),
];

/// What a rotation of a tenant key did.
#[derive(Debug, Serialize)]
pub struct TenantRotated {
    /// The key that seals from now on.
    pub key: String,
    /// Its generation.
    pub generation: i64,
    /// Record keys that were wrapped again.
    pub rewrapped: u64,
    /// Keys that are gone.
    pub destroyed: Vec<String>,
    /// Records that do not open under the key they name. It is kept, for them.
    pub unreadable: Vec<String>,
}

/// Gives a merchant a new tenant key, wraps its record keys again and destroys the old one.
///
/// # Errors
/// When the merchant has no key yet, or the store or a root fails. What was done stays; run it again.
pub async fn tenant(
    store: &Store,
    root: &Root,
    clock: &Clock,
    merchant: &str,
    actor: &Actor,
) -> anyhow::Result<TenantRotated> {
    let (key, generation) = next_generation(store, root, clock, merchant, actor).await?;
    let to = tenants::unwrap(store, root, &key)
        .await?
        .context("the new key is gone; another rotation runs at once")?;
    quiet(store).await?;
    let mut done = TenantRotated {
        key,
        generation,
        rewrapped: 0,
        destroyed: vec![],
        unreadable: vec![],
    };
    for old in old_keys(store, root, merchant).await? {
        let Some(from) = tenants::unwrap(store, root, &old).await? else {
            continue;
        };
        for (table, kind) in SEALED {
            done.rewrapped +=
                rewrap(store, &from, &to, (table, kind), &mut done.unreadable).await?;
        }
        if destroy(store, &old, actor, clock.now()).await? {
            done.destroyed.push(old);
        }
    }
    Ok(done)
}

async fn next_generation(
    store: &Store,
    root: &Root,
    clock: &Clock,
    merchant: &str,
    actor: &Actor,
) -> anyhow::Result<(String, i64)> {
    let mode = root.mode().as_str();
    loop {
        let asked = merchant.to_owned();
        let newest = store
            .read(move |tx| newest_generation(tx, &asked, mode))
            .await?
            .context(
                "this merchant has no key in this mode yet; it gets one with its first card",
            )?;
        let generation = newest + 1;
        let new = tenants::new_key(store, root, merchant, generation).await?;
        let id = new.id.clone();
        let (merchant, actor, now) = (merchant.to_owned(), actor.clone(), clock.now());
        let mode = root.mode();
        let kept = store
            .write(move |tx| {
                if records::roots::active(tx, mode)?.as_ref() != Some(&new.root_id) {
                    return Ok(false);
                }
                switch(tx, &new, &merchant, (mode.as_str(), generation), now)?;
                audit::record(tx, &actor, Act::RotateTenantKey, &new.id, "rotated", now)?;
                Ok::<_, Error>(true)
            })
            .await?;
        if kept {
            return Ok((id, generation));
        }
    }
}

fn newest_generation(tx: &mut Tx<'_>, merchant: &str, mode: &str) -> Result<Option<i64>, Error> {
    let row = tx.first(
        "select max(generation) from tenant_keys where merchant = $1 and mode = $2",
        params![merchant, mode],
    )?;
    Ok(row.map(|row| row.get(0)).transpose()?.flatten())
}

// Old and new in one transaction: at every moment exactly one key is active.
fn switch(
    tx: &mut Tx<'_>,
    new: &NewKey,
    merchant: &str,
    (mode, generation): (&str, i64),
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "update tenant_keys set state = 'decrypt_only' where merchant = $1 and mode = $2",
        params![merchant, mode],
    )?;
    tx.execute(
        "insert into tenant_keys (id, merchant, mode, generation, root_id, wrapped, state, created_at)
         values ($1, $2, $3, $4, $5, $6, 'active', $7)",
        params![&new.id, merchant, mode, generation, &new.root_id, &new.wrapped, now],
    )?;
    Ok(())
}

async fn old_keys(store: &Store, root: &Root, merchant: &str) -> Result<Vec<String>, Error> {
    let (merchant, mode) = (merchant.to_owned(), root.mode().as_str());
    store
        .read(move |tx| {
            let rows = tx.all(
                "select id from tenant_keys where merchant = $1 and mode = $2 and state = 'decrypt_only'
                 order by generation",
                params![&merchant, mode],
            )?;
            rows.iter().map(|row| Ok(row.get(0)?)).collect()
        })
        .await
}

async fn rewrap(
    store: &Store,
    from: &TenantKey,
    to: &TenantKey,
    (table, kind): (&'static str, &'static str),
    unreadable: &mut Vec<String>,
) -> Result<u64, Error> {
    let (mut after, mut many) = (String::new(), 0);
    loop {
        let (from, to, start) = (from.clone(), to.clone(), after.clone());
        let (last, rewrapped, failed) = store
            .write(move |tx| rewrap_batch(tx, &from, &to, (table, kind), &start))
            .await?;
        many += rewrapped;
        unreadable.extend(failed);
        match last {
            Some(last) => after = last,
            None => return Ok(many),
        }
    }
}

// The last id of the batch (none when there was none), how many were rewrapped, and which do not open.
fn rewrap_batch(
    tx: &mut Tx<'_>,
    from: &TenantKey,
    to: &TenantKey,
    (table, kind): (&str, &'static str),
    after: &str,
) -> Result<(Option<String>, u64, Vec<String>), Error> {
    let select = format!(
        "select id, wrapped_key from {table} where key_id = $1 and id > $2 order by id limit {BATCH}"
    );
    // A row that was used or rewrapped meanwhile is left alone.
    let update = format!(
        "update {table} set key_id = $3, wrapped_key = $4 where id = $1 and key_id = $2 and wrapped_key = $5"
    );
    let (mut last, mut rewrapped, mut unreadable) = (None, 0, vec![]);
    for row in tx.all(&select, params![&from.id, after])? {
        let (id, wrapped): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let place = Place {
            kind,
            record: &id,
            expires_at: 0,
        };
        match from.rewrap(to, place, &wrapped) {
            Ok(fresh) => {
                let values = params![&id, &from.id, &to.id, fresh, wrapped];
                rewrapped += tx.execute(&update, values)?;
            }
            Err(_) => unreadable.push(id.clone()),
        }
        last = Some(id);
    }
    Ok((last, rewrapped, unreadable))
}

async fn destroy(store: &Store, key: &str, actor: &Actor, now: i64) -> Result<bool, Error> {
    let (key, actor) = (key.to_owned(), actor.clone());
    store
        .write(move |tx| {
            for (table, _) in SEALED {
                let sql = format!("select 1 from {table} where key_id = $1 limit 1");
                if tx.first(&sql, params![&key])?.is_some() {
                    return Ok(false);
                }
            }
            tx.execute(
                "insert into destroyed_keys (id, merchant, mode, generation, created_at, destroyed_at)
                 select id, merchant, mode, generation, created_at, $2 from tenant_keys where id = $1",
                params![&key, now],
            )?;
            let rows = tx.execute(
                "delete from tenant_keys where id = $1 and state = 'decrypt_only'",
                params![&key],
            )?;
            audit::record(tx, &actor, Act::DestroyTenantKey, &key, "destroyed", now)?;
            Ok(rows == 1)
        })
        .await
}

/// What a rotation of the root did.
#[derive(Debug, Serialize)]
pub struct RootRotated {
    /// The root that wraps from now on.
    pub root: String,
    /// Tenant keys that were wrapped again.
    pub tenant_keys: u64,
    /// Secrets of the service that were wrapped again.
    pub service_secrets: u64,
    /// Roots that nothing names any more: servers may be run without them, and they may be destroyed.
    pub retired: Vec<String>,
}

/// Makes `to` the root that wraps, and wraps everything again that another one wraps.
///
/// # Errors
/// When a former root was not given, or the store or a root fails. What was done stays; run it again.
pub async fn root(
    store: &Store,
    root: &Root,
    clock: &Clock,
    to: &dyn Provider,
    actor: &Actor,
) -> anyhow::Result<RootRotated> {
    let mode = root.mode();
    let (id, kind) = (to.id().to_owned(), (to.provider(), to.algorithm()));
    let (actor, now) = (actor.clone(), clock.now());
    let by = actor.clone();
    store
        .write(move |tx| {
            records::roots::activate(tx, &id, mode, kind, now)?;
            audit::record(tx, &by, Act::RotateRoot, &id, "rotated", now)
        })
        .await?;
    let tenant_keys = rewrap_tenant_keys(store, root, to).await?;
    let service_secrets = rewrap_secrets(store, root, to).await?;
    let retired = store
        .write(move |tx| {
            let retired = records::roots::retire_unused(tx, mode, now)?;
            for id in &retired {
                audit::record(tx, &actor, Act::RetireRoot, id, "retired", now)?;
            }
            Ok::<_, Error>(retired)
        })
        .await?;
    Ok(RootRotated {
        root: to.id().to_owned(),
        tenant_keys,
        service_secrets,
        retired,
    })
}

type WrappedKey = (String, String, i64, String, Vec<u8>);

async fn rewrap_tenant_keys(store: &Store, root: &Root, to: &dyn Provider) -> anyhow::Result<u64> {
    let (mode, mut many) = (root.mode(), 0);
    loop {
        let new_root = to.id().to_owned();
        let batch: Vec<WrappedKey> = store
            .read(move |tx| {
                let rows = tx.all(
                    "select id, merchant, generation, root_id, wrapped from tenant_keys
                     where mode = $1 and root_id <> $2 order by id limit 100",
                    params![mode.as_str(), &new_root],
                )?;
                rows.iter()
                    .map(|row| {
                        Ok::<WrappedKey, Error>((
                            row.get(0)?,
                            row.get(1)?,
                            row.get(2)?,
                            row.get(3)?,
                            row.get(4)?,
                        ))
                    })
                    .collect()
            })
            .await?;
        if batch.is_empty() {
            return Ok(many);
        }
        for (id, merchant, generation, root_id, wrapped) in batch {
            let old = root.provider_or_reload(&root_id).await?;
            let place = tenants::place(mode, &id, generation, &merchant);
            let key = old.unwrap(&wrapped, place).await;
            let key = key.with_context(|| format!("the tenant key {id}"))?;
            let (fresh, new_root) = (to.wrap(&key, place).await?, to.id().to_owned());
            many += store
                .write(move |tx| {
                    Ok::<_, Error>(tx.execute(
                        "update tenant_keys set root_id = $2, wrapped = $3 where id = $1 and root_id = $4",
                        params![&id, &new_root, &fresh, &root_id],
                    )?)
                })
                .await?;
        }
    }
}

async fn rewrap_secrets(store: &Store, root: &Root, to: &dyn Provider) -> anyhow::Result<u64> {
    let (mode, mut many) = (root.mode(), 0);
    for purpose in Purpose::ALL {
        // Every generation: former audit keys still verify.
        let all = store
            .read(move |tx| records::secrets::all(tx, mode, purpose))
            .await?;
        for stored in all.into_iter().filter(|stored| stored.root_id != to.id()) {
            many += u64::from(rewrap_secret(store, root, to, purpose, stored).await?);
        }
    }
    Ok(many)
}

async fn rewrap_secret(
    store: &Store,
    root: &Root,
    to: &dyn Provider,
    purpose: Purpose,
    stored: StoredSecret,
) -> anyhow::Result<bool> {
    let mode = root.mode();
    let place = secrets::place(mode, purpose, stored.generation);
    let old = root.provider_or_reload(&stored.root_id).await?;
    let key = old.unwrap(&stored.wrapped, place).await?;
    let (fresh, new_root) = (to.wrap(&key, place).await?, to.id().to_owned());
    let done = store
        .write(move |tx| records::secrets::rewrap(tx, mode, purpose, &stored, &new_root, &fresh))
        .await?;
    Ok(done)
}

// Returns once every transaction that was open at the call has ended: none of them seals under the old key any more.
// On SQLite there is one writer, and the switch was its turn.
async fn quiet(store: &Store) -> anyhow::Result<()> {
    if !store.is_postgres() {
        return Ok(());
    }
    let started = Instant::now();
    let since = store
        .read(|tx| {
            let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
            let row = tx.first(sql, &[])?.ok_or(Error::Internal("no time"))?;
            Ok::<i64, Error>(row.get(0)?)
        })
        .await?;
    loop {
        let open = store.read(move |tx| open_since(tx, since)).await?;
        if open == 0 {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!(
                "{open} transactions of this database from before the switch have not ended, or cannot be seen by this role (grant it pg_read_all_stats); run the rotation again"
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// A session of another role shows no state to us: it counts as open, since it cannot be seen to be idle.
fn open_since(tx: &mut Tx<'_>, since: i64) -> Result<i64, Error> {
    let row = tx.first(
        "select count(*) from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
           and (state is null or (extract(epoch from xact_start) * 1000000)::bigint < $1)",
        params![since],
    )?;
    Ok(row.ok_or(Error::Internal("no count"))?.get(0)?)
}

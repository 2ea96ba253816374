//! Tenant keys: made at a merchant's first card, wrapped by the root, unwrapped once per process.
//!
//! A transaction never waits for a root: one that needs a key which this process has not unwrapped ends with
//! [`Error::KeyNeeded`], is rolled back, and [`App::write`] fetches the key (from KMS or an HSM, over
//! the network) and runs it again. After a merchant's first request that is a look into a map.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::{Store, Tx, params};
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use crate::audit::{self, Act, Actor};
use crate::crypto::envelope::TenantKey;
use crate::crypto::root::{Root, Wrapped};
use crate::crypto::{self, CannotOpen, Key};
use crate::{App, Error, records};

/// How often a transaction is run again for keys: a page of stored cards may name several generations.
const ROUNDS: usize = 16;

/// The unwrapped keys of this process, by id.
#[derive(Default)]
pub struct TenantKeys {
    unwrapped: Mutex<HashMap<String, TenantKey>>,
    // One fetch at a time: fifty first requests of a merchant ask the root once.
    fetching: tokio::sync::Mutex<()>,
}

/// A key that a transaction needs and this process has not unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// A first key for this merchant.
    First(String),
    /// The key with this id.
    Named(String),
}

impl TenantKeys {
    /// The merchant's active key.
    ///
    /// # Errors
    /// The store's, or [`Error::KeyNeeded`].
    pub fn active(&self, tx: &mut Tx<'_>, root: &Root, merchant: &str) -> Result<TenantKey, Error> {
        match active_id(tx, root.mode(), merchant)? {
            Some(id) => self.by_id(&id),
            None => Err(Error::KeyNeeded(Needed::First(merchant.to_owned()))),
        }
    }

    /// The key with this id.
    ///
    /// # Errors
    /// [`Error::KeyNeeded`].
    pub fn by_id(&self, id: &str) -> Result<TenantKey, Error> {
        let known = self.lock().get(id).cloned();
        known.ok_or_else(|| Error::KeyNeeded(Needed::Named(id.to_owned())))
    }

    /// Forgets keys that were destroyed, so that they are gone from memory too.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_destroyed(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let held: Vec<String> = self.lock().keys().cloned().collect();
        for id in held {
            let gone = tx.first("select 1 from tenant_keys where id = $1", params![&id])?;
            if gone.is_none() {
                self.lock().remove(&id);
            }
        }
        Ok(())
    }

    async fn fetch(
        &self,
        store: &Store,
        root: &Root,
        now: i64,
        needed: Needed,
    ) -> Result<(), Error> {
        let _one = self.fetching.lock().await;
        let merchant = match needed {
            Needed::Named(id) if self.lock().contains_key(&id) => return Ok(()),
            Needed::Named(id) => {
                // None: it was destroyed after the row that names it was read. The row names another by now.
                if let Some(key) = unwrap(store, root, &id).await? {
                    self.lock().insert(id, key);
                }
                return Ok(());
            }
            Needed::First(merchant) => merchant,
        };
        let (asked, mode) = (merchant.clone(), root.mode());
        let made = store.read(move |tx| active_id(tx, mode, &asked)).await?;
        match made {
            Some(_) => Ok(()),
            None => make(store, root, &merchant, now).await,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, TenantKey>> {
        self.unwrapped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn active_id(tx: &mut Tx<'_>, mode: Mode, merchant: &str) -> Result<Option<String>, Error> {
    let row = tx.first(
        "select id from tenant_keys where merchant = $1 and mode = $2 and state = 'active'
         order by generation desc limit 1",
        params![merchant, mode.as_str()],
    )?;
    row.map(|row| Ok(row.get(0)?)).transpose()
}

/// Where a tenant key's wrap belongs.
#[must_use]
pub fn place<'a>(mode: Mode, id: &'a str, generation: i64, merchant: &'a str) -> Wrapped<'a> {
    Wrapped {
        kind: "tenant-key",
        id,
        generation,
        tenant: merchant,
        mode,
    }
}

/// A new key, wrapped by the active root, that no row names yet.
pub struct NewKey {
    /// `tk_..`.
    pub id: String,
    /// The root that wraps it.
    pub root_id: String,
    /// The wrap.
    pub wrapped: Vec<u8>,
}

/// Makes a key and has the active root wrap it.
///
/// # Errors
/// The store's or the root's.
pub async fn new_key(
    store: &Store,
    root: &Root,
    merchant: &str,
    generation: i64,
) -> Result<NewKey, Error> {
    let mode = root.mode();
    let root_id = store
        .read(move |tx| records::roots::active(tx, mode))
        .await?
        .ok_or(Error::Internal("no root is active"))?;
    let provider = root.provider_or_reload(&root_id).await?;
    let key: Key = Zeroizing::new(crypto::random());
    let id = vault_api::ids::new_id("tk");
    let at = place(mode, &id, generation, merchant);
    let wrapped = provider.wrap(&key, at).await?;
    Ok(NewKey {
        id,
        root_id,
        wrapped,
    })
}

async fn make(store: &Store, root: &Root, merchant: &str, now: i64) -> Result<(), Error> {
    let mode = root.mode();
    loop {
        let new = new_key(store, root, merchant, 1).await?;
        let merchant = merchant.to_owned();
        let kept = store
            .write(move |tx| {
                // The root may have been rotated since: then the key is made again, under the new one.
                if records::roots::active(tx, mode)?.as_ref() != Some(&new.root_id) {
                    return Ok(false);
                }
                // Of two processes that make the first key at once, one inserts and both use that.
                let made = tx.execute(
                    "insert into tenant_keys (id, merchant, mode, generation, root_id, wrapped, state, created_at)
                     values ($1, $2, $3, 1, $4, $5, 'active', $6) on conflict do nothing",
                    params![&new.id, &merchant, mode.as_str(), &new.root_id, &new.wrapped, now],
                )?;
                if made == 1 {
                    let actor = Actor {
                        merchant: merchant.clone(),
                        id: "vault".to_owned(),
                        request_id: String::new(),
                    };
                    audit::record(tx, &actor, Act::CreateTenantKey, &new.id, "created", now)?;
                }
                Ok::<_, Error>(true)
            })
            .await?;
        if kept {
            return Ok(());
        }
    }
}

/// Unwraps a tenant key; none when there is no such row.
///
/// # Errors
/// The store's or the root's.
pub async fn unwrap(store: &Store, root: &Root, id: &str) -> Result<Option<TenantKey>, Error> {
    let asked = id.to_owned();
    let row = store
        .read(move |tx| {
            let row = tx.first(
                "select merchant, mode, generation, root_id, wrapped from tenant_keys where id = $1",
                params![&asked],
            )?;
            row.map(|row| {
                Ok::<(String, String, i64, String, Vec<u8>), Error>((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })
            .transpose()
        })
        .await?;
    let Some((merchant, mode, generation, root_id, wrapped)) = row else {
        return Ok(None);
    };
    if mode != root.mode().as_str() {
        return Err(CannotOpen.into());
    }
    let provider = root.provider_or_reload(&root_id).await?;
    let at = place(root.mode(), id, generation, &merchant);
    let key = provider.unwrap(&wrapped, at).await?;
    Ok(Some(TenantKey {
        id: id.to_owned(),
        tenant: merchant,
        mode: root.mode(),
        key,
    }))
}

impl TenantKeys {
    /// [`Store::write`], run again with the tenant keys that it turns out to need.
    ///
    /// # Errors
    /// The error of `work`, the store's, or the root's.
    pub async fn write<T, F>(
        &self,
        store: &Store,
        root: &Root,
        now: i64,
        work: F,
    ) -> Result<T, Error>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let work = Arc::new(Mutex::new(work));
        for _ in 0..ROUNDS {
            let again = work.clone();
            let run = move |tx: &mut Tx<'_>| {
                let mut work = again.lock().unwrap_or_else(PoisonError::into_inner);
                (*work)(tx)
            };
            match store.write(run).await {
                Err(Error::KeyNeeded(needed)) => self.fetch(store, root, now, needed).await?,
                done => return done,
            }
        }
        Err(CannotOpen.into())
    }
}

impl App {
    /// [`TenantKeys::write`] on this vault.
    ///
    /// # Errors
    /// The error of `work`, the store's, or the root's.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let now = self.clock.now();
        self.tenants.write(&self.store, &self.root, now, work).await
    }
}

//! Tenant keys: made at a merchant's first card, wrapped by the root, unwrapped once per process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use store::{Tx, params};
use zeroize::Zeroizing;

use crate::Error;
use crate::crypto::envelope::TenantKey;
use crate::crypto::root::Root;
use crate::crypto::{self, CannotOpen};

/// The unwrapped keys of this process, by id.
#[derive(Default)]
pub struct TenantKeys(Mutex<HashMap<String, TenantKey>>);

impl TenantKeys {
    /// The merchant's active key; made when there is none.
    ///
    /// # Errors
    /// The store's, or [`CannotOpen`].
    pub fn active(
        &self,
        tx: &mut Tx<'_>,
        root: &Root,
        merchant: &str,
        now: i64,
    ) -> Result<TenantKey, Error> {
        let mode = root.mode().as_str();
        // One row per generation: of two that make the first key at once, one inserts and both read it.
        let find =
            "select id from tenant_keys where merchant = $1 and mode = $2 and state = 'active'
                    order by generation desc limit 1";
        if let Some(row) = tx.first(find, params![merchant, mode])? {
            return self.by_id(tx, root, &row.get::<String>(0)?);
        }
        let key = Zeroizing::new(crypto::random());
        let id = vault_api::ids::new_id("tk");
        let wrapped = root.wrap(&key, &id, 1, merchant);
        tx.execute(
            "insert into tenant_keys (id, merchant, mode, generation, root_id, wrapped, state, created_at)
             values ($1, $2, $3, 1, $4, $5, 'active', $6) on conflict do nothing",
            params![id, merchant, mode, root.id(), wrapped, now],
        )?;
        let row = tx
            .first(find, params![merchant, mode])?
            .ok_or(Error::Internal("no tenant key"))?;
        self.by_id(tx, root, &row.get::<String>(0)?)
    }

    /// The key with this id.
    ///
    /// # Errors
    /// The store's, or [`CannotOpen`].
    pub fn by_id(&self, tx: &mut Tx<'_>, root: &Root, id: &str) -> Result<TenantKey, Error> {
        if let Some(key) = self.lock().get(id) {
            return Ok(key.clone());
        }
        let row = tx
            .first(
                "select merchant, mode, generation, wrapped from tenant_keys where id = $1 and root_id = $2",
                params![id, root.id()],
            )?
            .ok_or(CannotOpen)?;
        let tenant: String = row.get(0)?;
        if row.get::<String>(1)? != root.mode().as_str() {
            return Err(CannotOpen.into());
        }
        let key = root.unwrap(&row.get::<Vec<u8>>(3)?, id, row.get(2)?, &tenant)?;
        let key = TenantKey {
            id: id.to_owned(),
            tenant,
            mode: root.mode(),
            key,
        };
        // A key that the transaction which made it rolls back stays here unused: nothing can name it.
        self.lock().insert(id.to_owned(), key.clone());
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, TenantKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

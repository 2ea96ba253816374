//! Stored cards leave for another vault, and arrive from one: never in the clear, never by one person alone.
//!
//! Reading order: [`archive`] (the file), [`card_line`] (a card in it), [`export`], [`import`]; [`command`] is the command line,
//! [`operators`] who may approve. What leaves are active stored cards: number, expiry, holder, networks. A security code is
//! never among them: a stored card has none.

pub mod archive;
mod card_line;
pub mod command;
mod export;
mod import;
mod operators;

use std::sync::Arc;

use store::Store;

use crate::Error;
use crate::crypto::root::Root;
use crate::tenants::TenantKeys;

/// A vault as a command holds it.
#[derive(Clone)]
pub(crate) struct Held {
    /// Its rows.
    pub store: Store,
    /// Its root.
    pub root: Arc<Root>,
    /// Tenant keys that were unwrapped.
    pub tenants: Arc<TenantKeys>,
    /// Unix seconds.
    pub now: i64,
}

impl Held {
    fn mode(&self) -> &'static str {
        self.root.mode().as_str()
    }

    async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnMut(&mut store::Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (root, now) = (&self.root, self.now);
        self.tenants.write(&self.store, root, now, work).await
    }
}

//! Root keys: each wraps tenant keys and the service's own secrets, and nothing else. Three providers behind one
//! trait: a local file ([`local`]), AWS KMS ([`aws_kms`]), a token that speaks PKCS#11 ([`pkcs11`]).
//!
//! A provider is asked when a key is made, first unwrapped by a process, or rewrapped: never per request, and never
//! inside a transaction ([`crate::tenants`] says how). [`Root`] is what a running vault holds of them.

pub mod aws_kms;
pub mod local;
pub mod pkcs11;
mod spec;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, bail};
use store::Store;
use vault_api::keys::Mode;

pub use spec::{RootSpec, Roots};

use super::secrets::ServiceSecrets;
use super::{CannotOpen, Key, length_prefixed};
use crate::records;
use crate::records::row_mac::RowMacs;

/// What a provider answers, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RootError>> + Send + 'a>>;

/// Why a provider gave no key.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The wrap is not this root's, or not of this place.
    #[error(transparent)]
    CannotOpen(#[from] CannotOpen),
    /// The provider does not answer or refuses; the text says what to do and holds no key.
    #[error("{0}")]
    Unavailable(String),
}

/// What a wrapped key is and where it belongs: the wrap's AAD, or its encryption context.
#[derive(Debug, Clone, Copy)]
pub struct Wrapped<'a> {
    /// `tenant-key` or `service-secret`.
    pub kind: &'static str,
    /// The key's id, or the secret's purpose.
    pub id: &'a str,
    /// Its generation.
    pub generation: i64,
    /// The merchant; empty for a service secret.
    pub tenant: &'a str,
    /// Test or live.
    pub mode: Mode,
}

impl Wrapped<'_> {
    fn aad(&self, root_id: &str) -> Vec<u8> {
        length_prefixed(&[
            format!("cardseal/{}/1", self.kind).as_bytes(),
            self.id.as_bytes(),
            root_id.as_bytes(),
            &self.generation.to_be_bytes(),
            self.tenant.as_bytes(),
            self.mode.as_str().as_bytes(),
        ])
    }
}

/// A root key, wherever it lives.
pub trait Provider: Send + Sync {
    /// Names the key in every wrap it made; stable, and no secret.
    fn id(&self) -> &str;

    /// `file`, `aws-kms` or `pkcs11`.
    fn provider(&self) -> &'static str;

    /// The algorithm and strength of its wraps, for the inventory.
    fn algorithm(&self) -> &'static str;

    /// Wraps a key for a place.
    fn wrap<'a>(&'a self, key: &'a Key, place: Wrapped<'a>) -> Answer<'a, Vec<u8>>;

    /// Unwraps a key that was wrapped for this very place.
    fn unwrap<'a>(&'a self, wrapped: &'a [u8], place: Wrapped<'a>) -> Answer<'a, Key>;
}

/// The root keys that a running vault was given, and the secrets they guard. Test and live never share one: a file
/// and a KMS key carry a tag, an HSM's key a label that says the mode (PCI DSS 3.6.1.1).
pub struct Root {
    mode: Mode,
    roots: Roots,
    held: RwLock<Vec<Arc<dyn Provider>>>,
    secrets: ServiceSecrets,
    macs: RowMacs,
}

impl Root {
    /// Opens the roots and unwraps the service's secrets; makes them at first start.
    ///
    /// # Errors
    /// When a root cannot be opened or is for the other mode, or when what is stored needs another root.
    pub async fn open(roots: Roots, mode: Mode, store: &Store, now: i64) -> anyhow::Result<Self> {
        let held = roots.open(mode).await?;
        let first = held.first().context("no root key was named; give --root")?;
        let active = records::roots::active_or_first(store, mode, first.as_ref(), now).await?;
        let Some(wraps) = held.iter().find(|root| root.id() == active) else {
            bail!(
                "the keys of this {mode} database are wrapped by the root {active}, which was not given; add it with --root"
            );
        };
        let secrets = ServiceSecrets::open(store, &held, wraps.as_ref(), mode, now).await?;
        let macs = secrets.row_macs();
        Ok(Self {
            mode,
            roots,
            held: RwLock::new(held),
            secrets,
            macs,
        })
    }

    /// With one local file; it is made (mode 0600) when there is none.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub async fn open_or_create(
        path: &Path,
        mode: Mode,
        store: &Store,
        now: i64,
    ) -> anyhow::Result<Self> {
        Self::open(Roots::file(path), mode, store, now).await
    }

    /// A root of these secrets and no provider: what signs and hashes, and wraps nothing.
    #[must_use]
    pub fn of_secrets(mode: Mode, secrets: ServiceSecrets) -> Self {
        let macs = secrets.row_macs();
        Self {
            mode,
            roots: Roots::default(),
            held: RwLock::default(),
            secrets,
            macs,
        }
    }

    /// Test or live.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A key for a use of the service's own, the same in every process of this database, whatever the root.
    #[must_use]
    pub fn derived(&self, purpose: &str, detail: &[u8]) -> Key {
        self.secrets.derived(purpose, detail)
    }

    /// The secrets themselves.
    #[must_use]
    pub fn secrets(&self) -> &ServiceSecrets {
        &self.secrets
    }

    /// The keys that bind rows to what they may do.
    #[must_use]
    pub fn macs(&self) -> &RowMacs {
        &self.macs
    }

    /// The provider with this id, if this process was given it.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<Arc<dyn Provider>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|root| root.id() == id).cloned()
    }

    /// The provider with this id; the roots file is read again when it is not held yet.
    ///
    /// # Errors
    /// [`RootError::Unavailable`] when this process was not given it.
    pub async fn provider_or_reload(&self, id: &str) -> Result<Arc<dyn Provider>, RootError> {
        if let Some(found) = self.provider(id) {
            return Ok(found);
        }
        self.reload()
            .await
            .map_err(|error| RootError::Unavailable(format!("{error:#}")))?;
        self.provider(id).ok_or_else(|| {
            RootError::Unavailable(format!(
                "a key is wrapped by the root {id}, which this vault was not given; add it to the roots file or with --root"
            ))
        })
    }

    /// Reads the roots file again. What cannot be opened changes nothing.
    ///
    /// # Errors
    /// What is wrong with the file or a root in it.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let fresh = self.roots.open(self.mode).await?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

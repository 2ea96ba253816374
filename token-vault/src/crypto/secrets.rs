//! The service's own secrets: random, wrapped by the root, one row each, unwrapped at start. They are independent of
//! which provider the root is, the same in every replica, and survive a rotation of the root.

use std::sync::Arc;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pan::Pan;
use sha2::Sha256;
use store::Store;
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use super::root::{Provider, Wrapped};
use super::{Key, derive, length_prefixed, random};
use crate::Error;
use crate::records::row_mac::RowMacs;
use crate::records::secrets::{self, StoredSecret};

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Field sessions, request hashes, grants of stored cards: derived from it, one purpose each.
    Service,
    /// Binds rows to what they may do.
    RowMac,
    /// Fingerprints of card numbers: a key of its own, not one that encrypts (PCI DSS 3.5.1.1).
    Fingerprint,
    /// MACs audit events and signs checkpoints.
    Audit,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Service, Self::RowMac, Self::Fingerprint, Self::Audit];

    /// Its name in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::RowMac => "row_mac",
            Self::Fingerprint => "fingerprint",
            Self::Audit => "audit",
        }
    }

    /// Where it is used, for the inventory.
    #[must_use]
    pub fn used_for(self) -> &'static str {
        match self {
            Self::Service => "field sessions, request hashes, grants of stored cards",
            Self::RowMac => "row MACs of tokens, grants and stored cards",
            Self::Fingerprint => "per-tenant keyed hashes of card numbers",
            Self::Audit => "MACs of audit events, signatures of checkpoints (Ed25519)",
        }
    }
}

/// The unwrapped secrets.
pub struct ServiceSecrets {
    mode: Mode,
    /// In the order of [`Purpose::ALL`].
    keys: [Key; 4],
    audit_generation: i64,
}

impl ServiceSecrets {
    /// Random ones, kept nowhere.
    #[must_use]
    pub fn random(mode: Mode) -> Self {
        Self {
            mode,
            keys: Purpose::ALL.map(|_| Zeroizing::new(random())),
            audit_generation: 1,
        }
    }

    /// Unwraps what is stored; what is missing is made and wrapped by `wraps`.
    ///
    /// # Errors
    /// When a secret's root was not given or refuses.
    pub async fn open(
        store: &Store,
        held: &[Arc<dyn Provider>],
        wraps: &dyn Provider,
        mode: Mode,
        now: i64,
    ) -> anyhow::Result<Self> {
        let mut keys = Purpose::ALL.map(|_| Key::default());
        let mut audit_generation = 1;
        for (key, purpose) in keys.iter_mut().zip(Purpose::ALL) {
            let stored = match find(store, mode, purpose).await? {
                Some(stored) => stored,
                None => make(store, wraps, mode, purpose, now).await?,
            };
            let root = held.iter().find(|root| root.id() == stored.root_id);
            let root = root.with_context(|| {
                format!(
                    "the secret {} is wrapped by the root {}, which was not given; add it with --root",
                    purpose.as_str(),
                    stored.root_id
                )
            })?;
            let place = place(mode, purpose, stored.generation);
            *key = root.unwrap(&stored.wrapped, place).await?;
            if purpose == Purpose::Audit {
                audit_generation = stored.generation;
            }
        }
        Ok(Self {
            mode,
            keys,
            audit_generation,
        })
    }

    /// A key for a purpose, from the secret `service`.
    #[must_use]
    pub fn derived(&self, purpose: &str, detail: &[u8]) -> Key {
        derive(
            self.key(Purpose::Service),
            &[b"cardseal/service/1", purpose.as_bytes(), detail],
        )
    }

    /// The keys of row MACs.
    #[must_use]
    pub fn row_macs(&self) -> RowMacs {
        RowMacs::new(&derive(
            self.key(Purpose::RowMac),
            &[b"cardseal/row-mac/1", self.mode.as_str().as_bytes()],
        ))
    }

    /// The secret of the audit key, and its generation.
    #[must_use]
    pub fn audit(&self) -> (i64, &Key) {
        (self.audit_generation, &self.keys[Purpose::Audit as usize])
    }

    /// The fingerprint of a card number for one merchant: the same number gives the same fingerprint there, another
    /// one elsewhere, and none can be computed without this secret. The version leads it.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the keyed hash covers the whole number (PCI DSS 3.5.1.1); only the hash leaves"
    )]
    pub fn fingerprint(&self, merchant: &str, number: &Pan) -> String {
        let key = derive(
            self.key(Purpose::Fingerprint),
            &[
                b"cardseal/fingerprint/1",
                self.mode.as_str().as_bytes(),
                merchant.as_bytes(),
            ],
        );
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("any key");
        mac.update(&length_prefixed(&[number.expose().as_bytes()]));
        let hash: [u8; 32] = mac.finalize().into_bytes().into();
        format!("fp1_{}", vault_api::ids::base62_of_32(&hash))
    }

    fn key(&self, purpose: Purpose) -> &[u8] {
        &self.keys[purpose as usize][..]
    }
}

/// Where a secret's wrap belongs.
#[must_use]
pub fn place(mode: Mode, purpose: Purpose, generation: i64) -> Wrapped<'static> {
    Wrapped {
        kind: "service-secret",
        id: purpose.as_str(),
        generation,
        tenant: "",
        mode,
    }
}

async fn find(store: &Store, mode: Mode, purpose: Purpose) -> Result<Option<StoredSecret>, Error> {
    store
        .read(move |tx| secrets::current(tx, mode, purpose))
        .await
}

// Of two processes that make it at once one inserts, and both read it.
async fn make(
    store: &Store,
    wraps: &dyn Provider,
    mode: Mode,
    purpose: Purpose,
    now: i64,
) -> anyhow::Result<StoredSecret> {
    let key: Key = Zeroizing::new(random());
    let wrapped = wraps.wrap(&key, place(mode, purpose, 1)).await?;
    let root_id = wraps.id().to_owned();
    store
        .write(move |tx| {
            let stored = StoredSecret {
                generation: 1,
                root_id: root_id.clone(),
                wrapped: wrapped.clone(),
            };
            secrets::insert(tx, mode, purpose, &stored, now)
        })
        .await?;
    find(store, mode, purpose)
        .await?
        .context("a secret that was just made is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_stable_per_merchant_and_shows_nothing() {
        let secrets = ServiceSecrets::random(Mode::Test);
        let a = Pan::parse("4242424242424242").expect("a test card");
        let b = Pan::parse("4000056655665556").expect("a test card");
        let first = secrets.fingerprint("mer_a", &a);
        assert_eq!(first, secrets.fingerprint("mer_a", &a));
        assert!(first.starts_with("fp1_"));
        assert_ne!(first, secrets.fingerprint("mer_a", &b));
        assert_ne!(first, secrets.fingerprint("mer_b", &a));
        let others = ServiceSecrets::random(Mode::Test);
        assert_ne!(first, others.fingerprint("mer_a", &a));
    }

    #[test]
    fn purposes_do_not_share_keys() {
        let secrets = ServiceSecrets::random(Mode::Test);
        assert_ne!(secrets.derived("a", b""), secrets.derived("b", b""));
        assert_ne!(secrets.derived("a", b"1"), secrets.derived("a", b"2"));
    }
}

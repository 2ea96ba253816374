//! The audit key: MACs every link and signs checkpoints. A secret of the service's own, wrapped by the root like the
//! others, so that whoever only has the database can neither compute a link nor sign. It has generations: a rotation
//! begins new chains, the old ones still verify.

use anyhow::Context as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use store::Store;
use vault_api::keys::Mode;

use crate::crypto::root::Root;
use crate::crypto::secrets::{Purpose, place};
use crate::crypto::{Key, derive};
use crate::records::secrets;

/// One generation of the key.
pub struct AuditKey {
    mode: Mode,
    generation: i64,
    mac: Key,
    pair: Ed25519KeyPair,
}

impl AuditKey {
    /// The keys that a generation's secret gives.
    #[must_use]
    pub fn new(mode: Mode, generation: i64, secret: &Key) -> Self {
        let info = mode.as_str().as_bytes();
        let seed = derive(&secret[..], &[b"cardseal/audit/sign/1", info]);
        #[expect(clippy::expect_used, reason = "every 32 bytes are an Ed25519 seed")]
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).expect("32 bytes");
        Self {
            mode,
            generation,
            mac: derive(&secret[..], &[b"cardseal/audit/mac/1", info]),
            pair,
        }
    }

    /// The generation that a running process writes with.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        let (generation, secret) = root.secrets().audit();
        Self::new(root.mode(), generation, secret)
    }

    /// Counts up from 1.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// A chain of this key: mode and generation say which key its links are under.
    #[must_use]
    pub fn chain(&self, process: &str, lane: u32) -> String {
        format!("{}.{}.{process}.{lane}", self.mode, self.generation)
    }

    /// HMAC-SHA-256 of a link.
    #[must_use]
    pub fn mac(&self, link: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.mac[..]).expect("a key");
        mac.update(link);
        mac.finalize().into_bytes().into()
    }

    /// Ed25519 signature of a checkpoint.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// Whether this key signed the message.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public())
            .verify(message, signature)
            .is_ok()
    }

    /// The public half of the signing key.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }
}

/// Every generation of one mode's key, for who verifies.
pub struct AuditKeys {
    mode: Mode,
    keys: Vec<AuditKey>,
}

/// Whose a chain is, by its name.
pub enum Whose<'a> {
    /// Under this key.
    Ours(&'a AuditKey),
    /// The other mode's: its root verifies it.
    OtherMode,
    /// Under a key that is not in the database.
    Nobodys,
}

impl AuditKeys {
    /// These and no others.
    #[must_use]
    pub fn new(mode: Mode, keys: Vec<AuditKey>) -> Self {
        Self { mode, keys }
    }

    /// Unwraps them.
    ///
    /// # Errors
    /// The store's or a root's.
    pub async fn open(store: &Store, root: &Root) -> anyhow::Result<Self> {
        let mode = root.mode();
        let stored = store
            .read(move |tx| secrets::all(tx, mode, Purpose::Audit))
            .await?;
        let mut keys = vec![];
        for secret in stored {
            let provider = root.provider_or_reload(&secret.root_id).await?;
            let place = place(mode, Purpose::Audit, secret.generation);
            let key = provider.unwrap(&secret.wrapped, place).await;
            let key =
                key.with_context(|| format!("the audit key, generation {}", secret.generation))?;
            keys.push(AuditKey::new(mode, secret.generation, &key));
        }
        Ok(Self { mode, keys })
    }

    /// Whose chain this is.
    #[must_use]
    pub fn whose(&self, chain: &str) -> Whose<'_> {
        let mut parts = chain.split('.');
        let mode = parts.next().and_then(Mode::from_name);
        let generation = parts.next().and_then(|text| text.parse::<i64>().ok());
        if mode.is_some_and(|mode| mode != self.mode) {
            return Whose::OtherMode;
        }
        let key = self
            .keys
            .iter()
            .find(|key| Some(key.generation) == generation);
        match key {
            Some(key) if mode.is_some() => Whose::Ours(key),
            _ => Whose::Nobodys,
        }
    }

    /// Whether one of them signed the message.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.keys.iter().any(|key| key.signed(message, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_and_modes_are_other_keys() {
        let secret = Key::new([7; 32]);
        let key = |mode, generation| AuditKey::new(mode, generation, &secret);
        let (first, live) = (key(Mode::Test, 1), key(Mode::Live, 1));
        assert_eq!(first.mac(b"a"), key(Mode::Test, 1).mac(b"a"));
        assert_ne!(first.mac(b"a"), live.mac(b"a"));
        assert!(first.signed(b"a", &first.sign(b"a")));
        assert!(!first.signed(b"b", &first.sign(b"a")));
        assert!(!first.signed(b"a", &live.sign(b"a")));
        let keys = AuditKeys::new(Mode::Test, vec![key(Mode::Test, 1), key(Mode::Test, 2)]);
        let chain = keys.keys[1].chain("proc_a", 3);
        assert_eq!(chain, "test.2.proc_a.3");
        assert!(matches!(keys.whose(&chain), Whose::Ours(key) if key.generation == 2));
        assert!(matches!(keys.whose("live.1.proc_a.3"), Whose::OtherMode));
        for nobodys in ["test.3.proc_a.0", "proc_a.0", "", "test"] {
            assert!(matches!(keys.whose(nobodys), Whose::Nobodys), "{nobodys}");
        }
    }
}

//! Payments' own key: seals tokens and stored answers (AES-256-GCM, AAD = the row), and keys the derived secrets.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use anyhow::Context as _;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE: usize = 12;

/// The sealing key, split by HKDF into one key per purpose. No Debug, no Clone.
pub struct Seal {
    cipher: Aes256Gcm,
    mac_key: Zeroizing<[u8; 32]>,
}

/// A sealed value that cannot be opened: another key, another row, or altered bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOurs;

impl Seal {
    /// Reads the key file (32 bytes in hex); makes it, mode 0600, when it is missing.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("the seal key file {}", path.display());
        if !path.exists() {
            let mut fresh = Zeroizing::new([0u8; 32]);
            getrandom::fill(&mut fresh[..]).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(path).with_context(at)?;
            let text = Zeroizing::new(vault_api::keys::hex(&fresh[..]));
            file.write_all(text.as_bytes()).with_context(at)?;
            file.sync_all().with_context(at)?;
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).with_context(at)?);
        let key = key_from_hex(text.trim())
            .with_context(|| format!("{} must hold 64 hex digits", path.display()))?;
        Ok(Self::new(&key))
    }

    /// From the key itself.
    pub fn new(key: &[u8; 32]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, key);
        let derive = |info: &[u8]| {
            let mut out = Zeroizing::new([0u8; 32]);
            #[expect(
                clippy::expect_used,
                reason = "32 bytes are within what HKDF-SHA256 gives"
            )]
            hkdf.expand(info, &mut out[..]).expect("a valid length");
            out
        };
        let cipher_key = derive(b"cardseal/payments/seal/1");
        Self {
            cipher: Aes256Gcm::new((&*cipher_key).into()),
            mac_key: derive(b"cardseal/payments/mac/1"),
        }
    }

    /// Nonce and ciphertext of `plain`, bound to `row`.
    pub fn seal(&self, row: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0u8; NONCE];
        #[expect(
            clippy::expect_used,
            reason = "without randomness nothing may be sealed"
        )]
        getrandom::fill(&mut nonce).expect("the operating system gives randomness");
        let payload = Payload {
            msg: plain,
            aad: row.as_bytes(),
        };
        #[expect(
            clippy::expect_used,
            reason = "fails only beyond 64 GiB; bodies are capped"
        )]
        let sealed = self.cipher.encrypt(&nonce.into(), payload).expect("sealed");
        [&nonce[..], &sealed].concat()
    }

    /// The plain bytes of what [`Seal::seal`] made for `row`.
    pub fn open(&self, row: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOurs> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().ok_or(NotOurs)?;
        let payload = Payload {
            msg: ciphertext,
            aad: row.as_bytes(),
        };
        let plain = self.cipher.decrypt(&(*nonce).into(), payload);
        plain.map(Zeroizing::new).map_err(|_| NotOurs)
    }

    /// HMAC-SHA-256 over a purpose and length-prefixed parts.
    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.mac_key[..]).expect("a valid length");
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn key_from_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0u8; 32]);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_its_own_row_and_key() {
        let seal = Seal::new(&[1; 32]);
        let sealed = seal.seal("pm_1", b"secret");
        assert_eq!(
            seal.open("pm_1", &sealed).expect("ours").as_slice(),
            b"secret"
        );
        assert_eq!(seal.open("pm_2", &sealed).err(), Some(NotOurs));
        assert_eq!(
            Seal::new(&[2; 32]).open("pm_1", &sealed).err(),
            Some(NotOurs)
        );
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(seal.open("pm_1", &altered).err(), Some(NotOurs));
        }
        assert_eq!(seal.open("pm_1", b"short").err(), Some(NotOurs));
    }

    #[test]
    fn macs_keep_parts_and_purposes_apart() {
        let seal = Seal::new(&[1; 32]);
        assert_ne!(seal.mac("a", &[b"bc"]), seal.mac("ab", &[b"c"]));
        assert_ne!(seal.mac("a", &[b"b", b"c"]), seal.mac("a", &[b"bc"]));
        assert_eq!(seal.mac("a", &[b"b"]), seal.mac("a", &[b"b"]));
    }

    #[test]
    fn a_missing_key_file_is_made_private_and_read_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("payments-seal-{}", std::process::id()));
        let sealed = Seal::from_file(&path).expect("made").seal("row", b"x");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(
            Seal::from_file(&path)
                .expect("read")
                .open("row", &sealed)
                .is_ok()
        );
        std::fs::write(&path, "zz").expect("written");
        assert!(Seal::from_file(&path).is_err());
        std::fs::remove_file(&path).expect("removed");
    }
}

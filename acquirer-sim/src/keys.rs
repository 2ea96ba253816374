//! The bank's secrets: the API keys that callers present, and the key of the card hashes.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use pan::Pan;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::acquirer::Acquirer;

/// The API key of an acquirer; only its hash is kept in memory.
#[derive(Clone)]
pub struct ApiKey([u8; 32]);

/// A key per acquirer; one without a key takes no calls.
#[derive(Clone, Default)]
pub struct Keys {
    /// Of the JSON acquirer.
    pub json: Option<ApiKey>,
    /// Of the form acquirer: what stands after `Basic`.
    pub form: Option<ApiKey>,
    /// Of the XML acquirer.
    pub xml: Option<ApiKey>,
}

impl Keys {
    /// The acquirer's key.
    pub(crate) fn of(&self, acquirer: Acquirer) -> Option<&ApiKey> {
        match acquirer {
            Acquirer::Json => self.json.as_ref(),
            Acquirer::Form => self.form.as_ref(),
            Acquirer::Xml => self.xml.as_ref(),
        }
    }
}

impl ApiKey {
    /// Takes the key from the text of its file.
    ///
    /// # Errors
    /// When it is too short to be a secret.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let key = text.trim();
        ensure!(key.len() >= 20, "the API key has fewer than 20 characters");
        Ok(Self(Sha256::digest(key).into()))
    }

    /// The hex HMAC-SHA-256 of a notification under the key's SHA-256, which both sides know.
    pub(crate) fn sign(&self, message: &str) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length");
        mac.update(message.as_bytes());
        let tag = mac.finalize().into_bytes();
        tag.iter().fold(String::new(), |mut text, byte| {
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
    }

    /// Whether `presented` is the key, in constant time.
    pub(crate) fn is(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        self.0.ct_eq(&presented).into()
    }
}

/// The key under which card numbers are hashed for the book. It lives outside the database: a stolen book cannot be
/// searched by trying numbers.
pub struct CardKey(Zeroizing<[u8; 32]>);

impl CardKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the key file (64 hex digits), or makes one that only this user can read.
    ///
    /// # Errors
    /// When the file cannot be read, made or understood.
    pub fn load_or_make(file: &Path) -> anyhow::Result<Self> {
        if !file.exists() {
            make(file).with_context(|| format!("cannot make {}", file.display()))?;
        }
        let mut text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let bytes = bytes_of_hex(text.trim());
        text.zeroize();
        Ok(Self::new(bytes.with_context(|| {
            format!("{} does not hold 64 hex digits", file.display())
        })?))
    }

    /// What the book counts a card by.
    #[expect(
        clippy::disallowed_methods,
        reason = "the number goes into a keyed hash and nowhere else"
    )]
    pub(crate) fn hash(&self, pan: &Pan) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("any length");
        mac.update(b"acquirer-sim/card/1\0");
        mac.update(pan.expose().as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn make(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut key = Zeroizing::new([0u8; 32]);
    getrandom::fill(key.as_mut_slice())?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut out = options.open(file)?;
    for byte in key.iter() {
        write!(out, "{byte:02x}")?;
    }
    Ok(out.sync_all()?)
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(i * 2..i * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_compared_whole() {
        let key = ApiKey::parse("acq_test_0123456789abcdef\n").expect("long enough");
        assert!(key.is("acq_test_0123456789abcdef"));
        assert!(!key.is("acq_test_0123456789abcde"));
        assert!(!key.is(""));
        assert!(ApiKey::parse("short").is_err());
    }

    #[test]
    fn the_card_key_is_made_once_and_kept() {
        let file = std::env::temp_dir().join(format!("card-hmac-{}", std::process::id()));
        let pan = Pan::parse("4242424242424242").expect("a card");
        let first = CardKey::load_or_make(&file).expect("made").hash(&pan);
        assert_eq!(
            CardKey::load_or_make(&file).expect("read").hash(&pan),
            first
        );
        assert_ne!(CardKey::new([7; 32]).hash(&pan), first);
        std::fs::remove_file(&file).expect("removed");
    }
}

//! The audit key: MACs every link and signs checkpoints. A file of its own, apart from database and root key.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::Location;
use zeroize::{Zeroize as _, Zeroizing};

use crate::crypto::{Key, derive, random};

/// The key.
pub struct AuditKey {
    mac: Key,
    pair: Ed25519KeyPair,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u8,
    purpose: String,
    key: String,
}

const PURPOSE: &str = "audit";

impl AuditKey {
    /// Opens the file, or makes one (mode 0600) when there is none.
    ///
    /// # Errors
    /// When the file is readable by others or malformed.
    pub fn open_or_create(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            create(path)?;
        }
        Self::open(path)
    }

    /// Opens the file.
    ///
    /// # Errors
    /// When it is missing, readable by others or malformed.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let metadata =
            std::fs::metadata(path).with_context(|| format!("the audit key file {shown}"))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            bail!("the audit key file {shown} may be read by others; run: chmod 600 {shown}");
        }
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        let mut stored: OnDisk = serde_json::from_str(&text)
            .ok()
            .with_context(|| format!("the audit key file {shown} is malformed"))?;
        let key = unhex(&stored.key).filter(|_| stored.purpose == PURPOSE);
        stored.key.zeroize();
        let key = key.with_context(|| format!("{shown} holds no 32-byte audit key"))?;
        Self::of(&key)
    }

    /// Where the key is when nobody says: beside a SQLite database. None on PostgreSQL.
    #[must_use]
    pub fn default_path(location: &Location) -> Option<PathBuf> {
        match location {
            Location::Sqlite(database) => {
                let mut path = database.clone().into_os_string();
                path.push(".audit-key");
                Some(PathBuf::from(path))
            }
            Location::Postgres(_) => None,
        }
    }

    fn of(key: &Key) -> anyhow::Result<Self> {
        let seed = derive(&key[..], &[b"cardseal/audit/sign/1"]);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..])
            .ok()
            .context("the audit key gives no signing key")?;
        Ok(Self {
            mac: derive(&key[..], &[b"cardseal/audit/mac/1"]),
            pair,
        })
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

fn create(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
    }
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(random());
    let stored = OnDisk {
        version: 1,
        purpose: PURPOSE.to_owned(),
        key: vault_api::keys::hex(&key[..]),
    };
    let text = Zeroizing::new(serde_json::to_string_pretty(&stored)?);
    // Written whole under another name, then linked: of two processes that start at once one wins, and neither reads
    // half a file.
    let mut other = path.as_os_str().to_owned();
    other.push(vault_api::ids::new_id(".new"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&other)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&other, path);
    std::fs::remove_file(&other)?;
    match linked {
        Ok(()) => {
            tracing::info!(path = %path.display(), "a new audit key was made; keep a copy, without it no event can be verified");
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn unhex(text: &str) -> Option<Key> {
    let mut key = Zeroizing::new([0u8; 32]);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_private_and_stays_the_same_key() {
        let folder = std::env::temp_dir().join(vault_api::ids::new_id("audit"));
        let path = folder.join("audit.key");
        let first = AuditKey::open_or_create(&path).expect("made");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = AuditKey::open_or_create(&path).expect("opens");
        assert_eq!(first.mac(b"a"), again.mac(b"a"));
        assert!(again.signed(b"a", &first.sign(b"a")));
        assert!(!again.signed(b"b", &first.sign(b"a")));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
        let error = AuditKey::open(&path).err().expect("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}

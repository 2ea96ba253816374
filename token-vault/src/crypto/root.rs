//! The root key: wraps tenant keys and nothing else. Here from a local file; KMS and PKCS#11 come behind the same
//! few functions.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use vault_api::keys::Mode;
use zeroize::{Zeroize as _, Zeroizing};

use super::{CannotOpen, Key, derive, envelope, random};

/// The root of one mode's keys. Test and live never share one: the file says which it is for (PCI DSS 3.6.1.1).
pub struct Root {
    id: String,
    mode: Mode,
    key: Key,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u8,
    id: String,
    mode: Mode,
    key: String,
}

impl Root {
    /// Opens the file, or makes one (mode 0600) when there is none.
    ///
    /// # Errors
    /// When the file is readable by others, malformed, or for the other mode.
    pub fn open_or_create(path: &Path, mode: Mode) -> anyhow::Result<Self> {
        if !path.exists() {
            create(path, mode)?;
        }
        let permissions = std::fs::metadata(path)?.permissions().mode();
        if permissions & 0o077 != 0 {
            bail!(
                "the root key file {} may be read by others; run: chmod 600 {0}",
                path.display()
            );
        }
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        let mut stored: OnDisk = serde_json::from_str(&text)
            .ok()
            .context("the root key file is malformed")?;
        let key = unhex(&stored.key).context("the root key file holds no 32-byte key")?;
        stored.key.zeroize();
        if stored.mode != mode {
            bail!(
                "the root key file {} is for {} mode, this vault runs in {mode} mode",
                path.display(),
                stored.mode
            );
        }
        Ok(Self {
            id: stored.id,
            mode,
            key,
        })
    }

    /// Names the key in every wrap it made.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Test or live.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Wraps a tenant key. AAD: key id, wrapping key id, generation, tenant, mode.
    #[must_use]
    pub fn wrap(&self, key: &Key, key_id: &str, generation: i64, tenant: &str) -> Vec<u8> {
        envelope::seal(
            &self.wrapping(),
            &self.aad(key_id, generation, tenant),
            &key[..],
        )
    }

    /// Unwraps a tenant key.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn unwrap(
        &self,
        wrapped: &[u8],
        key_id: &str,
        generation: i64,
        tenant: &str,
    ) -> Result<Key, CannotOpen> {
        let plain = envelope::open(
            &self.wrapping(),
            &self.aad(key_id, generation, tenant),
            wrapped,
        )?;
        let key: [u8; 32] = plain.as_slice().try_into().map_err(|_| CannotOpen)?;
        Ok(Zeroizing::new(key))
    }

    /// A key for another use, independent of the wrapping key.
    #[must_use]
    pub fn derived(&self, purpose: &str, detail: &[u8]) -> Key {
        derive(
            &self.key[..],
            &[b"cardseal/root/1", purpose.as_bytes(), detail],
        )
    }

    fn wrapping(&self) -> Key {
        self.derived("wrap", b"")
    }

    fn aad(&self, key_id: &str, generation: i64, tenant: &str) -> Vec<u8> {
        let parts: [&[u8]; 6] = [
            b"cardseal/tenant-key/1",
            key_id.as_bytes(),
            self.id.as_bytes(),
            &generation.to_be_bytes(),
            tenant.as_bytes(),
            self.mode.as_str().as_bytes(),
        ];
        super::length_prefixed(&parts)
    }
}

fn create(path: &Path, mode: Mode) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(random());
    let stored = OnDisk {
        version: 1,
        id: vault_api::ids::new_id("root"),
        mode,
        key: vault_api::keys::hex(&key[..]),
    };
    let text = Zeroizing::new(serde_json::to_string_pretty(&stored)?);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    tracing::info!(path = %path.display(), "a new root key was made; back it up, without it no card can be read");
    Ok(())
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

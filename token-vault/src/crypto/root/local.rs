//! A root key in a local file (mode 0600): the default, for one machine. Whoever reads file and database reads cards,
//! so the file belongs on another disk than the database's backups.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use vault_api::keys::Mode;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Answer, Provider, Wrapped};
use crate::crypto::{CannotOpen, Key, derive, envelope, random};

/// A root key that was read from a file. The file says which mode it is for.
pub struct LocalFile {
    id: String,
    key: Key,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u8,
    id: String,
    mode: Mode,
    key: String,
}

impl LocalFile {
    /// Opens the file, or makes one (mode 0600) when there is none.
    ///
    /// # Errors
    /// When the file is readable by others, malformed, or for the other mode.
    pub fn open_or_create(path: &Path, mode: Mode) -> anyhow::Result<Self> {
        if !path.exists() {
            create(path, mode)?;
        }
        service::files::only_ours(path).context("the root key file")?;
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
        Ok(Self { id: stored.id, key })
    }

    fn wrapping(&self) -> Key {
        derive(&self.key[..], &[b"cardseal/root/1", b"wrap", b""])
    }

    fn opened(&self, wrapped: &[u8], place: Wrapped<'_>) -> Result<Key, CannotOpen> {
        let plain = envelope::open(&self.wrapping(), &place.aad(&self.id), wrapped)?;
        let key: [u8; 32] = plain.as_slice().try_into().map_err(|_| CannotOpen)?;
        Ok(Zeroizing::new(key))
    }
}

impl Provider for LocalFile {
    fn id(&self) -> &str {
        &self.id
    }

    fn provider(&self) -> &'static str {
        "file"
    }

    fn algorithm(&self) -> &'static str {
        "AES-256-GCM with HKDF-SHA-256 key commitment"
    }

    fn wrap<'a>(&'a self, key: &'a Key, place: Wrapped<'a>) -> Answer<'a, Vec<u8>> {
        let wrapped = envelope::seal(&self.wrapping(), &place.aad(&self.id), &key[..]);
        Box::pin(std::future::ready(Ok(wrapped)))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], place: Wrapped<'a>) -> Answer<'a, Key> {
        let opened = self.opened(wrapped, place).map_err(Into::into);
        Box::pin(std::future::ready(opened))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file() -> (LocalFile, std::path::PathBuf) {
        let path = std::env::temp_dir().join(vault_api::ids::new_id("root"));
        let root = LocalFile::open_or_create(&path, Mode::Test).expect("made");
        (root, path)
    }

    const HERE: Wrapped<'_> = Wrapped {
        kind: "tenant-key",
        id: "tk_1",
        generation: 1,
        tenant: "mer_a",
        mode: Mode::Test,
    };

    #[tokio::test]
    async fn a_wrap_opens_in_its_place_only_and_also_after_a_restart() {
        let (root, path) = file();
        let key: Key = Zeroizing::new([9; 32]);
        let wrapped = root.wrap(&key, HERE).await.expect("wraps");
        let again = LocalFile::open_or_create(&path, Mode::Test).expect("opens");
        assert_eq!(*again.unwrap(&wrapped, HERE).await.expect("opens"), *key);
        for elsewhere in [
            Wrapped { id: "tk_2", ..HERE },
            Wrapped {
                generation: 2,
                ..HERE
            },
            Wrapped {
                tenant: "mer_b",
                ..HERE
            },
            Wrapped {
                mode: Mode::Live,
                ..HERE
            },
            Wrapped {
                kind: "service-secret",
                ..HERE
            },
        ] {
            assert!(root.unwrap(&wrapped, elsewhere).await.is_err());
        }
        let (other, other_path) = file();
        assert!(other.unwrap(&wrapped, HERE).await.is_err());
        assert!(LocalFile::open_or_create(&path, Mode::Live).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(LocalFile::open_or_create(&path, Mode::Test).is_err());
        for path in [path, other_path] {
            std::fs::remove_file(path).expect("removed");
        }
    }
}

//! PSP secrets at rest: sealed under a key that the root gives for this mode and name, so that a row that is copied
//! to another name or mode does not open, and a copy of the database alone opens none.

use zeroize::Zeroizing;

use crate::crypto::root::Root;
use crate::crypto::{CannotOpen, Key, envelope, length_prefixed};

/// The longest secret: a private key with its chain fits.
pub const LONGEST: usize = 32 * 1024;

/// Seals a secret.
#[must_use]
pub fn seal(root: &Root, name: &str, secret: &str) -> Vec<u8> {
    envelope::seal(&key(root, name), &aad(root, name), secret.as_bytes())
}

/// Opens it.
///
/// # Errors
/// [`CannotOpen`].
pub fn open(root: &Root, name: &str, sealed: &[u8]) -> Result<Zeroizing<String>, CannotOpen> {
    let plain = envelope::open(&key(root, name), &aad(root, name), sealed)?;
    let text = std::str::from_utf8(&plain).map_err(|_| CannotOpen)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Whether `name` may name a secret.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn key(root: &Root, name: &str) -> Key {
    root.derived("destination-secret", name.as_bytes())
}

fn aad(root: &Root, name: &str) -> Vec<u8> {
    length_prefixed(&[
        b"cardseal/destination-secret/1",
        root.mode().as_str().as_bytes(),
        name.as_bytes(),
    ])
}

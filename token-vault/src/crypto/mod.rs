//! Cryptography of the vault, one primitive a file: root keys ([`root`]), the service's own
//! secrets ([`secrets`]), sealed records ([`envelope`]), CVVs that
//! die with their epoch ([`cvv`]), cards sealed by the browser ([`sealing`]), field sessions ([`session`]).

pub mod cvv;
pub mod envelope;
pub mod locked;
pub mod root;
pub mod sealing;
pub mod secrets;
pub mod session;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 secret bytes, wiped on drop.
pub type Key = Zeroizing<[u8; 32]>;

/// Something could not be opened: wrong key, wrong place, or changed. Nothing more is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value could not be opened")]
pub struct CannotOpen;

/// `n` bytes of the operating system's randomness.
///
/// # Panics
/// When there is none: nothing safe can follow.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness no key may be made")]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// What several keys are derived from: HKDF-SHA-256 (RFC 5869) extracts once, with no salt, and expands for each.
pub struct Source(Hkdf<Sha256>);

impl Source {
    /// Extracts from `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Hkdf::new(None, secret))
    }

    /// Expands with the length-prefixed `info` to 32 bytes.
    #[must_use]
    pub fn derive(&self, info: &[&[u8]]) -> Key {
        let mut key = Zeroizing::new([0; 32]);
        #[expect(
            clippy::expect_used,
            reason = "32 bytes is within HKDF's bound of 255 * 32"
        )]
        self.0
            .expand(&length_prefixed(info), &mut *key)
            .expect("32 bytes expand");
        key
    }
}

/// One key of a [`Source`] that is used for nothing else.
#[must_use]
pub fn derive(secret: &[u8], info: &[&[u8]]) -> Key {
    Source::new(secret).derive(info)
}

/// Joins parts so that no two lists of parts give the same bytes: each is preceded by its length (u32, big-endian).
#[must_use]
pub fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|p| p.len() + 4).sum());
    for part in parts {
        out.extend((part.len() as u32).to_be_bytes());
        out.extend(*part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_keep_parts_apart() {
        assert_ne!(
            length_prefixed(&[b"ab", b"c"]),
            length_prefixed(&[b"a", b"bc"])
        );
        assert_ne!(length_prefixed(&[b"", b"a"]), length_prefixed(&[b"a", b""]));
    }

    #[test]
    fn derivation_is_rfc5869() {
        // RFC 5869 A.3 has no salt and no info; ours prefixes info, so an empty list is that case cut to 32 bytes.
        let key = derive(&[0x0b; 22], &[]);
        assert_eq!(key[..8], [0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f]);
    }
}

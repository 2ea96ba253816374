//! Cards sealed by the browser: HPKE (RFC 9180), base mode, DHKEM(X25519) or DHKEM(P-256), HKDF-SHA256, AES-256-GCM.
//!
//! It protects against whoever records traffic (CDN, WAF, body logs), not against whoever can change the document.
//! Private keys live in memory only and are destroyed within the hour.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs::hpke::{
    DH_KEM_P256_HKDF_SHA256_AES_256 as P256, DH_KEM_X25519_HKDF_SHA256_AES_256 as X25519,
};
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey};
use vault_api::tokens::{SEALING_INFO, Sealed, SealingKey, sealing_aad};
use zeroize::Zeroizing;

/// A key is handed out for this long.
const ISSUED_FOR: i64 = 30 * 60;

/// A key opens for this long, then it is destroyed.
const LIFE: i64 = 55 * 60;

/// Why a sealed card does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No such key, or no longer.
    UnknownKey,
    /// Malformed, tampered with, or sealed for another session.
    Invalid,
}

/// What the AAD binds a sealed card to.
pub struct Binding<'a> {
    /// `test` or `live`.
    pub mode: &'a str,
    /// The publishable key.
    pub publishable_key: &'a str,
    /// The field session's id.
    pub jti: &'a str,
}

/// The sealing keys of this process.
#[derive(Default)]
pub struct SealingKeys(Mutex<Vec<Arc<Pair>>>);

struct Pair {
    number: String,
    made_at: i64,
    // Wiped on drop.
    x25519: HpkePrivateKey,
    p256: HpkePrivateKey,
    public: [SealingKey; 2],
}

impl SealingKeys {
    /// The public keys to seal to now, one per suite.
    #[must_use]
    pub fn current(&self, now: i64) -> Vec<SealingKey> {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(|pair| now < pair.made_at + LIFE);
        if pairs
            .last()
            .is_none_or(|pair| now >= pair.made_at + ISSUED_FOR)
        {
            pairs.push(Arc::new(Pair::new(now)));
        }
        pairs
            .last()
            .map(|pair| pair.public.to_vec())
            .unwrap_or_default()
    }

    /// Destroys the keys whose time is over.
    pub fn destroy_old(&self, now: i64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|pair| now < pair.made_at + LIFE);
    }

    /// Opens a sealed card to the bytes of its JSON.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(
        &self,
        sealed: &Sealed,
        binding: &Binding<'_>,
        now: i64,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (kem, number) = sealed.kid.split_once('.').ok_or(Error::UnknownKey)?;
        let (enc, ct) = (decode(&sealed.enc)?, decode(&sealed.ct)?);
        let aad = sealing_aad(
            &sealed.kid,
            binding.mode,
            binding.publishable_key,
            binding.jti,
        );
        self.destroy_old(now);
        // The lock is not held while the curve is computed: others open meanwhile.
        let pair = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|pair| pair.number == number)
            .cloned()
            .ok_or(Error::UnknownKey)?;
        let (suite, key): (&dyn Hpke, _) = match kem {
            "x25519" => (X25519, &pair.x25519),
            "p256" => (P256, &pair.p256),
            _ => return Err(Error::UnknownKey),
        };
        let info = SEALING_INFO.as_bytes();
        suite
            .open(&EncapsulatedSecret(enc), info, aad.as_bytes(), &ct, key)
            .map(Zeroizing::new)
            .map_err(|_| Error::Invalid)
    }
}

impl Pair {
    fn new(now: i64) -> Self {
        let number = vault_api::ids::random_base62(12);
        #[expect(clippy::expect_used, reason = "without randomness no key may be made")]
        let generate = |suite: &dyn Hpke| suite.generate_key_pair().expect("a key is made");
        let (x25519_public, x25519) = generate(X25519);
        let (p256_public, p256) = generate(P256);
        let key = |kem: &str, public: &[u8]| SealingKey {
            kid: format!("{kem}.{number}"),
            kem: kem.to_owned(),
            public_key: URL_SAFE_NO_PAD.encode(public),
        };
        let public = [key("x25519", &x25519_public.0), key("p256", &p256_public.0)];
        Self {
            number,
            made_at: now,
            x25519,
            p256,
            public,
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    // Another implementation than the one that opens.
    use hpke::aead::AesGcm256;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256};
    use hpke::{Deserializable as _, Kem, OpModeS, Serializable as _};

    fn seal(key: &SealingKey, binding: &Binding<'_>) -> Sealed {
        let aad = sealing_aad(&key.kid, binding.mode, binding.publishable_key, binding.jti);
        let public = URL_SAFE_NO_PAD.decode(&key.public_key).expect("base64url");
        let (enc, ct) = match key.kem.as_str() {
            "x25519" => send::<X25519HkdfSha256>(&public, aad.as_bytes()),
            _ => send::<DhP256HkdfSha256>(&public, aad.as_bytes()),
        };
        Sealed {
            kid: key.kid.clone(),
            enc: URL_SAFE_NO_PAD.encode(enc),
            ct: URL_SAFE_NO_PAD.encode(ct),
        }
    }

    fn send<K: Kem>(public: &[u8], aad: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let public = K::PublicKey::from_bytes(public).expect("a key");
        let (enc, mut context) = hpke::setup_sender::<AesGcm256, HkdfSha256, K>(
            &OpModeS::Base,
            &public,
            SEALING_INFO.as_bytes(),
        )
        .expect("sets up");
        (
            enc.to_bytes().to_vec(),
            context.seal(b"{}", aad).expect("seals"),
        )
    }

    const HERE: Binding<'_> = Binding {
        mode: "test",
        publishable_key: "pk_test_a",
        jti: "fs_1",
    };

    #[test]
    fn both_suites_open_for_their_session_only() {
        let keys = SealingKeys::default();
        for key in keys.current(0) {
            let sealed = seal(&key, &HERE);
            assert_eq!(
                keys.open(&sealed, &HERE, 10).expect("opens").as_slice(),
                b"{}"
            );
            let elsewhere = Binding {
                jti: "fs_2",
                ..HERE
            };
            assert_eq!(keys.open(&sealed, &elsewhere, 10), Err(Error::Invalid));
            let elsewhere = Binding {
                mode: "live",
                ..HERE
            };
            assert_eq!(keys.open(&sealed, &elsewhere, 10), Err(Error::Invalid));
            let mut tampered = sealed.clone();
            tampered
                .ct
                .replace_range(0..1, if sealed.ct.starts_with('A') { "B" } else { "A" });
            assert_eq!(keys.open(&tampered, &HERE, 10), Err(Error::Invalid));
            let malformed = Sealed {
                enc: "!".into(),
                ..sealed
            };
            assert_eq!(keys.open(&malformed, &HERE, 10), Err(Error::Invalid));
        }
    }

    #[test]
    fn a_key_is_replaced_and_then_gone() {
        let keys = SealingKeys::default();
        let first = keys.current(0).remove(0);
        let sealed = seal(&first, &HERE);
        assert_ne!(keys.current(ISSUED_FOR).remove(0).kid, first.kid);
        assert!(keys.open(&sealed, &HERE, LIFE - 1).is_ok());
        assert_eq!(keys.open(&sealed, &HERE, LIFE), Err(Error::UnknownKey));
        let unknown = Sealed {
            kid: "x25519.nope".into(),
            ..sealed
        };
        assert_eq!(keys.open(&unknown, &HERE, 1), Err(Error::UnknownKey));
    }
}

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
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use vault_api::tokens::{SEALING_INFO, Sealed, SealingKey, sealing_aad};
use zeroize::Zeroizing;

/// A key is handed out for this long.
pub const ISSUED_FOR: i64 = 30 * 60;

/// A key opens for this long, then it is destroyed.
pub const LIFE: i64 = 55 * 60;

/// The next key is made this long before it is due.
const AHEAD: i64 = 60;

/// After so many seconds the other replicas have a key.
const SETTLED: i64 = 10;

/// A key on its way to another replica.
pub struct Shared {
    /// Names it.
    pub number: String,
    /// When it was made.
    pub made_at: i64,
    /// Private and public keys: X25519 (32 and 32 bytes), P-256 (32 and 65).
    pub secret: Zeroizing<Vec<u8>>,
}

impl Shared {
    /// When the key is destroyed.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.made_at + LIFE
    }
}

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
    own: bool,
    made_at: i64,
    // Wiped on drop.
    x25519: HpkePrivateKey,
    x25519_public: HpkePublicKey,
    p256: HpkePrivateKey,
    p256_public: HpkePublicKey,
    public: [SealingKey; 2],
}

type Keys = (HpkePublicKey, HpkePrivateKey);

/// Where in [`Shared::secret`] what ends.
const SPLITS: [usize; 4] = [32, 32, 32, 65];

impl SealingKeys {
    /// The public keys to seal to now, one per suite.
    #[must_use]
    pub fn current(&self, now: i64) -> Vec<SealingKey> {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(|pair| now < pair.made_at + LIFE);
        let issued = |pair: &&Arc<Pair>, settled: i64| {
            pair.own && (settled..ISSUED_FOR).contains(&(now - pair.made_at))
        };
        // One that the other replicas have had the time to take in, if there is one.
        let of = |pairs: &[Arc<Pair>]| {
            let mut newest = pairs.iter().rev();
            let found = newest.clone().find(|pair| issued(pair, SETTLED));
            let found = found.or_else(|| newest.find(|pair| issued(pair, 0)));
            found.map(|pair| pair.public.to_vec())
        };
        of(&pairs).unwrap_or_else(|| {
            pairs.push(Arc::new(Pair::new(now)));
            of(&pairs).unwrap_or_default()
        })
    }

    /// Makes the next key before the last one's time to be handed out is over.
    pub fn prepare(&self, now: i64) {
        self.destroy_old(now);
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = pairs.iter().rev().find(|pair| pair.own);
        if newest.is_none_or(|pair| now >= pair.made_at + ISSUED_FOR - AHEAD) {
            pairs.push(Arc::new(Pair::new(now)));
        }
    }

    /// Every key that lives for longer than `margin` seconds, to be handed to the other replicas.
    #[must_use]
    pub fn shared(&self, now: i64, margin: i64) -> Vec<Shared> {
        let pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs
            .iter()
            .filter(|pair| now + margin < pair.made_at + LIFE)
            .map(|pair| Shared {
                number: pair.number.clone(),
                made_at: pair.made_at,
                secret: pair.bytes(),
            })
            .collect()
    }

    /// Takes in another replica's key. It opens cards; this process hands out its own.
    pub fn learn(&self, shared: &Shared, now: i64) {
        let Some(pair) = Pair::shared(shared) else {
            return;
        };
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < pair.made_at + LIFE && !pairs.iter().any(|known| known.number == pair.number) {
            // Before the own ones, which stay in the order of their making.
            pairs.insert(0, Arc::new(pair));
        }
    }

    /// Whether this process has the key.
    #[must_use]
    pub fn knows(&self, number: &str) -> bool {
        let pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.iter().any(|pair| pair.number == number)
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
        Self::of(number, true, now, generate(X25519), generate(P256))
    }

    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts = [
            self.x25519.secret_bytes(),
            &self.x25519_public.0,
            self.p256.secret_bytes(),
            &self.p256_public.0,
        ];
        // Made whole at once: a vector that grows leaves copies behind.
        let mut all = Zeroizing::new(Vec::with_capacity(SPLITS.iter().sum()));
        for part in parts {
            all.extend_from_slice(part);
        }
        all
    }

    fn shared(shared: &Shared) -> Option<Self> {
        let mut rest = shared.secret.as_slice();
        let mut next = |many: usize| {
            let (part, others) = rest.split_at_checked(many)?;
            rest = others;
            Some(part.to_vec())
        };
        let [x25519, x25519_public, p256, p256_public] = SPLITS.map(&mut next);
        let x25519 = (HpkePublicKey(x25519_public?), x25519?.into());
        let p256 = (HpkePublicKey(p256_public?), p256?.into());
        let number = shared.number.clone();
        Some(Self::of(number, false, shared.made_at, x25519, p256))
    }

    fn of(number: String, own: bool, made_at: i64, x25519: Keys, p256: Keys) -> Self {
        let key = |kem: &str, public: &HpkePublicKey| SealingKey {
            kid: format!("{kem}.{number}"),
            kem: kem.to_owned(),
            public_key: URL_SAFE_NO_PAD.encode(&public.0),
        };
        let public = [key("x25519", &x25519.0), key("p256", &p256.0)];
        Self {
            number,
            own,
            made_at,
            x25519_public: x25519.0,
            x25519: x25519.1,
            p256_public: p256.0,
            p256: p256.1,
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

//! Cards sealed by the browser: HPKE (RFC 9180), base mode, DHKEM(X25519) or DHKEM(P-256), HKDF-SHA256, AES-256-GCM.
//!
//! It protects against whoever records traffic (CDN, WAF, body logs), not against whoever can change the document.
//! Private keys live in memory only and are destroyed within the hour.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256};
use hpke::{Deserializable as _, Kem, OpModeR, Serializable as _};
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
    /// Both private keys, X25519 then P-256, 32 bytes each.
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
pub struct SealingKeys(Mutex<Vec<Pair>>);

struct Pair {
    number: String,
    own: bool,
    made_at: i64,
    x25519: <X25519HkdfSha256 as Kem>::PrivateKey,
    p256: <DhP256HkdfSha256 as Kem>::PrivateKey,
    public: [SealingKey; 2],
}

type PairOf<K> = (<K as Kem>::PrivateKey, <K as Kem>::PublicKey);

impl SealingKeys {
    /// The public keys to seal to now, one per suite.
    #[must_use]
    pub fn current(&self, now: i64) -> Vec<SealingKey> {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(|pair| now < pair.made_at + LIFE);
        let issued = |pair: &&Pair, settled: i64| {
            pair.own && (settled..ISSUED_FOR).contains(&(now - pair.made_at))
        };
        // One that the other replicas have had the time to take in, if there is one.
        let of = |pairs: &[Pair]| {
            let mut newest = pairs.iter().rev();
            let found = newest.clone().find(|pair| issued(pair, SETTLED));
            let found = found.or_else(|| newest.find(|pair| issued(pair, 0)));
            found.map(|pair| pair.public.to_vec())
        };
        of(&pairs).unwrap_or_else(|| {
            pairs.push(Pair::new(now));
            of(&pairs).unwrap_or_default()
        })
    }

    /// Makes the next key before the last one's time to be handed out is over.
    pub fn prepare(&self, now: i64) {
        self.destroy_old(now);
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = pairs.iter().rev().find(|pair| pair.own);
        if newest.is_none_or(|pair| now >= pair.made_at + ISSUED_FOR - AHEAD) {
            pairs.push(Pair::new(now));
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
                secret: Zeroizing::new(
                    [&pair.x25519.to_bytes()[..], &pair.p256.to_bytes()[..]].concat(),
                ),
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
            pairs.insert(0, pair);
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
        let pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = pairs
            .iter()
            .find(|pair| pair.number == number)
            .ok_or(Error::UnknownKey)?;
        match kem {
            "x25519" => open::<X25519HkdfSha256>(&pair.x25519, &enc, &ct, aad.as_bytes()),
            "p256" => open::<DhP256HkdfSha256>(&pair.p256, &enc, &ct, aad.as_bytes()),
            _ => Err(Error::UnknownKey),
        }
    }
}

impl Pair {
    fn new(now: i64) -> Self {
        let number = vault_api::ids::random_base62(12);
        let (x25519, x25519_public) = X25519HkdfSha256::gen_keypair();
        let (p256, p256_public) = DhP256HkdfSha256::gen_keypair();
        Self::of(
            number,
            true,
            now,
            (x25519, x25519_public),
            (p256, p256_public),
        )
    }

    fn shared(shared: &Shared) -> Option<Self> {
        let (x25519, p256) = shared.secret.split_at_checked(32)?;
        let x25519 = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(x25519).ok()?;
        let p256 = <DhP256HkdfSha256 as Kem>::PrivateKey::from_bytes(p256).ok()?;
        let publics = (
            X25519HkdfSha256::sk_to_pk(&x25519),
            DhP256HkdfSha256::sk_to_pk(&p256),
        );
        let (number, made_at) = (shared.number.clone(), shared.made_at);
        Some(Self::of(
            number,
            false,
            made_at,
            (x25519, publics.0),
            (p256, publics.1),
        ))
    }

    fn of(
        number: String,
        own: bool,
        made_at: i64,
        (x25519, x25519_public): PairOf<X25519HkdfSha256>,
        (p256, p256_public): PairOf<DhP256HkdfSha256>,
    ) -> Self {
        let key = |kem: &str, public: &[u8]| SealingKey {
            kid: format!("{kem}.{number}"),
            kem: kem.to_owned(),
            public_key: URL_SAFE_NO_PAD.encode(public),
        };
        let public = [
            key("x25519", &x25519_public.to_bytes()),
            key("p256", &p256_public.to_bytes()),
        ];
        Self {
            number,
            own,
            made_at,
            x25519,
            p256,
            public,
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Invalid)
}

fn open<K: Kem>(
    key: &K::PrivateKey,
    enc: &[u8],
    ct: &[u8],
    aad: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let enc = K::EncappedKey::from_bytes(enc).map_err(|_| Error::Invalid)?;
    let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, K>(
        &OpModeR::Base,
        key,
        &enc,
        SEALING_INFO.as_bytes(),
    )
    .map_err(|_| Error::Invalid)?;
    context
        .open(ct, aad)
        .map(Zeroizing::new)
        .map_err(|_| Error::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hpke::OpModeS;

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

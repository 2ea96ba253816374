//! Field sessions: short-lived JWTs (EdDSA over Ed25519, one pinned algorithm) that a frame shows when it tokenises.
//!
//! The signing key of a day is derived from the service's secret, so replicas agree; yesterday's still verifies. `kid` is the day.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use super::root::Root;

/// Seconds a session lasts. The frame renews it by itself: a buyer may take an hour.
pub const LIFE: i64 = 15 * 60;

const AUDIENCE: &str = "cardseal/tokens";
const DAY: i64 = 86_400;

/// What a session says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who may read it.
    pub aud: String,
    /// End, Unix seconds.
    pub exp: i64,
    /// Start, Unix seconds.
    pub iat: i64,
    /// The session's id.
    pub jti: String,
    /// The publishable key.
    pub key: String,
    /// The merchant.
    pub merchant: String,
    /// Test or live.
    pub mode: Mode,
    /// The intent it is bound to, when a merchant's server made it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The amount it is bound to, smallest currency unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// The currency it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// A missing, malformed, forged or expired session. Which of these is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

impl Claims {
    /// Claims of a new session that starts now.
    #[must_use]
    pub fn new(key: &str, merchant: &str, mode: Mode, now: i64) -> Self {
        Self {
            aud: AUDIENCE.to_owned(),
            exp: now + LIFE,
            iat: now,
            jti: vault_api::ids::new_id("fs"),
            key: key.to_owned(),
            merchant: merchant.to_owned(),
            mode,
            intent: None,
            amount: None,
            currency: None,
        }
    }

    /// Whether it is bound to one payment: intent, amount and currency.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.intent.is_some() && self.amount.is_some() && self.currency.is_some()
    }

    /// Signs them.
    ///
    /// # Errors
    /// When the signer refuses, which a well-formed key does not.
    pub fn sign(&self, root: &Root) -> anyhow::Result<String> {
        let day = self.iat.div_euclid(DAY);
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(day.to_string());
        Ok(jsonwebtoken::encode(
            &header,
            self,
            &EncodingKey::from_ed_der(&pkcs8(root, day)),
        )?)
    }

    /// Verifies a session against the clock that comes in.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn verify(session: &str, root: &Root, now: i64) -> Result<Self, Invalid> {
        let header = jsonwebtoken::decode_header(session).map_err(|_| Invalid)?;
        let day: i64 = header
            .kid
            .as_deref()
            .unwrap_or("")
            .parse()
            .map_err(|_| Invalid)?;
        let today = now.div_euclid(DAY);
        if !(today - 1..=today + 1).contains(&day) {
            return Err(Invalid);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        // Time is checked below, against the injected clock.
        validation.validate_exp = false;
        let key = DecodingKey::from_ed_der(&public(root, day)?);
        let claims = jsonwebtoken::decode::<Self>(session, &key, &validation)
            .map_err(|_| Invalid)?
            .claims;
        let in_time = claims.iat <= now + 60 && now < claims.exp && claims.mode == root.mode();
        if in_time { Ok(claims) } else { Err(Invalid) }
    }
}

/// The public keys that sessions may be signed by around `now`, with their `kid`: yesterday's, today's, tomorrow's.
///
/// # Errors
/// [`Invalid`], when a key cannot be derived.
pub fn public_keys(root: &Root, now: i64) -> Result<Vec<(String, Vec<u8>)>, Invalid> {
    let today = now.div_euclid(DAY);
    (today - 1..=today + 1)
        .map(|day| {
            let pair =
                Ed25519KeyPair::from_seed_unchecked(&seed(root, day)[..]).map_err(|_| Invalid)?;
            Ok((day.to_string(), pair.public_key().as_ref().to_vec()))
        })
        .collect()
}

// The public key of a day. The last one is remembered: computing it costs as much as verifying with it.
fn public(root: &Root, day: i64) -> Result<[u8; 32], Invalid> {
    static LAST: Mutex<Option<([u8; 32], [u8; 32])>> = Mutex::new(None);
    let seed = seed(root, day);
    let which: [u8; 32] = Sha256::digest(&seed[..]).into();
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, key)) = *last
        && of == which
    {
        return Ok(key);
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).map_err(|_| Invalid)?;
    let key = pair.public_key().as_ref().try_into().map_err(|_| Invalid)?;
    *last = Some((which, key));
    Ok(key)
}

fn seed(root: &Root, day: i64) -> super::Key {
    root.derived("field-session", &day.to_be_bytes())
}

// RFC 8410 §7: PKCS#8 of an Ed25519 private key is this prefix and the seed.
fn pkcs8(root: &Root, day: i64) -> Zeroizing<Vec<u8>> {
    const PREFIX: [u8; 16] = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    Zeroizing::new([&PREFIX[..], &seed(root, day)[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::secrets::ServiceSecrets;

    fn root() -> Root {
        Root::of_secrets(Mode::Test, ServiceSecrets::random(Mode::Test))
    }

    #[test]
    fn a_session_verifies_until_it_ends() {
        let root = root();
        let claims = Claims::new("key_a", "mer_a", Mode::Test, 1_000_000);
        let session = claims.sign(&root).expect("signs");
        assert_eq!(Claims::verify(&session, &root, 1_000_001), Ok(claims));
        assert_eq!(
            Claims::verify(&session, &root, 1_000_000 + LIFE),
            Err(Invalid)
        );
        assert_eq!(
            Claims::verify(&session, &root, 1_000_000 - 3600),
            Err(Invalid)
        );
        assert_eq!(
            Claims::verify(&session, &self::root(), 1_000_001),
            Err(Invalid)
        );
    }

    #[test]
    fn nothing_but_the_pinned_algorithm_passes() {
        let root = root();
        let claims = Claims::new("key_a", "mer_a", Mode::Test, 1_000_000);
        let session = claims.sign(&root).expect("signs");
        let body = session.split('.').nth(1).expect("a body");
        // {"alg":"none","kid":"11"} with no signature, and HS256 keyed with something public.
        assert_eq!(
            Claims::verify(
                &format!("eyJhbGciOiJub25lIiwia2lkIjoiMTEifQ.{body}."),
                &root,
                1_000_001
            ),
            Err(Invalid)
        );
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("11".into());
        let forged = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(b"11"))
            .expect("signs");
        assert_eq!(Claims::verify(&forged, &root, 1_000_001), Err(Invalid));
        for text in ["", ".", "..", "a.b.c", &session[..session.len() - 4]] {
            assert_eq!(Claims::verify(text, &root, 1_000_001), Err(Invalid));
        }
    }
}

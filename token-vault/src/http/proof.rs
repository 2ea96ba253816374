//! Proof of work: when mints or tokenisations of a key, an address or a BIN run hot, the public listener asks for some
//! before it refuses. A buyer's browser spends a fraction of a second once; who tries thousands of cards spends it on
//! each (card testing). Nothing is kept of a challenge: it carries its own MAC. A proof is good for one request.
//!
//! The wire: `428 proof_of_work_required` with `challenge {salt, bits, expires_at}`. The client looks for a number `n` such that
//! SHA-256 of the text `{salt}.{n}` begins with `bits` zero bits, and sends the same request again with the header
//! `Cardseal-Proof: {salt}.{n}`. It may be asked again: the salt may have expired meanwhile, or the proof been used.

use std::str::FromStr;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use vault_api::Challenge;
use vault_api::problem::is_proof;

use crate::crypto::{length_prefixed, random};
use crate::{App, Error, records};

/// The header that carries a proof.
const HEADER: &str = "cardseal-proof";

/// Seconds in which a challenge must be answered.
const LIFE: i64 = 120;

/// So many bits more are asked when a bucket is all but empty.
const STEEPER: i64 = 4;

/// Bits, the end, and what makes each challenge another one.
const PAYLOAD: usize = 1 + 8 + 12;

/// When work is asked for, and how much.
#[derive(Debug, Clone, Args)]
pub struct ProofOptions {
    /// Ask for proof of work where a rate limit is used up beyond this share (`50%`), or `off`.
    #[arg(
        long,
        env = "TOKEN_VAULT_CHALLENGE_ABOVE",
        default_value_t = Share(Some(50))
    )]
    challenge_above: Share,
    /// Leading zero bits asked for there; 4 more where the limit is all but reached. Each bit doubles the work.
    #[arg(long, env = "TOKEN_VAULT_CHALLENGE_BITS", default_value_t = 14,
        value_parser = clap::value_parser!(u8).range(1..=24))]
    challenge_bits: u8,
}

impl Default for ProofOptions {
    /// What the command line says when nothing is set.
    fn default() -> Self {
        Self {
            challenge_above: Share(Some(50)),
            challenge_bits: 14,
        }
    }
}

impl ProofOptions {
    /// The bits to ask for when a limit is used up by so many percent; none when it is not hot.
    #[must_use]
    pub fn bits(&self, used: i64) -> Option<u8> {
        let above = i64::from(self.challenge_above.0?);
        if used < above {
            return None;
        }
        let steeper = (used - above) * STEEPER / (100 - above);
        Some(self.challenge_bits + u8::try_from(steeper).unwrap_or(0))
    }
}

/// A share of a limit, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(Option<u8>);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').and_then(|n| n.parse().ok());
        match percent.filter(|n| (1..=99).contains(n)) {
            Some(percent) => Ok(Self(Some(percent))),
            None if text == "off" => Ok(Self(None)),
            None => Err("write a share as 50%, or off".to_owned()),
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(percent) => write!(f, "{percent}%"),
            None => f.write_str("off"),
        }
    }
}

/// The work that a request shows, if any.
pub struct Work {
    /// What a challenge is good for: this endpoint, and this publishable key or session.
    purpose: Vec<u8>,
    shown: bool,
}

/// A proof that is right; whether it is new is for the store to say.
struct Proof {
    hash: [u8; 32],
    expires_at: i64,
}

impl Work {
    /// Looks at what a request for `endpoint` by `whom` shows, and takes the one use of a proof before anything else is
    /// taken: one that is wrong, over or used is as good as none.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(
        app: &App,
        headers: &HeaderMap,
        endpoint: &str,
        whom: &str,
    ) -> Result<Self, Error> {
        let purpose = length_prefixed(&[endpoint.as_bytes(), whom.as_bytes()]);
        let shown = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let shown = match shown.and_then(|shown| check(app, &purpose, shown)) {
            Some(Proof { hash, expires_at }) => {
                app.store
                    .write(move |tx| records::tokens::first_sight(tx, &hash, expires_at))
                    .await?
            }
            None => false,
        };
        Ok(Self { purpose, shown })
    }

    /// Whether there is a proof.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// The refusal that asks for work.
    #[must_use]
    pub fn ask(&self, app: &App, bits: u8) -> Error {
        let expires_at = app.clock.now() + LIFE;
        let mut payload = Vec::with_capacity(PAYLOAD);
        payload.push(bits);
        payload.extend(expires_at.to_be_bytes());
        payload.extend(random::<12>());
        let mac = mac(app, &self.purpose, &payload).finalize().into_bytes();
        let [payload, mac] = [&payload[..], &mac[..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        Error::WorkNeeded(Challenge {
            salt: format!("{payload}.{mac}"),
            bits,
            expires_at,
        })
    }
}

fn check(app: &App, purpose: &[u8], shown: &str) -> Option<Proof> {
    let (salt, n) = shown.rsplit_once('.')?;
    let (payload, tag) = salt.split_once('.')?;
    let [payload, tag] = [payload, tag].map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let payload = payload.filter(|payload| payload.len() == PAYLOAD)?;
    mac(app, purpose, &payload).verify_slice(&tag?).ok()?;
    let expires_at = i64::from_be_bytes(payload[1..9].try_into().ok()?);
    let right =
        (1..=20).contains(&n.len()) && expires_at > app.clock.now() && is_proof(shown, payload[0]);
    // The salt is what is used up: another `n` for it is the same proof.
    right.then(|| Proof {
        hash: Sha256::digest(salt.as_bytes()).into(),
        expires_at,
    })
}

fn mac(app: &App, purpose: &[u8], payload: &[u8]) -> Hmac<Sha256> {
    let key = app.root.derived("proof-of-work", b"");
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("any key");
    mac.update(&length_prefixed(&[purpose, payload]));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hotter_the_more_work() {
        let options = ProofOptions::default();
        let asked = [0, 49, 50, 62, 63, 75, 99, 100].map(|used| options.bits(used));
        let expected = [
            None,
            None,
            Some(14),
            Some(14),
            Some(15),
            Some(16),
            Some(17),
            Some(18),
        ];
        assert_eq!(asked, expected);
        let off = ProofOptions {
            challenge_above: "off".parse().expect("off"),
            ..options
        };
        assert_eq!(off.bits(100), None);
        for bad in ["", "50", "0%", "100%", "-1%", "on"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}

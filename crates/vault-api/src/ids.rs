//! Ids. What authorises by being known ([`Token`], [`Grant`]) has a public half, by which a row is found, and a
//! 256-bit secret half, of which the vault keeps only a hash.
//!
//! Wire form: `tok_` or `grant_`, 16 base62 characters (public), 43 base62 characters (secret, 256 bit).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PUBLIC: usize = 16;
const SECRET: usize = 43;

/// `n` random base62 characters, each uniform (5.95 bit).
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe can follow.
#[must_use]
pub fn random_base62(n: usize) -> String {
    let mut out = String::with_capacity(n);
    let mut pool = [0u8; 64];
    while out.len() < n {
        #[expect(clippy::expect_used, reason = "without randomness no id may be made")]
        getrandom::fill(&mut pool).expect("the operating system gives randomness");
        // 248 = 4 * 62: larger bytes would favour some characters.
        let fair = pool
            .iter()
            .filter(|b| **b < 248)
            .map(|b| char::from(BASE62[usize::from(b % 62)]));
        out.extend(fair.take(n - out.len()));
    }
    pool.zeroize();
    out
}

/// Characters of the time at the beginning of [`ordered_base62`]: milliseconds, enough until the year 2081.
const TIME: usize = 7;

/// `n` base62 characters that begin with the time, the rest random: ids that are made one after the other stand beside each
/// other in an index. An index of random ids has a page of its own to write for each.
#[must_use]
pub fn ordered_base62(n: usize) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut ms = since.map_or(0, |since| since.as_millis());
    let mut time = [0; TIME];
    for place in time.iter_mut().rev() {
        *place = BASE62[(ms % 62) as usize];
        ms /= 62;
    }
    let time = time.map(char::from).into_iter();
    time.chain(random_base62(n.saturating_sub(TIME)).chars())
        .collect()
}

/// A new id without a secret: `prefix_` and 24 base62 characters (143 bit).
#[must_use]
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", random_base62(24))
}

/// A new id of a row among many, without a secret: `prefix_` and 24 base62 characters that begin with the time
/// ([`ordered_base62`]; 101 bit are random).
#[must_use]
pub fn ordered_id(prefix: &str) -> String {
    format!("{prefix}_{}", ordered_base62(24))
}

/// Base62 of 32 bytes, 43 characters, most significant first.
#[must_use]
pub fn base62_of_32(bytes: &[u8; 32]) -> String {
    // Ten places at a time: 62^10 is the largest power that fits a limb.
    const PLACES: usize = 10;
    const CHUNK: u64 = 62u64.pow(PLACES as u32);
    let mut number = [0u64; 4];
    for (limb, bytes) in number.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    }
    let mut out = [b'0'; SECRET];
    for places in out.rchunks_mut(PLACES) {
        let mut rest = 0;
        for limb in &mut number {
            let value = u128::from(rest) << 64 | u128::from(*limb);
            *limb = (value / u128::from(CHUNK)) as u64;
            rest = (value % u128::from(CHUNK)) as u64;
        }
        for place in places.iter_mut().rev() {
            *place = BASE62[(rest % 62) as usize];
            rest /= 62;
        }
    }
    number.zeroize();
    out.iter().map(|b| char::from(*b)).collect()
}

/// An id of the wrong form. It does not repeat the input, which may be somebody's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id of this kind")
    }
}

impl std::error::Error for Malformed {}

macro_rules! bearer_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// What the wire form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new one from the operating system's randomness.
            #[must_use]
            pub fn random() -> Self {
                Self(format!("{}{}", $prefix, random_base62(PUBLIC + SECRET)))
            }

            /// The same with a public half that begins with the time ([`ordered_base62`]). It hides nothing: what
            /// authorises is the secret half.
            #[must_use]
            pub fn ordered() -> Self {
                Self(format!("{}{}{}", $prefix, ordered_base62(PUBLIC), random_base62(SECRET)))
            }

            /// One whose secret half is derived, so that the same inputs give the same id.
            #[must_use]
            pub fn derived(public: &str, secret: &[u8; 32]) -> Self {
                Self(format!("{}{public:0>16}{}", $prefix, base62_of_32(secret)))
            }

            /// Parses the wire form.
            ///
            /// # Errors
            /// [`Malformed`], without the input.
            pub fn parse(text: &str) -> Result<Self, Malformed> {
                let rest = text.strip_prefix($prefix).ok_or(Malformed)?;
                let whole = rest.len() == PUBLIC + SECRET && rest.bytes().all(|b| b.is_ascii_alphanumeric());
                if whole { Ok(Self(text.to_owned())) } else { Err(Malformed) }
            }

            /// The public half with the prefix: safe to log, names a row, opens nothing.
            #[must_use]
            pub fn public(&self) -> &str {
                &self.0[..$prefix.len() + PUBLIC]
            }

            /// The whole wire form: whoever knows it may use it.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// The secret half.
            #[must_use]
            pub fn secret(&self) -> &str {
                &self.0[$prefix.len() + PUBLIC..]
            }

            /// SHA-256 of the secret half: what a store may keep. (256 bits of entropy need no salt.)
            #[must_use]
            pub fn secret_hash(&self) -> [u8; 32] {
                Sha256::digest(self.secret().as_bytes()).into()
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": format!("^{}[0-9A-Za-z]{{{}}}$", $prefix, PUBLIC + SECRET)
                })
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}..", self.public())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    };
}

bearer_id!(
    /// A single-use token for a card: `tok_..`.
    Token,
    "tok_"
);
bearer_id!(
    /// What an exchanged token gives: the right to send the card to an acquirer a few times: `grant_..`.
    Grant,
    "grant_"
);

/// A token as a caller names it: one that was made, or one of the published test tokens (`tok_visa`), which are no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenName {
    /// A token.
    Made(Token),
    /// The name of a published one; whether there is such a name is for the vault to say.
    Published(String),
}

/// The longest name of a published token: shorter than any token, so that no cut-off token passes for a name.
const LONGEST_NAME: usize = 40;

impl TokenName {
    /// Parses either.
    ///
    /// # Errors
    /// [`Malformed`], without the input.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Ok(token) = Token::parse(text) {
            return Ok(Self::Made(token));
        }
        let name = text.strip_prefix(Token::PREFIX).ok_or(Malformed)?;
        let fits = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        fits.then(|| Self::Published(text.to_owned()))
            .ok_or(Malformed)
    }

    /// The wire form.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Made(token) => token.expose(),
            Self::Published(name) => name,
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TokenName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TokenName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A token, or the name of a published test token (tok_visa).",
            "pattern": format!("^tok_([0-9A-Za-z]{{{}}}|[0-9A-Za-z_]{{1,{LONGEST_NAME}}})$", PUBLIC + SECRET)
        })
    }
}

impl Serialize for TokenName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for TokenName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_ids_stand_in_the_order_they_were_made() {
        let first = ordered_base62(16);
        std::thread::sleep(std::time::Duration::from_millis(3));
        let second = ordered_base62(16);
        assert!(first.len() == 16 && first < second, "{first} {second}");
        assert_ne!(Token::ordered(), Token::ordered());
        assert!(Token::parse(Token::ordered().expose()).is_ok());
    }

    #[test]
    fn ids_round_trip_and_hide_their_secret() {
        let token = Token::random();
        let text = token.expose().to_owned();
        assert_eq!(text.len(), 4 + 16 + 43);
        assert_eq!(Token::parse(&text), Ok(token.clone()));
        let shown = format!("{token:?}");
        assert!(!shown.contains(token.secret()) && shown.contains(token.public()));
        assert!(Grant::parse(&text).is_err());
    }

    #[test]
    fn malformed_ids_are_refused_without_repeating_them() {
        for text in ["", "tok_", "tok_visa", "tok_4242424242424242", "card_x"] {
            assert_eq!(Token::parse(text), Err(Malformed));
        }
        let error =
            serde_json::from_str::<Token>("\"tok_4242424242424242\"").expect_err("malformed");
        assert!(!error.to_string().contains("4242"));
    }

    #[test]
    fn derived_ids_are_stable_and_well_formed() {
        let grant = Grant::derived("abc", &[7; 32]);
        assert_eq!(grant, Grant::derived("abc", &[7; 32]));
        assert_eq!(Grant::parse(grant.expose()), Ok(grant.clone()));
        assert_ne!(grant, Grant::derived("abc", &[8; 32]));
        assert_eq!(base62_of_32(&[0; 32]), "0".repeat(43));
    }

    #[test]
    fn base62_is_positional() {
        // Schoolbook: one digit at a time, byte by byte.
        let slow = |bytes: &[u8; 32]| {
            let mut number = *bytes;
            let digits = (0..SECRET).map(|_| {
                number.iter_mut().fold(0u32, |rest, byte| {
                    let value = rest * 256 + u32::from(*byte);
                    *byte = (value / 62) as u8;
                    value % 62
                })
            });
            let digits: Vec<_> = digits.map(|d| char::from(BASE62[d as usize])).collect();
            digits.into_iter().rev().collect::<String>()
        };
        let mut bytes = [0u8; 32];
        for round in 0..200u8 {
            assert_eq!(base62_of_32(&bytes), slow(&bytes));
            bytes = Sha256::digest([&bytes[..], &[round]].concat()).into();
        }
        assert_eq!(base62_of_32(&[255; 32]), slow(&[255; 32]));
        let mut sixty_two = [0; 32];
        sixty_two[31] = 62;
        assert!(base62_of_32(&sixty_two).ends_with("010"));
    }
}

//! API keys: `pk_|sk_|rk_|svc_` × `_test_|_live_` + 32 base62 characters + a 6-character checksum.
//!
//! The checksum lets a typing error, or a scanner, be told apart from a guess without asking the store.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{Malformed, base62_of_32, random_base62};

/// What a key may do in principle; its scopes narrow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `pk_`: for browsers.
    Publishable,
    /// `sk_`: the merchant's server.
    Secret,
    /// `rk_`: restricted, made for the vault.
    Restricted,
    /// `svc_`: another service of the installation, payments.
    Service,
}

/// Test and live never share a key, an object or a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Published test cards only.
    Test,
    /// Real cards.
    Live,
}

impl Mode {
    /// `test` or `live`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// Stripe's `livemode`.
    #[must_use]
    pub fn is_live(self) -> bool {
        self == Self::Live
    }

    /// The mode with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Test, Self::Live]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Kind {
    /// The key's first letters.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Publishable => "pk",
            Self::Secret => "sk",
            Self::Restricted => "rk",
            Self::Service => "svc",
        }
    }

    /// The kind with these first letters.
    #[must_use]
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        [
            Self::Publishable,
            Self::Secret,
            Self::Restricted,
            Self::Service,
        ]
        .into_iter()
        .find(|k| k.prefix() == prefix)
    }
}

/// An API key in the clear. Debug shows its kind and mode alone.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKey {
    kind: Kind,
    mode: Mode,
    text: String,
}

impl ApiKey {
    /// A new random key (190 bit).
    #[must_use]
    pub fn random(kind: Kind, mode: Mode) -> Self {
        Self::from_body(kind, mode, &random_base62(32))
    }

    fn from_body(kind: Kind, mode: Mode, body: &str) -> Self {
        let head = format!("{}_{mode}_{body}", kind.prefix());
        let text = format!("{head}{}", checksum(&head));
        Self { kind, mode, text }
    }

    /// Parses a key and checks its checksum.
    ///
    /// # Errors
    /// [`Malformed`], without the input.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.splitn(3, '_');
        let kind = parts.next().and_then(Kind::from_prefix).ok_or(Malformed)?;
        let mode = parts.next().and_then(Mode::from_name).ok_or(Malformed)?;
        let rest = parts.next().ok_or(Malformed)?;
        let plain = rest.len() == 38 && rest.bytes().all(|b| b.is_ascii_alphanumeric());
        let body = rest.get(..32).filter(|_| plain).ok_or(Malformed)?;
        let key = Self::from_body(kind, mode, body);
        if key.text == text {
            Ok(key)
        } else {
            Err(Malformed)
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the key, lower-case hex: what a store may keep and what payments sends to look it up.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hex(&Sha256::digest(self.text.as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_..", self.kind.prefix(), self.mode)
    }
}

impl TryFrom<String> for ApiKey {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        Self::parse(&text)
    }
}

impl From<ApiKey> for String {
    fn from(key: ApiKey) -> Self {
        key.text
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ApiKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApiKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(pk|sk|rk|svc)_(test|live)_[0-9A-Za-z]{38}$"
        })
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

fn checksum(head: &str) -> String {
    base62_of_32(&Sha256::digest(head.as_bytes()).into()).split_off(37)
}

/// `POST /v1/keys/lookup`: whose key is this? (private listener, `svc_` only)
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// [`ApiKey::sha256_hex`] of the presented key.
    pub sha256: String,
}

/// Whose key it is and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyInfo {
    /// The key's id: safe to log.
    pub id: String,
    /// The merchant's id, `mer_..`.
    pub merchant: String,
    /// The merchant's name.
    pub merchant_name: String,
    /// Test or live.
    pub mode: Mode,
    /// The kind.
    pub kind: Kind,
    /// Scopes, for a restricted key.
    pub scopes: Vec<String>,
    /// Origins registered for a publishable key.
    pub origins: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_show_no_secret() {
        for kind in [
            Kind::Publishable,
            Kind::Secret,
            Kind::Restricted,
            Kind::Service,
        ] {
            let key = ApiKey::random(kind, Mode::Test);
            assert_eq!(ApiKey::parse(key.expose()), Ok(key.clone()));
            assert!(format!("{key:?}").len() < 14);
        }
    }

    #[test]
    fn any_changed_character_is_found() {
        let key = ApiKey::random(Kind::Secret, Mode::Live);
        for at in 8..key.expose().len() {
            let mut text = key.expose().to_owned();
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            text.replace_range(at..=at, other);
            assert_eq!(ApiKey::parse(&text), Err(Malformed));
        }
        for text in ["", "sk_test", "sk_test_", "xx_test_abc", "sk_prod_abc"] {
            assert_eq!(ApiKey::parse(text), Err(Malformed));
        }
    }
}

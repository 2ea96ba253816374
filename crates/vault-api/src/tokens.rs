//! Field sessions, tokens, exchange and stored cards on the wire.

use serde::{Deserialize, Serialize};

use crate::{Grant, Token, TokenName};

/// HPKE `info` of a sealed card (RFC 9180 §5.1). The AAD is [`sealing_aad`].
pub const SEALING_INFO: &str = "cardseal/tokenise/1";

/// The version that leads the AAD.
pub const SEALING_VERSION: &str = "1";

/// The AAD of a sealed card: version, key id, mode, publishable key and session id, joined by `|`, which none of
/// them contains.
#[must_use]
pub fn sealing_aad(kid: &str, mode: &str, publishable_key: &str, jti: &str) -> String {
    [SEALING_VERSION, kid, mode, publishable_key, jti].join("|")
}

/// `POST /v1/field-sessions`, from the frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FieldSessionRequest {
    /// The publishable key that the frame was loaded for.
    pub key: String,
    /// A session that the merchant's server bound to a payment: it is answered with the sealing keys, not replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// What the frame needs to tokenise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FieldSession {
    /// The session: a JWT, EdDSA.
    pub session: String,
    /// Its `jti`, part of the sealing AAD.
    pub jti: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// `test` or `live`, part of the sealing AAD.
    pub mode: String,
    /// How many digits of the number the frame may tell its page, 6 or 8; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin_digits: Option<u8>,
    /// Brands of the merchant's own, which go before the listed ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brands: Vec<OwnBrand>,
    /// Keys to seal to, one per suite.
    pub sealing: Vec<SealingKey>,
}

/// A brand of the merchant's own, as the operator registered it for the key: private-label cards, or a range that no table
/// lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnBrand {
    /// Its wire name.
    pub id: String,
    /// What a buyer reads.
    pub name: String,
    /// Its ranges: `700600-700699`, or one prefix alone.
    pub prefixes: Vec<String>,
    /// Lengths of a whole number.
    pub lengths: Vec<u8>,
    /// After how many digits a space is shown.
    #[serde(default = "OwnBrand::gaps")]
    pub gaps: Vec<u8>,
    /// Digits of its security code: 3, 4, or 0 where it has none.
    #[serde(default = "OwnBrand::cvc_length")]
    pub cvc_length: u8,
    /// Whether its numbers carry Luhn's check digit.
    #[serde(default = "OwnBrand::luhn")]
    pub luhn: bool,
}

impl OwnBrand {
    fn gaps() -> Vec<u8> {
        vec![4, 8, 12, 16]
    }

    fn cvc_length() -> u8 {
        3
    }

    fn luhn() -> bool {
        true
    }
}

/// Where the money of a card comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Funding {
    /// The issuer lends it.
    Credit,
    /// A bank account.
    Debit,
    /// It was paid in before.
    Prepaid,
}

/// A public key to seal cards to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SealingKey {
    /// Names key and suite.
    pub kid: String,
    /// `x25519` or `p256`: DHKEM(X25519 | P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
    pub kem: String,
    /// The serialised public key (RFC 9180 §7.1.1), base64url without padding.
    pub public_key: String,
}

/// `POST /v1/tokens` on the public listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokeniseSealed {
    /// The sealed card, or the security code of a stored one: `{"cvc":".."}` alone.
    pub sealed: Sealed,
}

/// A card sealed by HPKE; every part base64url without padding.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The key it was sealed to.
    pub kid: String,
    /// The encapsulated key.
    pub enc: String,
    /// Ciphertext and tag.
    pub ct: String,
}

/// A new token and what may be shown of its card.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenCreated {
    /// The token.
    pub id: Token,
    /// `token`.
    pub object: String,
    /// `card`; or `cvc_update`, a security code alone, good as `cvc_token` for a card that is stored already.
    #[serde(rename = "type")]
    pub kind: String,
    /// What may be shown of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardSummary>,
    /// Test or live.
    pub livemode: bool,
    /// Unix seconds.
    pub expires_at: i64,
}

/// What may be shown of a card (PCI DSS 3.4.1; never the BIN beside a fingerprint).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardSummary {
    /// The brand's wire name.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// 1-12.
    pub exp_month: u8,
    /// Four digits.
    pub exp_year: u16,
    /// The networks it may be paid through. The vault always answers them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Networks>,
}

/// The networks of a card: several when it is co-badged (EU 2015/751 art. 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Networks {
    /// Wire names of brands, first the card's own.
    pub available: Vec<String>,
    /// The buyer's choice, one of them; null when none was made.
    pub preferred: Option<String>,
}

/// `POST /v1/tokens/lookup` and `/revoke`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenRef {
    /// The token.
    pub token: TokenName,
}

/// A token's state and what may be shown of its card.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenState {
    /// The public half of the token's id.
    pub id: String,
    /// `active`, `exchanged`, `expired` or `revoked`.
    pub status: String,
    /// What may be shown of the card; none of a security code alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardSummary>,
    /// Unix seconds.
    pub expires_at: i64,
}

/// What an exchange is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A grant, and a stored card if `store` asks for one.
    Payment,
    /// A stored card alone.
    Storage,
}

/// When a stored card comes into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// With the exchange.
    Now,
    /// With the first approved authorisation.
    OnSuccess,
}

/// `POST /v1/exchange`, `Idempotency-Key` required.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// A token `tok_..`, a stored card `card_..`, or in test mode a published token (`tok_visa`).
    pub source: String,
    /// What for.
    #[serde(rename = "for")]
    pub purpose: Purpose,
    /// The payment this is for; a token bound to an intent is refused for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Ceiling of the grant, smallest currency unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// ISO 4217, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// A token that holds a fresh CVV for a stored card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvc_token: Option<Token>,
    /// Whether and when to keep the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
}

/// What an exchange gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exchanged {
    /// The right to send the card, for a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantInfo>,
    /// The stored card, when one came into being (or will, on success).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_card: Option<StoredCard>,
    /// What may be shown.
    pub card: CardSummary,
    /// The same for the same card number at this merchant: `fp1_..`, a keyed hash. Only for callers with the scope
    /// `fingerprint`, and never beside the BIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Test mode only: the risk that the published test number stands for, when it is not a normal one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_risk: Option<TestRisk>,
    /// Test mode only: the published test number is one of which the money is available at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test_available_at_once: bool,
}

/// What a published test number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TestRisk {
    /// A review may be wanted.
    Elevated,
    /// The payment is to be blocked.
    Highest,
}

/// A grant and its limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantInfo {
    /// The grant: whoever knows it may use it, within its limits.
    pub id: Grant,
    /// Ceiling, smallest currency unit.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// Sends of kind `authorise` left.
    pub authorisations_left: i64,
    /// Sends of kind `authenticate` left.
    pub authentications_left: i64,
    /// Whether a CVV is there for the first authorisation.
    pub cvc: bool,
}

/// A stored card: no secret in its id, no CVV by type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredCard {
    /// `card_..`.
    pub id: String,
    /// `stored_card`.
    pub object: String,
    /// `active`, or `pending` until the first approved authorisation.
    pub status: String,
    /// What may be shown.
    pub card: CardSummary,
    /// The BIN: the first six digits, or eight of a number of 16 and more. Only on reading one card, only for keys with
    /// the scope `cards:bin`, and never beside the fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin: Option<String>,
    /// Unix seconds.
    pub created: i64,
}

/// `POST /v1/cards/{id}`: what is left out stays as it is. The number never changes: that is another card.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CardUpdate {
    /// 1-12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_month: Option<u8>,
    /// Four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_year: Option<u16>,
    /// The buyer's choice of network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<PreferredNetwork>,
}

/// The network to prefer from now on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PreferredNetwork {
    /// One of the available ones; the empty string takes the choice back.
    pub preferred: String,
}

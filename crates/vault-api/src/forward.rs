//! Forward: one send of a registered operation, the card put in by the vault.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Grant;

/// `POST /v1/forward`. The attempt id is the idempotency key: the same id answers what is recorded and never sends
/// again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// The caller's attempt id, `att_..`.
    pub attempt: String,
    /// The grant that opens the card.
    pub grant: Grant,
    /// A destination the operator registered.
    pub destination: String,
    /// One of its operations.
    pub operation: String,
    /// Smallest currency unit; within the grant's ceiling. The vault writes it into the body.
    pub amount: i64,
    /// ISO 4217, lower case; the grant's.
    pub currency: String,
    /// Our reference at the acquirer. The vault writes it into the body.
    pub reference: String,
    /// The body as a tree, whatever format the operation sends. A leaf that is exactly `{{card.number}}`,
    /// `{{card.exp_month}}`, `{{card.exp_year}}`, `{{card.exp_year2}}`, `{{card.expiry.MM/YY}}`, `{{card.expiry.MMYY}}`,
    /// `{{card.expiry.YYMM}}`, `{{card.expiry.YYYY-MM}}`, `{{card.cvc}}`, `{{card.name}}`, `{{card.postal_code}}`,
    /// `{{card.country}}` or `{{card.network}}` is filled in, at its registered path only.
    pub body: Value,
    /// What a 3-D Secure authentication gave. The vault writes it into the body where the operation registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub three_d_secure: Option<ThreeDSecure>,
    /// Test mode only: answer the masked request ([`DryRun`]), send nothing, record nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The values of a 3-D Secure authentication (EMV 3-D Secure) that an authorisation carries.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreeDSecure {
    /// Electronic commerce indicator, two digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eci: Option<String>,
    /// Authentication value (CAVV, AAV), base64 of 20 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cavv: Option<String>,
    /// The directory server's transaction id, a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ds_transaction_id: Option<String>,
    /// Protocol version, `2.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The answer to a [`Forward`] with `dry_run`: the request that would have been sent, its secrets and the card masked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DryRun {
    /// Always true.
    pub dry_run: bool,
    /// HTTP method.
    pub method: String,
    /// URL.
    pub url: String,
    /// Headers as they would be sent; secrets read `***`.
    pub headers: Vec<(String, String)>,
    /// The body as it would be serialised.
    pub body: String,
}

/// How much of the request's plaintext had been given to the connection when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BytesSent {
    /// Nothing: certainly not sent, safe to try elsewhere.
    None,
    /// Some.
    Partial,
    /// The whole request.
    All,
    /// A restart found the attempt open: nobody can tell.
    Unknown,
}

impl BytesSent {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::All => "all",
            Self::Unknown => "unknown",
        }
    }

    /// The one with this wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Partial, Self::All, Self::Unknown]
            .into_iter()
            .find(|b| b.as_str() == name)
    }
}

/// What is recorded of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forwarded {
    /// The attempt.
    pub attempt: String,
    /// How much was sent.
    pub bytes_sent: BytesSent,
    /// The destination's answer, by the operation's allow-list; absent when none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Answer>,
    /// Why there is no answer: `connect`, `tls`, `timeout`, `reset`, `too_large`, `interrupted`, `closed`. `malformed`
    /// stands beside an answer whose body could not be read: its status is there, its text was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the CVV was in the request.
    #[serde(default)]
    pub cvc_sent: bool,
}

/// The destination's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The allowed fields, in their places.
    pub body: Value,
}

/// `POST /v1/attempts/close`: the recorded outcome, or, if it never started, the id is made unusable.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The attempt.
    pub attempt: String,
}

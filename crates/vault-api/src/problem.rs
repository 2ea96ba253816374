//! Errors of the vault: `application/problem+json` (RFC 9457) with a stable `code` and a `request_id`.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The body of every error answer. It never repeats what was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// `urn:cardseal:problem:{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's sentence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable; what programs compare.
    pub code: String,
    /// What to do about it, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Names this request in the vault's log.
    pub request_id: String,
    /// When a used token was used first, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<i64>,
    /// The request that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by_request: Option<String>,
    /// The work to show with the same request (`proof_of_work_required`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
}

/// Proof of work: find `n` such that SHA-256 of the text `{salt}.{n}` begins with `bits` zero bits, and send the request again
/// with the header `Cardseal-Proof: {salt}.{n}`. Good for one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Challenge {
    /// What the work is done on.
    pub salt: String,
    /// How many leading zero bits.
    pub bits: u8,
    /// Unix seconds.
    pub expires_at: i64,
}

/// Whether the SHA-256 of a proof, `{salt}.{n}`, begins with so many zero bits.
#[must_use]
pub fn is_proof(text: &str, bits: u8) -> bool {
    let hash = Sha256::digest(text.as_bytes());
    let whole = hash.iter().take_while(|byte| **byte == 0).count();
    let rest = hash.get(whole).map_or(0, |byte| byte.leading_zeros());
    whole as u32 * 8 + rest >= u32::from(bits)
}

macro_rules! codes {
    ($($name:ident = $status:literal, $wire:literal, $title:literal;)*) => {
        /// Every code the vault answers, with status and sentence. The table in `docs/vault-errors.md` is this one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The wire name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The sentence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    MalformedJson = 400, "malformed_json", "The body is not JSON.";
    InvalidRequest = 400, "invalid_request", "A field is missing, unknown or of the wrong type.";
    IdempotencyKeyMissing = 400, "idempotency_key_missing", "This call needs an Idempotency-Key header of 1 to 255 characters.";
    CardNumberInWrongPlace = 400, "card_number_in_wrong_place", "Something that looks like a card number stands where none may.";
    Unauthenticated = 401, "unauthenticated", "The key is missing, malformed or unknown.";
    SessionInvalid = 401, "session_invalid", "The field session is missing, invalid or expired; fetch a new one.";
    InvalidNumber = 402, "invalid_number", "The card number is not valid.";
    InvalidExpiry = 402, "invalid_expiry", "The expiry date is not valid.";
    ExpiredCard = 402, "expired_card", "The card has expired.";
    InvalidCvc = 402, "invalid_cvc", "The security code is not valid for this card.";
    InvalidName = 402, "invalid_name", "The card holder's name is not valid.";
    InvalidPostalCode = 402, "invalid_postal_code", "The postal code is not valid.";
    InvalidCountry = 402, "invalid_country", "The country is not two upper-case letters (ISO 3166-1).";
    InvalidNetwork = 402, "invalid_network", "The network is not one of this card's.";
    LiveCardInTestMode = 402, "live_card_in_test_mode", "Test mode takes only the published test cards.";
    TestCardInLiveMode = 402, "test_card_in_live_mode", "Live mode does not take test cards.";
    FundingNotAllowed = 402, "funding_not_allowed", "This publishable key does not take cards of this funding (credit, debit or prepaid).";
    Forbidden = 403, "forbidden", "This key may not do that.";
    SessionMustBeBound = 403, "session_must_be_bound", "This key takes only sessions that the merchant's server bound to a payment (POST /v1/sessions).";
    OriginNotAllowed = 403, "origin_not_allowed", "This origin is not registered for the publishable key.";
    OperationNotAllowed = 403, "operation_not_allowed", "No such destination or operation is registered for this merchant.";
    NotFound = 404, "not_found", "No such object.";
    MethodNotAllowed = 405, "method_not_allowed", "This path does not take that method.";
    TokenAlreadyUsed = 409, "token_already_used", "The token has been used; ask the buyer for the card again.";
    SealedCardReplayed = 409, "sealed_card_replayed", "This sealed card was sent before; seal it again.";
    AttemptInFlight = 409, "attempt_in_flight", "The grant has an open attempt; close or await it first.";
    AttemptClosed = 409, "attempt_closed", "The attempt was closed before it started; use a new id.";
    TokenExpired = 410, "token_expired", "The token has expired; ask the buyer for the card again.";
    TokenRevoked = 410, "token_revoked", "The token was revoked.";
    GrantExpired = 410, "grant_expired", "The grant has expired.";
    CvcGone = 410, "cvc_gone", "The security code is no longer there; go on without it or ask the buyer.";
    RequestTimeout = 408, "request_timeout", "The body did not arrive in time.";
    PayloadTooLarge = 413, "payload_too_large", "The body is larger than this call takes.";
    UnsupportedMediaType = 415, "unsupported_media_type", "Send application/json.";
    IdempotencyMismatch = 422, "idempotency_mismatch", "This Idempotency-Key was used with another request.";
    SealedCardInvalid = 422, "sealed_card_invalid", "The sealed card could not be opened.";
    SealingKeyUnknown = 422, "sealing_key_unknown", "The sealing key is unknown or gone; fetch a new session and seal again.";
    BindingMismatch = 422, "binding_mismatch", "The token or grant is bound to another intent, amount or currency.";
    TokenHoldsNoCard = 422, "token_holds_no_card", "This token holds a security code alone; it serves as cvc_token with a stored card.";
    GrantExhausted = 422, "grant_exhausted", "The grant's sends are used up.";
    PlaceholderNotAllowed = 422, "placeholder_not_allowed", "A placeholder stands where the operation has not registered it.";
    TestModeOnly = 422, "test_mode_only", "This is for test mode.";
    ProofOfWorkRequired = 428, "proof_of_work_required", "Show the work that `challenge` asks for, with the same request.";
    RateLimited = 429, "rate_limited", "Too many requests; wait as Retry-After says.";
    Internal = 500, "internal", "Something went wrong here; it has been logged under the request id.";
    Unavailable = 503, "unavailable", "The vault cannot serve this just now; try again.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        names.sort_unstable();
        let whole = names.len();
        names.dedup();
        assert_eq!(names.len(), whole);
    }

    #[test]
    fn zero_bits_are_counted() {
        // SHA-256 of these begins with 2cf24d and 0017a8.
        assert!(is_proof("hello", 2) && !is_proof("hello", 3));
        assert!(is_proof("salt.163", 11) && !is_proof("salt.163", 12));
    }
}

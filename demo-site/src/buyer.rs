//! Who is buying: a random session cookie; the database sees only its hash.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};
use vault_api::ids::random_base62;

use crate::Settings;

const COOKIE: &str = "shop_session";
/// 256 bits in base62.
const LENGTH: usize = 43;
const THIRTY_DAYS: u32 = 30 * 24 * 3600;

/// A buyer, by the hash of their session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buyer {
    pub(crate) user_id: String,
}

impl Buyer {
    /// The buyer that a request's cookie names.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let session = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == COOKIE)
            .map(|(_, session)| session)?;
        let is_session =
            session.len() == LENGTH && session.bytes().all(|b| b.is_ascii_alphanumeric());
        is_session.then(|| Self::with_session(session))
    }

    /// A new buyer and the cookie that names them.
    pub(crate) fn new(settings: &Settings) -> (Self, Option<HeaderValue>) {
        let session = random_base62(LENGTH);
        let secure = if settings.is_https() { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={session}; Path=/; Max-Age={THIRTY_DAYS}; HttpOnly; SameSite=Lax{secure}"
        );
        (
            Self::with_session(&session),
            HeaderValue::from_str(&cookie).ok(),
        )
    }

    fn with_session(session: &str) -> Self {
        let hash = Sha256::digest(session);
        let hex = hash.iter().take(16).map(|byte| format!("{byte:02x}"));
        Self {
            user_id: format!("usr_{}", hex.collect::<String>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookie: &str) -> Option<Buyer> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().expect("a header"));
        Buyer::of(&headers)
    }

    #[test]
    fn a_session_names_one_buyer() {
        let (a, b) = ("a".repeat(43), "b".repeat(43));
        let buyer = of(&format!("x=1; shop_session={a}; y=2"));
        assert!(buyer.is_some());
        assert_eq!(buyer, of(&format!("shop_session={a}")));
        assert_ne!(buyer, of(&format!("shop_session={b}")));
        for nobody in [
            "",
            "shop_session=",
            "shop_session=4242424242424242",
            "other=1",
        ] {
            assert_eq!(of(nobody), None, "{nobody}");
        }
    }
}

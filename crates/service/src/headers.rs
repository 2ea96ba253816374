//! Headers of every answer: the transport and isolation set, the policy of what is no page, and the request id.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Names a request in log and answer.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The header that carries it, as Stripe spells it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// HSTS for two years, sub-domains, preload list (row 139 of the requirements).
pub const HSTS: &str = "max-age=63072000; includeSubDomains; preload";

/// Gives each request an id and each answer the header set. Headers that a handler set itself stay.
pub async fn standard(mut request: Request, next: Next) -> Response {
    let id = new_request_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::STRICT_TRANSPORT_SECURITY, HSTS),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// An answer of ours is no page: it may load nothing and be framed by nobody. A page says otherwise itself.
pub async fn lock_down(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=()",
        ),
    ] {
        let headers = response.headers_mut();
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// `req_` and 16 hex characters.
#[must_use]
pub fn new_request_id() -> String {
    let mut bytes = [0u8; 8];
    // An id that only names a log line may fall back to zeros; nothing trusts it.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().fold(String::from("req_"), |mut id, byte| {
        use std::fmt::Write as _;
        let _ = write!(id, "{byte:02x}");
        id
    })
}

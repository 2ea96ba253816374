//! What a POST's work made: the body, and whether all is done with it or was only accepted.

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::error::Error;

/// RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// What work made.
#[derive(Debug, Clone)]
pub struct Made {
    pub body: Value,
    /// 202: it is done later.
    is_accepted: bool,
}

impl From<Value> for Made {
    fn from(body: Value) -> Self {
        Self {
            body,
            is_accepted: false,
        }
    }
}

impl Made {
    /// A worker does the rest.
    pub fn accepted(body: Value) -> Self {
        Self {
            body,
            is_accepted: true,
        }
    }

    /// The same with another body.
    pub fn map(self, change: impl FnOnce(Value) -> Value) -> Self {
        Self {
            body: change(self.body),
            ..self
        }
    }
}

/// An answer's status and body.
pub fn told(result: &Result<Made, Error>) -> (StatusCode, String) {
    match result {
        Ok(made) if made.is_accepted => (StatusCode::ACCEPTED, made.body.to_string()),
        Ok(made) => (StatusCode::OK, made.body.to_string()),
        Err(error) => (error.status(), error.body().to_string()),
    }
}

/// The response, as often as it is replayed.
pub fn answer(status: StatusCode, body: Bytes) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, json, body).into_response();
    if status == StatusCode::ACCEPTED {
        let applied = HeaderValue::from_static(RESPOND_ASYNC);
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    response
}

/// Whether the caller would rather hear at once that it was accepted than wait for what comes of it.
pub fn prefers_async(headers: &HeaderMap) -> bool {
    let all = headers.get_all(PREFER).into_iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(|preference| preference.split(';').next().unwrap_or_default().trim())
        .any(|preference| preference.eq_ignore_ascii_case(RESPOND_ASYNC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_one_of_a_list() {
        for (said, expected) in [
            ("respond-async", true),
            ("Respond-Async", true),
            ("wait=10, respond-async; foo=\"bar\"", true),
            ("respond-async=1", false),
            ("return=minimal", false),
            ("x-respond-async", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(said);
            let headers = HeaderMap::from_iter([(PREFER, value)]);
            assert_eq!(prefers_async(&headers), expected, "{said}");
        }
        assert!(!prefers_async(&HeaderMap::new()));
    }
}

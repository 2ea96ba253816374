//! The layers around every route: headers and request id, the PAN filter, problem bodies, one log line a request.

use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use service::headers::RequestId;
use vault_api::{Code, Problem};

use crate::error::{Error, Told};

/// The largest body any route takes.
const MAX_BODY: usize = 64 * 1024;

/// Wraps a listener's routes. Routes that do not exist, and methods they do not take, answer problems too.
pub fn wrap(router: Router) -> Router {
    router
        .method_not_allowed_fallback(async || Error::from(Code::MethodNotAllowed))
        .fallback(async || Error::from(Code::NotFound))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(refuse_card_numbers))
        .layer(middleware::from_fn(write_problems))
        .layer(middleware::from_fn(service::headers::standard))
}

// Proxies log paths, queries and headers: a card number there is refused before anything reads it.
async fn refuse_card_numbers(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let in_target = uri
        .path_and_query()
        .is_some_and(|target| holds(target.as_str()));
    // The session and keys are base64 and base62: no whole digit run of theirs is a card number by anything but chance.
    let in_headers = request
        .headers()
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION)
        .any(|(_, value)| value.to_str().is_ok_and(holds));
    if in_target || in_headers {
        return Error::from(Code::CardNumberInWrongPlace).into_response();
    }
    next.run(request).await
}

fn holds(text: &str) -> bool {
    card::filter::holds_card_number(text)
        || (text.contains('%') && card::filter::holds_card_number(&unescape(text)))
}

// Enough of RFC 3986 to see digits and their separators.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                rest = &after[2..];
            }
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

async fn write_problems(request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .map(|id| id.0.clone())
        .unwrap_or_default();
    // The pattern, not the path: a path may hold an id.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let started = Instant::now();
    let mut response = next.run(request).await;
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        let (old, _) = response.into_parts();
        response = problem(&told, &id);
        for (name, value) in old.headers {
            if let Some(name) = name {
                response.headers_mut().entry(name).or_insert(value);
            }
        }
    } else if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        response = problem(&Told::from(Code::PayloadTooLarge), &id);
    }
    let ms = started.elapsed().as_millis() as u64;
    tracing::info!(%method, route, status = response.status().as_u16(), ms, request_id = id, "request");
    response
}

fn problem(told: &Told, request_id: &str) -> Response {
    let code = told.code;
    let problem = Problem {
        kind: format!("urn:cardseal:problem:{}", code.as_str()),
        title: code.title().to_owned(),
        status: code.status(),
        code: code.as_str().to_owned(),
        detail: None,
        request_id: request_id.to_owned(),
        used_at: told.used_at,
        used_by_request: told.used_by_request.clone(),
    };
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, serde_json::to_vec(&problem).unwrap_or_default()).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_digits_are_seen() {
        for text in [
            "/v1/cards/4242424242424242",
            "/a?b=4242%204242%204242%204242",
            "/%34242424242424242",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "/v1/cards/card_123",
            "/%",
            "/%zz",
            "/v1/frame?origin=http%3A%2F%2Fshop.localhost%3A4000",
        ] {
            assert!(!holds(text), "{text}");
        }
    }
}

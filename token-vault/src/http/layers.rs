//! The layers around every route: headers and request id, the PAN filter, problem bodies, one log line a request.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use service::headers::RequestId;
use service::log::known_method;
use service::traces::{self, Context, Span};
use vault_api::{Code, Problem};

use super::doors::{self, Listener};
use super::json::MAX_BODY;
use super::limits;
use crate::App;
use crate::audit::refusals;
use crate::error::{Error, Told};

/// Wraps a listener's routes. Routes that do not exist, and methods they do not take, answer problems too.
pub fn wrap(listener: Listener, app: &App, router: Router) -> Router {
    let share = app.doors.shares.of(listener);
    let seen = (listener, app.clone());
    router
        .method_not_allowed_fallback(async || Error::from(Code::MethodNotAllowed))
        .fallback(async || Error::from(Code::NotFound))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(limits::report))
        .layer(middleware::from_fn(refuse_card_numbers))
        .layer(middleware::from_fn_with_state(share, doors::wait_for_turn))
        .layer(middleware::from_fn_with_state(app.clone(), refusals::watch))
        .layer(middleware::from_fn_with_state(seen, write_problems))
        .layer(middleware::from_fn(service::headers::lock_down))
        .layer(middleware::from_fn(service::headers::standard))
}

// Proxies log paths, queries and headers: a card number there is refused before anything reads it.
async fn refuse_card_numbers(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let in_target = uri
        .path_and_query()
        .is_some_and(|target| holds(target.as_str()));
    // The session and keys are base64 and base62, a trace is hex: no whole digit run of theirs is a card number by anything
    // but chance.
    let is_trace = traces::is_followed(request.headers());
    let in_headers = request
        .headers()
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION)
        .filter(|(name, _)| !(is_trace && *name == traces::TRACEPARENT))
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

async fn write_problems(
    State((listener, app)): State<(Listener, App)>,
    request: Request,
    next: Next,
) -> Response {
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
    let method = known_method(request.method());
    // A trace that comes in goes on to the destination, also where nobody collects our own spans.
    let traced = app.doors.traces.is_on() || request.headers().contains_key(traces::TRACEPARENT);
    let context = traced.then(|| Context::of(request.headers()));
    let (started, start) = (Instant::now(), SystemTime::now());
    let mut response = match &context {
        Some(context) => traces::within(context.clone(), next.run(request)).await,
        None => next.run(request).await,
    };
    if let Some(told) = told(&mut response) {
        let (old, _) = response.into_parts();
        response = problem(&told, &id);
        for (name, value) in old.headers {
            if let Some(name) = name.filter(|name| *name != header::CONTENT_LENGTH) {
                response.headers_mut().entry(name).or_insert(value);
            }
        }
    }
    let (took, status) = (started.elapsed(), response.status());
    let labels = [
        ("listener", listener.as_str()),
        ("method", method),
        ("route", route.as_str()),
    ];
    let metrics = &app.metrics;
    metrics.observe("vault_request_seconds", &labels, took);
    let [listener_label, method_label, route_label] = labels;
    let labels = [
        listener_label,
        method_label,
        route_label,
        ("status", status.as_str()),
    ];
    metrics.count("vault_requests_total", &labels);
    let trace_id = context.as_ref().map(|context| context.trace.clone());
    let ms = took.as_millis() as u64;
    tracing::info!(
        listener = listener.as_str(),
        method,
        route,
        status = status.as_u16(),
        ms,
        request_id = id,
        trace_id,
        "request"
    );
    if let Some(context) = context {
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        app.doors.traces.end(Span {
            context,
            method: method.to_owned(),
            route,
            status: status.as_u16(),
            listener: listener.as_str(),
            start: start.as_nanos(),
            end: (start + took).as_nanos(),
        });
    }
    response
}

// What a handler or a layer of ours refused, and what axum itself did: its texts quote what came in.
fn told(response: &mut Response) -> Option<Told> {
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        return Some(told);
    }
    let code = match response.status() {
        StatusCode::BAD_REQUEST => Code::InvalidRequest,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        _ => return None,
    };
    Some(Told::from(code))
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
        challenge: told.challenge.clone(),
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

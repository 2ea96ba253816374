//! Traces: server spans (OpenTelemetry), exported by OTLP/HTTP in its JSON encoding, and the trace handed on to whom a
//! request's work calls (W3C Trace Context). Attributes are the fixed few that are written here: method, route pattern,
//! status, listener. Never a path, a query, a header or a body.

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::listen::Stop;

/// The header that carries a trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Spans wait here; more are dropped, so that a collector that is away costs no memory.
const QUEUE: usize = 4096;

/// The most spans of one export.
const BATCH: usize = 512;

/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(2);

/// Where spans go; nowhere by default. Cheap to clone.
#[derive(Clone, Default)]
pub struct Traces(Option<mpsc::Sender<Span>>);

/// A request that was served.
pub struct Span {
    /// Which trace it belongs to.
    pub context: Context,
    /// `GET`, `POST`, ..
    pub method: String,
    /// The route's pattern.
    pub route: String,
    /// HTTP status.
    pub status: u16,
    /// Which listener.
    pub listener: &'static str,
    /// Unix nanoseconds.
    pub start: u128,
    /// Unix nanoseconds.
    pub end: u128,
}

/// A place in a trace (W3C Trace Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// 32 hex characters.
    pub trace: String,
    /// The caller's span, 16 hex characters.
    pub parent: Option<String>,
    /// Our span, 16 hex characters.
    pub span: String,
    sampled: bool,
}

impl Context {
    /// The caller's trace when its `traceparent` is well-formed, else a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let told = told(headers);
        let span = hex(8);
        match told {
            Some((trace, parent, sampled)) => Self {
                trace,
                parent: Some(parent),
                span,
                sampled,
            },
            None => Self {
                trace: hex(16),
                parent: None,
                span,
                sampled: true,
            },
        }
    }
}

impl Context {
    /// The header that makes whoever is called a child of this span.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!(
            "00-{}-{}-0{}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }
}

tokio::task_local! {
    static CURRENT: Context;
}

/// Runs the work of a request: calls that a [`Client`] makes meanwhile carry the trace on.
pub async fn within<T>(context: Context, work: impl Future<Output = T>) -> T {
    CURRENT.scope(context, work).await
}

/// Work for a task of its own that stays in the trace it was begun in.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = current();
    async move {
        match context {
            Some(context) => within(context, work).await,
            None => work.await,
        }
    }
}

/// Where the work under way stands in its trace.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Whether the one `traceparent` there is well-formed, so that its trace is gone on with: it is hex and nothing else.
#[must_use]
pub fn is_followed(headers: &HeaderMap) -> bool {
    headers.get_all(TRACEPARENT).iter().count() == 1 && told(headers).is_some()
}

fn told(headers: &HeaderMap) -> Option<(String, String, bool)> {
    parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

// version-trace-parent-flags, version 00.
fn parse(text: &str) -> Option<(String, String, bool)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let fits = version == "00"
        && parts.next().is_none()
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && !zero(trace)
        && !zero(parent);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    fits.then(|| (trace.to_owned(), parent.to_owned(), sampled))
}

fn hex(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    // An id that only names a span may fall back to zeros; nothing trusts it.
    let _ = getrandom::fill(&mut buffer);
    buffer.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Traces {
    /// Exports to `{endpoint}/v1/traces` until `stop`, then what is left. `service` names the program.
    #[must_use]
    pub fn export(service: &'static str, endpoint: &str, stop: Stop) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let target = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        tokio::spawn(run(service, target, receiver, stop));
        Self(Some(sender))
    }

    /// Whether anybody wants spans.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a span over, unless its caller did not sample it or the queue is full.
    pub fn end(&self, span: Span) {
        if let Some(sender) = self.0.as_ref().filter(|_| span.context.sampled) {
            drop(sender.try_send(span));
        }
    }
}

async fn run(service: &'static str, target: String, mut spans: mpsc::Receiver<Span>, stop: Stop) {
    let client = Client::new(Duration::from_secs(2), Duration::from_secs(5));
    let mut ticks = tokio::time::interval(GATHER);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let stopped = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.wait() => {
                // The last requests are still being answered.
                tokio::time::sleep(Duration::from_millis(500)).await;
                true
            }
        };
        loop {
            while batch.len() < BATCH
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                break;
            }
            if let Err(error) = send(&client, &target, encode(service, &batch)).await {
                tracing::warn!(%error, dropped = batch.len(), "spans could not be exported");
            }
            batch.clear();
        }
        if stopped {
            return;
        }
    }
}

async fn send(client: &Client, target: &str, batch: Value) -> anyhow::Result<()> {
    let request = http::Request::post(target)
        .header("content-type", "application/json")
        .body(Bytes::from(batch.to_string()))?;
    let status = client.send(request).await?.status();
    anyhow::ensure!(status.is_success(), "the collector answered {status}");
    Ok(())
}

/// The JSON encoding of OTLP: ids in hex, 64-bit integers as strings.
fn encode(service: &str, batch: &[Span]) -> Value {
    let spans: Vec<Value> = batch.iter().map(encode_span).collect();
    let scope = json!({ "name": service, "version": env!("CARGO_PKG_VERSION") });
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", json!({ "stringValue": service }))]},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
}

fn encode_span(span: &Span) -> Value {
    let text = |text: &str| json!({ "stringValue": text });
    let mut value = json!({
        "traceId": span.context.trace,
        "spanId": span.context.span,
        "name": format!("{} {}", span.method, span.route),
        "kind": 2,
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": [
            attribute("http.request.method", text(&span.method)),
            attribute("http.route", text(&span.route)),
            attribute("http.response.status_code", json!({"intValue": span.status.to_string()})),
            attribute("cardseal.listener", text(span.listener)),
        ],
        "status": {"code": if span.status >= 500 { 2 } else { 0 }},
    });
    if let Some(parent) = &span.context.parent {
        value["parentSpanId"] = parent.clone().into();
    }
    value
}

fn attribute(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_traceparent_is_followed() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().expect("a header"));
            Context::of(&headers)
        };
        let context = of(&good);
        assert_eq!(context.trace, trace);
        assert_eq!(context.parent.as_deref(), Some("00f067aa0ba902b7"));
        assert!(context.sampled && !of(&format!("00-{trace}-00f067aa0ba902b7-00")).sampled);
        for bad in [
            "",
            "00-4242424242424242-1-01",
            &good.replace("00-4", "01-4"),
            &good.to_uppercase(),
            &format!("{good}-x"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            let context = of(bad);
            assert_eq!((context.parent, context.trace.len()), (None, 32), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_trace_goes_on_in_tasks() {
        let mut headers = HeaderMap::new();
        let told = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert("traceparent", told.parse().expect("a header"));
        let context = Context::of(&headers);
        let seen = within(context.clone(), async {
            tokio::spawn(carried(async { current() })).await
        });
        assert_eq!(seen.await.expect("joined"), Some(context.clone()));
        assert_eq!(current(), None);
        let handed_on = context.traceparent();
        headers.insert("traceparent", handed_on.parse().expect("a header"));
        let child = Context::of(&headers);
        assert_eq!(
            (child.trace, child.parent),
            (context.trace, Some(context.span))
        );
    }
}

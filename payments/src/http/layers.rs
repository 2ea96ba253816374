//! The layer around every route notes what is known of each request: a line of log, a metric per route, a span, and the
//! trace that its work carries on.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use service::headers::RequestId;
use service::log::known_method;
use service::traces::{self, Context, Span};

use crate::app::App;

/// Notes each request by its route's pattern: a path may hold an id.
pub async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let id = extensions.get::<RequestId>().map(|id| id.0.clone());
    let route = extensions
        .get::<MatchedPath>()
        .map_or("-".to_owned(), |path| path.as_str().to_owned());
    let method = known_method(request.method());
    let context = Context::of(request.headers());
    let (started, start) = (Instant::now(), SystemTime::now());
    let response = traces::within(context.clone(), next.run(request)).await;
    let (took, status) = (started.elapsed(), response.status());
    let labels = [("method", method), ("route", route.as_str())];
    app.metrics
        .observe("payments_request_seconds", &labels, took);
    let labels = [
        ("method", method),
        ("route", route.as_str()),
        ("status", status.as_str()),
    ];
    app.metrics.count("payments_requests_total", &labels);
    tracing::info!(
        method,
        route,
        status = status.as_u16(),
        ms = took.as_millis() as u64,
        request_id = id.unwrap_or_default(),
        trace_id = context.trace,
        "request"
    );
    if app.traces.is_on() {
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        app.traces.end(Span {
            context,
            method: method.to_owned(),
            route,
            status: status.as_u16(),
            listener: "api",
            start: start.as_nanos(),
            end: (start + took).as_nanos(),
        });
    }
    response
}

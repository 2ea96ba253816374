//! The admin listener's routes: `/healthz` (the process answers), `/readyz` (it can serve), `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

/// Counters for `/metrics` (Prometheus text format); cheap to clone. Names and label values are fixed strings of the
/// code, never anything that came in.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, u64>>>, Arc<Mutex<Vec<Read>>>);

/// A counter that somebody else keeps.
type Read = (&'static str, Box<dyn Fn() -> u64 + Send + Sync>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metrics")
            .field(&self.0)
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// Adds one to `name{label="value",..}`.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let series = if labels.is_empty() {
            name.to_owned()
        } else {
            format!("{name}{{{}}}", labels.join(","))
        };
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(series)
            .or_default() += 1;
    }

    /// Shows a counter that somebody else keeps, as it is when it is asked for.
    pub fn show(&self, name: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        let mut reads = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        reads.push((name, Box::new(read)));
    }

    /// The Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = series.iter().fold(String::new(), |mut out, (name, value)| {
            let _ = writeln!(out, "{name} {value}");
            out
        });
        let reads = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, read) in reads.iter() {
            let _ = writeln!(out, "{name} {}", read());
        }
        out
    }
}

/// `/healthz`, `/readyz` and `/metrics`. `ready` says whether the program can serve, or why not.
pub fn routes<F, R>(metrics: Metrics, ready: F) -> Router
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<(), String>> + Send,
{
    let readyz = move || {
        let ready = ready.clone();
        async move {
            match ready().await {
                Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                Err(why) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {why}\n"),
                ),
            }
        }
    };
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(move || std::future::ready((text, metrics.render()))),
        )
}

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
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, u64>>>);

impl Metrics {
    /// Adds one to `name{label="value",..}`.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        let series = series_name(name, labels);
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(series)
            .or_default() += 1;
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series.insert(series_name(name, labels), value);
    }

    /// The Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series.iter().fold(String::new(), |mut out, (name, value)| {
            let _ = writeln!(out, "{name} {value}");
            out
        })
    }
}

fn series_name(name: &str, labels: &[(&'static str, &str)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    if labels.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", labels.join(","))
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

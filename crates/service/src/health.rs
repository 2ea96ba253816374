//! The admin listener's routes: `/healthz` (the process answers), `/readyz` (it can serve), `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

/// Upper bounds of a duration's buckets, seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The most series there may be: a label that grows without end must not take the memory.
const MOST_SERIES: usize = 4096;

/// Figures for `/metrics` (Prometheus text format); cheap to clone. Names and label values are fixed strings of the
/// code, never anything that came in.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

type Family = BTreeMap<String, Series>;

#[derive(Debug, Clone, Copy)]
enum Series {
    Counter(u64),
    Gauge(f64),
    Histogram {
        counts: [u64; BUCKETS.len()],
        count: u64,
        sum: f64,
    },
}

impl Metrics {
    /// Adds one to the counter `name{label="value",..}`.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        self.with(name, labels, Series::Counter(0), |series| {
            if let Series::Counter(count) = series {
                *count += 1;
            }
        });
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.with(name, labels, Series::Gauge(0.0), |series| {
            *series = Series::Gauge(value);
        });
    }

    /// Sets a counter that is kept elsewhere.
    pub fn set_counter(&self, name: &'static str, labels: &[(&'static str, &str)], value: u64) {
        self.with(name, labels, Series::Counter(0), |series| {
            *series = Series::Counter(value);
        });
    }

    /// Notes how long something took, in a histogram of seconds.
    pub fn observe(&self, name: &'static str, labels: &[(&'static str, &str)], took: Duration) {
        let empty = Series::Histogram {
            counts: [0; BUCKETS.len()],
            count: 0,
            sum: 0.0,
        };
        self.with(name, labels, empty, |series| {
            if let Series::Histogram { counts, count, sum } = series {
                let seconds = took.as_secs_f64();
                for (bound, bucket) in BUCKETS.iter().zip(counts) {
                    *bucket += u64::from(seconds <= *bound);
                }
                *count += 1;
                *sum += seconds;
            }
        });
    }

    fn with(
        &self,
        name: &'static str,
        labels: &[(&'static str, &str)],
        new: Series,
        change: impl FnOnce(&mut Series),
    ) {
        // Each request comes by here: one string, and no other once its series is known.
        let mut text = String::with_capacity(96);
        for (key, value) in labels {
            let comma = if text.is_empty() { "" } else { "," };
            for part in [comma, key, "=\"", value, "\""] {
                text.push_str(part);
            }
        }
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name).or_default();
        if let Some(series) = family.get_mut(&text) {
            change(series);
        } else if family.len() < MOST_SERIES {
            change(family.entry(text).or_insert(new));
        }
    }

    /// The Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for (name, family) in families.iter() {
            let kind = match family.values().next() {
                Some(Series::Counter(_)) => "counter",
                Some(Series::Gauge(_)) => "gauge",
                Some(Series::Histogram { .. }) => "histogram",
                None => continue,
            };
            let _ = writeln!(out, "# TYPE {name} {kind}");
            for (labels, series) in family {
                series.render(&mut out, name, labels);
            }
        }
        out
    }
}

impl Series {
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let braces = |labels: &str| match labels {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let _ = match self {
            Self::Counter(count) => writeln!(out, "{name}{} {count}", braces(labels)),
            Self::Gauge(value) => writeln!(out, "{name}{} {value}", braces(labels)),
            Self::Histogram { counts, count, sum } => {
                let comma = if labels.is_empty() { "" } else { "," };
                for (bound, in_bucket) in BUCKETS.iter().zip(counts) {
                    let _ = writeln!(
                        out,
                        "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {in_bucket}"
                    );
                }
                let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
                let _ = writeln!(out, "{name}_sum{} {sum}", braces(labels));
                writeln!(out, "{name}_count{} {count}", braces(labels))
            }
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.count("a_total", &[("route", "/v1/x")]);
        metrics.count("a_total", &[("route", "/v1/x")]);
        metrics.set("b", &[], 1.5);
        metrics.observe("c_seconds", &[("route", "/y")], Duration::from_millis(3));
        let text = metrics.render();
        for line in [
            "# TYPE a_total counter",
            "a_total{route=\"/v1/x\"} 2",
            "# TYPE b gauge",
            "b 1.5",
            "# TYPE c_seconds histogram",
            "c_seconds_bucket{route=\"/y\",le=\"0.0025\"} 0",
            "c_seconds_bucket{route=\"/y\",le=\"0.005\"} 1",
            "c_seconds_bucket{route=\"/y\",le=\"+Inf\"} 1",
            "c_seconds_count{route=\"/y\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn series_are_bounded() {
        let metrics = Metrics::default();
        for n in 0..MOST_SERIES + 10 {
            metrics.count("a_total", &[("n", &n.to_string())]);
        }
        assert_eq!(metrics.render().lines().count(), MOST_SERIES + 1);
    }
}

//! A figure, as the table and `target/bench.json` show it.

use serde::{Deserialize, Serialize};

/// One figure; fields that do not apply are left out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// `sqlite` or `postgres`.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub store: Option<&'static str>,
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// Answers a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Median latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Processor time of the server a request, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us: Option<f64>,
    /// Resident memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_mb: Option<f64>,
    /// A size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Against the baseline; for `forward_added` milliseconds, for `writes_per_fsync` writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What it is compared with, or what is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
}

/// The table.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut out = format!(
        "{:<24}{:<10}{:>4}{:>10}{:>10}{:>10}{:>9}{:>8}{:>8}{:>9}  {}\n",
        "figure",
        "store",
        "c",
        "per s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "RSS MB",
        "bytes",
        "ratio",
        "baseline"
    );
    for f in figures {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or(String::new(), |value| format!("{value:.digits$}"))
        };
        out.push_str(&format!(
            "{:<24}{:<10}{:>4}{:>10}{:>10}{:>10}{:>9}{:>8}{:>8}{:>9}  {}\n",
            f.name,
            f.store.unwrap_or(""),
            f.concurrency.map_or(String::new(), |c| c.to_string()),
            number(f.per_second, 0),
            number(f.p50_ms, 3),
            number(f.p99_ms, 3),
            number(f.server_cpu_us, 1),
            number(f.rss_mb, 1),
            f.bytes.map_or(String::new(), |bytes| bytes.to_string()),
            number(f.ratio, 3),
            f.baseline.as_deref().unwrap_or("")
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_browser_measured_is_read() {
        let text = r#"[{"name": "frame_keys_cold_1x", "p50_ms": 51.7, "ratio": 1.3, "baseline": "plain form 40 ms"},
            {"name": "frame_bytes", "bytes": 58860}]"#;
        let figures: Vec<Figure> = serde_json::from_str(text).expect("figures");
        assert_eq!(
            (figures[0].p50_ms, figures[1].bytes),
            (Some(51.7), Some(58_860))
        );
        assert!(table(&figures).contains("plain form 40 ms"));
        assert_eq!(
            serde_json::to_value(&figures[1]).expect("json"),
            serde_json::json!({"name": "frame_bytes", "bytes": 58860})
        );
    }
}

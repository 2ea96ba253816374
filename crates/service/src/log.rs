//! Logs: one JSON object a line on standard error, by allow-list. A field whose name is not in [`FIELDS`] never reaches
//! the log, whoever wrote it; of other people's crates only level and target do, because their words may quote bytes.

use std::fmt::{self, Write as _};

use http::Method;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Every field that may be logged: names of things of ours, never what came in. Add one here when you log a new one;
/// ask first whether its value could hold what a client sent.
pub const FIELDS: &[&str] = &[
    "acquirer",
    "act",
    "admin",
    "algorithm",
    "attempt",
    "checkpoint",
    "code",
    "count",
    "delivery",
    "destination",
    "dropped",
    "endpoint",
    "epoch",
    "error",
    "event",
    "expires_in_days",
    "failure",
    "from",
    "generation",
    "grant",
    "head",
    "id",
    "intent",
    "key_id",
    "kind",
    "kid",
    "listen",
    "listener",
    "merchant",
    "message",
    "method",
    "migration",
    "mode",
    "ms",
    "network",
    "ok",
    "operation",
    "outcome",
    "path",
    "private",
    "process",
    "program",
    "provider",
    "public",
    "reason",
    "replica",
    "request_id",
    "root",
    "root_id",
    "route",
    "rows",
    "seconds",
    "state",
    "status",
    "tenant",
    "to",
    "trace_id",
    "unknown",
    "verb",
    "version",
    "what",
    "why",
];

/// Crates whose messages may be logged: this workspace's.
const OURS: &[&str] = &[
    "acquirer_sim",
    "demo_site",
    "payments",
    "service",
    "store",
    "token_vault",
    "xtask",
];

/// The longest value that is logged whole.
const LONGEST: usize = 600;

/// But for these: a signed checkpoint that is cut verifies nothing.
const WHOLE: &[&str] = &["checkpoint"];

/// Starts logging. `CARDSEAL_LOG` sets the filter (default `info`).
pub fn init(program: &'static str) {
    // axum::rejection logs the text of rejections, which quotes bodies: off whatever the filter says.
    let filter = std::env::var("CARDSEAL_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(format!("{filter},axum::rejection=off"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .event_format(AllowListed)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    tracing::info!(program, version = env!("CARGO_PKG_VERSION"), "starting");
}

/// A method as it may stand in a line or a label: it is text of the client's, so one of a few.
#[must_use]
pub fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Writes an event: timestamp, level, target, and the fields of the allow-list.
#[derive(Debug, Clone, Copy)]
pub struct AllowListed;

impl<S, N> FormatEvent<S, N> for AllowListed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        // Written as it goes: there is a line for each request.
        let mut line = String::with_capacity(320);
        line.push_str("{\"timestamp\":\"");
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        line.push_str("\",\"level\":");
        quote(&mut line, meta.level().as_str());
        line.push_str(",\"target\":");
        quote(&mut line, meta.target());
        let origin = meta.target().split("::").next().unwrap_or_default();
        if OURS.contains(&origin) {
            event.record(&mut Allowed(&mut line));
        }
        line.push('}');
        writeln!(writer, "{line}")
    }
}

// A JSON string. Most need no escape.
fn quote(line: &mut String, text: &str) {
    if text.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
        line.push_str(&Value::from(text).to_string());
    } else {
        line.push('"');
        line.push_str(text);
        line.push('"');
    }
}

fn is_allowed(field: &Field) -> bool {
    FIELDS.contains(&field.name())
}

struct Allowed<'a>(&'a mut String);

impl Allowed<'_> {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if is_allowed(field) {
            let _ = write!(self.0, ",\"{}\":{value}", field.name());
        }
    }
}

impl Visit for Allowed<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A value that may not be logged is not even written to memory.
        if is_allowed(field) {
            let mut text = String::new();
            let _ = write!(text, "{value:?}");
            self.record_str(field, &text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_allowed(field) {
            return;
        }
        let whole = value.len() <= LONGEST || WHOLE.contains(&field.name());
        let end = match value.char_indices().nth(LONGEST) {
            Some((at, _)) if !whole => at,
            _ => value.len(),
        };
        let _ = write!(self.0, ",\"{}\":", field.name());
        quote(self.0, &value[..end]);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(act: impl FnOnce()) -> Vec<Value> {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(AllowListed)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = captured
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    #[test]
    fn an_unknown_field_never_reaches_the_log() {
        let lines = logged(|| {
            tracing::info!(status = 200_u64, number = "4242424242424242", body = ?["4242"], "request");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["status"], 200);
        assert_eq!(lines[0]["message"], "request");
        let names: Vec<&String> = lines[0].as_object().expect("an object").keys().collect();
        assert_eq!(names, ["level", "message", "status", "target", "timestamp"]);
    }

    #[test]
    fn values_are_escaped_and_long_ones_cut() {
        let long = "x".repeat(2 * LONGEST);
        let lines = logged(|| {
            tracing::info!(
                reason = "a \"quote\"\n",
                checkpoint = long,
                error = long,
                "said \\"
            );
        });
        assert_eq!(lines[0]["reason"], "a \"quote\"\n");
        assert_eq!(lines[0]["message"], "said \\");
        assert_eq!(lines[0]["checkpoint"], long);
        assert_eq!(lines[0]["error"].as_str().map(str::len), Some(LONGEST));
    }

    #[test]
    fn other_crates_say_only_that_they_spoke() {
        let lines = logged(|| {
            tracing::warn!(target: "hyper::proto", error = "4242424242424242", "read 4242424242424242");
        });
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].to_string().contains("4242"));
        assert_eq!(lines[0]["target"], "hyper::proto");
    }
}

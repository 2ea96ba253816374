//! Faults on demand: a queue that the admin listener fills, and the `X-Sim-Fault` header for one call.
//!
//! A dropped connection is a real one: the response body fails before its first byte is flushed, hyper gives the
//! connection up, and the client sees it close without an answer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::dialects::Problem;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Waits, then decides and books. A caller that gives up first sees its payment booked later.
    LatencyMs,
    /// Closes the connection; nothing was booked.
    DropBeforeCommit,
    /// Books, then closes the connection.
    DropAfterCommit,
    /// Books, then answers 500.
    ErrorAfterCommit,
    /// Answers 503; nothing was booked.
    Outage,
    /// A careless bank: repeats the card number in its answer.
    EchoPan,
}

/// The operations that a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// A new payment.
    #[default]
    Payment,
    /// A capture.
    Capture,
    /// A void.
    Void,
    /// A refund.
    Refund,
    /// A look-up by reference.
    Inquiry,
}

/// One fault, for the next `times` calls of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) operation: Operation,
    #[serde(default = "once")]
    pub(crate) times: u32,
    #[serde(default)]
    pub(crate) ms: u64,
}

fn once() -> u32 {
    1
}

/// The faults to come, first in, first out.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Fault>>);

impl Queue {
    /// Adds a fault.
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push_back(fault);
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The faults to come.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().iter().cloned().collect()
    }

    /// The fault of this call: the header's, else the queue's next for the operation.
    pub(crate) fn take(
        &self,
        operation: Operation,
        headers: &HeaderMap,
    ) -> Result<Option<Fault>, Problem> {
        if let Some(header) = headers.get("x-sim-fault") {
            let text = header.to_str().unwrap_or_default();
            return from_header(text).map(Some).ok_or(Problem::UNKNOWN_FAULT);
        }
        let mut queue = self.lock();
        let Some(at) = queue.iter().position(|f| f.operation == operation) else {
            return Ok(None);
        };
        let fault = queue.get_mut(at).map(|fault| {
            fault.times = fault.times.saturating_sub(1);
            fault.clone()
        });
        if fault.as_ref().is_some_and(|f| f.times == 0) {
            queue.remove(at);
        }
        Ok(fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// `drop_after_commit`, or `latency_ms=500`.
fn from_header(text: &str) -> Option<Fault> {
    let (kind, ms) = text.split_once('=').unwrap_or((text, "0"));
    Some(Fault {
        kind: serde_json::from_value(kind.into()).ok()?,
        operation: Operation::default(),
        times: 1,
        ms: ms.parse().ok()?,
    })
}

/// Runs `work` (which books and answers) under a fault. The work is a task of its own: a caller that hangs up does
/// not undo what a bank has begun.
pub(crate) async fn under(
    fault: Option<&Fault>,
    work: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let delay = fault
        .filter(|f| f.kind == Kind::LatencyMs)
        .map_or(0, |f| f.ms);
    let kind = fault.map(|f| f.kind);
    match kind {
        Some(Kind::DropBeforeCommit) => return dropped(),
        Some(Kind::Outage) => return Problem::OUTAGE.into_response(),
        _ => {}
    }
    let task = tokio::spawn(async move {
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        work.await
    });
    let answer = task
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    match kind {
        Some(Kind::DropAfterCommit) => dropped(),
        Some(Kind::ErrorAfterCommit) => Problem::INTERNAL.into_response(),
        _ => answer,
    }
}

fn dropped() -> Response {
    Response::new(Body::new(Broken))
}

/// A body that fails at once.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into())))
    }
}

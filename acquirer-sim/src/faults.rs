//! Faults on demand: a queue that the admin listener fills, the `X-Sim-Fault` header for one call, and amounts that
//! mean one. `docs/acquirer-sim.md` lists them all.
//!
//! A dropped connection is a real one: the response body fails before its first byte is flushed, hyper gives the
//! connection up, and the client sees it close without an answer.

mod broken;

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use crate::acquirer::Acquirer;
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
    /// Books, sends half of the answer, then closes the connection.
    ResetMidBody,
    /// Books, then answers 500.
    ErrorAfterCommit,
    /// Answers 503; nothing was booked.
    Outage,
    /// A share of the calls, `share` in a hundred, is answered 503 and not booked.
    BrownOut,
    /// Takes the message and never answers; nothing was booked.
    Hang,
    /// Never answers; books after `ms` and notifies the processor.
    LateApproval,
    /// Books once, and sends the answer's body twice.
    DuplicateReply,
    /// A careless bank: repeats the card number in its answer.
    EchoPan,
    /// A notification is never sent.
    Lost,
    /// A notification is sent twice.
    Duplicated,
    /// A notification is sent after the next one.
    Reordered,
    /// A notification is sent `ms` late.
    Late,
    /// Before a notification comes one with the same words and a wrong signature.
    Forged,
}

/// The operations that a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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
    /// A reversal by reference.
    Reversal,
    /// Anything about disputes.
    Dispute,
    /// A settlement file.
    Settlement,
    /// A notification to the processor.
    Notification,
}

/// One fault, for the next `times` calls of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) operation: Operation,
    /// Whose; any acquirer's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acquirer: Option<Acquirer>,
    #[serde(default = "once")]
    pub(crate) times: u32,
    #[serde(default)]
    pub(crate) ms: u64,
    /// Of a brown-out: how many calls in a hundred fail.
    #[serde(default = "half")]
    pub(crate) share: u32,
}

fn once() -> u32 {
    1
}

fn half() -> u32 {
    50
}

/// Amounts, in smallest units, that mean a fault for the first message of their reference.
pub(crate) static AMOUNTS: [(i64, Kind, u64); 10] = [
    (990_001, Kind::DropBeforeCommit, 0),
    (990_002, Kind::DropAfterCommit, 0),
    (990_003, Kind::ResetMidBody, 0),
    (990_004, Kind::ErrorAfterCommit, 0),
    (990_005, Kind::LateApproval, 5_000),
    (990_006, Kind::DuplicateReply, 0),
    (990_007, Kind::Outage, 0),
    (990_008, Kind::EchoPan, 0),
    (990_009, Kind::LatencyMs, 3_000),
    (990_010, Kind::Hang, 0),
];

/// A message, as far as faults are chosen by it.
pub(crate) struct Message<'a> {
    pub(crate) acquirer: Acquirer,
    pub(crate) operation: Operation,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) amount: Option<i64>,
    pub(crate) reference: &'a str,
}

/// The faults to come, first in, first out.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Faults>);

#[derive(Default)]
struct Faults {
    queue: VecDeque<Fault>,
    /// References whose amount has had its fault.
    had: HashSet<(Acquirer, Operation, String)>,
    /// Calls that met the brown-out.
    browned: u32,
}

impl Queue {
    /// Adds a fault.
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().queue.push_back(fault);
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        *self.lock() = Faults::default();
    }

    /// The faults to come.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().queue.iter().cloned().collect()
    }

    /// The fault of this message: the header's, its amount's, else the queue's next for it.
    pub(crate) fn take(&self, message: &Message<'_>) -> Result<Option<Fault>, Problem> {
        if let Some(header) = message.headers.get("x-sim-fault") {
            let text = header.to_str().unwrap_or_default();
            return from_header(text).map(Some).ok_or(Problem::UNKNOWN_FAULT);
        }
        let mut faults = self.lock();
        let of_amount = AMOUNTS.iter().find(|(of, ..)| Some(*of) == message.amount);
        if let Some((_, kind, ms)) = of_amount {
            let reference = message.reference.to_owned();
            if faults
                .had
                .insert((message.acquirer, message.operation, reference))
            {
                return Ok(Some(Fault::new(*kind, *ms)));
            }
        }
        Ok(faults.next(message.acquirer, message.operation))
    }

    /// The queue's next fault for a notification.
    pub(crate) fn of_notification(&self, acquirer: Acquirer) -> Option<Fault> {
        self.lock().next(acquirer, Operation::Notification)
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults {
    fn next(&mut self, acquirer: Acquirer, operation: Operation) -> Option<Fault> {
        let fits = |f: &Fault| {
            f.operation == operation && f.acquirer.is_none_or(|named| named == acquirer)
        };
        let at = self.queue.iter().position(fits)?;
        let fault = self.queue.get_mut(at).map(|fault| {
            fault.times = fault.times.saturating_sub(1);
            fault.clone()
        })?;
        if fault.times == 0 {
            self.queue.remove(at);
        }
        if fault.kind == Kind::BrownOut {
            // Evenly: of a hundred calls in a row, just so many.
            let before = self.browned * fault.share / 100;
            self.browned += 1;
            let fails = self.browned * fault.share / 100 > before;
            self.browned %= 100;
            return fails.then_some(fault);
        }
        Some(fault)
    }
}

impl Fault {
    fn new(kind: Kind, ms: u64) -> Self {
        Self {
            kind,
            operation: Operation::default(),
            acquirer: None,
            times: 1,
            ms,
            share: half(),
        }
    }
}

// `drop_after_commit`, or `latency_ms=500`.
fn from_header(text: &str) -> Option<Fault> {
    let (kind, ms) = text.split_once('=').unwrap_or((text, "0"));
    let kind = serde_json::from_value(kind.into()).ok()?;
    Some(Fault::new(kind, ms.parse().ok()?))
}

/// Runs `work` (which books and answers) under a fault. The work is a task of its own: a caller that hangs up does
/// not undo what a bank has begun.
pub(crate) async fn under(
    fault: Option<&Fault>,
    outage: Response,
    work: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let kind = fault.map(|f| f.kind);
    let wait = Duration::from_millis(fault.map_or(0, |f| f.ms));
    match kind {
        Some(Kind::DropBeforeCommit) => return dropped(),
        Some(Kind::Outage | Kind::BrownOut) => return outage,
        Some(Kind::Hang) => return std::future::pending().await,
        Some(Kind::LateApproval) => {
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                work.await
            });
            tokio::time::sleep(wait).await;
            return dropped();
        }
        _ => {}
    }
    let delay = if kind == Some(Kind::LatencyMs) {
        wait
    } else {
        Duration::ZERO
    };
    let task = tokio::spawn(async move {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        work.await
    });
    let answer = task
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    match kind {
        Some(Kind::DropAfterCommit) => dropped(),
        Some(Kind::ErrorAfterCommit) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Kind::ResetMidBody) => cut(answer).await,
        Some(Kind::DuplicateReply) => twice(answer).await,
        _ => answer,
    }
}

fn dropped() -> Response {
    Response::new(Body::new(broken::Broken::at_once()))
}

/// The head says how long the body is, half of it comes, and the connection closes.
async fn cut(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers
        .insert(header::CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    Response::from_parts(head, Body::new(broken::Broken::after(half)))
}

async fn twice(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from([&bytes[..], &bytes[..]].concat()))
}

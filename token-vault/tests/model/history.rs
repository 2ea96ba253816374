//! What clients asked of a vault and what they were told, in real time: the only thing the checker believes.

use serde_json::Value;

/// One call.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it was sent, microseconds since the run began.
    pub call: u64,
    /// When its answer was there, or the caller gave up.
    pub ret: u64,
    /// The vault's clock was at least this when the call was sent (Unix seconds).
    pub clock_from: i64,
    /// The vault's clock was at most this when the answer was there.
    pub clock_to: i64,
    /// Who asked.
    pub merchant: usize,
    /// What was asked.
    pub op: Op,
    /// What came of it.
    pub outcome: Outcome,
}

/// A call's meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A card becomes a token.
    Create,
    /// A token or stored card becomes something.
    Exchange {
        source: String,
        key: String,
        body: Body,
    },
    Revoke {
        token: String,
    },
    Lookup {
        token: String,
    },
    ReadCard {
        card: String,
    },
    DeleteCard {
        card: String,
    },
    Forward {
        grant: String,
        attempt: String,
        amount: i64,
    },
    Close {
        attempt: String,
    },
}

/// The parts of an exchange that its idempotency key is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// `for: "storage"`, else `"payment"`.
    pub storage: bool,
    pub amount: i64,
    /// `store: "now"`.
    pub save: bool,
    pub cvc_token: Option<String>,
}

/// An answer, or none. None may have happened or not: a reset, a timeout, a 5xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answer {
        status: u16,
        text: String,
        replayed: bool,
    },
    Unknown,
}

impl Event {
    /// The status of a definite answer.
    pub fn status(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Answer { status, .. } => Some(*status),
            Outcome::Unknown => None,
        }
    }

    /// Whether it was done and said so.
    pub fn ok(&self) -> bool {
        self.status() == Some(200)
    }

    /// Whether it may have been done: all but a definite refusal.
    pub fn maybe(&self) -> bool {
        self.status().is_none_or(|status| status == 200)
    }

    /// The answer's bytes.
    pub fn text(&self) -> &str {
        match &self.outcome {
            Outcome::Answer { text, .. } => text,
            Outcome::Unknown => "",
        }
    }

    /// The answer as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or(Value::Null)
    }

    /// A string of the answer.
    pub fn string(&self, pointer: &str) -> Option<String> {
        self.json().pointer(pointer)?.as_str().map(str::to_owned)
    }

    pub fn replayed(&self) -> bool {
        matches!(self.outcome, Outcome::Answer { replayed: true, .. })
    }

    /// Whether it was asked after the other was answered.
    pub fn after(&self, other: &Self) -> bool {
        self.call > other.ret
    }

    /// Whether it could have taken effect before the other was answered.
    pub fn could_precede(&self, other: &Self) -> bool {
        self.call < other.ret
    }
}

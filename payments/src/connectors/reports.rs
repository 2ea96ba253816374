//! What acquirers report beyond a payment: refunds that came back, disputes, and what they paid out. The same shapes from
//! every dialect.

/// A refund that the acquirer had taken and that did not reach the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnedRefund {
    /// Our reference of the refund.
    pub reference: String,
    /// The issuer's response code.
    pub code: String,
}

/// A dispute as its acquirer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeReport {
    /// The acquirer's id.
    pub id: String,
    /// The acquirer's id of the payment.
    pub payment: String,
    pub amount: i64,
    pub currency: String,
    /// The scheme's reason code.
    pub reason: String,
    /// A question; no money moved.
    pub inquiry: bool,
    pub standing: Standing,
    /// Unix milliseconds.
    pub due_at: i64,
    pub has_evidence: bool,
}

/// How a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl Standing {
    /// From any dialect's word, upper or lower case.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "needs_response" | "open" => Self::NeedsResponse,
            "under_review" | "review" => Self::UnderReview,
            "won" => Self::Won,
            "lost" => Self::Lost,
            _ => return None,
        })
    }
}

/// What a merchant answers to a dispute.
#[derive(Debug, Clone, Copy)]
pub enum DisputeAnswer<'a> {
    Evidence(&'a str),
    Accept,
}

/// A day's settlement file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub lines: Vec<Line>,
}

/// A line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: LineKind,
    /// The acquirer's id of the payment.
    pub payment: String,
    /// Our reference of the payment.
    pub payment_reference: String,
    /// Our reference of the message; of a dispute's line, the dispute's id.
    pub reference: String,
    pub currency: String,
    /// Negative when it left us.
    pub gross: i64,
    /// What the acquirer kept.
    pub fee: i64,
    /// The day the money is there, `2026-11-23`.
    pub value_date: String,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Capture,
    Refund,
    /// A refund that came back.
    RefundReturn,
    Chargeback,
    Reinstatement,
}

impl LineKind {
    /// Its name in our tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::RefundReturn => "refund_return",
            Self::Chargeback => "chargeback",
            Self::Reinstatement => "reinstatement",
        }
    }
}

/// What came of asking for a settlement file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The day's batch is not closed.
    NotYet,
    File(Batch),
}

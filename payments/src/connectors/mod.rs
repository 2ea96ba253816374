//! Acquirers. A connector per dialect holds template, response parser and error map, and does no I/O; an
//! [`Acquirer`] is a connector, its configuration and the clients to call with.

mod acquirer;
pub mod avs;
mod form;
mod json;
pub mod reports;
pub mod responses;
mod xml;

use bytes::Bytes;
use http::{HeaderName, Method};
use serde_json::Value;

use reports::{DisputeAnswer, DisputeReport, ReturnedRefund, Settled};

use crate::billing::Compared;
use crate::three_ds::carried::Credential;
use crate::three_ds::exemptions::Exemption;
pub use acquirer::Acquirer;
pub use responses::{Class, Decline};

/// What a connector puts into the template of an authorisation. The vault adds card, amount, currency and reference.
pub struct Authorise<'a> {
    pub merchant: &'a str,
    /// Capture at once.
    pub capture: bool,
    /// Whether the security code is still there to be sent.
    pub cvc: bool,
    /// Who initiates the payment with which stored credential, when the card is kept or was.
    pub credential: Option<&'a Credential>,
    /// Why the issuer is asked to do without an authentication.
    pub exemption: Option<Exemption>,
    /// What the issuer compares of the buyer's address.
    pub address: Option<&'a Compared>,
}

/// A payment, as the acquirer reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub id: Option<String>,
    pub reference: Option<String>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub verdict: Verdict,
    pub facts: Facts,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Captured,
    Authorised,
    Declined(Decline),
    /// It was there, and nothing is taken or held any more: voided, reversed or expired.
    Voided,
}

/// What issuer and scheme said along with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub response_code: Option<String>,
    pub authorization_code: Option<String>,
    pub network_transaction_id: Option<String>,
    pub cvc_result: Option<String>,
    pub avs_result: Option<String>,
    /// What the scheme advises after a decline: Mastercard's merchant advice code.
    pub advice_code: Option<String>,
}

/// A call about a payment that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Capture,
    Void,
    Refund,
}

/// The payment that an operation is about, and for how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Portion<'a> {
    /// The acquirer's id.
    pub payment: &'a str,
    pub amount: i64,
    pub currency: &'a str,
    /// Our reference of the operation.
    pub reference: &'a str,
}

/// How such a call ended, for certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Yes,
    /// It was taken and is not decided: the same call under the same reference says how it stands.
    Pending,
    /// A definite no, with the acquirer's code.
    No(String),
}

/// A direct call to the acquirer.
pub struct DirectCall {
    pub method: Method,
    /// Path and query, after the base URL.
    pub path: String,
    /// Content type and bytes.
    pub body: Option<(&'static str, Bytes)>,
}

/// A dialect. `None` from a reader means that the answer is none: the outcome is unknown.
pub trait Connector: Send + Sync {
    /// The header that carries the credentials, and what stands before them.
    fn credentials(&self) -> (HeaderName, &'static str);
    /// An answer as a tree.
    fn parse(&self, bytes: &[u8]) -> Option<Value>;
    /// The vault's operation and the body's template.
    fn authorise(&self, what: &Authorise<'_>) -> (&'static str, Value);
    /// Reads the answer to an authorisation.
    fn read_authorisation(&self, status: u16, body: &Value) -> Option<Payment>;
    /// Asks by our reference.
    fn inquiry(&self, reference: &str) -> DirectCall;
    /// The payments under the reference; an empty list is a definite "not known".
    fn read_inquiry(&self, status: u16, body: &Value) -> Option<Vec<Payment>>;
    /// Captures, voids or refunds.
    fn operation(&self, kind: Operation, what: &Portion<'_>) -> DirectCall;
    /// Reads the answer to an operation.
    fn read_operation(&self, kind: Operation, status: u16, body: &Value) -> Option<Done>;
    /// Takes back whatever was taken under our reference, and keeps anything from being taken under it later.
    fn reversal(&self, reference: &str) -> DirectCall;
    /// Whether a reversal was acknowledged.
    fn read_reversal(&self, status: u16, body: &Value) -> bool;
    /// The refunds that came back since (Unix milliseconds).
    fn returned_refunds(&self, since: i64) -> DirectCall;
    /// Reads them.
    fn read_returned_refunds(&self, status: u16, body: &Value) -> Option<Vec<ReturnedRefund>>;
    /// The disputes that changed since (Unix milliseconds).
    fn disputes(&self, since: i64) -> DirectCall;
    /// One dispute.
    fn dispute(&self, id: &str) -> DirectCall;
    /// Answers a dispute; the acquirer's answer is the dispute.
    fn answer_dispute(&self, id: &str, answer: DisputeAnswer<'_>) -> DirectCall;
    /// Reads a list of disputes, or one.
    fn read_disputes(&self, status: u16, body: &Value) -> Option<Vec<DisputeReport>>;
    /// The settlement file of a day, `2026-11-21`.
    fn settlement(&self, date: &str) -> DirectCall;
    /// Reads it.
    fn read_settlement(&self, status: u16, bytes: &[u8]) -> Option<Settled>;
}

/// An id of the acquirer's that may become part of a later call.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// Text that is there.
fn some(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

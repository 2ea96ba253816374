//! Acquirers. A connector per dialect holds template, response parser and error map, and does no I/O; an
//! [`Acquirer`] is a connector, its configuration and the clients to call with.

mod json;
pub mod responses;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::Value;
use service::Client;
use service::client::Error as CallError;

use crate::config::{AcquirerConfig, Dialect, Fees, secret_from_file};

use crate::three_ds::carried::Credential;
pub use responses::Decline;

/// What a connector puts into the template of an authorisation. The vault adds card, amount, currency and reference.
pub struct Authorise<'a> {
    pub merchant: &'a str,
    /// Capture at once.
    pub capture: bool,
    /// Whether the security code is still there to be sent.
    pub cvc: bool,
    /// Who initiates the payment with which stored credential, when the card is kept or was.
    pub credential: Option<&'a Credential>,
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
}

/// What issuer and scheme said along with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub response_code: Option<String>,
    pub authorization_code: Option<String>,
    pub network_transaction_id: Option<String>,
    pub cvc_result: Option<String>,
    pub avs_result: Option<String>,
}

/// A call about a payment that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Capture,
    Void,
    Refund,
}

/// How such a call ended, for certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Yes,
    /// A definite no, with the acquirer's code.
    No(String),
}

/// A direct call to the acquirer.
pub struct DirectCall {
    pub method: Method,
    /// Path and query, after the base URL.
    pub path: String,
    pub body: Option<Value>,
}

/// A dialect. `None` from a reader means that the answer is none: the outcome is unknown.
pub trait Connector: Send + Sync {
    /// The vault's operation and the body's template.
    fn authorise(&self, what: &Authorise<'_>) -> (&'static str, Value);
    /// Reads the answer to an authorisation.
    fn read_authorisation(&self, status: u16, body: &Value) -> Option<Payment>;
    /// Asks by our reference.
    fn inquiry(&self, reference: &str) -> DirectCall;
    /// The payments under the reference; an empty list is a definite "not known".
    fn read_inquiry(&self, status: u16, body: &Value) -> Option<Vec<Payment>>;
    /// Captures, voids or refunds.
    fn operation(&self, kind: Operation, payment: &str, amount: i64, reference: &str)
    -> DirectCall;
    /// Reads the answer to an operation.
    fn read_operation(&self, kind: Operation, status: u16, body: &Value) -> Option<Done>;
}

/// An acquirer that can be used.
pub struct Acquirer {
    config: AcquirerConfig,
    authorization: header::HeaderValue,
    client: Client,
    forward_client: Client,
    pub connector: Box<dyn Connector>,
}

impl Acquirer {
    /// From its entry in the acquirers file; reads its key.
    pub fn new(config: AcquirerConfig) -> anyhow::Result<Self> {
        let key = secret_from_file(&config.api_key_file)?;
        let mut authorization = header::HeaderValue::from_str(&format!("Bearer {key}"))?;
        authorization.set_sensitive(true);
        let (connect, total) = (
            Duration::from_millis(config.connect_ms),
            Duration::from_millis(config.total_ms),
        );
        let connector: Box<dyn Connector> = match config.dialect {
            Dialect::Json => Box::new(json::Json),
        };
        Ok(Self {
            client: Client::new(connect, total),
            forward_client: Client::new(connect, total),
            config,
            authorization,
            connector,
        })
    }

    /// What a capture costs the merchant.
    pub fn fees(&self) -> &Fees {
        &self.config.fees
    }

    pub fn name(&self) -> &str {
        &self.config.name
    }

    pub fn destination(&self) -> &str {
        &self.config.destination
    }

    pub fn settle_after_s(&self) -> i64 {
        self.config.settle_after_s
    }

    /// How long a send may take, rounded up to seconds.
    pub fn total_s(&self) -> i64 {
        (self.config.total_ms / 1000) as i64 + 1
    }

    /// The client for sends by the vault on this acquirer's time limits.
    pub fn forward_client(&self) -> &Client {
        &self.forward_client
    }

    /// Makes a direct call; status and JSON body of the answer.
    pub async fn call(&self, call: DirectCall) -> Result<(u16, Value), CallError> {
        let body = call.body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.config.base_url, call.path))
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| CallError::NotSent(error.to_string()))?;
        let response = self.client.send(request).await?;
        let body = serde_json::from_slice(response.body()).map_err(|_| {
            CallError::Unknown(format!("status {} without JSON", response.status()))
        })?;
        Ok((response.status().as_u16(), body))
    }
}

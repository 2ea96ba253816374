//! Errors in two voices: Stripe's shape for the client, the cause for the log. One enum for the whole program.
//!
//! No message repeats what was sent: a wrong parameter may be somebody's card number.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::http::browser;

/// A full queue has room again after about so long, seconds.
const QUEUE_RETRY_AFTER: i64 = 2;

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// The card was declined or could not be processed; Stripe's error object, with the intent in it. 402.
    #[error("card error")]
    Card(Value),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The vault cannot be used, or said something it should not have said.
    #[error("vault: {0}")]
    Vault(String),
    /// An acquirer did not answer; nothing is known to have changed there.
    #[error("no answer from the acquirer: {0}")]
    Acquirer(&'static str),
    /// Every acquirer was taken out by an operator.
    #[error("no acquirer can be used")]
    NoRoute,
    /// As many confirmations wait for a worker as may.
    #[error("the queue is full")]
    QueueFull,
    /// A payment that has to be converted cannot be; why.
    #[error("no exchange rate: {0}")]
    NoRate(&'static str),
    /// A fault of ours.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// A refusal in Stripe's words.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    intent: Option<Value>,
    retry_after: Option<i64>,
}

impl Refusal {
    /// `invalid_request_error`, 400.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::plain(message).code(code)
    }

    /// `invalid_request_error` without a code, 400.
    pub fn plain(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
            intent: None,
            retry_after: None,
        }
    }

    /// No object of this kind with this id, for this merchant and mode.
    pub fn no_such(object: &str) -> Self {
        Self::new("resource_missing", format!("No such {object}."))
    }

    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds the intent in its present state.
    pub fn intent(mut self, intent: Value) -> Self {
        self.intent = Some(intent);
        self
    }

    /// Seconds after which it may be tried again.
    pub fn retry_after(mut self, seconds: i64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// For an id in the path: 404.
    pub fn not_found(self) -> Self {
        self.status(StatusCode::NOT_FOUND)
    }

    fn body(&self) -> Value {
        let mut error = json!({ "type": self.kind, "message": self.message });
        for (name, value) in [("code", self.code), ("param", self.param.as_deref())] {
            if let Some(value) = value {
                error[name] = json!(value);
            }
        }
        if let Some(intent) = &self.intent {
            // A PaymentIntent or a SetupIntent: it says itself which.
            error[intent["object"].as_str().unwrap_or("payment_intent")] = intent.clone();
        }
        error
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl store::Retry for Error {
    fn may_retry(&self) -> bool {
        matches!(self, Self::Store(error) if error.may_retry())
    }
}

impl Error {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.status,
            Self::Card(_) => StatusCode::PAYMENT_REQUIRED,
            Self::Vault(_)
            | Self::NoRoute
            | Self::QueueFull
            | Self::NoRate(_)
            | Self::Acquirer(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The body that goes to the client.
    pub fn body(&self) -> Value {
        let error = match self {
            Self::Refused(refusal) => refusal.body(),
            Self::Card(error) => error.clone(),
            Self::Vault(_) => json!({
                "type": "api_error",
                "message": "The card vault cannot be reached just now. Nothing was charged by this call; \
                            try again with the same Idempotency-Key.",
            }),
            Self::Acquirer(_) => json!({
                "type": "api_error",
                "message": "The acquirer did not answer. What you sent is kept; try again with the same \
                            Idempotency-Key.",
            }),
            Self::NoRoute => json!({
                "type": "api_error",
                "message": "No acquirer can be used just now. Nothing was charged by this call; try again later with \
                            the same Idempotency-Key.",
            }),
            Self::QueueFull => json!({
                "type": "api_error",
                "message": "Too many confirmations are waiting just now. Nothing was charged by this call; try again \
                            later with the same Idempotency-Key, or without asking for an answer at once.",
            }),
            Self::NoRate(why) => json!({
                "type": "api_error",
                "code": "exchange_rate_unavailable",
                "message": format!("This currency cannot be converted into the settlement currency just now: {why}. \
                                    Nothing was sent to the bank by this call; try again later with the same \
                                    Idempotency-Key."),
            }),
            Self::Store(_) | Self::Internal(_) => json!({
                "type": "api_error",
                "message": "Something went wrong here; it has been logged under the request id. \
                            Try again with the same Idempotency-Key.",
            }),
        };
        json!({ "error": error })
    }
}

impl Error {
    /// As a browser may see it.
    #[must_use]
    pub fn reduced(self) -> Self {
        match self {
            Self::Card(error) => Self::Card(browser::reduce_error(error)),
            Self::Refused(mut refusal) => {
                refusal.intent = refusal.intent.take().map(browser::reduce);
                Self::Refused(refusal)
            }
            other => other,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            // Said by what is outside of this program.
            Self::NoRoute | Self::NoRate(_) | Self::QueueFull | Self::Acquirer(_) => {
                tracing::warn!(error = %self, "request failed")
            }
            _ if self.status().is_server_error() => {
                tracing::error!(error = %self, "request failed");
            }
            _ => {}
        }
        let mut response = (self.status(), axum::Json(self.body())).into_response();
        let retry_after = match &self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::QueueFull => Some(QUEUE_RETRY_AFTER),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

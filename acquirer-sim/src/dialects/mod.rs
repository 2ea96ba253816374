//! The dialects: each translates its wire format into the one [`book`](crate::book) and back.
//!
//! What they share: a body limit, guarded doors, and refusals that never repeat what came in.

mod form;
mod json;
mod xml;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use pan::Pan;
use serde_json::json;

use crate::Bank;
use crate::acquirer::Acquirer;

/// The largest request a bank reads.
const MAX_BODY: usize = 64 * 1024;

/// All dialects, each behind its acquirer's own credentials.
pub(crate) fn routes(bank: &Bank) -> Router {
    let guarded = |acquirer: Acquirer, routes: Router<Bank>| {
        let guard = (bank.clone(), acquirer);
        routes.layer(middleware::from_fn_with_state(guard, authenticate))
    };
    Router::new()
        .nest("/json/v1", guarded(Acquirer::Json, json::routes()))
        .nest("/form", guarded(Acquirer::Form, form::routes()))
        .nest("/xml", guarded(Acquirer::Xml, xml::routes()))
        .fallback(async || Problem::NO_SUCH_ROUTE)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(bank.clone())
}

/// The credentials that a request presents, in the manner of the acquirer.
fn presented(acquirer: Acquirer, headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    match acquirer {
        Acquirer::Json => text(header::AUTHORIZATION)?.strip_prefix("Bearer "),
        Acquirer::Form => text(header::AUTHORIZATION)?.strip_prefix("Basic "),
        Acquirer::Xml => text(HeaderName::from_static("x-merchant-key")),
    }
}

pub(crate) async fn authenticate(
    State((bank, acquirer)): State<(Bank, Acquirer)>,
    request: Request,
    next: Next,
) -> Response {
    let key = bank.0.keys.of(acquirer);
    let presented = presented(acquirer, request.headers());
    if presented.is_some_and(|text| key.is_some_and(|key| key.is(text))) {
        next.run(request).await
    } else {
        Problem::UNAUTHORISED.into_response()
    }
}

/// The digits, for the one fault that repeats them.
#[expect(
    clippy::disallowed_methods,
    reason = "the fault plays a bank that repeats the number, to prove that the vault masks it"
)]
fn number_of(number: &Pan) -> &str {
    number.expose()
}

/// A refusal: a stable code and a fixed sentence. By construction it cannot carry what came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    field: Option<&'static str>,
}

impl Problem {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
            field: None,
        }
    }

    pub(crate) const UNAUTHORISED: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "unauthorised",
        "Send the acquirer's key: JSON as `Authorization: Bearer KEY`, form as `Authorization: Basic KEY`, XML as \
         `X-Merchant-Key: KEY`.",
    );
    pub(crate) const NO_SUCH_ROUTE: Self = Self::new(
        StatusCode::NOT_FOUND,
        "no_such_route",
        "There is no such operation.",
    );
    pub(crate) const NO_SUCH_PAYMENT: Self = Self::new(
        StatusCode::NOT_FOUND,
        "no_such_payment",
        "There is no payment with this id.",
    );
    pub(crate) const NO_SUCH_DISPUTE: Self = Self::new(
        StatusCode::NOT_FOUND,
        "no_such_dispute",
        "There is no dispute with this id.",
    );
    pub(crate) const BATCH_OPEN: Self = Self::new(
        StatusCode::NOT_FOUND,
        "batch_open",
        "The day is not over: its batch closes at midnight UTC.",
    );
    pub(crate) const MALFORMED: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "malformed",
        "The body is not of the dialect's format.",
    );
    pub(crate) const WRONG_SHAPE: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "wrong_shape",
        "A field is missing or of the wrong type.",
    );
    pub(crate) const TOO_LARGE: Self = Self::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "The body is larger than 64 kB.",
    );
    pub(crate) const UNKNOWN_FAULT: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "unknown_fault",
        "X-Sim-Fault names no fault; see `POST /admin/faults` for the names.",
    );
    pub(crate) const OUTAGE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "outage",
        "The acquirer is not available.",
    );
    pub(crate) const INTERNAL: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong at the acquirer.",
    );

    /// A field that holds something it cannot.
    pub(crate) const fn field(name: &'static str) -> Self {
        Self {
            field: Some(name),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_field",
                "A field holds something that it cannot; `field` names it.",
            )
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the book failed");
        Self::INTERNAL
    }
}

impl store::Retry for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = self.field {
            error["field"] = field.into();
        }
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

//! The dialects: each translates its wire format into the one [`book`](crate::book) and back.
//!
//! What they share: the API key, a body limit, and refusals that never repeat what came in.

mod json;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;

use crate::Bank;

/// The largest request a bank reads.
const MAX_BODY: usize = 64 * 1024;

/// All dialects behind the API key.
pub(crate) fn routes(bank: &Bank) -> Router {
    Router::new()
        .nest("/json/v1", json::routes())
        .fallback(async || Problem::NO_SUCH_ROUTE)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(bank.clone(), authenticate))
        .with_state(bank.clone())
}

pub(crate) async fn authenticate(
    State(bank): State<Bank>,
    request: Request,
    next: Next,
) -> Response {
    let presented = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if presented.is_some_and(|key| bank.0.api_key.is(key)) {
        next.run(request).await
    } else {
        Problem::UNAUTHORISED.into_response()
    }
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
        "Send the API key as `Authorization: Bearer KEY`.",
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
    pub(crate) const MALFORMED_JSON: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "malformed_json",
        "The body is not JSON.",
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

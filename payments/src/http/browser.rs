//! Calls from a buyer's browser: a publishable key and the client secret open one intent (of either kind), on two routes,
//! and see a reduced object. CORS without credentials on those routes only.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use vault_api::keys::Kind;

use super::params::Params;
use crate::error::{Error, Refusal};
use crate::intents::object::client_secret;
use crate::seal::Seal;

/// What a browser sees of an intent: what the buyer knows anyhow.
const SHOWN: &[&str] = &[
    "id",
    "object",
    "amount",
    "automatic_payment_methods",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "client_secret",
    "confirmation_method",
    "created",
    "currency",
    "description",
    "last_payment_error",
    "last_setup_error",
    "livemode",
    "next_action",
    "payment_method",
    "payment_method_types",
    "processing",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "source",
    "status",
    "usage",
];

/// What a browser sees of an error.
const SHOWN_OF_ERROR: &[&str] = &[
    "type",
    "code",
    "decline_code",
    "message",
    "param",
    "payment_intent",
    "setup_intent",
];

/// Parameters that only the merchant's server may send.
const SERVER_ONLY: &[&str] = &["expand", "mandate_data", "off_session", "radar_options"];

/// Whether a browser may make this call: one of the two routes, with the client secret of the intent in the path. A
/// wrong secret is answered like an intent that does not exist, whatever key comes with it.
pub fn admit(
    seal: &Seal,
    kind: Kind,
    method: &Method,
    path: &str,
    params: &mut Params,
) -> Result<(), Error> {
    let is_browser = kind == Kind::Publishable;
    let Some((id, object)) = opened_by_secret(method, path) else {
        let message =
            "This API call cannot be made with a publishable API key. Please use a secret API key.";
        let refusal = Refusal::new("secret_key_required", message);
        return match is_browser {
            true => Err(refusal.status(StatusCode::UNAUTHORIZED).into()),
            false => Ok(()),
        };
    };
    let Some(given) = params.text("client_secret", 200)? else {
        return match is_browser {
            true => Err(params.missing("client_secret")),
            false => Ok(()),
        };
    };
    let server_only = SERVER_ONLY.iter().find(|name| params.has(name));
    if let Some(name) = server_only.filter(|_| is_browser) {
        let message = format!("The parameter {name} can only be sent with a secret API key.");
        let refusal = Refusal::new("secret_key_required", message);
        return Err(refusal.param(*name).into());
    }
    // Both sides are hashed under our key before they are compared: the time says nothing about the secret.
    let hashed = |secret: &str| seal.mac("compare", &[secret.as_bytes()]);
    if hashed(&given) == hashed(&client_secret(seal, id)) {
        return Ok(());
    }
    Err(Refusal::no_such(object).param("intent").not_found().into())
}

// The intent that a client secret opens on this route, and what it is called.
fn opened_by_secret<'a>(method: &Method, path: &'a str) -> Option<(&'a str, &'static str)> {
    let (rest, object) = match path.strip_prefix("/v1/setup_intents/") {
        Some(rest) => (rest, "setupintent"),
        None => (path.strip_prefix("/v1/payment_intents/")?, "payment_intent"),
    };
    match (method, rest.split_once('/')) {
        (&Method::GET, None) if !rest.is_empty() && rest != "search" => Some((rest, object)),
        (&Method::POST, Some((id, "confirm"))) => Some((id, object)),
        _ => None,
    }
}

/// The intent as a browser may see it.
pub fn reduce(mut intent: Value) -> Value {
    if let Some(fields) = intent.as_object_mut() {
        fields.retain(|name, _| SHOWN.contains(&name.as_str()));
    }
    for name in ["last_payment_error", "last_setup_error"] {
        if let Some(error) = intent.get_mut(name) {
            *error = reduce_error(error.take());
        }
    }
    intent
}

/// An error's object as a browser may see it.
pub fn reduce_error(mut error: Value) -> Value {
    if let Some(fields) = error.as_object_mut() {
        fields.retain(|name, _| SHOWN_OF_ERROR.contains(&name.as_str()));
    }
    for name in ["payment_intent", "setup_intent"] {
        if let Some(intent) = error.get_mut(name) {
            *intent = reduce(intent.take());
        }
    }
    error
}

/// Lets pages of any origin read the answers of the route it is laid on; what opens the intent is the client secret.
pub async fn cors(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("request-id, idempotent-replayed"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response
}

/// `OPTIONS`: what a page may send.
pub async fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, idempotency-key, stripe-version",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

//! A counterpart that speaks the payment API's wire format: it charges once per idempotency key, and answers by token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

/// The secret key that the shop presents.
pub const SECRET_KEY: &str = "sk_test_of_the_shop";

/// A call as it came.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its idempotency key.
    pub key: String,
    /// Its form fields.
    pub fields: HashMap<String, String>,
}

/// What the counterpart remembers.
#[derive(Default)]
pub struct Memory {
    /// Every call, in order.
    pub calls: Vec<Call>,
    /// Intents by idempotency key.
    pub intents: HashMap<String, Value>,
    /// Checkout sessions, in order.
    pub sessions: Vec<Value>,
    /// How many of the next answers are lost after the work is done.
    pub lose: usize,
    /// How many of the next calls are refused before any work is done.
    pub refuse: usize,
}

/// The counterpart; cheap to clone.
#[derive(Clone, Default)]
pub struct Gateway(Arc<Mutex<Memory>>);

impl Gateway {
    /// Looks at, or changes, what it remembers.
    pub fn with<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.0.lock().expect("no test panicked inside"))
    }

    /// The intent of an order's attempt.
    pub fn intent(&self, order: &str, attempt: i64) -> Value {
        let attempt = attempt.to_string();
        let is = |intent: &&Value| {
            intent["metadata"]["order_id"] == order
                && intent["metadata"]["attempt"] == attempt.as_str()
        };
        let found = self.with(|memory| memory.intents.values().find(is).cloned());
        found.expect("an intent")
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/payment_intents", post(create))
            .route("/v1/payment_intents/{id}", get(retrieve))
            .route("/v1/payment_intents/{id}/cancel", post(cancel))
            .route("/v1/checkout/sessions", post(create_session))
            .route("/v1/checkout/sessions/{id}", get(session))
            .route("/v1/checkout/sessions/{id}/expire", post(expire_session))
            .with_state(self.clone())
    }
}

async fn create(State(gateway): State<Gateway>, headers: HeaderMap, body: String) -> Response {
    assert_eq!(headers["authorization"], format!("Bearer {SECRET_KEY}"));
    let key = headers["idempotency-key"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let fields: HashMap<String, String> = body.split('&').map(field).collect();
    gateway.with(|memory| {
        memory.calls.push(Call {
            key: key.clone(),
            fields: fields.clone(),
        });
        if memory.refuse > 0 {
            memory.refuse -= 1;
            let error = json!({ "error": { "type": "rate_limit_error", "code": "rate_limit" } });
            return (StatusCode::TOO_MANY_REQUESTS, axum::Json(error)).into_response();
        }
        let number = memory.intents.len();
        let intent = memory
            .intents
            .entry(key)
            .or_insert_with(|| intent(number, &fields));
        if memory.lose > 0 {
            memory.lose -= 1;
            return (StatusCode::BAD_GATEWAY, "lost").into_response();
        }
        answer(intent)
    })
}

fn field(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').expect("name=value");
    (name.to_owned(), value.to_owned())
}

fn intent(number: usize, fields: &HashMap<String, String>) -> Value {
    let amount: i64 = fields["amount"].parse().expect("an amount");
    let token = fields["payment_method_data[card][token]"].as_str();
    let error = match token {
        "tok_declined" => decline("card_declined", "do_not_honor", "Your card was declined."),
        "tok_poor" => decline(
            "card_declined",
            "insufficient_funds",
            "Your card has insufficient funds.",
        ),
        "tok_expired" => decline("expired_card", "expired_card", "Your card has expired."),
        _ => Value::Null,
    };
    let status = match token {
        "tok_slow" => "processing",
        "tok_asks" => "requires_action",
        _ if error.is_null() => "succeeded",
        _ => "requires_payment_method",
    };
    let order = &fields["metadata[order_id]"];
    json!({
        "id": format!("pi_{number}_{}", &order[..8]),
        "object": "payment_intent",
        "amount": amount,
        "amount_received": if status == "succeeded" { amount } else { 0 },
        "currency": fields["currency"],
        "status": status,
        "client_secret": if status == "requires_action" {
            "pi_1_secret_2"
        } else {
            "a secret that no browser may see"
        },
        "last_payment_error": error,
        "metadata": { "order_id": order, "attempt": fields["metadata[attempt]"] },
    })
}

fn decline(code: &str, decline_code: &str, message: &str) -> Value {
    json!({ "type": "card_error", "code": code, "decline_code": decline_code, "message": message })
}

fn answer(intent: &Value) -> Response {
    let mut error = intent["last_payment_error"].clone();
    if error.is_null() {
        return axum::Json(intent.clone()).into_response();
    }
    error["payment_intent"] = intent.clone();
    let body = json!({ "error": error });
    (StatusCode::PAYMENT_REQUIRED, axum::Json(body)).into_response()
}

async fn cancel(State(gateway): State<Gateway>, Path(id): Path<String>) -> Response {
    gateway.with(|memory| {
        let found = memory.intents.values_mut().find(|i| i["id"] == id);
        let intent = found.expect("an intent");
        if intent["status"] != "requires_action" {
            let error = json!({ "error": { "type": "invalid_request_error" } });
            return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
        }
        intent["status"] = json!("canceled");
        axum::Json(intent.clone()).into_response()
    })
}

async fn retrieve(State(gateway): State<Gateway>, Path(id): Path<String>) -> Response {
    let found = gateway.with(|memory| memory.intents.values().find(|i| i["id"] == id).cloned());
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |intent| axum::Json(intent).into_response(),
    )
}

async fn create_session(State(gateway): State<Gateway>, body: String) -> Response {
    let fields: HashMap<String, String> = body.split('&').map(field).collect();
    let of = |name: &str| fields[&name.replace('[', "%5B").replace(']', "%5D")].clone();
    let of = |name: &str| fields.get(name).cloned().unwrap_or_else(|| of(name));
    gateway.with(|memory| {
        let number = memory.sessions.len();
        let amount: i64 = of("line_items[0][price_data][unit_amount]")
            .parse()
            .expect("an amount");
        let session = json!({
            "id": format!("cs_test_{number}"),
            "object": "checkout.session",
            "status": "open",
            "payment_status": "unpaid",
            "amount_total": amount,
            "currency": of("line_items[0][price_data][currency]"),
            "payment_intent": format!("pi_of_{number}"),
            "metadata": { "order_id": of("metadata[order_id]") },
            "url": format!("http://pay.example/c/pay/cs_test_{number}"),
        });
        memory.sessions.push(session.clone());
        axum::Json(session).into_response()
    })
}

async fn session(State(gateway): State<Gateway>, Path(id): Path<String>) -> Response {
    let found = gateway.with(|memory| memory.sessions.iter().find(|s| s["id"] == id).cloned());
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |session| axum::Json(session).into_response(),
    )
}

async fn expire_session(State(gateway): State<Gateway>, Path(id): Path<String>) -> Response {
    gateway.with(|memory| {
        let session = memory.sessions.iter_mut().find(|s| s["id"] == id);
        let session = session.expect("a session of this shop");
        if session["status"] != "open" {
            return StatusCode::BAD_REQUEST.into_response();
        }
        session["status"] = json!("expired");
        session["url"] = Value::Null;
        axum::Json(session.clone()).into_response()
    })
}

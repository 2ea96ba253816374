//! The payment API, in Stripe's wire format: two calls, one send each. Who repeats a call, and when, is decided by
//! [`attempts`](crate::attempts).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use service::Client;
use service::client::Error;

use crate::orders::Order;
use crate::{Secret, decline};

/// The time a create-and-confirm may take.
pub(crate) const TOTAL: Duration = Duration::from_secs(30);

/// The payment API.
pub(crate) struct Gateway {
    client: Client,
    base: String,
    key: Secret,
}

/// What a create-and-confirm asks for.
pub(crate) struct Create<'a> {
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    pub(crate) token: &'a str,
    pub(crate) order: &'a str,
    pub(crate) attempt: i64,
    pub(crate) idempotency_key: &'a str,
}

/// What is known after a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The intent was made; its status says how it stands.
    Intent(Intent),
    /// The bank said no.
    Declined {
        intent: Option<String>,
        reason: String,
        message: String,
    },
    /// The API refused the request; nothing was charged under this key.
    Refused { reason: String },
    /// This call did nothing. It says nothing about an earlier one with the same key.
    NotTaken,
    /// Nobody can tell.
    Unknown,
}

/// The part of a PaymentIntent that a shop needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) amount_received: i64,
    pub(crate) currency: String,
    pub(crate) order: Option<String>,
    pub(crate) attempt: Option<i64>,
    /// Reason and message of the last decline.
    pub(crate) failure: Option<(String, String)>,
    /// What the buyer's browser opens the intent with, when the bank asks the buyer something.
    pub(crate) client_secret: Option<String>,
}

impl Intent {
    /// Reads the object; none when it is not one.
    pub(crate) fn read(object: &Value) -> Option<Self> {
        let error = &object["last_payment_error"];
        Some(Self {
            id: id(&object["id"])?,
            status: object["status"].as_str()?.to_owned(),
            amount_received: object["amount_received"].as_i64().unwrap_or(0),
            currency: object["currency"].as_str()?.to_ascii_lowercase(),
            order: id(&object["metadata"]["order_id"]),
            attempt: object["metadata"]["attempt"]
                .as_str()
                .and_then(|n| n.parse().ok()),
            failure: error.is_object().then(|| failure(error)),
            client_secret: id(&object["client_secret"])
                .filter(|_| object["status"] == "requires_action"),
        })
    }
}

impl Intent {
    /// An intent that was paid, as a session tells of it.
    pub(crate) fn paid(id: &str, amount: i64, currency: &str) -> Self {
        Self {
            id: id.to_owned(),
            status: "succeeded".to_owned(),
            amount_received: amount,
            currency: currency.to_owned(),
            order: None,
            attempt: None,
            failure: None,
            client_secret: None,
        }
    }
}

/// The part of a Checkout Session that a shop needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) status: String,
    /// The hosted page, while it is open.
    pub(crate) url: Option<String>,
    pub(crate) intent: Option<String>,
    /// What was paid.
    pub(crate) paid: Option<i64>,
    pub(crate) currency: String,
    pub(crate) order: Option<String>,
}

impl Session {
    /// Reads the object; none when it is not one.
    pub(crate) fn read(object: &Value) -> Option<Self> {
        let paid = object["payment_status"] == "paid";
        Some(Self {
            id: id(&object["id"])?,
            status: object["status"].as_str()?.to_owned(),
            url: object["url"].as_str().map(str::to_owned),
            intent: id(&object["payment_intent"]),
            paid: object["amount_total"].as_i64().filter(|_| paid),
            currency: object["currency"].as_str()?.to_ascii_lowercase(),
            order: id(&object["metadata"]["order_id"]),
        })
    }
}

/// Reason and message of an error object.
fn failure(error: &Value) -> (String, String) {
    let code = error["decline_code"].as_str().or(error["code"].as_str());
    let message = error["message"].as_str().unwrap_or_default();
    (
        decline::reason(code.unwrap_or_default()),
        message.to_owned(),
    )
}

/// An id, which becomes a part of paths and of the database.
pub(crate) fn id(value: &Value) -> Option<String> {
    let fits = |text: &&str| {
        (1..=255).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    value.as_str().filter(fits).map(str::to_owned)
}

impl Gateway {
    pub(crate) fn new(base: &str, key: Secret) -> Self {
        Self {
            client: Client::new(Duration::from_secs(3), TOTAL),
            base: base.to_owned(),
            key,
        }
    }

    /// Creates and confirms a PaymentIntent.
    pub(crate) async fn create(&self, create: &Create<'_>) -> Answer {
        let body = form(&[
            ("amount", &create.amount.to_string()),
            ("currency", create.currency),
            ("confirm", "true"),
            ("payment_method_data[type]", "card"),
            ("payment_method_data[card][token]", create.token),
            ("metadata[order_id]", create.order),
            ("metadata[attempt]", &create.attempt.to_string()),
        ]);
        let request = Request::post(format!("{}/v1/payment_intents", self.base))
            .header("authorization", format!("Bearer {}", self.key.text()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("idempotency-key", create.idempotency_key)
            .body(Bytes::from(body));
        let Ok(request) = request else {
            return Answer::NotTaken;
        };
        match self.client.send(request).await {
            Ok(response) => read(&response),
            Err(Error::NotSent(why)) => {
                tracing::warn!(why, "the payment API was not reached");
                Answer::NotTaken
            }
            Err(Error::Unknown(why)) => {
                tracing::warn!(why, "the payment API did not answer");
                Answer::Unknown
            }
        }
    }

    /// Cancels an intent, whose buyer would not do what the bank asks.
    pub(crate) async fn cancel(&self, intent: &str) -> Answer {
        let request = Request::post(format!("{}/v1/payment_intents/{intent}/cancel", self.base))
            .header("authorization", format!("Bearer {}", self.key.text()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from_static(b"cancellation_reason=abandoned"));
        let Ok(request) = request else {
            return Answer::NotTaken;
        };
        match self.client.send(request).await {
            Ok(response) => read(&response),
            Err(_) => Answer::Unknown,
        }
    }

    /// Makes a Checkout Session for an order, with its price; none when that did not work out.
    pub(crate) async fn create_session(&self, order: &Order, shop: &str) -> Option<Session> {
        let success = format!(
            "{shop}/payment/success/{}?session_id={{CHECKOUT_SESSION_ID}}",
            order.id
        );
        let body = form(&[
            ("mode", "payment"),
            ("line_items[0][price_data][currency]", &order.currency),
            (
                "line_items[0][price_data][unit_amount]",
                &order.amount.to_string(),
            ),
            (
                "line_items[0][price_data][product_data][name]",
                &order.item_name,
            ),
            (
                "line_items[0][price_data][product_data][description]",
                &order.item_blurb,
            ),
            ("line_items[0][quantity]", "1"),
            ("success_url", &success),
            ("cancel_url", &format!("{shop}/checkout/{}", order.id)),
            ("client_reference_id", &order.id),
            ("metadata[order_id]", &order.id),
            ("payment_intent_data[metadata][order_id]", &order.id),
        ]);
        self.session_call("/v1/checkout/sessions", Some(body)).await
    }

    /// Asks how a session stands; none when that cannot be learnt now.
    pub(crate) async fn session(&self, session: &str) -> Option<Session> {
        let path = format!("/v1/checkout/sessions/{session}");
        self.session_call(&path, None).await
    }

    /// Ends a session that nobody is to pay; none when it was not ended by this.
    pub(crate) async fn expire_session(&self, session: &str) -> Option<Session> {
        let path = format!("/v1/checkout/sessions/{session}/expire");
        self.session_call(&path, Some(String::new())).await
    }

    async fn session_call(&self, path: &str, body: Option<String>) -> Option<Session> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key.text()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body.unwrap_or_default()))
            .ok()?;
        let response = self.client.send(request).await.ok()?;
        if response.status() != 200 {
            let status = response.status().as_u16();
            tracing::warn!(status, "a checkout session was not told");
            return None;
        }
        Session::read(&serde_json::from_slice(response.body()).ok()?)
    }

    /// Asks how an intent stands; none when that cannot be learnt now.
    pub(crate) async fn retrieve(&self, intent: &str) -> Option<Intent> {
        let request = Request::get(format!("{}/v1/payment_intents/{intent}", self.base))
            .header("authorization", format!("Bearer {}", self.key.text()))
            .body(Bytes::new())
            .ok()?;
        let response = self.client.send(request).await.ok()?;
        if response.status() != 200 {
            tracing::warn!(
                status = response.status().as_u16(),
                "an intent was not told"
            );
            return None;
        }
        Intent::read(&serde_json::from_slice(response.body()).ok()?)
    }
}

fn read(response: &Response<Bytes>) -> Answer {
    let status = response.status().as_u16();
    let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
        return Answer::Unknown;
    };
    let (reason, message) = failure(&body["error"]);
    match status {
        200 => Intent::read(&body).map_or(Answer::Unknown, Answer::Intent),
        402 => Answer::Declined {
            intent: id(&body["error"]["payment_intent"]["id"]),
            reason,
            message,
        },
        400 | 404 | 422 => {
            tracing::warn!(status, reason, "the payment API refused a request");
            Answer::Refused { reason }
        }
        401 | 403 | 429 => {
            tracing::warn!(status, reason, "the payment API did not take a request");
            Answer::NotTaken
        }
        // 409: the same key is at work elsewhere. 5xx: anything may have happened.
        _ => Answer::Unknown,
    }
}

// application/x-www-form-urlencoded; names are our own.
fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    fields.collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

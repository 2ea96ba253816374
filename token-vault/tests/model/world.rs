//! What the clients of one run share: the vault's addresses, the clock, what exists, and the history.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use harness::vault::Merchant;
use http::{Method, Request};
use serde_json::{Value, json};
use service::Client;

use crate::history::{Body, Event, Op, Outcome};

/// A vault sees a moved clock within 50 ms; this is on the safe side.
const CLOCK_SEEN: Duration = Duration::from_millis(200);

/// A caller gives up after this: longer than the vault waits for an acquirer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Ids that clients have seen, each with the merchant that owns it.
#[derive(Default)]
pub struct Seen {
    pub tokens: Vec<(String, usize)>,
    pub cards: Vec<(String, usize)>,
    /// With the amount it allows.
    pub grants: Vec<(String, usize, i64)>,
    /// With the call that sends it again.
    pub attempts: Vec<(Op, usize)>,
}

/// One run.
pub struct World {
    started: Instant,
    client: Client,
    /// Base URLs of the private listeners.
    pub vaults: Vec<String>,
    pub merchants: Vec<Merchant>,
    pub seen: Mutex<Seen>,
    clock: Mutex<Vec<(Instant, i64)>>,
    history: Mutex<Vec<Event>>,
}

impl World {
    pub fn new(vaults: Vec<String>, merchants: Vec<Merchant>) -> Self {
        Self {
            started: Instant::now(),
            client: Client::new(Duration::from_secs(1), PATIENCE),
            vaults,
            merchants,
            seen: Mutex::default(),
            clock: Mutex::new(vec![(Instant::now() - CLOCK_SEEN, 0)]),
            history: Mutex::default(),
        }
    }

    /// Notes that the clock is about to be moved to `seconds` ahead.
    pub fn clock_moves(&self, seconds: i64) {
        self.clock.lock().unwrap().push((Instant::now(), seconds));
    }

    /// The history so far.
    pub fn history(&self) -> Vec<Event> {
        self.history.lock().unwrap().clone()
    }

    // The least the vault's clock can show now, and the most.
    fn clock(&self) -> (i64, i64) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let (unix, clock) = (unix.as_secs() as i64, self.clock.lock().unwrap());
        let seen = clock.iter().filter(|(at, _)| at.elapsed() >= CLOCK_SEEN);
        let least = seen.map(|(_, offset)| *offset).max().unwrap_or(0);
        let most = clock.iter().map(|(_, offset)| *offset).max().unwrap_or(0);
        (unix + least, unix + most)
    }

    /// Makes a call as a merchant at one of the vaults, notes it and what it brought into being. None when nothing was
    /// sent.
    pub async fn call(&self, vault: usize, merchant: usize, op: Op) -> Option<Event> {
        let request = self.request(vault, merchant, &op);
        let (call, (clock_from, _)) = (self.micros(), self.clock());
        let outcome = match self.client.send(request).await {
            Err(service::client::Error::NotSent(_)) => return None,
            Err(service::client::Error::Unknown(_)) => Outcome::Unknown,
            Ok(answer) if answer.status().is_server_error() => Outcome::Unknown,
            Ok(answer) => Outcome::Answer {
                status: answer.status().as_u16(),
                text: String::from_utf8_lossy(answer.body()).into_owned(),
                replayed: answer.headers().contains_key("idempotent-replayed"),
            },
        };
        let event = Event {
            call,
            ret: self.micros(),
            clock_from,
            clock_to: self.clock().1,
            merchant,
            op,
            outcome,
        };
        self.note(&event);
        Some(event)
    }

    fn micros(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn note(&self, event: &Event) {
        self.history.lock().unwrap().push(event.clone());
        let mut seen = self.seen.lock().unwrap();
        if matches!(event.op, Op::Forward { .. })
            && !seen.attempts.iter().any(|(op, _)| *op == event.op)
        {
            seen.attempts.push((event.op.clone(), event.merchant));
        }
        if !event.ok() || event.replayed() {
            return;
        }
        match &event.op {
            Op::Create => {
                if let Some(id) = event.string("/id") {
                    seen.tokens.push((id, event.merchant));
                }
            }
            Op::Exchange { body, .. } => {
                if let Some(id) = event.string("/grant/id") {
                    seen.grants.push((id, event.merchant, body.amount));
                }
                if let Some(id) = event.string("/stored_card/id") {
                    seen.cards.push((id, event.merchant));
                }
            }
            _ => {}
        }
    }

    fn request(&self, vault: usize, merchant: usize, op: &Op) -> Request<Bytes> {
        let (method, path, body) = match op {
            Op::Create => (Method::POST, "/v1/tokens".to_owned(), card()),
            Op::Exchange { source, body, .. } => (
                Method::POST,
                "/v1/exchange".to_owned(),
                exchange(source, body),
            ),
            Op::Revoke { token } => (
                Method::POST,
                "/v1/tokens/revoke".to_owned(),
                json!({"token": token}),
            ),
            Op::Lookup { token } => (
                Method::POST,
                "/v1/tokens/lookup".to_owned(),
                json!({"token": token}),
            ),
            Op::ReadCard { card } => (Method::GET, format!("/v1/cards/{card}"), Value::Null),
            Op::DeleteCard { card } => (Method::DELETE, format!("/v1/cards/{card}"), Value::Null),
            Op::Forward {
                grant,
                attempt,
                amount,
            } => (
                Method::POST,
                "/v1/forward".to_owned(),
                forward(grant, attempt, *amount),
            ),
            Op::Close { attempt } => (
                Method::POST,
                "/v1/attempts/close".to_owned(),
                json!({"attempt": attempt}),
            ),
        };
        let key = match op {
            Op::Exchange { key, .. } => key.as_str(),
            _ => "-",
        };
        let credential = &self.merchants[merchant].restricted;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.vaults[vault]))
            .header("authorization", format!("Bearer {credential}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        request.body(body).unwrap()
    }
}

fn card() -> Value {
    json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}})
}

fn exchange(source: &str, body: &Body) -> Value {
    if body.storage {
        return json!({"source": source, "for": "storage"});
    }
    let mut json =
        json!({"source": source, "for": "payment", "amount": body.amount, "currency": "usd"});
    if body.save {
        json["store"] = json!("now");
    }
    if let Some(token) = &body.cvc_token {
        json["cvc_token"] = json!(token);
    }
    json
}

fn forward(grant: &str, attempt: &str, amount: i64) -> Value {
    json!({
        "attempt": attempt, "grant": grant, "destination": "bank", "operation": "authorise",
        "amount": amount, "currency": "usd", "reference": attempt,
        "body": {"card": {"number": "{{card.number}}", "exp_month": "{{card.exp_month}}",
                 "exp_year": "{{card.exp_year}}"}}
    })
}

//! The other side, over real HTTP: the vault's private listener and an acquirer speaking the JSON dialect. The bank
//! keeps its own book, and money is counted there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use vault_api::forward::{Close, Forward};
use vault_api::keys::{ApiKey, Kind, Lookup, Mode};
use vault_api::tokens::{Exchange, Purpose, TokenRef};
use vault_api::{Code, Grant, Token};

use crate::issuer::{self, Asked, ThreeDs};

/// What a card does when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    Approves,
    /// With this response code.
    Declines(&'static str),
    /// The acquirer charges it, and its answer is lost.
    AnswerLost,
    /// It is lost on the way, after bytes were sent: never charged.
    RequestLost,
    /// The vault could not connect.
    NotSent,
    /// The vault cannot connect to the first acquirer; the second approves.
    NotSentToFirst,
    /// The first acquirer answers that it has a fault; the second approves.
    FaultAtFirst,
    /// The vault sends it and dies before it answers; it has the outcome recorded.
    VaultHangs,
    /// The first acquirer answers when the test releases it; the second approves at once.
    HangsAtFirst,
    /// The issuer declines it until the buyer is authenticated, which goes like this.
    Wants(Asked),
    /// It approves, and the vault says that the number stands for this risk.
    Risky(&'static str),
    /// It approves, and the vault says that the money is available at once.
    AvailableAtOnce,
    /// It approves, and says this of the security code and of the address.
    Checks(&'static str, &'static str),
    /// It approves without; asked, the issuer answers like this.
    Offers(Asked),
}

/// What the vault says when it is asked about a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lookups {
    /// It has no such route.
    #[default]
    Absent,
    Answered,
    /// It never answers.
    Hang,
}

/// What the vault knows of a token.
struct TokenRow {
    used_by: Option<String>,
    grant: Grant,
    card: Card,
    stored: Option<String>,
}

/// A stored card of the vault.
struct StoredRow {
    card: Card,
    active: bool,
    /// Grants, by the key they were asked for with.
    grants: HashMap<String, Grant>,
}

#[derive(Default)]
pub struct Book {
    tokens: HashMap<String, TokenRow>,
    /// Grants, by their public half.
    grants: HashMap<String, Card>,
    stored: HashMap<String, StoredRow>,
    /// Stored cards that the approval of a grant makes active, by the grant's public half.
    pending: HashMap<String, String>,
    keys: HashMap<String, Value>,
    /// The vault's recorded attempts.
    attempts: HashMap<String, Value>,
    /// The acquirer's payments, by their id.
    pub payments: HashMap<String, Value>,
    /// The acquirer's operations, by our reference: kind, payment, amount.
    operations: HashMap<String, (String, String, i64)>,
    pub forwards: Vec<Value>,
    pub exchanges: usize,
    /// Answers that the next operations get instead of their own, after they are booked.
    pub operation_faults: Vec<StatusCode>,
    /// Operations are refused for good.
    pub refuse_operations: bool,
    /// Refunds are taken as pending.
    pub refunds_pending: bool,
    /// Refunds that came back: our reference, and why.
    pub returned: Vec<(String, &'static str)>,
    /// Inquiries are answered 500.
    pub inquiries_down: bool,
    /// References that were reversed, when the acquirer takes reversals at all.
    pub reversals: Option<Vec<String>>,
    /// Whether the vault lets payments look at tokens.
    pub lookups: Lookups,
    /// How many of the next exchanges are never answered, and not made.
    pub exchanges_lost: usize,
    /// Exchanges are answered 500.
    pub exchanges_down: bool,
    /// How many of the next forwards never reach the vault.
    pub forwards_lost: usize,
    /// What the vault answers as every card's fingerprint.
    pub fingerprint: Option<String>,
    /// Sends that hang at the first acquirer.
    pub hanging: usize,
    released: bool,
    /// The payment that a lost request would have made.
    lost: Option<Value>,
    pub inquiries: usize,
    /// The `traceparent` of calls that had one, by what was called.
    pub traces: Vec<(&'static str, String)>,
    pub three_ds: ThreeDs,
    /// What the acquirer lists as its disputes.
    pub disputes: Vec<Value>,
    /// Its settlement files, by day.
    pub settlements: HashMap<String, String>,
}

#[derive(Clone, Default)]
pub struct Bank(Arc<Mutex<Book>>);

impl Book {
    /// The request that was lost arrives after all.
    pub fn approve_what_was_lost(&mut self) {
        let payment = self.lost.take().expect("a lost request");
        let id = payment["id"].as_str().expect("an id").to_owned();
        self.payments.insert(id, payment);
    }
}

pub const SERVICE_KEY: &str = "svc_test_for_the_tests";
pub const ACQUIRER_KEY: &str = "acquirer-key";

impl Bank {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("not poisoned")
    }

    pub fn token(&self, card: Card) -> String {
        let token = Token::random();
        let row = TokenRow {
            used_by: None,
            grant: Grant::random(),
            card,
            stored: None,
        };
        let mut book = self.book();
        book.grants.insert(row.grant.public().to_owned(), card);
        book.tokens.insert(token.expose().to_owned(), row);
        token.expose().to_owned()
    }

    pub fn key(&self, merchant: &str, kind: Kind, mode: Mode) -> ApiKey {
        let key = ApiKey::random(kind, mode);
        let info = json!({
            "id": "key_1", "merchant": merchant, "merchant_name": "Shop", "mode": mode, "kind": kind, "scopes": [],
            "origins": if kind == Kind::Publishable { vec!["https://shop.example"] } else { vec![] },
        });
        self.book().keys.insert(key.sha256_hex(), info);
        key
    }

    /// What the acquirer has taken and given back, over all payments.
    pub fn taken(&self) -> (i64, i64) {
        let book = self.book();
        let sum = |field: &str| {
            book.payments
                .values()
                .filter_map(|payment| payment[field].as_i64())
                .sum()
        };
        (sum("captured_amount"), sum("refunded_amount"))
    }

    pub fn charges(&self) -> usize {
        self.book()
            .payments
            .values()
            .filter(|payment| payment["status"] != "declined" && payment["status"] != "voided")
            .count()
    }

    /// Lets everything go on that hangs.
    pub fn release(&self) {
        self.book().released = true;
    }

    pub async fn serve(&self) -> String {
        let router = Router::new()
            .route("/v1/keys/lookup", post(lookup))
            .route("/v1/tokens/lookup", post(lookup_token))
            .route("/v1/exchange", post(exchange))
            .route("/v1/forward", post(forward))
            .route("/v1/attempts/close", post(close))
            .route("/json/v1/payments", get(inquiry))
            .route("/json/v1/payments/{id}/{verb}", post(operation))
            .route("/json/v1/reversals", post(reversal))
            .route("/json/v1/disputes", get(disputes))
            .route("/json/v1/disputes/{id}/{verb}", post(answer_dispute))
            .route("/json/v1/returned_refunds", get(returned))
            .route("/json/v1/settlements/{day}", get(settlement))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

fn problem(code: Code) -> Response {
    let body = json!({
        "type": format!("urn:cardseal:problem:{}", code.as_str()), "title": code.title(), "status": code.status(),
        "code": code.as_str(), "request_id": "req_vault",
    });
    (
        StatusCode::from_u16(code.status()).expect("a status"),
        Json(body),
    )
        .into_response()
}

fn traced(bank: &Bank, call: &'static str, headers: &HeaderMap) {
    let told = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    if let Some(told) = told {
        bank.book().traces.push((call, told.to_owned()));
    }
}

fn from_payments(headers: &HeaderMap) -> bool {
    headers
        .get("authorization")
        .is_some_and(|value| *value == format!("Bearer {SERVICE_KEY}"))
}

async fn lookup(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Json(body): Json<Lookup>,
) -> Response {
    if !from_payments(&headers) {
        return problem(Code::Unauthenticated);
    }
    match bank.book().keys.get(&body.sha256) {
        Some(info) => Json(info.clone()).into_response(),
        None => problem(Code::NotFound),
    }
}

async fn lookup_token(State(bank): State<Bank>, Json(body): Json<TokenRef>) -> Response {
    let lookups = bank.book().lookups;
    match lookups {
        Lookups::Absent => StatusCode::NOT_FOUND.into_response(),
        Lookups::Hang => std::future::pending().await,
        Lookups::Answered => match bank.book().tokens.get(body.token.expose()) {
            None => problem(Code::NotFound),
            Some(row) => {
                let used = row.used_by.is_some();
                let status = if used { "exchanged" } else { "active" };
                Json(json!({ "id": "tok", "status": status, "card": shown(), "expires_at": 0 }))
                    .into_response()
            }
        },
    }
}

async fn exchange(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Json(body): Json<Exchange>,
) -> Response {
    traced(&bank, "exchange", &headers);
    let merchant = headers
        .get("cardseal-merchant")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let key = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    if !from_payments(&headers) || !merchant.starts_with("mer_") || key.is_empty() {
        return problem(Code::Unauthenticated);
    }
    if lost(&mut bank.book().exchanges_lost) {
        std::future::pending::<()>().await;
    }
    let mut book = bank.book();
    if book.exchanges_down {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    book.exchanges += 1;
    if body.source.starts_with("card_") {
        return exchange_stored(&mut book, &key, &body);
    }
    let book = &mut *book;
    let name = match alias(&body.source) {
        // Never used up: each exchange is of a token of its own.
        Some(card) => {
            let name = format!("{} {key}", body.source);
            let grant = Grant::random();
            if !book.tokens.contains_key(&name) {
                book.grants.insert(grant.public().to_owned(), card);
            }
            book.tokens.entry(name.clone()).or_insert(TokenRow {
                used_by: None,
                grant,
                card,
                stored: None,
            });
            name
        }
        None => body.source.clone(),
    };
    let Some(row) = book.tokens.get_mut(&name) else {
        return problem(Code::NotFound);
    };
    if row.used_by.get_or_insert_with(|| key.clone()) != &key {
        return problem(Code::TokenAlreadyUsed);
    }
    let storage = body.purpose == Purpose::Storage;
    let mut answer = json!({ "card": shown() });
    if let Some(fingerprint) = &book.fingerprint {
        answer["fingerprint"] = json!(fingerprint);
    }
    if let Card::Risky(risk) = row.card {
        answer["test_risk"] = json!(risk);
    }
    if row.card == Card::AvailableAtOnce {
        answer["test_available_at_once"] = json!(true);
    }
    if storage || body.store.is_some() {
        let id = row
            .stored
            .get_or_insert_with(|| vault_api::ids::new_id("card"));
        book.stored.entry(id.clone()).or_insert_with(|| StoredRow {
            card: row.card,
            active: storage,
            grants: HashMap::new(),
        });
        if !storage {
            book.pending
                .insert(row.grant.public().to_owned(), id.clone());
        }
        answer["stored_card"] = json!({
            "id": id, "object": "stored_card", "status": if storage { "active" } else { "pending" }, "card": shown(),
            "created": 0,
        });
    }
    if !storage {
        answer["grant"] = granted(&row.grant, &body, true);
    }
    Json(answer).into_response()
}

fn lost(left: &mut usize) -> bool {
    let is_lost = *left > 0;
    *left = left.saturating_sub(1);
    is_lost
}

/// The published test tokens.
fn alias(source: &str) -> Option<Card> {
    match source {
        "tok_visa" => Some(Card::Approves),
        "tok_chargeDeclined" => Some(Card::Declines("05")),
        _ => None,
    }
}

fn exchange_stored(book: &mut Book, key: &str, body: &Exchange) -> Response {
    let Some(row) = book.stored.get_mut(&body.source).filter(|row| row.active) else {
        return problem(Code::NotFound);
    };
    if body.purpose == Purpose::Storage || body.store.is_some() {
        return problem(Code::InvalidRequest);
    }
    let grant = row
        .grants
        .entry(key.to_owned())
        .or_insert_with(Grant::random);
    book.grants.insert(grant.public().to_owned(), row.card);
    // A stored card has no security code.
    Json(json!({ "card": shown(), "grant": granted(grant, body, false) })).into_response()
}

fn shown() -> Value {
    json!({ "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2040 })
}

fn granted(grant: &Grant, body: &Exchange, cvc: bool) -> Value {
    json!({
        "id": grant.expose(), "amount": body.amount, "currency": body.currency, "expires_at": 0,
        "authorisations_left": 3, "authentications_left": 3, "cvc": cvc,
    })
}

async fn forward(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Json(body): Json<Forward>,
) -> Response {
    traced(&bank, "forward", &headers);
    if !from_payments(&headers) {
        return problem(Code::Unauthenticated);
    }
    if lost(&mut bank.book().forwards_lost) {
        std::future::pending::<()>().await;
    }
    let (answer, hangs, at_first) = {
        let mut book = bank.book();
        if let Some(recorded) = book.attempts.get(&body.attempt) {
            return Json(recorded.clone()).into_response();
        }
        book.forwards.push(json!({
            "attempt": body.attempt, "body": body.body, "to": body.destination,
            "three_d_secure": body.three_d_secure,
        }));
        let card = book.grants[body.grant.public()];
        let answer = match card {
            Card::Wants(asked) | Card::Offers(asked) if body.destination == "directory" => {
                issuer::authenticate(&mut book.three_ds, asked, &body)
            }
            _ => send(&mut book, card, &body),
        };
        book.attempts.insert(body.attempt.clone(), answer.clone());
        let approved = ["captured", "authorised"].map(Value::from);
        if approved.contains(&answer["response"]["body"]["status"])
            && let Some(id) = book.pending.remove(body.grant.public())
            && let Some(row) = book.stored.get_mut(&id)
        {
            row.active = true;
        }
        let areq_hangs = card == Card::Wants(Asked::VaultHangs) && body.operation == "authenticate";
        let at_first = card == Card::HangsAtFirst && body.destination == "acquirer";
        (answer, card == Card::VaultHangs || areq_hangs, at_first)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    if at_first {
        bank.book().hanging += 1;
        while !bank.book().released {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        bank.book().hanging -= 1;
    }
    Json(answer).into_response()
}

fn send(book: &mut Book, card: Card, forward: &Forward) -> Value {
    let failed = |bytes_sent: &str, failure: &str| json!({ "attempt": forward.attempt, "bytes_sent": bytes_sent, "failure": failure });
    let charged = |status: &str, code: &str| {
        let captured = if status == "captured" {
            forward.amount
        } else {
            0
        };
        json!({
            "id": format!("pay_{}", forward.attempt), "reference": forward.reference, "status": status,
            "amount": forward.amount, "currency": forward.currency.to_ascii_uppercase(), "response_code": code,
            "auth_code": "123456", "network_transaction_id": "ntx1", "cvc_result": "M", "avs_result": "Y",
            "captured_amount": captured, "refunded_amount": 0,
        })
    };
    let status = if forward.body["capture"] == true {
        "captured"
    } else {
        "authorised"
    };
    let first = forward.destination == "acquirer";
    let payment = match card {
        Card::NotSentToFirst if first => return failed("none", "connect"),
        Card::FaultAtFirst if first => charged("declined", "96"),
        Card::NotSent => return failed("none", "connect"),
        Card::RequestLost => {
            book.lost = Some(charged(status, "00"));
            return failed("all", "timeout");
        }
        Card::Declines(code) => charged("declined", code),
        Card::Wants(_) if !book.three_ds.proves(forward) => charged("declined", "1A"),
        Card::Checks(cvc, avs) => {
            let mut payment = charged(status, "00");
            (payment["cvc_result"], payment["avs_result"]) = (json!(cvc), json!(avs));
            payment
        }
        _ => charged(status, "00"),
    };
    book.payments
        .insert(format!("pay_{}", forward.attempt), payment.clone());
    if card == Card::AnswerLost {
        return failed("all", "reset");
    }
    json!({
        "attempt": forward.attempt, "bytes_sent": "all", "cvc_sent": true,
        "response": { "status": 200, "body": payment },
    })
}

async fn close(State(bank): State<Bank>, Json(body): Json<Close>) -> Response {
    let closed = json!({ "attempt": body.attempt, "bytes_sent": "none", "failure": "closed" });
    let recorded = bank
        .book()
        .attempts
        .entry(body.attempt)
        .or_insert(closed)
        .clone();
    Json(recorded).into_response()
}

async fn inquiry(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut book = bank.book();
    book.inquiries += 1;
    let ours = headers
        .get("authorization")
        .is_some_and(|value| *value == format!("Bearer {ACQUIRER_KEY}"));
    if book.inquiries_down || !ours {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let found: Vec<&Value> = book
        .payments
        .values()
        .filter(|payment| payment["reference"] == query["reference"])
        .collect();
    Json(json!({ "payments": found })).into_response()
}

async fn disputes(State(bank): State<Bank>) -> Response {
    Json(json!({ "disputes": bank.book().disputes })).into_response()
}

// Evidence puts it under review; accepted, it is lost.
async fn answer_dispute(
    State(bank): State<Bank>,
    Path((id, verb)): Path<(String, String)>,
) -> Response {
    let mut book = bank.book();
    let dispute = book.disputes.iter_mut().find(|one| one["id"] == *id);
    let dispute = dispute.expect("a dispute");
    if verb == "evidence" {
        dispute["has_evidence"] = json!(true);
    }
    let status = if verb == "evidence" {
        "under_review"
    } else {
        "lost"
    };
    dispute["status"] = json!(status);
    Json(dispute.clone()).into_response()
}

async fn returned(State(bank): State<Bank>) -> Response {
    let book = bank.book();
    let list = book.returned.iter();
    let list = list.map(|(reference, code)| json!({ "reference": reference, "reason_code": code }));
    Json(json!({ "returned_refunds": list.collect::<Vec<_>>() })).into_response()
}

async fn settlement(State(bank): State<Bank>, Path(day): Path<String>) -> Response {
    match bank.book().settlements.get(&day) {
        Some(file) => file.clone().into_response(),
        None => {
            let body = json!({ "error": { "code": "batch_open" } });
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    }
}

async fn reversal(State(bank): State<Bank>, Json(body): Json<Value>) -> Response {
    let mut book = bank.book();
    let Some(reversals) = &mut book.reversals else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let reference = body["reference"].as_str().expect("a reference").to_owned();
    reversals.push(reference.clone());
    for payment in book.payments.values_mut() {
        if payment["reference"] == *reference {
            payment["status"] = json!("voided");
            payment["captured_amount"] = json!(0);
        }
    }
    Json(json!({ "reference": reference, "status": "reversed" })).into_response()
}

async fn operation(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Path((id, verb)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    traced(&bank, "operation", &headers);
    let reference = body["reference"].as_str().expect("a reference").to_owned();
    let mut book = bank.book();
    if book.refuse_operations {
        return Json(json!({ "id": id, "status": "declined", "response_code": "13" }))
            .into_response();
    }
    let amount = body["amount"].as_i64().unwrap_or(0);
    let known = book.operations.contains_key(&reference);
    let payment = book.payments.get_mut(&id).expect("a payment");
    let (field, status) = match verb.as_str() {
        "capture" => ("captured_amount", "captured"),
        "refunds" => ("refunded_amount", "refunded"),
        _ => ("voided_amount", "voided"),
    };
    if !known {
        payment[field] = json!(payment[field].as_i64().unwrap_or(0) + amount);
        book.operations
            .insert(reference, (verb.clone(), id.clone(), amount));
    }
    if let Some(fault) = book.operation_faults.pop() {
        return fault.into_response();
    }
    let pending = verb == "refunds" && book.refunds_pending;
    let status = if pending { "pending" } else { status };
    Json(json!({ "id": id, "status": status, "response_code": "00", "amount": amount }))
        .into_response()
}

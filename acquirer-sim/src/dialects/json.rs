//! The JSON dialect: `/json/v1/payments` and what follows a payment.

use axum::Json;
use axum::Router;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use card::{Brand, Month};
use pan::{CardData, Cvv, HolderName, Pan};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Problem;
use crate::Bank;
use crate::book::{self, CardFacts, Change, Names, NewPayment, Payment};
use crate::faults::{self, Kind, Operation};
use crate::issuer::{self, Decision};
use crate::three_ds::cards::{self, Wants};
use crate::three_ds::terms::Terms;

pub(crate) fn routes() -> Router<Bank> {
    Router::new()
        .route("/payments", post(pay).get(inquire))
        .route("/payments/{id}/capture", post(capture))
        .route("/payments/{id}/void", post(void))
        .route("/payments/{id}/refunds", post(refund))
}

/// A JSON body. serde_json's own errors quote the digits they choke on, so they stop here.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(body)
                if body.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Problem::TOO_LARGE
            }
            _ => Problem::MALFORMED_JSON,
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => Problem::WRONG_SHAPE,
                _ => Problem::MALFORMED_JSON,
            })
    }
}

#[derive(Deserialize)]
struct PaymentRequest {
    reference: String,
    amount: i64,
    currency: String,
    capture: bool,
    merchant: String,
    card: CardRequest,
    #[serde(flatten)]
    terms: Terms,
}

#[derive(Deserialize)]
struct CardRequest {
    number: SecretText,
    exp_month: Number,
    exp_year: Number,
    cvc: Option<SecretText>,
    name: Option<SecretText>,
}

/// Card text on its way into its type: wiped on drop, and without Debug or Serialize.
struct SecretText(Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A small number, given as a number or as its digits.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Int(u16),
    Digits(String),
}

impl Number {
    fn get(&self) -> Option<u16> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Digits(text) => text.parse().ok(),
        }
    }
}

async fn pay(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Body(request): Body<PaymentRequest>,
) -> Result<Response, Problem> {
    let (new, echo) = decided(&bank, request)?;
    let fault = bank.0.faults.take(Operation::Payment, &headers)?;
    let echo = fault.as_ref().filter(|f| f.kind == Kind::EchoPan).and(echo);
    let (now, metrics) = (bank.0.clock.now_ms(), bank.clone());
    let work = async move {
        let names = Names::new();
        let booked = bank
            .0
            .store
            .write(move |tx| book::pay(tx, &new, &names, now))
            .await;
        match booked.map_err(Problem::from) {
            Ok(payment) => {
                let code = payment.response_code.as_str();
                let labels = [("dialect", "json"), ("response_code", code)];
                metrics.0.metrics.count("acquirer_payments_total", &labels);
                answer_to_payment(&payment, echo).into_response()
            }
            Err(problem) => problem.into_response(),
        }
    };
    Ok(faults::under(fault.as_ref(), work).await)
}

// The issuer's decision on what was asked; the number itself only for the fault that echoes it.
fn decided(bank: &Bank, request: PaymentRequest) -> Result<(NewPayment, Option<Pan>), Problem> {
    let (reference, merchant) = (
        name_of(request.reference, "reference")?,
        name_of(request.merchant, "merchant")?,
    );
    let amount = amount_of(request.amount)?;
    let currency = request.currency.to_ascii_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(Problem::field("currency"));
    }
    if let Some(name) = request.terms.wrong_field() {
        return Err(Problem::field(name));
    }
    let (facts, decision, wants, number) = match card_of(request.card)? {
        Some(card) => {
            let facts = CardFacts {
                brand: card.number.brand().facts().id,
                last4: card.number.last4().to_owned(),
                hmac: Some(bank.0.card_key.hash(&card.number)),
            };
            let decision = issuer::decide(&card, Month::of_unix(bank.0.clock.now()));
            let (wants, _) = cards::of(&card.number);
            (facts, decision, wants, Some(card.number))
        }
        None => {
            let facts = CardFacts {
                brand: Brand::Unknown.facts().id,
                last4: String::new(),
                hmac: None,
            };
            (facts, Decision::no_such_card(), Wants::Nothing, None)
        }
    };
    let new = NewPayment {
        dialect: "json",
        reference,
        merchant,
        amount,
        currency,
        capture: request.capture,
        card: facts,
        decision,
        wants,
        terms: request.terms,
    };
    Ok((new, number))
}

// None for a number that no card has: the issuer declines it, as a bank does.
fn card_of(request: CardRequest) -> Result<Option<CardData>, Problem> {
    let month = request.exp_month.get().and_then(|n| u8::try_from(n).ok());
    let month = month.ok_or(Problem::field("card.exp_month"))?;
    let year = match request.exp_year.get() {
        Some(year @ 0..=99) => 2000 + year,
        Some(year @ 2000..=2099) => year,
        _ => return Err(Problem::field("card.exp_year")),
    };
    let expiry = Month::new(year, month).ok_or(Problem::field("card.exp_month"))?;
    let name = request.name.filter(|name| !name.0.trim().is_empty());
    let name = name.map(|name| HolderName::parse(&name.0)).transpose();
    let name = name.map_err(|_| Problem::field("card.name"))?;
    let Ok(number) = Pan::parse(&request.number.0) else {
        return Ok(None);
    };
    let cvc = request.cvc.filter(|cvc| !cvc.0.is_empty());
    let cvc = cvc
        .map(|cvc| Cvv::parse(&cvc.0, number.brand()))
        .transpose();
    Ok(Some(CardData {
        number,
        expiry,
        cvc: cvc.map_err(|_| Problem::field("card.cvc"))?,
        name,
        postal_code: None,
        country: None,
        network: None,
    }))
}

fn answer_to_payment(payment: &Payment, echo: Option<Pan>) -> Json<Value> {
    let mut answer = view(payment, &payment.first_status);
    if let Some(number) = echo {
        #[expect(
            clippy::disallowed_methods,
            reason = "the fault plays a bank that repeats the number, to prove that the vault masks it"
        )]
        let number = number.expose();
        answer["auth_code"] = number.into();
        answer["message"] = format!("card {number} accepted").into();
    }
    Json(answer)
}

fn view(payment: &Payment, status: &str) -> Value {
    json!({
        "id": payment.id,
        "reference": payment.reference,
        "status": status,
        "amount": payment.requested,
        "currency": payment.currency,
        "response_code": payment.response_code,
        "auth_code": payment.auth_code,
        "network_transaction_id": payment.network_transaction_id,
        "cvc_result": payment.cvc_result,
        "avs_result": payment.avs_result,
    })
}

#[derive(Deserialize)]
struct Inquiry {
    reference: String,
}

async fn inquire(
    State(bank): State<Bank>,
    headers: HeaderMap,
    query: Result<Query<Inquiry>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(inquiry) = query.map_err(|_| Problem::field("reference"))?;
    let reference = name_of(inquiry.reference, "reference")?;
    let fault = bank.0.faults.take(Operation::Inquiry, &headers)?;
    let work = async move {
        let found = bank
            .0
            .store
            .read(move |tx| book::by_reference(tx, &reference));
        match found.await.map_err(Problem::from) {
            Ok(found) => {
                let payments: Vec<Value> = found.iter().map(as_it_stands).collect();
                Json(json!({ "payments": payments })).into_response()
            }
            Err(problem) => problem.into_response(),
        }
    };
    Ok(faults::under(fault.as_ref(), work).await)
}

fn as_it_stands(payment: &Payment) -> Value {
    let mut view = view(payment, payment.status());
    view["captured_amount"] = payment.captured.into();
    view["refunded_amount"] = payment.refunded.into();
    view
}

#[derive(Deserialize)]
struct AmountRequest {
    amount: i64,
    reference: String,
}

#[derive(Deserialize)]
struct VoidRequest {
    reference: String,
}

async fn capture(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<AmountRequest>,
) -> Result<Response, Problem> {
    let change = Change::Capture(amount_of(request.amount)?);
    let fault = bank.0.faults.take(Operation::Capture, &headers)?;
    let work = changed(bank, id, change, name_of(request.reference, "reference")?);
    Ok(faults::under(fault.as_ref(), work).await)
}

async fn void(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<VoidRequest>,
) -> Result<Response, Problem> {
    let fault = bank.0.faults.take(Operation::Void, &headers)?;
    let work = changed(
        bank,
        id,
        Change::Void,
        name_of(request.reference, "reference")?,
    );
    Ok(faults::under(fault.as_ref(), work).await)
}

async fn refund(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<AmountRequest>,
) -> Result<Response, Problem> {
    let change = Change::Refund(amount_of(request.amount)?);
    let fault = bank.0.faults.take(Operation::Refund, &headers)?;
    let work = changed(bank, id, change, name_of(request.reference, "reference")?);
    Ok(faults::under(fault.as_ref(), work).await)
}

async fn changed(bank: Bank, id: String, change: Change, reference: String) -> Response {
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Problem::NO_SUCH_PAYMENT.into_response();
    }
    let (entry_id, now) = (book::new_entry_id(), bank.0.clock.now_ms());
    let booked = bank
        .0
        .store
        .write(move |tx| book::change(tx, &id, change, &reference, &entry_id, now))
        .await;
    match booked.map_err(Problem::from) {
        Ok(Some(entry)) => Json(json!({
            "id": entry.id,
            "payment": entry.payment,
            "reference": entry.reference,
            "status": entry.status,
            "response_code": entry.response_code,
            "amount": entry.amount,
            "currency": entry.currency,
        }))
        .into_response(),
        Ok(None) => Problem::NO_SUCH_PAYMENT.into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn amount_of(amount: i64) -> Result<i64, Problem> {
    // Twelve digits, as ISO 8583 field 4 has.
    if (1..=999_999_999_999).contains(&amount) {
        Ok(amount)
    } else {
        Err(Problem::field("amount"))
    }
}

// References and merchant names end up in the book, so a card number may not hide in them.
fn name_of(text: String, field: &'static str) -> Result<String, Problem> {
    let fits = (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic())
        && !card::filter::holds_card_number(&text);
    if fits {
        Ok(text)
    } else {
        Err(Problem::field(field))
    }
}

//! The JSON dialect: `/json/v1/payments` and what follows a payment. Money in smallest units, settlement as CSV.

use axum::Json;
use axum::Router;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use card::calendar::date;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Problem, number_of};
use crate::Bank;
use crate::acquirer::Acquirer;
use crate::book::disputes::{Answer, Dispute};
use crate::book::returns::Returned;
use crate::book::settlement::Batch;
use crate::book::{Change, Payment};
use crate::cards::{Address, CardText, SecretText};
use crate::desk::{Desk, Reply, Sale};
use crate::three_ds::terms::Terms;

pub(crate) fn routes() -> Router<Bank> {
    Router::new()
        .route("/payments", post(pay).get(inquire))
        .route("/payments/{id}/capture", post(capture))
        .route("/payments/{id}/void", post(void))
        .route("/payments/{id}/refunds", post(refund))
        .route("/reversals", post(reverse))
        .route("/returned_refunds", get(returned))
        .route("/disputes", get(disputes))
        .route("/disputes/{id}", get(dispute))
        .route("/disputes/{id}/evidence", post(evidence))
        .route("/disputes/{id}/accept", post(accept))
        .route("/settlements/{day}", get(settlement))
}

fn desk(bank: Bank, headers: HeaderMap) -> Desk {
    Desk {
        bank,
        acquirer: Acquirer::Json,
        headers,
        words,
    }
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
            _ => Problem::MALFORMED,
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => Problem::WRONG_SHAPE,
                _ => Problem::MALFORMED,
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
    #[serde(default)]
    billing: Address,
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
) -> Response {
    let sale = Sale {
        reference: request.reference,
        merchant: request.merchant,
        amount: request.amount,
        currency: request.currency,
        capture: request.capture,
        card: CardText {
            exp_month: request.card.exp_month.get(),
            exp_year: request.card.exp_year.get(),
            number: request.card.number,
            cvc: request.card.cvc,
            name: request.card.name,
        },
        address: request.billing,
        terms: request.terms,
    };
    desk(bank, headers).pay(Ok(sale)).await
}

#[derive(Deserialize)]
struct Referred {
    reference: String,
}

async fn inquire(
    State(bank): State<Bank>,
    headers: HeaderMap,
    query: Result<Query<Referred>, QueryRejection>,
) -> Response {
    let desk = desk(bank, headers);
    match query {
        Ok(Query(asked)) => desk.inquire(asked.reference).await,
        Err(_) => desk.refuse(Problem::field("reference")),
    }
}

#[derive(Deserialize)]
struct AmountRequest {
    amount: i64,
    reference: String,
}

async fn capture(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(asked): Body<AmountRequest>,
) -> Response {
    let change = Change::Capture(asked.amount);
    desk(bank, headers)
        .change(id, change, asked.reference)
        .await
}

async fn void(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(asked): Body<Referred>,
) -> Response {
    desk(bank, headers)
        .change(id, Change::Void, asked.reference)
        .await
}

async fn refund(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(asked): Body<AmountRequest>,
) -> Response {
    let change = Change::Refund(asked.amount);
    desk(bank, headers)
        .change(id, change, asked.reference)
        .await
}

async fn reverse(
    State(bank): State<Bank>,
    headers: HeaderMap,
    Body(asked): Body<Referred>,
) -> Response {
    desk(bank, headers).reverse(asked.reference).await
}

#[derive(Deserialize)]
struct Since {
    /// Milliseconds.
    #[serde(default)]
    since: i64,
}

async fn returned(
    State(bank): State<Bank>,
    headers: HeaderMap,
    query: Result<Query<Since>, QueryRejection>,
) -> Response {
    let desk = desk(bank, headers);
    match query {
        Ok(Query(asked)) => desk.returned(asked.since).await,
        Err(_) => desk.refuse(Problem::field("since")),
    }
}

async fn disputes(
    State(bank): State<Bank>,
    headers: HeaderMap,
    query: Result<Query<Since>, QueryRejection>,
) -> Response {
    let desk = desk(bank, headers);
    match query {
        Ok(Query(asked)) => desk.disputes(asked.since).await,
        Err(_) => desk.refuse(Problem::field("since")),
    }
}

async fn dispute(State(bank): State<Bank>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    desk(bank, headers).dispute(id, None).await
}

#[derive(Deserialize)]
struct Evidence {
    text: String,
}

async fn evidence(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(asked): Body<Evidence>,
) -> Response {
    let answer = Answer::Evidence(asked.text);
    desk(bank, headers).dispute(id, Some(answer)).await
}

async fn accept(State(bank): State<Bank>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    desk(bank, headers).dispute(id, Some(Answer::Accept)).await
}

async fn settlement(
    State(bank): State<Bank>,
    Path(day): Path<String>,
    headers: HeaderMap,
) -> Response {
    desk(bank, headers).settlement(&day).await
}

/// The bank's replies in JSON.
fn words(reply: Result<Reply, Problem>) -> Response {
    let reply = match reply {
        Ok(reply) => reply,
        Err(problem) => return problem.into_response(),
    };
    let body = match reply {
        Reply::Paid(payment, echo) => {
            let mut answer = view(&payment, &payment.first_status);
            if let Some(number) = echo {
                let number = number_of(&number);
                answer["auth_code"] = number.into();
                answer["message"] = format!("card {number} accepted").into();
            }
            answer
        }
        Reply::Found(payments, now) => {
            let found: Vec<Value> = payments.iter().map(|one| stands(one, now)).collect();
            json!({ "payments": found })
        }
        Reply::Changed(entry) => json!({
            "id": entry.id,
            "payment": entry.payment,
            "reference": entry.reference,
            "status": entry.status,
            "response_code": entry.response_code,
            "amount": entry.amount,
            "currency": entry.currency,
        }),
        Reply::Reversed(reversed) => json!({
            "reference": reversed.reference,
            "status": "reversed",
            "found": reversed.payment.is_some(),
            "amount": reversed.amount,
        }),
        Reply::Returned(refunds) => {
            json!({ "returned_refunds": refunds.iter().map(returned_view).collect::<Vec<_>>() })
        }
        Reply::Disputes(disputes) => {
            json!({ "disputes": disputes.iter().map(dispute_view).collect::<Vec<_>>() })
        }
        Reply::Dispute(dispute) => dispute_view(&dispute),
        Reply::Batch(batch) => {
            let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
            return (kind, csv(&batch)).into_response();
        }
    };
    Json(body).into_response()
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
        "merchant_advice_code": payment.advice(),
    })
}

fn stands(payment: &Payment, now: i64) -> Value {
    let mut view = view(payment, payment.status(now));
    view["captured_amount"] = payment.captured.into();
    view["refunded_amount"] = payment.refunded.into();
    view
}

fn returned_view(refund: &Returned) -> Value {
    json!({
        "reference": refund.reference,
        "payment": refund.payment,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason_code": refund.code,
        "returned_at": refund.at,
    })
}

fn dispute_view(dispute: &Dispute) -> Value {
    json!({
        "id": dispute.id,
        "payment": dispute.payment,
        "reference": dispute.reference,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "reason_code": dispute.reason,
        "stage": dispute.stage,
        "status": dispute.status,
        "due_at": dispute.due_at,
        "has_evidence": dispute.has_evidence,
        "created_at": dispute.created_at,
    })
}

fn csv(batch: &Batch) -> String {
    let mut out = String::from(
        "type,payment,payment_reference,reference,last4,currency,gross,fee,net,batch_date,value_date\n",
    );
    for line in &batch.lines {
        let fields = [
            line.kind.to_owned(),
            line.payment.clone(),
            line.payment_reference.clone(),
            line.reference.clone(),
            line.last4.clone(),
            line.currency.clone(),
            line.gross.to_string(),
            line.fee.to_string(),
            (line.gross - line.fee).to_string(),
            date(batch.day),
            date(batch.value_day()),
        ];
        // No field holds a comma: references are checked, the rest is the bank's own.
        out.push_str(&fields.map(|field| field.replace(',', " ")).join(","));
        out.push('\n');
    }
    out
}

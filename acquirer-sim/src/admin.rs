//! The admin listener: health, the book as JSON and as a page, totals, and the faults.

use std::fmt::Write as _;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use card::currency::decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use store::params;

use crate::Bank;
use crate::acquirer::Acquirer;
use crate::book::{self, Entry, Total, disputes};
use crate::dialects::Problem;
use crate::faults::Fault;
use crate::issuer::Stage;
use crate::three_ds::records;

/// How many entries are shown when no reference is asked for.
const SHOWN: i64 = 1000;
const SHOWN_ON_PAGE: i64 = 100;

pub(crate) fn routes(bank: &Bank) -> Router {
    let store = bank.0.store.clone();
    let ready = move || {
        let store = store.clone();
        async move {
            let alive = store.read(|tx| tx.first("select 1", params![])).await;
            alive
                .map(drop)
                .map_err(|_: store::Error| "the book cannot be read".to_owned())
        }
    };
    Router::new()
        .route("/", get(page))
        .route("/book.css", get(css))
        .route("/admin/book", get(book_entries))
        .route("/admin/payments", get(payments))
        .route("/admin/summary", get(summary))
        .route("/admin/disputes", post(open_dispute))
        .route("/admin/authentications", get(authentications))
        .route(
            "/admin/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .with_state(bank.clone())
        .merge(service::health::routes(bank.0.metrics.clone(), ready))
}

#[derive(Deserialize)]
struct BookQuery {
    reference: Option<String>,
}

async fn book_entries(
    State(bank): State<Bank>,
    query: Result<Query<BookQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|_| Problem::field("reference"))?;
    let asked = query.reference.as_deref().unwrap_or_default();
    if !asked.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::field("reference"));
    }
    let read = move |tx: &mut store::Tx<'_>| book::entries(tx, query.reference.as_deref(), SHOWN);
    let entries: Vec<Entry> = bank.0.store.read(read).await?;
    Ok(Json(json!({ "entries": entries })))
}

/// How payments stand, at every acquirer: those of a reference, or the last thousand.
async fn payments(
    State(bank): State<Bank>,
    query: Result<Query<BookQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|_| Problem::field("reference"))?;
    let now = bank.0.clock.now_ms();
    let read = move |tx: &mut store::Tx<'_>| {
        let mut all = Vec::new();
        for acquirer in Acquirer::ALL {
            let payments = match &query.reference {
                Some(reference) => book::by_reference(tx, acquirer, reference)?,
                None => book::latest(tx, acquirer, SHOWN)?,
            };
            for payment in payments {
                all.push(json!({
                    "acquirer": acquirer.name(), "id": payment.id, "reference": payment.reference,
                    "status": payment.status(now), "requested": payment.requested, "authorised": payment.authorised,
                    "captured": payment.captured, "refunded": payment.refunded, "currency": payment.currency,
                }));
            }
        }
        Ok::<_, store::Error>(all)
    };
    Ok(Json(json!({ "payments": bank.0.store.read(read).await? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenDispute {
    acquirer: Acquirer,
    payment: String,
    /// A question first; else the money is gone at once.
    #[serde(default)]
    inquiry: bool,
    #[serde(default = "fraud")]
    reason: String,
}

fn fraud() -> String {
    "10.4".to_owned()
}

/// The holder of a card disputes a payment.
async fn open_dispute(
    State(bank): State<Bank>,
    body: bytes::Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let asked: OpenDispute = serde_json::from_slice(&body).map_err(|_| Problem::WRONG_SHAPE)?;
    if !asked
        .reason
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'.')
    {
        return Err(Problem::field("reason"));
    }
    let now = bank.0.clock.now_ms();
    let write = move |tx: &mut store::Tx<'_>| -> Result<_, Problem> {
        let payment = book::by_id(tx, asked.acquirer, &asked.payment)?;
        let payment = payment.ok_or(Problem::NO_SUCH_PAYMENT)?;
        let stage = if asked.inquiry {
            Stage::Inquiry
        } else {
            Stage::Chargeback
        };
        let opened = disputes::open(tx, asked.acquirer, &payment, stage, &asked.reason, now)?;
        opened.ok_or(Problem::field("payment"))
    };
    let dispute = bank.0.store.write(write).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": dispute.id }))))
}

async fn summary(State(bank): State<Bank>) -> Result<Json<Value>, Problem> {
    let totals: Vec<Total> = bank.0.store.read(book::totals).await?;
    Ok(Json(json!({ "summary": totals })))
}

async fn authentications(State(bank): State<Bank>) -> Result<Json<Value>, Problem> {
    let read = |tx: &mut store::Tx<'_>| records::latest(tx, SHOWN_ON_PAGE);
    let authentications: Vec<Value> = bank.0.store.read(read).await?;
    Ok(Json(json!({ "authentications": authentications })))
}

async fn faults(State(bank): State<Bank>) -> Json<Value> {
    Json(json!({ "faults": bank.0.faults.list() }))
}

async fn add_fault(State(bank): State<Bank>, body: bytes::Bytes) -> Result<Response, Problem> {
    let fault: Fault = serde_json::from_slice(&body).map_err(|_| Problem::WRONG_SHAPE)?;
    if fault.times == 0 {
        return Err(Problem::field("times"));
    }
    if fault.share > 100 {
        return Err(Problem::field("share"));
    }
    bank.0.faults.add(fault);
    Ok((StatusCode::CREATED, faults(State(bank)).await).into_response())
}

async fn clear_faults(State(bank): State<Bank>) -> StatusCode {
    bank.0.faults.clear();
    StatusCode::NO_CONTENT
}

async fn css() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../assets/book.css"))
}

async fn page(State(bank): State<Bank>) -> Result<impl IntoResponse, Problem> {
    let read = |tx: &mut store::Tx<'_>| {
        Ok::<_, store::Error>((book::totals(tx)?, book::entries(tx, None, SHOWN_ON_PAGE)?))
    };
    let (totals, entries) = bank.0.store.read(read).await?;
    let now = bank.0.clock.now_ms();
    let faults = bank.0.faults.list();
    let mut body = String::from(PAGE_HEAD);
    body.push_str("<section class=totals aria-label=Totals>");
    for total in &totals {
        push_total(&mut body, total);
    }
    body.push_str("</section>");
    if !faults.is_empty() {
        body.push_str("<p class=faults role=status><strong>Faults to come:</strong> ");
        for fault in &faults {
            // A fixed word of the code.
            let kind = serde_json::to_value(fault.kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default();
            let _ = write!(body, "<code>{kind} × {}</code> ", fault.times);
        }
        body.push_str("</p>");
    }
    push_table(&mut body, &entries, now);
    body.push_str("</main>");
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let header = (HeaderName::from_static("content-security-policy"), policy);
    Ok(([header], Html(body)))
}

const PAGE_HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width, initial-scale=1\"><meta http-equiv=refresh content=5>\
<title>The book · acquirer-sim</title><link rel=stylesheet href=/book.css>\
<header><h1>The book</h1><p>What the acquirer has answered, newest first. Refreshed every five seconds.</p></header><main>";

fn push_total(body: &mut String, total: &Total) {
    let _ = write!(
        body,
        "<article class={status}><h2>{kind} · {status}</h2><p class=sum>{sum}</p><p>{count} {entries}</p></article>",
        status = total.status,
        kind = total.kind,
        sum = money(total.sum, &total.currency),
        count = total.count,
        entries = if total.count == 1 { "entry" } else { "entries" },
    );
}

fn push_table(body: &mut String, entries: &[Entry], now: i64) {
    if entries.is_empty() {
        body.push_str("<p class=empty>Nothing yet: the first payment will appear here.</p>");
        return;
    }
    body.push_str(
        "<div class=scroll tabindex=0 role=region aria-label=Entries><table><thead><tr><th>When<th>Kind<th>Status\
         <th class=n>Amount<th>Card<th>Code<th>Reference</thead><tbody>",
    );
    for entry in entries {
        let _ = write!(
            body,
            "<tr><td>{when}<td>{kind}<td><span class=\"status {status}\">{status}</span><td class=n>{amount}\
             <td>{brand} ···· {last4}<td>{code}<td><code>{reference}</code>",
            when = ago(now - entry.created),
            kind = entry.kind,
            status = entry.status,
            amount = money(entry.amount, &entry.currency),
            brand = entry.brand,
            last4 = entry.last4,
            code = entry.response_code,
            reference = escape(&entry.reference),
        );
    }
    body.push_str("</tbody></table></div>");
}

fn ago(ms: i64) -> String {
    match ms / 1000 {
        s @ ..60 => format!("{} s ago", s.max(0)),
        s @ 60..3600 => format!("{} min ago", s / 60),
        s @ 3600..86_400 => format!("{} h ago", s / 3600),
        s => format!("{} d ago", s / 86_400),
    }
}

fn money(amount: i64, currency: &str) -> String {
    let code = escape(&currency.to_uppercase());
    format!("{} {code}", decimal(amount, currency))
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

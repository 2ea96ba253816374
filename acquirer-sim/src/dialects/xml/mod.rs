//! The XML dialect: documents to one address, `POST /xml/service`, in the manner of Worldpay's. Money has an exponent
//! beside it, settlement is a file of fixed columns.
//!
//! | in `<paymentService merchantCode="..">` | asks for |
//! |---|---|
//! | `<submit><order orderCode captureDelay>` | a payment; `captureDelay` is `0` or `OFF` |
//! | `<modify><orderModification orderCode paymentId>` with `<capture>`, `<refund>` or `<cancel>` | what follows one |
//! | `<modify><orderReversal orderCode>` | reversal by reference |
//! | `<inquiry><orderInquiry orderCode>` | inquiry by reference |
//! | `<inquiry><disputesInquiry since>`, `<inquiry><disputeInquiry caseId>` | disputes |
//! | `<modify><disputeModification caseId>` with `<evidence>` or `<accept>` | an answer to one |
//! | `<inquiry><settlementInquiry date>` | the batch of a day |

mod document;

use card::calendar::date;
use std::fmt::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use card::currency::minor_units;
use quick_xml::escape::escape;

use super::{Problem, number_of};
use crate::Bank;
use crate::acquirer::Acquirer;
use crate::book::disputes::{Answer, Dispute};
use crate::book::settlement::Batch;
use crate::book::{Change, Payment};
use crate::cards::{Address, CardText};
use crate::desk::{Desk, Reply, Sale};
use crate::three_ds::terms::{Credential, Exemption, Presented, Terms};
use document::Element;

pub(crate) fn routes() -> Router<Bank> {
    Router::new().route("/service", post(service))
}

async fn service(State(bank): State<Bank>, headers: HeaderMap, body: Bytes) -> Response {
    let desk = Desk {
        bank,
        acquirer: Acquirer::Xml,
        headers,
        words,
    };
    let root = Element::parse(&body).filter(|root| root.name == "paymentService");
    let Some(root) = root else {
        return desk.refuse(Problem::MALFORMED);
    };
    let asked = root
        .first()
        .and_then(|verb| Some((verb.name.as_str(), verb.first()?)));
    let Some((verb, what)) = asked else {
        return desk.refuse(Problem::WRONG_SHAPE);
    };
    let of = |name: &str| what.attribute(name).to_owned();
    match (verb, what.name.as_str()) {
        ("submit", "order") => desk.pay(sale(&root, what)).await,
        ("modify", "orderModification") => match change(what) {
            Ok(change) => desk.change(of("paymentId"), change, of("orderCode")).await,
            Err(problem) => desk.refuse(problem),
        },
        ("modify", "orderReversal") => desk.reverse(of("orderCode")).await,
        ("inquiry", "orderInquiry") => desk.inquire(of("orderCode")).await,
        ("inquiry", "returnedRefundsInquiry") => {
            desk.returned(of("since").parse().unwrap_or(0)).await
        }
        ("inquiry", "disputesInquiry") => desk.disputes(of("since").parse().unwrap_or(0)).await,
        ("inquiry", "disputeInquiry") => desk.dispute(of("caseId"), None).await,
        ("modify", "disputeModification") => {
            let evidence = what.secret(&["evidence"]);
            let answer = match evidence {
                Some(text) => Answer::Evidence(text.0.as_str().to_owned()),
                None if what.at(&["accept"]).is_some() => Answer::Accept,
                None => return desk.refuse(Problem::WRONG_SHAPE),
            };
            desk.dispute(of("caseId"), Some(answer)).await
        }
        ("inquiry", "settlementInquiry") => desk.settlement(&of("date")).await,
        _ => desk.refuse(Problem::WRONG_SHAPE),
    }
}

fn amount(element: &Element) -> Result<(i64, String), Problem> {
    let amount = element.at(&["amount"]).ok_or(Problem::field("amount"))?;
    let currency = amount.attribute("currencyCode").to_ascii_lowercase();
    let value = amount.attribute("value").parse();
    Ok((value.map_err(|_| Problem::field("amount"))?, currency))
}

fn change(what: &Element) -> Result<Change, Problem> {
    let verb = what.first().ok_or(Problem::WRONG_SHAPE)?;
    match verb.name.as_str() {
        "cancel" => Ok(Change::Void),
        "capture" => Ok(Change::Capture(amount(verb)?.0)),
        "refund" => Ok(Change::Refund(amount(verb)?.0)),
        _ => Err(Problem::WRONG_SHAPE),
    }
}

fn sale(root: &Element, order: &Element) -> Result<Sale, Problem> {
    let (amount, currency) = amount(order)?;
    let card = order
        .at(&["paymentDetails", "card"])
        .ok_or(Problem::field("paymentDetails"))?;
    let expiry = card
        .at(&["expiryDate", "date"])
        .ok_or(Problem::field("expiryDate"))?;
    let address = order.at(&["shopper", "billingAddress"]);
    let line = |name: &str| {
        let text = address?.secret(&[name])?;
        Some(text.0.as_str().to_owned())
    };
    Ok(Sale {
        reference: order.attribute("orderCode").to_owned(),
        merchant: root.attribute("merchantCode").to_owned(),
        amount,
        currency,
        capture: order.attribute("captureDelay") == "0",
        card: CardText {
            number: card
                .secret(&["cardNumber"])
                .ok_or(Problem::field("cardNumber"))?,
            exp_month: expiry.attribute("month").parse().ok(),
            exp_year: expiry.attribute("year").parse().ok(),
            cvc: card.secret(&["cvc"]),
            name: card.secret(&["cardHolderName"]),
        },
        address: Address {
            line1: line("address1"),
            postal_code: line("postalCode"),
        },
        terms: terms(order)?,
    })
}

/// `<threeDSecure eci cavv dsTransactionId version/>` and
/// `<storedCredentials initiator usage schemeTransactionIdentifier/>` and `<exemption type/>`.
fn terms(order: &Element) -> Result<Terms, Problem> {
    let some = |element: Option<&Element>, name: &str| {
        let text = element?.attribute(name).to_owned();
        Some(text).filter(|text| !text.is_empty())
    };
    let values = order.at(&["threeDSecure"]);
    let stored = order.at(&["storedCredentials"]);
    Ok(Terms {
        three_d_secure: values.map(|_| Presented {
            eci: some(values, "eci"),
            cavv: some(values, "cavv"),
            ds_transaction_id: some(values, "dsTransactionId"),
            version: some(values, "version"),
        }),
        credential_on_file: Credential::of_words(
            some(stored, "initiator"),
            some(stored, "usage"),
            some(stored, "schemeTransactionIdentifier"),
        )?,
        sca_exemption: Exemption::of_word(some(order.at(&["exemption"]), "type"))?,
    })
}

/// The bank's replies as documents.
fn words(reply: Result<Reply, Problem>) -> Response {
    let reply = match reply {
        Ok(reply) => reply,
        Err(problem) => return refusal(problem),
    };
    let mut out = String::new();
    match reply {
        Reply::Paid(payment, echo) => {
            let echo = echo.as_ref().map(number_of);
            status(&mut out, &payment, &payment.first_status, echo);
        }
        Reply::Found(payments, _) if payments.is_empty() => {
            out.push_str(r#"<error code="5">Could not find payment for order</error>"#);
        }
        Reply::Found(payments, now) => {
            for payment in &payments {
                status(&mut out, payment, payment.status(now), None);
            }
        }
        Reply::Changed(entry) => {
            let received = match (entry.status.as_str(), entry.kind.as_str()) {
                ("declined", _) => "refused",
                ("pending", _) => "refundPending",
                (_, "capture") => "captureReceived",
                (_, "refund") => "refundReceived",
                _ => "cancelReceived",
            };
            let _ = write!(
                out,
                r#"<ok><{received} orderCode="{}" paymentId="{}" modificationId="{}" code="{}"/></ok>"#,
                escape(&entry.reference),
                entry.payment,
                entry.id,
                entry.response_code
            );
        }
        Reply::Reversed(reversed) => {
            let _ = write!(
                out,
                r#"<ok><reversalReceived orderCode="{}" found="{}"/></ok>"#,
                escape(&reversed.reference),
                reversed.payment.is_some()
            );
        }
        Reply::Returned(refunds) => {
            out.push_str("<returnedRefunds>");
            for refund in &refunds {
                let _ = write!(
                    out,
                    r#"<returnedRefund orderCode="{}" paymentId="{}" code="{}" returnedAt="{}"><amount value="{}" currencyCode="{}" exponent="{}"/></returnedRefund>"#,
                    escape(&refund.reference),
                    refund.payment,
                    refund.code,
                    refund.at,
                    refund.amount,
                    refund.currency.to_ascii_uppercase(),
                    minor_units(&refund.currency),
                );
            }
            out.push_str("</returnedRefunds>");
        }
        Reply::Disputes(disputes) => {
            out.push_str("<disputes>");
            disputes.iter().for_each(|one| dispute(&mut out, one));
            out.push_str("</disputes>");
        }
        Reply::Dispute(one) => {
            out.push_str("<disputes>");
            dispute(&mut out, &one);
            out.push_str("</disputes>");
        }
        Reply::Batch(batch) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            return (kind, columns(&batch)).into_response();
        }
    }
    document(&out)
}

fn document(reply: &str) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><paymentService version="1.4"><reply>{reply}</reply></paymentService>"#
    );
    (kind, text).into_response()
}

fn refusal(problem: Problem) -> Response {
    let code = match problem.code {
        "unauthorised" => 4,
        "no_such_payment" | "no_such_dispute" => 5,
        "batch_open" => 6,
        "outage" | "internal" => 1,
        _ => 2,
    };
    let field = problem.field.unwrap_or_default();
    let text = format!(
        r#"<error code="{code}" field="{field}">{}</error>"#,
        escape(problem.message)
    );
    let answer = document(&text);
    match code {
        1 | 4 => (problem.status, answer).into_response(),
        _ => answer,
    }
}

fn status(out: &mut String, payment: &Payment, status: &str, echo: Option<&str>) {
    let event = match status {
        "captured" => "CAPTURED",
        "authorised" => "AUTHORISED",
        "voided" => "CANCELLED",
        "expired" => "EXPIRED",
        _ => "REFUSED",
    };
    let cvc = match payment.cvc_result.as_str() {
        "M" => "APPROVED",
        "N" => "FAILED",
        "P" => "NOT SENT TO ACQUIRER",
        _ => "NOT CHECKED BY ACQUIRER",
    };
    let _ = write!(
        out,
        r#"<orderStatus orderCode="{}" paymentId="{}"><lastEvent>{event}</lastEvent><amount value="{}" currencyCode="{}" exponent="{}"/><iso8583ReturnCode code="{}" adviceCode="{}"/><cvcResultCode description="{cvc}"/><avsResultCode code="{}"/>"#,
        escape(&payment.reference),
        payment.id,
        payment.requested,
        payment.currency.to_ascii_uppercase(),
        minor_units(&payment.currency),
        payment.response_code,
        payment.advice().unwrap_or_default(),
        payment.avs_result,
    );
    if let Some(code) = echo.or(payment.auth_code.as_deref()) {
        let _ = write!(out, r#"<authorisationId id="{code}"/>"#);
    }
    if let Some(id) = &payment.network_transaction_id {
        let _ = write!(out, "<schemeReference>{id}</schemeReference>");
    }
    let _ = write!(
        out,
        r#"<balance captured="{}" refunded="{}"/></orderStatus>"#,
        payment.captured, payment.refunded
    );
}

fn dispute(out: &mut String, dispute: &Dispute) {
    let _ = write!(
        out,
        r#"<dispute caseId="{}" paymentId="{}" orderCode="{}" stage="{}" state="{}" reasonCode="{}" dueAt="{}" openedAt="{}" evidence="{}"><amount value="{}" currencyCode="{}" exponent="{}"/></dispute>"#,
        dispute.id,
        dispute.payment,
        escape(&dispute.reference),
        dispute.stage.to_ascii_uppercase(),
        dispute.status.to_ascii_uppercase(),
        dispute.reason,
        dispute.due_at,
        dispute.created_at,
        dispute.has_evidence,
        dispute.amount,
        dispute.currency.to_ascii_uppercase(),
        minor_units(&dispute.currency),
    );
}

/// Fixed columns, one record a line: header `H`, details `D`, trailer `T` with the count and the sums.
fn columns(batch: &Batch) -> String {
    let mut out = format!("H{}{}\n", date(batch.day), date(batch.value_day()));
    for line in &batch.lines {
        let kind = match line.kind {
            "capture" => "CAP",
            "refund" => "REF",
            "refund_return" => "RTN",
            "chargeback" => "CHB",
            _ => "REI",
        };
        let _ = writeln!(
            out,
            "D{kind}{:<40}{:<40}{:<40}{:<4}{:<3}{:>+15}{:>+15}",
            line.payment,
            line.payment_reference,
            line.reference,
            line.last4,
            line.currency.to_ascii_uppercase(),
            line.gross,
            line.fee,
        );
    }
    let _ = writeln!(out, "T{:>8}", batch.lines.len());
    out
}

//! The form dialect: names and values to one address, `POST /form/gateway`, in the manner of Payflow and other NVP
//! gateways. `TRXTYPE` says what is asked for. Money is decimal, settlement a CSV with semicolons.
//!
//! | `TRXTYPE` | asks for | with |
//! |---|---|---|
//! | `S`, `A` | sale, authorisation | `CUSTREF AMT CURRENCY VENDOR ACCT EXPDATE CVV2 NAME STREET ZIP`, and [terms](Form::terms) |
//! | `D`, `C`, `V` | capture, credit, void | `ORIGID CUSTREF`, and `AMT CURRENCY` but for a void |
//! | `I`, `R` | inquiry, reversal | `CUSTREF` |
//! | `QL`, `QG`, `QE`, `QA` | disputes: list, get, evidence, accept | `SINCE`; `CASEID`; `CASEID TEXT` |
//! | `B` | the batch of a day | `DATE` |

use card::calendar::date;
use std::fmt::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use card::currency::{decimal, parse_decimal};
use zeroize::Zeroizing;

use super::{Problem, number_of};
use crate::Bank;
use crate::acquirer::Acquirer;
use crate::book::disputes::{Answer, Dispute};
use crate::book::settlement::Batch;
use crate::book::{Change, Entry, Payment};
use crate::cards::{Address, CardText, SecretText};
use crate::desk::{Desk, Reply, Sale};
use crate::three_ds::terms::{Credential, Exemption, Presented, Terms};

pub(crate) fn routes() -> Router<Bank> {
    Router::new().route("/gateway", post(gateway))
}

async fn gateway(State(bank): State<Bank>, headers: HeaderMap, body: Bytes) -> Response {
    let desk = Desk {
        bank,
        acquirer: Acquirer::Form,
        headers,
        words,
    };
    let Some(mut form) = Form::parse(&body) else {
        return desk.refuse(Problem::MALFORMED);
    };
    let kind = form.text("TRXTYPE");
    match kind.as_str() {
        "S" | "A" => desk.pay(form.sale(kind == "S")).await,
        "D" | "C" | "V" => {
            let change = match (kind.as_str(), form.amount()) {
                ("V", _) => Change::Void,
                ("D", Some(amount)) => Change::Capture(amount),
                (_, Some(amount)) => Change::Refund(amount),
                (_, None) => return desk.refuse(Problem::field("AMT")),
            };
            let (payment, reference) = (form.text("ORIGID"), form.text("CUSTREF"));
            desk.change(payment, change, reference).await
        }
        "I" => desk.inquire(form.text("CUSTREF")).await,
        "R" => desk.reverse(form.text("CUSTREF")).await,
        "QL" => {
            let since = form.text("SINCE").parse().unwrap_or(0);
            desk.disputes(since).await
        }
        "CR" => {
            let since = form.text("SINCE").parse().unwrap_or(0);
            desk.returned(since).await
        }
        "QG" => desk.dispute(form.text("CASEID"), None).await,
        "QE" => {
            let answer = Answer::Evidence(form.text("TEXT"));
            desk.dispute(form.text("CASEID"), Some(answer)).await
        }
        "QA" => {
            desk.dispute(form.text("CASEID"), Some(Answer::Accept))
                .await
        }
        "B" => desk.settlement(&form.text("DATE")).await,
        _ => desk.refuse(Problem::field("TRXTYPE")),
    }
}

/// The fields of a request. Every value is treated as if it were a card's.
struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    fn parse(body: &[u8]) -> Option<Self> {
        std::str::from_utf8(body).ok()?;
        let fields = form_urlencoded::parse(body);
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
            .collect();
        fields
            .iter()
            .any(|(name, _)| name == "TRXTYPE")
            .then_some(Self(fields))
    }

    fn take(&mut self, name: &str) -> Option<SecretText> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(SecretText(self.0.swap_remove(at).1))
    }

    fn text(&mut self, name: &str) -> String {
        self.take(name)
            .map(|text| text.0.as_str().to_owned())
            .unwrap_or_default()
    }

    fn amount(&mut self) -> Option<i64> {
        let currency = self.text("CURRENCY").to_ascii_lowercase();
        parse_decimal(&self.text("AMT"), &currency)
    }

    fn sale(&mut self, capture: bool) -> Result<Sale, Problem> {
        let currency = self.text("CURRENCY").to_ascii_lowercase();
        let amount = parse_decimal(&self.text("AMT"), &currency).ok_or(Problem::field("AMT"))?;
        let expiry = self.take("EXPDATE").ok_or(Problem::field("EXPDATE"))?;
        // MMYY
        let part = |range: std::ops::Range<usize>| expiry.0.get(range)?.parse().ok();
        let (exp_month, exp_year) = match expiry.0.len() {
            4 => (part(0..2), part(2..4)),
            _ => (None, None),
        };
        Ok(Sale {
            reference: self.text("CUSTREF"),
            merchant: self.text("VENDOR"),
            amount,
            currency,
            capture,
            card: CardText {
                number: self.take("ACCT").ok_or(Problem::field("ACCT"))?,
                exp_month,
                exp_year,
                cvc: self.take("CVV2"),
                name: self.take("NAME"),
            },
            address: Address {
                line1: Some(self.text("STREET")),
                postal_code: Some(self.text("ZIP")),
            },
            terms: self.terms()?,
        })
    }
}

impl Form {
    /// `ECI CAVV DSTRANSID THREEDSVERSION`, `INITIATOR CREDENTIAL ORIGTRANSID` and `SCAEXEMPTION`.
    fn terms(&mut self) -> Result<Terms, Problem> {
        let mut some = |name: &str| Some(self.text(name)).filter(|text| !text.is_empty());
        let three_d_secure = Presented {
            eci: some("ECI"),
            cavv: some("CAVV"),
            ds_transaction_id: some("DSTRANSID"),
            version: some("THREEDSVERSION"),
        };
        let (initiator, credential) = (some("INITIATOR"), some("CREDENTIAL"));
        Ok(Terms {
            three_d_secure: three_d_secure.eci.is_some().then_some(three_d_secure),
            credential_on_file: Credential::of_words(initiator, credential, some("ORIGTRANSID"))?,
            sca_exemption: Exemption::of_word(some("SCAEXEMPTION"))?,
        })
    }
}

/// What `RESULT` says for an issuer's response code; `HOSTCODE` has the code itself.
fn result(code: &str) -> (&'static str, &'static str) {
    match code {
        "00" => ("0", "Approved"),
        "14" => ("23", "Invalid account number"),
        "54" => ("24", "Invalid expiration date"),
        "51" => ("50", "Insufficient funds available"),
        "61" => ("51", "Exceeds limit"),
        "82" => ("114", "Card Security Code mismatch"),
        "59" => ("125", "Declined by fraud service"),
        "91" | "96" => ("104", "Timeout waiting for processor response"),
        _ => ("12", "Declined"),
    }
}

/// The bank's replies as names and values.
fn words(reply: Result<Reply, Problem>) -> Response {
    let reply = match reply {
        Ok(reply) => reply,
        Err(problem) => return refusal(problem),
    };
    let mut out = Pairs::default();
    match reply {
        Reply::Paid(payment, echo) => {
            let (result, message) = result(&payment.response_code);
            out.put("RESULT", result);
            out.payment(&payment, &payment.first_status, "");
            match echo {
                Some(number) => {
                    let number = number_of(&number);
                    out.put("AUTHCODE", number);
                    out.put("RESPMSG", &format!("Approved {number}"));
                }
                None => out.put("RESPMSG", message),
            }
        }
        Reply::Found(payments, now) => {
            out.put("RESULT", "0");
            out.put("COUNT", &payments.len().to_string());
            for (i, payment) in payments.iter().enumerate() {
                out.payment(payment, payment.status(now), &i.to_string());
                let money = |amount| decimal(amount, &payment.currency);
                out.put(&format!("L_CAPTUREDAMT{i}"), &money(payment.captured));
                out.put(&format!("L_CREDITEDAMT{i}"), &money(payment.refunded));
            }
        }
        Reply::Changed(entry) => out.changed(&entry),
        Reply::Reversed(reversed) => {
            out.put("RESULT", "0");
            out.put("RESPMSG", "Reversed");
            out.put("CUSTREF", &reversed.reference);
            let found = if reversed.payment.is_some() { "Y" } else { "N" };
            out.put("ORIGFOUND", found);
        }
        Reply::Returned(refunds) => {
            out.put("RESULT", "0");
            out.put("COUNT", &refunds.len().to_string());
            for (i, refund) in refunds.iter().enumerate() {
                let mut put = |name: &str, value: &str| out.put(&format!("L_{name}{i}"), value);
                put("CUSTREF", &refund.reference);
                put("ORIGID", &refund.payment);
                put("AMT", &decimal(refund.amount, &refund.currency));
                put("CURRENCY", &refund.currency.to_ascii_uppercase());
                put("HOSTCODE", refund.code);
                put("RETURNED", &refund.at.to_string());
            }
        }
        Reply::Disputes(disputes) => {
            out.put("RESULT", "0");
            out.put("COUNT", &disputes.len().to_string());
            for (i, dispute) in disputes.iter().enumerate() {
                out.dispute(dispute, i);
            }
        }
        Reply::Dispute(dispute) => {
            out.put("RESULT", "0");
            out.put("COUNT", "1");
            out.dispute(&dispute, 0);
        }
        Reply::Batch(batch) => {
            let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
            return (kind, csv(&batch)).into_response();
        }
    }
    out.answer()
}

// A gateway of this kind answers 200 whatever it has to say; what it cannot do at all is a status.
fn refusal(problem: Problem) -> Response {
    let mut out = Pairs::default();
    let result = match problem.code {
        "unauthorised" => "1",
        "no_such_payment" | "no_such_dispute" => "19",
        "batch_open" => "40",
        "outage" | "internal" => "99",
        _ => "7",
    };
    out.put("RESULT", result);
    out.put("RESPMSG", problem.message);
    if let Some(field) = problem.field {
        out.put("FIELD", field);
    }
    let status = match result {
        "1" | "99" => problem.status,
        _ => StatusCode::OK,
    };
    (status, out.answer()).into_response()
}

/// An answer's fields so far.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn put(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    // With an index the names are those of a list.
    fn payment(&mut self, payment: &Payment, status: &str, index: &str) {
        let list = if index.is_empty() { "" } else { "L_" };
        let mut put = |name: &str, value: &str| self.put(&format!("{list}{name}{index}"), value);
        let status = match status {
            "captured" => "S",
            "authorised" => "A",
            "voided" => "V",
            "expired" => "E",
            _ => "D",
        };
        let cvv = match payment.cvc_result.as_str() {
            "M" => "Y",
            "N" => "N",
            _ => "X",
        };
        put("PNREF", &payment.id);
        put("CUSTREF", &payment.reference);
        put("STATUS", status);
        put("AMT", &decimal(payment.requested, &payment.currency));
        put("CURRENCY", &payment.currency.to_ascii_uppercase());
        put("HOSTCODE", &payment.response_code);
        put("CVV2MATCH", cvv);
        put("AVSCODE", &payment.avs_result);
        if let Some(advice) = payment.advice() {
            put("ADVICECODE", advice);
        }
        let of = [
            ("AUTHCODE", &payment.auth_code),
            ("TRANSID", &payment.network_transaction_id),
        ];
        for (name, value) in of {
            if let Some(value) = value {
                put(name, value);
            }
        }
    }

    fn changed(&mut self, entry: &Entry) {
        let (result, message) = result(&entry.response_code);
        self.put("RESULT", result);
        self.put("RESPMSG", message);
        self.put("PNREF", &entry.id);
        self.put("ORIGID", &entry.payment);
        self.put("CUSTREF", &entry.reference);
        self.put("HOSTCODE", &entry.response_code);
        if entry.status == "pending" {
            self.put("TRANSSTATE", "PENDING");
        }
        self.put("AMT", &decimal(entry.amount, &entry.currency));
    }

    fn dispute(&mut self, dispute: &Dispute, i: usize) {
        let mut put = |name: &str, value: &str| self.put(&format!("L_{name}{i}"), value);
        put("CASEID", &dispute.id);
        put("PNREF", &dispute.payment);
        put("CUSTREF", &dispute.reference);
        put("AMT", &decimal(dispute.amount, &dispute.currency));
        put("CURRENCY", &dispute.currency.to_ascii_uppercase());
        put("REASON", &dispute.reason);
        let stage = if dispute.stage == "inquiry" {
            "RR"
        } else {
            "CB"
        };
        put("STAGE", stage);
        let status = match dispute.status.as_str() {
            "needs_response" => "OPEN",
            "under_review" => "REVIEW",
            "won" => "WON",
            _ => "LOST",
        };
        put("CASESTATUS", status);
        put("DUE", &dispute.due_at.to_string());
        put("EVIDENCE", if dispute.has_evidence { "Y" } else { "N" });
        put("OPENED", &dispute.created_at.to_string());
    }

    fn answer(self) -> Response {
        let mut out = form_urlencoded::Serializer::new(String::new());
        out.extend_pairs(self.0);
        let kind = [(header::CONTENT_TYPE, "application/x-www-form-urlencoded")];
        (kind, out.finish()).into_response()
    }
}

fn csv(batch: &Batch) -> String {
    let mut out = String::from(
        "RECORD;PNREF;CUSTREF;REF;LAST4;CURRENCY;GROSS;COMMISSION;NET;BATCHDATE;VALUEDATE\r\n",
    );
    for line in &batch.lines {
        let money = |amount| decimal(amount, &line.currency);
        let kind = match line.kind {
            "capture" => "SALE",
            "refund" => "CREDIT",
            "refund_return" => "RETURN",
            "chargeback" => "CHBK",
            _ => "REPR",
        };
        let _ = write!(
            out,
            "{kind};{};{};{};{};{};{};{};{};{};{}\r\n",
            line.payment,
            line.payment_reference.replace(';', " "),
            line.reference.replace(';', " "),
            line.last4,
            line.currency.to_ascii_uppercase(),
            money(line.gross),
            money(line.fee),
            money(line.gross - line.fee),
            date(batch.day),
            date(batch.value_day()),
        );
    }
    out
}

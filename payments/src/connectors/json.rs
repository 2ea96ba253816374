//! The JSON dialect: `POST /json/v1/payments` with nested JSON bodies, Bearer key, money in smallest units, settlement
//! as CSV.

use bytes::Bytes;
use http::{HeaderName, Method, header};
use serde_json::{Value, json};

use super::reports::{
    Batch, DisputeAnswer, DisputeReport, Line, LineKind, ReturnedRefund, Settled, Standing,
};
use super::responses::decline;
use super::{Authorise, Connector, DirectCall, Done, Facts, Operation, Payment, Portion, Verdict};
use super::{is_id, some};

/// The dialect.
pub struct Json;

impl Connector for Json {
    fn credentials(&self) -> (HeaderName, &'static str) {
        (header::AUTHORIZATION, "Bearer ")
    }

    fn parse(&self, bytes: &[u8]) -> Option<Value> {
        serde_json::from_slice(bytes).ok()
    }

    fn authorise(&self, what: &Authorise<'_>) -> (&'static str, Value) {
        let mut card = json!({
            "number": "{{card.number}}",
            "exp_month": "{{card.exp_month}}",
            "exp_year": "{{card.exp_year}}",
        });
        if what.cvc {
            card["cvc"] = json!("{{card.cvc}}");
        }
        let mut body = json!({ "capture": what.capture, "merchant": what.merchant, "card": card });
        if let Some(credential) = what.credential {
            body["credential_on_file"] = json!(credential);
        }
        if let Some(exemption) = what.exemption {
            body["sca_exemption"] = json!(exemption.word());
        }
        if let Some(address) = what.address {
            body["billing"] = json!(address);
        }
        ("authorise", body)
    }

    fn read_authorisation(&self, status: u16, body: &Value) -> Option<Payment> {
        // A decline may come as 402; any other status is no answer about the payment.
        matches!(status, 200 | 201 | 402)
            .then(|| payment(body))
            .flatten()
    }

    fn inquiry(&self, reference: &str) -> DirectCall {
        // References are of our own making: letters, digits and `_`.
        get(format!("/json/v1/payments?reference={reference}"))
    }

    fn read_inquiry(&self, status: u16, body: &Value) -> Option<Vec<Payment>> {
        if status != 200 {
            return None;
        }
        body["payments"].as_array()?.iter().map(payment).collect()
    }

    fn operation(&self, kind: Operation, what: &Portion<'_>) -> DirectCall {
        let mut body = json!({ "reference": what.reference });
        let verb = match kind {
            Operation::Capture => "capture",
            Operation::Void => "void",
            Operation::Refund => "refunds",
        };
        if kind != Operation::Void {
            body["amount"] = json!(what.amount);
        }
        post(format!("/json/v1/payments/{}/{verb}", what.payment), &body)
    }

    fn read_operation(&self, kind: Operation, status: u16, body: &Value) -> Option<Done> {
        let code = || {
            body["response_code"]
                .as_str()
                .unwrap_or("unspecified")
                .to_owned()
        };
        let word = body["status"].as_str()?;
        let done: &[&str] = match kind {
            Operation::Capture => &["captured", "partially_captured", "succeeded"],
            Operation::Void => &["voided", "cancelled", "canceled", "succeeded"],
            Operation::Refund => &["refunded", "partially_refunded", "succeeded"],
        };
        match status {
            200 | 201 if done.contains(&word) => Some(Done::Yes),
            200..=202 if word == "pending" && kind == Operation::Refund => Some(Done::Pending),
            200 | 201 | 402 | 409 | 422 if matches!(word, "declined" | "failed" | "refused") => {
                Some(Done::No(code()))
            }
            _ => None,
        }
    }

    fn reversal(&self, reference: &str) -> DirectCall {
        let body = json!({ "reference": reference });
        post("/json/v1/reversals".to_owned(), &body)
    }

    fn read_reversal(&self, status: u16, body: &Value) -> bool {
        matches!(status, 200 | 201) && body["status"] == "reversed"
    }

    fn returned_refunds(&self, since: i64) -> DirectCall {
        get(format!("/json/v1/returned_refunds?since={since}"))
    }

    fn read_returned_refunds(&self, status: u16, body: &Value) -> Option<Vec<ReturnedRefund>> {
        let all = body["returned_refunds"].as_array();
        let read = |one: &Value| {
            Some(ReturnedRefund {
                reference: some(&one["reference"])?,
                code: some(&one["reason_code"])?,
            })
        };
        all.filter(|_| status == 200)?.iter().map(read).collect()
    }

    fn disputes(&self, since: i64) -> DirectCall {
        get(format!("/json/v1/disputes?since={since}"))
    }

    fn dispute(&self, id: &str) -> DirectCall {
        get(format!("/json/v1/disputes/{id}"))
    }

    fn answer_dispute(&self, id: &str, answer: DisputeAnswer<'_>) -> DirectCall {
        match answer {
            DisputeAnswer::Evidence(text) => post(
                format!("/json/v1/disputes/{id}/evidence"),
                &json!({ "text": text }),
            ),
            DisputeAnswer::Accept => post(format!("/json/v1/disputes/{id}/accept"), &json!({})),
        }
    }

    fn read_disputes(&self, status: u16, body: &Value) -> Option<Vec<DisputeReport>> {
        if status != 200 {
            return None;
        }
        match body["disputes"].as_array() {
            Some(all) => all.iter().map(dispute).collect(),
            None => dispute(body).map(|one| vec![one]),
        }
    }

    fn settlement(&self, date: &str) -> DirectCall {
        get(format!("/json/v1/settlements/{date}"))
    }

    fn read_settlement(&self, status: u16, bytes: &[u8]) -> Option<Settled> {
        if status == 404 {
            let body = self.parse(bytes)?;
            return (body["error"]["code"] == "batch_open").then_some(Settled::NotYet);
        }
        let text = std::str::from_utf8(bytes).ok().filter(|_| status == 200)?;
        let mut lines = text.lines();
        if !lines
            .next()?
            .starts_with("type,payment,payment_reference,reference,")
        {
            return None;
        }
        let lines = lines.map(line).collect::<Option<_>>()?;
        Some(Settled::File(Batch { lines }))
    }
}

fn get(path: String) -> DirectCall {
    DirectCall {
        method: Method::GET,
        path,
        body: None,
    }
}

fn post(path: String, body: &Value) -> DirectCall {
    DirectCall {
        method: Method::POST,
        path,
        body: Some(("application/json", Bytes::from(body.to_string()))),
    }
}

fn payment(body: &Value) -> Option<Payment> {
    let text = |name: &str| some(&body[name]);
    let response_code = text("response_code");
    let verdict = match body["status"].as_str()? {
        "captured" => Verdict::Captured,
        "authorised" => Verdict::Authorised,
        "voided" | "expired" => Verdict::Voided,
        "declined" => Verdict::Declined(decline(response_code.as_deref().unwrap_or("05"))),
        _ => return None,
    };
    // The id becomes a path of later calls.
    let id = text("id").filter(|id| is_id(id));
    if id.is_none() && !matches!(verdict, Verdict::Declined(_)) {
        return None;
    }
    Some(Payment {
        id,
        reference: text("reference"),
        amount: body["amount"].as_i64(),
        currency: text("currency").map(|currency| currency.to_ascii_lowercase()),
        verdict,
        facts: Facts {
            response_code,
            authorization_code: text("auth_code"),
            network_transaction_id: text("network_transaction_id"),
            cvc_result: text("cvc_result"),
            avs_result: text("avs_result"),
            advice_code: text("merchant_advice_code"),
        },
    })
}

fn dispute(body: &Value) -> Option<DisputeReport> {
    Some(DisputeReport {
        id: some(&body["id"]).filter(|id| is_id(id))?,
        payment: some(&body["payment"])?,
        amount: body["amount"].as_i64()?,
        currency: some(&body["currency"])?,
        reason: some(&body["reason_code"])?,
        inquiry: body["stage"] == "inquiry",
        standing: Standing::from_word(body["status"].as_str()?)?,
        due_at: body["due_at"].as_i64()?,
        has_evidence: body["has_evidence"].as_bool()?,
    })
}

fn line(text: &str) -> Option<Line> {
    let fields: Vec<&str> = text.split(',').collect();
    let [
        kind,
        payment,
        payment_reference,
        reference,
        _,
        currency,
        gross,
        fee,
        _,
        _,
        value_date,
    ] = fields[..]
    else {
        return None;
    };
    Some(Line {
        kind: match kind {
            "capture" => LineKind::Capture,
            "refund" => LineKind::Refund,
            "refund_return" => LineKind::RefundReturn,
            "chargeback" => LineKind::Chargeback,
            "reinstatement" => LineKind::Reinstatement,
            _ => return None,
        },
        payment: payment.to_owned(),
        payment_reference: payment_reference.to_owned(),
        reference: reference.to_owned(),
        currency: currency.to_owned(),
        gross: gross.parse().ok()?,
        fee: fee.parse().ok()?,
        value_date: value_date.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_names_the_code_only_when_it_is_there() {
        for cvc in [true, false] {
            let (operation, body) = Json.authorise(&Authorise {
                merchant: "mer_1",
                capture: true,
                cvc,
                credential: None,
                exemption: None,
                address: None,
            });
            assert_eq!(operation, "authorise");
            assert_eq!(body["card"].get("cvc").is_some(), cvc);
            assert_eq!(body["card"]["number"], "{{card.number}}");
        }
    }

    #[test]
    fn only_a_whole_answer_is_an_answer() {
        let good = json!({"id": "p1", "status": "captured", "response_code": "00", "amount": 5, "currency": "USD"});
        let payment = Json.read_authorisation(200, &good).expect("an answer");
        assert_eq!(
            (payment.verdict, payment.currency.as_deref()),
            (Verdict::Captured, Some("usd"))
        );
        for (status, body) in [
            (500, good.clone()),
            (200, json!({"id": "p1", "status": "pending"})),
            (200, json!({"status": "captured"})),
            (200, json!({"id": "../x", "status": "captured"})),
            (200, json!("captured")),
            (200, json!(null)),
        ] {
            assert_eq!(
                Json.read_authorisation(status, &body),
                None,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_inquiry_with_one_unreadable_payment_is_no_answer() {
        let known = json!({"payments": [{"id": "p1", "status": "captured"}]});
        assert_eq!(Json.read_inquiry(200, &known).map(|p| p.len()), Some(1));
        assert_eq!(
            Json.read_inquiry(200, &json!({"payments": []})),
            Some(vec![])
        );
        for (status, body) in [
            (200, json!({"payments": [{"id": "p1", "status": "odd"}]})),
            (200, json!({})),
            (404, json!({"payments": []})),
        ] {
            assert_eq!(Json.read_inquiry(status, &body), None, "{status} {body}");
        }
    }

    #[test]
    fn an_operation_is_refused_only_by_a_definite_no() {
        let read = |status, word| {
            Json.read_operation(
                Operation::Refund,
                status,
                &json!({"status": word, "response_code": "13"}),
            )
        };
        assert_eq!(read(200, "refunded"), Some(Done::Yes));
        assert_eq!(read(200, "declined"), Some(Done::No("13".into())));
        assert_eq!(read(500, "declined"), None);
        assert_eq!(read(200, "captured"), None);
        assert_eq!(read(404, "nothing"), None);
    }
}

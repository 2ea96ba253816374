//! The JSON dialect: `POST /json/v1/payments` with nested JSON bodies, Bearer key, our reference as idempotency key.

use http::Method;
use serde_json::{Value, json};

use super::responses::decline;
use super::{Authorise, Connector, DirectCall, Done, Facts, Operation, Payment, Verdict};

/// The dialect.
pub struct Json;

impl Connector for Json {
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
        let path = format!("/json/v1/payments?reference={reference}");
        DirectCall {
            method: Method::GET,
            path,
            body: None,
        }
    }

    fn read_inquiry(&self, status: u16, body: &Value) -> Option<Vec<Payment>> {
        if status != 200 {
            return None;
        }
        body["payments"].as_array()?.iter().map(payment).collect()
    }

    fn operation(
        &self,
        kind: Operation,
        payment: &str,
        amount: i64,
        reference: &str,
    ) -> DirectCall {
        let (verb, body) = match kind {
            Operation::Capture => (
                "capture",
                json!({ "amount": amount, "reference": reference }),
            ),
            Operation::Void => ("void", json!({ "reference": reference })),
            Operation::Refund => (
                "refunds",
                json!({ "amount": amount, "reference": reference }),
            ),
        };
        let path = format!("/json/v1/payments/{payment}/{verb}");
        DirectCall {
            method: Method::POST,
            path,
            body: Some(body),
        }
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
            200 | 201 | 402 | 409 | 422 if matches!(word, "declined" | "failed" | "refused") => {
                Some(Done::No(code()))
            }
            _ => None,
        }
    }
}

fn payment(body: &Value) -> Option<Payment> {
    let text = |name: &str| {
        body[name]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let response_code = text("response_code");
    let verdict = match body["status"].as_str()? {
        "captured" => Verdict::Captured,
        "authorised" => Verdict::Authorised,
        "declined" => Verdict::Declined(decline(response_code.as_deref().unwrap_or("05"))),
        _ => return None,
    };
    // The id becomes a path of later calls.
    let id = text("id").filter(|id| {
        id.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    });
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
        },
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

//! The XML dialect: documents to `POST /xml/service`, a merchant key header, money with an exponent, settlement in
//! fixed columns.

use bytes::Bytes;
use card::currency::minor_units;
use http::{HeaderName, Method};
use quick_xml::escape::escape;
use serde_json::{Value, json};

use super::reports::{
    Batch, DisputeAnswer, DisputeReport, Line, LineKind, ReturnedRefund, Settled, Standing,
};
use super::responses::decline;
use super::{Authorise, Connector, DirectCall, Done, Facts, Operation, Payment, Portion, Verdict};
use super::{is_id, some};

/// The dialect.
pub struct Xml;

impl Connector for Xml {
    fn credentials(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("x-merchant-key"), "")
    }

    fn parse(&self, bytes: &[u8]) -> Option<Value> {
        xml_tree::read(bytes)
    }

    fn authorise(&self, what: &Authorise<'_>) -> (&'static str, Value) {
        let mut card = json!({
            "cardNumber": "{{card.number}}",
            "expiryDate": { "date": {
                "@month": "{{card.exp_month}}",
                "@year": "{{card.exp_year}}",
            } },
        });
        if what.cvc {
            card["cvc"] = json!("{{card.cvc}}");
        }
        let mut order = json!({
            "@captureDelay": if what.capture { "0" } else { "OFF" },
            "paymentDetails": { "card": card },
        });
        if let Some(credential) = what.credential {
            order["storedCredentials"] = json!({
                "@initiator": credential.initiator,
                "@usage": credential.credential,
            });
            if let Some(id) = &credential.network_transaction_id {
                order["storedCredentials"]["@schemeTransactionIdentifier"] = json!(id);
            }
        }
        if let Some(exemption) = what.exemption {
            order["exemption"] = json!({ "@type": exemption.word() });
        }
        if let Some(address) = what.address {
            let mut billing = json!({});
            for (name, text) in [
                ("address1", &address.line1),
                ("postalCode", &address.postal_code),
            ] {
                if let Some(text) = text {
                    billing[name] = json!(text);
                }
            }
            order["shopper"] = json!({ "billingAddress": billing });
        }
        let body = json!({ "@merchantCode": what.merchant, "submit": { "order": order } });
        ("authorise", body)
    }

    fn read_authorisation(&self, status: u16, body: &Value) -> Option<Payment> {
        if status != 200 {
            return None;
        }
        payment(&body["reply"]["orderStatus"])
    }

    fn inquiry(&self, reference: &str) -> DirectCall {
        let order = escape(reference);
        post(&format!(
            r#"<inquiry><orderInquiry orderCode="{order}"/></inquiry>"#
        ))
    }

    fn read_inquiry(&self, status: u16, body: &Value) -> Option<Vec<Payment>> {
        let reply = &body["reply"];
        if status != 200 {
            return None;
        }
        if reply["error"]["@code"] == "5" {
            return Some(vec![]);
        }
        list(&reply["orderStatus"]).iter().map(payment).collect()
    }

    fn operation(&self, kind: Operation, what: &Portion<'_>) -> DirectCall {
        let amount = format!(
            r#"<amount value="{}" currencyCode="{}" exponent="{}"/>"#,
            what.amount,
            what.currency.to_ascii_uppercase(),
            minor_units(what.currency)
        );
        let verb = match kind {
            Operation::Capture => format!("<capture>{amount}</capture>"),
            Operation::Refund => format!("<refund>{amount}</refund>"),
            Operation::Void => "<cancel/>".to_owned(),
        };
        post(&format!(
            r#"<modify><orderModification orderCode="{}" paymentId="{}">{verb}</orderModification></modify>"#,
            escape(what.reference),
            escape(what.payment)
        ))
    }

    fn read_operation(&self, kind: Operation, status: u16, body: &Value) -> Option<Done> {
        if status != 200 {
            return None;
        }
        let ok = &body["reply"]["ok"];
        let received = match kind {
            Operation::Capture => "captureReceived",
            Operation::Void => "cancelReceived",
            Operation::Refund => "refundReceived",
        };
        if ok[received].is_object() {
            return Some(Done::Yes);
        }
        if ok["refundPending"].is_object() {
            return Some(Done::Pending);
        }
        let refused = ok["refused"].as_object()?;
        let code = refused.get("@code").and_then(some);
        Some(Done::No(code.unwrap_or_else(|| "unspecified".to_owned())))
    }

    fn reversal(&self, reference: &str) -> DirectCall {
        let order = escape(reference);
        post(&format!(
            r#"<modify><orderReversal orderCode="{order}"/></modify>"#
        ))
    }

    fn read_reversal(&self, status: u16, body: &Value) -> bool {
        status == 200 && body["reply"]["ok"]["reversalReceived"].is_object()
    }

    fn returned_refunds(&self, since: i64) -> DirectCall {
        post(&format!(
            r#"<inquiry><returnedRefundsInquiry since="{since}"/></inquiry>"#
        ))
    }

    fn read_returned_refunds(&self, status: u16, body: &Value) -> Option<Vec<ReturnedRefund>> {
        let reply = body["reply"].get("returnedRefunds");
        let read = |one: &Value| {
            Some(ReturnedRefund {
                reference: some(&one["@orderCode"])?,
                code: some(&one["@code"])?,
            })
        };
        let all = &reply.filter(|_| status == 200)?["returnedRefund"];
        list(all).iter().map(read).collect()
    }

    fn disputes(&self, since: i64) -> DirectCall {
        post(&format!(
            r#"<inquiry><disputesInquiry since="{since}"/></inquiry>"#
        ))
    }

    fn dispute(&self, id: &str) -> DirectCall {
        let id = escape(id);
        post(&format!(
            r#"<inquiry><disputeInquiry caseId="{id}"/></inquiry>"#
        ))
    }

    fn answer_dispute(&self, id: &str, answer: DisputeAnswer<'_>) -> DirectCall {
        let answer = match answer {
            DisputeAnswer::Evidence(text) => format!("<evidence>{}</evidence>", escape(text)),
            DisputeAnswer::Accept => "<accept/>".to_owned(),
        };
        let id = escape(id);
        post(&format!(
            r#"<modify><disputeModification caseId="{id}">{answer}</disputeModification></modify>"#
        ))
    }

    fn read_disputes(&self, status: u16, body: &Value) -> Option<Vec<DisputeReport>> {
        let disputes = body["reply"].get("disputes").filter(|_| status == 200)?;
        list(&disputes["dispute"]).iter().map(dispute).collect()
    }

    fn settlement(&self, date: &str) -> DirectCall {
        let date = escape(date);
        post(&format!(
            r#"<inquiry><settlementInquiry date="{date}"/></inquiry>"#
        ))
    }

    fn read_settlement(&self, status: u16, bytes: &[u8]) -> Option<Settled> {
        let text = std::str::from_utf8(bytes).ok().filter(|_| status == 200)?;
        let Some(header) = text.strip_prefix('H') else {
            let body = self.parse(bytes)?;
            return (body["reply"]["error"]["@code"] == "6").then_some(Settled::NotYet);
        };
        let value_date = header.get(10..20)?;
        let mut lines = Vec::new();
        for text in text.lines().skip(1) {
            match text.get(..1)? {
                "D" => lines.push(line(text, value_date)?),
                // The trailer's count tells a whole file from one that was cut.
                "T" => {
                    let count: usize = text[1..].trim().parse().ok()?;
                    return (count == lines.len()).then_some(Settled::File(Batch { lines }));
                }
                _ => return None,
            }
        }
        None
    }
}

fn post(what: &str) -> DirectCall {
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><paymentService version="1.4">{what}</paymentService>"#
    );
    DirectCall {
        method: Method::POST,
        path: "/xml/service".to_owned(),
        body: Some(("text/xml; charset=utf-8", Bytes::from(body))),
    }
}

/// One element, several, or none.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn money(element: &Value) -> Option<(i64, String)> {
    let amount = &element["amount"];
    let currency = some(&amount["@currencyCode"])?.to_ascii_lowercase();
    let exponent: usize = amount["@exponent"].as_str()?.parse().ok()?;
    // Another exponent than the currency's would be another amount.
    if exponent != minor_units(&currency) {
        return None;
    }
    Some((amount["@value"].as_str()?.parse().ok()?, currency))
}

fn payment(status: &Value) -> Option<Payment> {
    let response_code = some(&status["iso8583ReturnCode"]["@code"]);
    let verdict = match status["lastEvent"].as_str()? {
        "CAPTURED" => Verdict::Captured,
        "AUTHORISED" => Verdict::Authorised,
        "CANCELLED" | "EXPIRED" => Verdict::Voided,
        "REFUSED" => Verdict::Declined(decline(response_code.as_deref().unwrap_or("05"))),
        _ => return None,
    };
    let id = some(&status["@paymentId"]).filter(|id| is_id(id));
    if id.is_none() && !matches!(verdict, Verdict::Declined(_)) {
        return None;
    }
    let (amount, currency) = money(status)?;
    let cvc_result = some(&status["cvcResultCode"]["@description"]).map(|word| {
        match word.as_str() {
            "APPROVED" => "M",
            "FAILED" => "N",
            "NOT SENT TO ACQUIRER" => "P",
            _ => "U",
        }
        .to_owned()
    });
    Some(Payment {
        id,
        reference: some(&status["@orderCode"]),
        amount: Some(amount),
        currency: Some(currency),
        verdict,
        facts: Facts {
            response_code,
            authorization_code: some(&status["authorisationId"]["@id"]),
            network_transaction_id: some(&status["schemeReference"]),
            cvc_result,
            avs_result: some(&status["avsResultCode"]["@code"]),
            advice_code: some(&status["iso8583ReturnCode"]["@adviceCode"]),
        },
    })
}

fn dispute(body: &Value) -> Option<DisputeReport> {
    let (amount, currency) = money(body)?;
    Some(DisputeReport {
        id: some(&body["@caseId"]).filter(|id| is_id(id))?,
        payment: some(&body["@paymentId"])?,
        amount,
        currency,
        reason: some(&body["@reasonCode"])?,
        inquiry: body["@stage"] == "INQUIRY",
        standing: Standing::from_word(body["@state"].as_str()?)?,
        due_at: body["@dueAt"].as_str()?.parse().ok()?,
        has_evidence: body["@evidence"] == "true",
    })
}

/// `D`, kind 3, payment 40, payment reference 40, reference 40, last four 4, currency 3, gross 15, fee 15.
fn line(text: &str, value_date: &str) -> Option<Line> {
    let column = |from: usize, width: usize| Some(text.get(from..from + width)?.trim().to_owned());
    Some(Line {
        kind: match column(1, 3)?.as_str() {
            "CAP" => LineKind::Capture,
            "REF" => LineKind::Refund,
            "RTN" => LineKind::RefundReturn,
            "CHB" => LineKind::Chargeback,
            "REI" => LineKind::Reinstatement,
            _ => return None,
        },
        payment: column(4, 40)?,
        payment_reference: column(44, 40)?,
        reference: column(84, 40)?,
        currency: column(128, 3)?.to_ascii_lowercase(),
        gross: column(131, 15)?.parse().ok()?,
        fee: column(146, 15)?.parse().ok()?,
        value_date: value_date.to_owned(),
    })
}

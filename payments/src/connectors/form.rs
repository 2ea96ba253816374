//! The form dialect: names and values to `POST /form/gateway`, Basic credentials, money as decimals, settlement as a
//! CSV with semicolons. `RESULT` says what came of it, `HOSTCODE` what the issuer said.

use bytes::Bytes;
use card::currency::{decimal, parse_decimal};
use http::{HeaderName, Method, header};
use serde_json::{Map, Value, json};

use super::reports::{
    Batch, DisputeAnswer, DisputeReport, Line, LineKind, ReturnedRefund, Settled, Standing,
};
use super::responses::decline;
use super::{Authorise, Connector, DirectCall, Done, Facts, Operation, Payment, Portion, Verdict};
use super::{is_id, some};

/// The dialect.
pub struct Form;

impl Connector for Form {
    fn credentials(&self) -> (HeaderName, &'static str) {
        (header::AUTHORIZATION, "Basic ")
    }

    fn parse(&self, bytes: &[u8]) -> Option<Value> {
        fields_of(bytes)
    }

    fn authorise(&self, what: &Authorise<'_>) -> (&'static str, Value) {
        let mut body = json!({
            "TRXTYPE": if what.capture { "S" } else { "A" },
            "VENDOR": what.merchant,
            "ACCT": "{{card.number}}",
            "EXPDATE": "{{card.expiry.MMYY}}",
        });
        if what.cvc {
            body["CVV2"] = json!("{{card.cvc}}");
        }
        if let Some(credential) = what.credential {
            body["INITIATOR"] = json!(credential.initiator);
            body["CREDENTIAL"] = json!(credential.credential);
            body["ORIGTRANSID"] = json!(credential.network_transaction_id);
        }
        if let Some(exemption) = what.exemption {
            body["SCAEXEMPTION"] = json!(exemption.word());
        }
        if let Some(address) = what.address {
            for (name, text) in [("STREET", &address.line1), ("ZIP", &address.postal_code)] {
                if let Some(text) = text {
                    body[name] = json!(text);
                }
            }
        }
        ("authorise", body)
    }

    fn read_authorisation(&self, status: u16, body: &Value) -> Option<Payment> {
        if status != 200 || result(body)? == RESULT_REFUSED {
            return None;
        }
        payment(body, "", "")
    }

    fn inquiry(&self, reference: &str) -> DirectCall {
        post(&[("TRXTYPE", "I"), ("CUSTREF", reference)])
    }

    fn read_inquiry(&self, status: u16, body: &Value) -> Option<Vec<Payment>> {
        if status != 200 || result(body)? != 0 {
            return None;
        }
        let count: usize = body["COUNT"].as_str()?.parse().ok()?;
        (0..count)
            .map(|i| payment(body, "L_", &i.to_string()))
            .collect()
    }

    fn operation(&self, kind: Operation, what: &Portion<'_>) -> DirectCall {
        let verb = match kind {
            Operation::Capture => "D",
            Operation::Void => "V",
            Operation::Refund => "C",
        };
        let (amount, currency) = (
            decimal(what.amount, what.currency),
            what.currency.to_ascii_uppercase(),
        );
        let mut fields = vec![
            ("TRXTYPE", verb),
            ("ORIGID", what.payment),
            ("CUSTREF", what.reference),
        ];
        if kind != Operation::Void {
            fields.extend([("AMT", amount.as_str()), ("CURRENCY", currency.as_str())]);
        }
        post(&fields)
    }

    fn read_operation(&self, _: Operation, status: u16, body: &Value) -> Option<Done> {
        if status != 200 {
            return None;
        }
        match result(body)? {
            0 if body["TRANSSTATE"] == "PENDING" => Some(Done::Pending),
            0 => Some(Done::Yes),
            // The gateway's own troubles are no answer about the operation.
            RESULT_REFUSED | 99 | 104 => None,
            _ => Some(Done::No(
                some(&body["HOSTCODE"]).unwrap_or_else(|| "unspecified".to_owned()),
            )),
        }
    }

    fn reversal(&self, reference: &str) -> DirectCall {
        post(&[("TRXTYPE", "R"), ("CUSTREF", reference)])
    }

    fn read_reversal(&self, status: u16, body: &Value) -> bool {
        status == 200 && result(body) == Some(0)
    }

    fn returned_refunds(&self, since: i64) -> DirectCall {
        post(&[("TRXTYPE", "CR"), ("SINCE", &since.to_string())])
    }

    fn read_returned_refunds(&self, status: u16, body: &Value) -> Option<Vec<ReturnedRefund>> {
        if status != 200 || result(body)? != 0 {
            return None;
        }
        let count: usize = body["COUNT"].as_str()?.parse().ok()?;
        let read = |i: usize| {
            Some(ReturnedRefund {
                reference: some(&body[format!("L_CUSTREF{i}").as_str()])?,
                code: some(&body[format!("L_HOSTCODE{i}").as_str()])?,
            })
        };
        (0..count).map(read).collect()
    }

    fn disputes(&self, since: i64) -> DirectCall {
        post(&[("TRXTYPE", "QL"), ("SINCE", &since.to_string())])
    }

    fn dispute(&self, id: &str) -> DirectCall {
        post(&[("TRXTYPE", "QG"), ("CASEID", id)])
    }

    fn answer_dispute(&self, id: &str, answer: DisputeAnswer<'_>) -> DirectCall {
        match answer {
            DisputeAnswer::Evidence(text) => {
                post(&[("TRXTYPE", "QE"), ("CASEID", id), ("TEXT", text)])
            }
            DisputeAnswer::Accept => post(&[("TRXTYPE", "QA"), ("CASEID", id)]),
        }
    }

    fn read_disputes(&self, status: u16, body: &Value) -> Option<Vec<DisputeReport>> {
        if status != 200 || result(body)? != 0 {
            return None;
        }
        let count: usize = body["COUNT"].as_str()?.parse().ok()?;
        (0..count).map(|i| dispute(body, i)).collect()
    }

    fn settlement(&self, date: &str) -> DirectCall {
        post(&[("TRXTYPE", "B"), ("DATE", date)])
    }

    fn read_settlement(&self, status: u16, bytes: &[u8]) -> Option<Settled> {
        let text = std::str::from_utf8(bytes).ok().filter(|_| status == 200)?;
        let mut lines = text.lines();
        if !lines.next()?.starts_with("RECORD;PNREF;CUSTREF;REF;") {
            return (result(&self.parse(bytes)?)? == 40).then_some(Settled::NotYet);
        }
        let lines = lines.map(line).collect::<Option<_>>()?;
        Some(Settled::File(Batch { lines }))
    }
}

/// The request was malformed: nothing was asked of the issuer, and it is no answer about a payment either.
const RESULT_REFUSED: i64 = 7;

fn result(body: &Value) -> Option<i64> {
    body["RESULT"].as_str()?.parse().ok()
}

/// The issuer's code when the gateway does not pass it on.
fn code_of(result: i64) -> &'static str {
    match result {
        0 => "00",
        23 => "14",
        24 => "54",
        50 => "51",
        51 => "61",
        104 => "91",
        114 => "82",
        125 => "59",
        _ => "05",
    }
}

fn post(fields: &[(&str, &str)]) -> DirectCall {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    DirectCall {
        method: Method::POST,
        path: "/form/gateway".to_owned(),
        body: Some((
            "application/x-www-form-urlencoded",
            Bytes::from(body.finish()),
        )),
    }
}

fn payment(body: &Value, list: &str, index: &str) -> Option<Payment> {
    let text = |name: &str| some(&body[format!("{list}{name}{index}")]);
    let response_code = text("HOSTCODE").or_else(|| Some(code_of(result(body)?).to_owned()));
    let verdict = match text("STATUS")?.as_str() {
        "S" => Verdict::Captured,
        "A" => Verdict::Authorised,
        "V" | "E" => Verdict::Voided,
        "D" => Verdict::Declined(decline(response_code.as_deref().unwrap_or("05"))),
        _ => return None,
    };
    let id = text("PNREF").filter(|id| is_id(id));
    if id.is_none() && !matches!(verdict, Verdict::Declined(_)) {
        return None;
    }
    let currency = text("CURRENCY")?.to_ascii_lowercase();
    // An amount that cannot be read makes the answer none: it could be another's.
    let amount = parse_decimal(&text("AMT")?, &currency)?;
    let cvc_result = text("CVV2MATCH").map(|word| {
        match word.as_str() {
            "Y" => "M",
            "N" => "N",
            _ => "P",
        }
        .to_owned()
    });
    Some(Payment {
        id,
        reference: text("CUSTREF"),
        amount: Some(amount),
        currency: Some(currency),
        verdict,
        facts: Facts {
            response_code,
            authorization_code: text("AUTHCODE"),
            network_transaction_id: text("TRANSID"),
            cvc_result,
            avs_result: text("AVSCODE"),
            advice_code: text("ADVICECODE"),
        },
    })
}

fn dispute(body: &Value, i: usize) -> Option<DisputeReport> {
    let text = |name: &str| some(&body[format!("L_{name}{i}")]);
    let currency = text("CURRENCY")?.to_ascii_lowercase();
    Some(DisputeReport {
        id: text("CASEID").filter(|id| is_id(id))?,
        payment: text("PNREF")?,
        amount: parse_decimal(&text("AMT")?, &currency)?,
        currency,
        reason: text("REASON")?,
        inquiry: text("STAGE")? == "RR",
        standing: Standing::from_word(&text("CASESTATUS")?)?,
        due_at: text("DUE")?.parse().ok()?,
        has_evidence: text("EVIDENCE")? == "Y",
    })
}

fn line(text: &str) -> Option<Line> {
    let fields: Vec<&str> = text.split(';').collect();
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
    let currency = currency.to_ascii_lowercase();
    Some(Line {
        kind: match kind {
            "SALE" => LineKind::Capture,
            "CREDIT" => LineKind::Refund,
            "RETURN" => LineKind::RefundReturn,
            "CHBK" => LineKind::Chargeback,
            "REPR" => LineKind::Reinstatement,
            _ => return None,
        },
        payment: payment.to_owned(),
        payment_reference: payment_reference.to_owned(),
        reference: reference.to_owned(),
        gross: parse_decimal(gross, &currency)?,
        fee: parse_decimal(fee, &currency)?,
        currency,
        value_date: value_date.to_owned(),
    })
}

// `name=value&..` as the tree that the vault answers a forward with; bracket paths do not occur here.
fn fields_of(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    let name = text.split(['=', '&']).next().unwrap_or_default();
    if !text.contains('=') || name.is_empty() || name.contains(['<', '{', ' ', '\n']) {
        return None;
    }
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        // A field that comes twice makes the answer none: which one counts?
        if fields
            .insert(name.into_owned(), Value::from(value.into_owned()))
            .is_some()
        {
            return None;
        }
    }
    Some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_says_things_twice_says_nothing() {
        assert_eq!(fields_of(b"A=1&B=x+y"), Some(json!({"A": "1", "B": "x y"})));
        for bad in [
            &b"A=1&A=1"[..],
            b"",
            b"<a href='x=y'>",
            b"hello",
            b"{\"a\":\"=\"}",
        ] {
            assert_eq!(fields_of(bad), None);
        }
    }
}

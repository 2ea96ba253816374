//! The same payment in every dialect: taken once, captured in part, refunded, reversed; each with its own book.

use harness::{Http, shows_a_card};
use serde_json::{Value, json};

use crate::{API_KEY, FORM_KEY, World, XML_KEY, worlds};

/// A dialect as a caller speaks it; answers are reduced to words that all three share.
#[derive(Clone)]
pub struct Caller {
    pub name: &'static str,
    pub http: Http,
}

pub fn callers(world: &World) -> [Caller; 3] {
    let stranger = &world.stranger;
    [
        ("json", stranger.bearer(API_KEY)),
        (
            "form",
            stranger.with("authorization", &format!("Basic {FORM_KEY}")),
        ),
        ("xml", stranger.with("x-merchant-key", XML_KEY)),
    ]
    .map(|(name, http)| Caller { name, http })
}

impl Caller {
    pub async fn form(&self, fields: &[(&str, &str)]) -> String {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        self.http.post_text("/form/gateway", kind, &body).await.text
    }

    pub async fn xml(&self, what: &str) -> String {
        let body = format!(
            r#"<paymentService version="1.4" merchantCode="mer_1">{what}</paymentService>"#
        );
        let answer = self.http.post_text("/xml/service", "text/xml", &body);
        answer.await.text
    }

    /// Takes 20.00 USD; the payment's id and `captured`, `authorised` or `declined`.
    pub async fn pay(
        &self,
        reference: &str,
        number: &str,
        capture: bool,
    ) -> (String, &'static str) {
        self.pay_with(reference, number, capture, "").await
    }

    /// The same, asking the issuer to do without an authentication.
    async fn pay_with(
        &self,
        reference: &str,
        number: &str,
        capture: bool,
        exemption: &str,
    ) -> (String, &'static str) {
        let text = match self.name {
            "json" => {
                let mut body = json!({
                    "reference": reference, "amount": 2000, "currency": "usd", "capture": capture, "merchant": "mer_1",
                    "card": { "number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123" },
                });
                if !exemption.is_empty() {
                    body["sca_exemption"] = json!(exemption);
                }
                self.http.post("/json/v1/payments", &body).await.text
            }
            "form" => {
                let kind = if capture { "S" } else { "A" };
                let fields = [
                    ("TRXTYPE", kind),
                    ("CUSTREF", reference),
                    ("AMT", "20.00"),
                    ("CURRENCY", "USD"),
                    ("VENDOR", "mer_1"),
                    ("ACCT", number),
                    ("EXPDATE", "1234"),
                    ("CVV2", "123"),
                    ("SCAEXEMPTION", exemption),
                ];
                self.form(&fields).await
            }
            _ => {
                let delay = if capture { "0" } else { "OFF" };
                let order = format!(
                    r#"<submit><order orderCode="{reference}" captureDelay="{delay}"><amount value="2000" currencyCode="USD" exponent="2"/><paymentDetails><card><cardNumber>{number}</cardNumber><expiryDate><date month="12" year="2034"/></expiryDate><cvc>123</cvc></card></paymentDetails><exemption type="{exemption}"/></order></submit>"#
                );
                self.xml(&order).await
            }
        };
        let id = after(&text, &["\"id\":\"", "PNREF=", "paymentId=\""]);
        (id, stands(&text))
    }

    async fn inquire(&self, reference: &str) -> String {
        match self.name {
            "json" => {
                let path = format!("/json/v1/payments?reference={reference}");
                self.http.get(&path).await.text
            }
            "form" => self.form(&[("TRXTYPE", "I"), ("CUSTREF", reference)]).await,
            _ => {
                let asked =
                    format!(r#"<inquiry><orderInquiry orderCode="{reference}"/></inquiry>"#);
                self.xml(&asked).await
            }
        }
    }

    async fn change(&self, kind: &str, payment: &str, amount: i64, reference: &str) -> bool {
        let text = self.changed(kind, payment, amount, reference).await;
        ["\"response_code\":\"00\"", "RESULT=0&", "code=\"00\""]
            .iter()
            .any(|yes| text.contains(yes))
    }

    /// What is answered to a capture, a void or a refund.
    pub async fn changed(&self, kind: &str, payment: &str, amount: i64, reference: &str) -> String {
        match self.name {
            "json" => {
                let path = format!("/json/v1/payments/{payment}/{kind}");
                let body = json!({ "amount": amount, "reference": reference });
                self.http.post(&path, &body).await.text
            }
            "form" => {
                let kind = match kind {
                    "capture" => "D",
                    "refunds" => "C",
                    _ => "V",
                };
                let amount = format!("{}.{:02}", amount / 100, amount % 100);
                let fields = [
                    ("TRXTYPE", kind),
                    ("ORIGID", payment),
                    ("CUSTREF", reference),
                    ("AMT", &amount),
                    ("CURRENCY", "USD"),
                ];
                self.form(&fields).await
            }
            _ => {
                let amount =
                    format!(r#"<amount value="{amount}" currencyCode="USD" exponent="2"/>"#);
                let verb = match kind {
                    "capture" => format!("<capture>{amount}</capture>"),
                    "refunds" => format!("<refund>{amount}</refund>"),
                    _ => "<cancel/>".to_owned(),
                };
                let asked = format!(
                    r#"<modify><orderModification orderCode="{reference}" paymentId="{payment}">{verb}</orderModification></modify>"#
                );
                self.xml(&asked).await
            }
        }
    }

    async fn reverse(&self, reference: &str) -> String {
        match self.name {
            "json" => {
                let body = json!({ "reference": reference });
                self.http.post("/json/v1/reversals", &body).await.text
            }
            "form" => self.form(&[("TRXTYPE", "R"), ("CUSTREF", reference)]).await,
            _ => {
                let asked = format!(r#"<modify><orderReversal orderCode="{reference}"/></modify>"#);
                self.xml(&asked).await
            }
        }
    }

    pub async fn settlement(&self, day: &str) -> String {
        match self.name {
            "json" => {
                let path = format!("/json/v1/settlements/{day}");
                self.http.get(&path).await.text
            }
            "form" => self.form(&[("TRXTYPE", "B"), ("DATE", day)]).await,
            _ => {
                let asked = format!(r#"<inquiry><settlementInquiry date="{day}"/></inquiry>"#);
                self.xml(&asked).await
            }
        }
    }
}

fn after(text: &str, marks: &[&str]) -> String {
    let found = marks.iter().find_map(|mark| text.split_once(mark));
    let rest = found.unwrap_or_else(|| panic!("an id in {text}")).1;
    rest.split(['"', '&']).next().expect("a part").to_owned()
}

fn stands(text: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "\"status\":\"captured\"",
        "STATUS=S",
        "STATUS0=S",
        ">CAPTURED<",
    ]) {
        "captured"
    } else if has(&[
        "\"status\":\"authorised\"",
        "STATUS=A",
        "STATUS0=A",
        ">AUTHORISED<",
    ]) {
        "authorised"
    } else if has(&["\"status\":\"voided\"", "STATUS0=V", ">CANCELLED<"]) {
        "voided"
    } else if has(&["\"status\":\"expired\"", "STATUS0=E", ">EXPIRED<"]) {
        "expired"
    } else if has(&[
        "\"status\":\"declined\"",
        "STATUS=D",
        "STATUS0=D",
        ">REFUSED<",
    ]) {
        "declined"
    } else {
        assert!(
            has(&["\"payments\":[]", "COUNT=0", "error code=\"5\""]),
            "{text}"
        );
        "unknown"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_takes_captures_refunds_and_forgets_nothing() {
    for world in worlds().await {
        for caller in callers(&world) {
            let name = caller.name;
            // The same reference at three acquirers is three payments.
            let (id, status) = caller.pay("ref_1", "4242424242424242", false).await;
            assert_eq!(status, "authorised", "{name}");
            let again = caller.pay("ref_1", "4242424242424242", false).await;
            assert_eq!(again, (id.clone(), "authorised"), "{name}");
            assert!(caller.change("capture", &id, 1500, "cap_1").await, "{name}");
            assert!(!caller.change("capture", &id, 600, "cap_2").await, "{name}");
            assert!(caller.change("refunds", &id, 1000, "re_1").await, "{name}");
            assert!(
                caller.change("refunds", &id, 1000, "re_1").await,
                "repeated"
            );
            assert!(!caller.change("refunds", &id, 501, "re_2").await, "{name}");
            assert_eq!(stands(&caller.inquire("ref_1").await), "captured", "{name}");

            let (_, status) = caller.pay("ref_2", "4000000000000002", true).await;
            assert_eq!(status, "declined", "{name}");
            let (id, _) = caller.pay("ref_3", "4242424242424242", false).await;
            assert!(caller.change("void", &id, 0, "void_1").await, "{name}");
            assert!(!caller.change("capture", &id, 100, "cap_3").await, "{name}");
            assert_eq!(stands(&caller.inquire("ref_3").await), "voided", "{name}");
            assert_eq!(stands(&caller.inquire("ref_9").await), "unknown", "{name}");
        }
        let stands = world.admin.get("/admin/payments?reference=ref_1").await;
        let stands = stands.json["payments"].as_array().expect("a list").clone();
        let sums: Vec<(&Value, i64, i64)> = stands
            .iter()
            .map(|one| {
                let of = |name: &str| one[name].as_i64().expect("an amount");
                (&one["acquirer"], of("captured"), of("refunded"))
            })
            .collect();
        let expected = ["json", "form", "xml"].map(Value::from);
        let expected: Vec<_> = expected.iter().map(|name| (name, 1500, 1000)).collect();
        assert_eq!(sums, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_is_final_whether_it_comes_before_or_after() {
    for world in worlds().await {
        for caller in callers(&world) {
            let name = caller.name;
            caller.pay("ref_1", "4242424242424242", true).await;
            for _ in 0..2 {
                let text = caller.reverse("ref_1").await;
                let acknowledged = ["\"reversed\"", "RESULT=0&", "reversalReceived"];
                assert!(acknowledged.iter().any(|yes| text.contains(yes)), "{text}");
            }
            assert_eq!(stands(&caller.inquire("ref_1").await), "voided", "{name}");
            // The reversal overtook the payment, which is then declined.
            caller.reverse("ref_2").await;
            let (_, status) = caller.pay("ref_2", "4242424242424242", true).await;
            assert_eq!(status, "declined", "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_neighbours_are_turned_away() {
    for world in worlds().await {
        let [json, form, xml] = callers(&world);
        // Each with another's credentials.
        assert_eq!(
            form.http.get("/json/v1/payments?reference=a").await.status,
            401
        );
        let kind = "application/x-www-form-urlencoded";
        assert_eq!(
            xml.http
                .post_text("/form/gateway", kind, "TRXTYPE=I")
                .await
                .status,
            401
        );
        assert_eq!(
            json.http
                .post_text("/xml/service", "text/xml", "<a/>")
                .await
                .status,
            401
        );
        // Nonsense is refused and not repeated.
        let (id, _) = json.pay("ref_1", "4242424242424242", false).await;
        assert!(
            !form.change("capture", &id, 100, "cap_1").await,
            "another's payment"
        );
        for text in [
            form.form(&[("TRXTYPE", "S"), ("ACCT", "4242424242424242")])
                .await,
            form.form(&[("TRXTYPE", "4242424242424242")]).await,
            xml.xml("<submit><order><amount value=\"4242424242424242\"/></order></submit>")
                .await,
            xml.xml("<!DOCTYPE a>").await,
            xml.xml("<4242424242424242/>").await,
        ] {
            assert!(!shows_a_card(&text), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_s_batch_is_there_after_midnight_and_an_authorisation_ends() {
    let day = 24 * 60 * 60;
    for world in worlds().await {
        let today = world.today();
        for caller in callers(&world) {
            let (id, _) = caller.pay("ref_1", "4242424242424242", true).await;
            caller.change("refunds", &id, 500, "re_1").await;
            caller.pay("ref_2", "4242424242424242", true).await;
            caller.reverse("ref_2").await;
            caller.pay("ref_3", "4242424242424242", false).await;
            let early = caller.settlement(&today.0).await;
            let open = ["batch_open", "RESULT=40", "error code=\"6\""];
            assert!(open.iter().any(|word| early.contains(word)), "{early}");
        }
        world.advance(day).await;
        for caller in callers(&world) {
            let file = caller.settlement(&today.0).await;
            let lines: Vec<&str> = file.lines().collect();
            assert_eq!(
                lines.len(),
                if caller.name == "xml" { 4 } else { 3 },
                "{file}"
            );
            let value_day = if caller.name == "form" {
                &today.2
            } else {
                &today.1
            };
            let at = if caller.name == "xml" { 0 } else { 1 };
            assert!(lines[at].contains(value_day.as_str()), "{file}");
            let of = |json: &'static str, form: &'static str, xml: &'static str| match caller.name {
                "json" => json,
                "form" => form,
                _ => xml,
            };
            for (line, text) in [
                (
                    1,
                    of(
                        ",usd,2000,48,1952,",
                        ";USD;20.00;0.52;19.48;",
                        "USD          +2000            +44",
                    ),
                ),
                (
                    2,
                    of(
                        ",usd,-500,0,-500,",
                        ";USD;-5.00;0.00;-5.00;",
                        "USD           -500             +0",
                    ),
                ),
            ] {
                assert!(lines[line].contains(text), "{file}");
            }
            assert!(!file.contains("4242424242424242") && file.contains("4242"));
        }
        world.advance(7 * day).await;
        for caller in callers(&world) {
            let text = caller.inquire("ref_3").await;
            assert_eq!(stands(&text), "expired", "{}", caller.name);
            let id = after(&text, &["\"id\":\"", "PNREF0=", "paymentId=\""]);
            assert!(!caller.change("capture", &id, 2000, "cap_1").await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemption_is_granted_but_for_the_cards_that_always_want_an_authentication() {
    for world in worlds().await {
        for caller in callers(&world) {
            let pay = |reference: &'static str, number: &'static str, exemption: &'static str| {
                let (caller, reference) = (&caller, format!("{}_{reference}", caller.name));
                async move { caller.pay_with(&reference, number, true, exemption).await.1 }
            };
            let (sometimes, always) = ("4000002500003155", "4000002760003184");
            assert_eq!(pay("a", sometimes, "").await, "declined");
            assert_eq!(pay("b", sometimes, "low_value").await, "captured");
            assert_eq!(
                pay("c", sometimes, "transaction_risk_analysis").await,
                "captured"
            );
            assert_eq!(pay("d", always, "low_value").await, "declined");
        }
    }
}

//! Forward in JSON, form and XML: what arrives, what comes back, what is refused; and dry runs that show it.

use harness::database;
use harness::http::Answer;
use serde_json::{Value, json};
use token_vault::forward::retry::{CvvMode, CvvPolicy, CvvRetry};

use crate::endpoint::{self, Endpoint};
use crate::vault::Vault;

/// One operation a format, with the same places in each.
pub fn destinations(endpoint: &Endpoint) -> String {
    let operation = |name: &str, more: &str| {
        format!(
            r#"
            [[destination.operation]]
            name = "{name}"
            kind = "authorise"
            method = "POST"
            path = "/{name}"
            {more}
            amount = "/order/amount"
            currency = "/order/currency"
            currency_format = "upper"
            reference = "/order/reference"
            response = ["/status", "/note", "/card", "/id", "/list", "/message"]
            approved = {{ pointer = "/status", values = ["ok"] }}
            [destination.operation.placeholders]
            "card.number" = "/card/number"
            "card.exp_month" = "/card/month"
            "card.expiry.MM/YY" = "/card/mm_yy"
            "card.expiry.MMYY" = "/card/mmyy"
            "card.expiry.YYMM" = "/card/yymm"
            "card.expiry.YYYY-MM" = "/card/yyyy_mm"
            "card.exp_year" = "/card/yyyy"
            "card.exp_year2" = "/card/yy"
            "card.cvc" = "/card/cvc"
            "card.name" = "/card/name"
            "three_d_secure.eci" = "/auth/eci"
            "three_d_secure.cavv" = "/auth/cavv"
            "three_d_secure.ds_transaction_id" = "/auth/ds"
            "three_d_secure.version" = "/auth/version"
            "#
        )
    };
    let xml = r#"body = "xml"
            root = "Payment"
            sequence = ["/order", "/order/reference", "/card"]
            fixed = { "/@xmlns" = "urn:pay" }"#;
    [
        format!(
            r#"
            [[destination]]
            name = "bank"
            base_url = "http://{}"
            local = true
            merchants = ["*"]
            total_ms = 3000
            headers = {{ authorization = {{ file = "acquirer.key", prefix = "Bearer " }}, x-plain = "yes" }}
            "#,
            endpoint.address
        ),
        operation("json", ""),
        operation("form", r#"body = "form""#),
        operation("xml", xml),
        operation("decimal", r#"amount_format = "decimal""#),
    ]
    .concat()
}

pub async fn start() -> Vec<(Vault, Endpoint)> {
    let mut all = vec![];
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let text = destinations(&endpoint);
        all.push((Vault::start(database, Some(&text)).await, endpoint));
    }
    all
}

/// A grant for 4242.. with CVV 123, 12/2040 and a holder's name.
pub async fn grant(vault: &Vault) -> String {
    let card = json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "Ada & Bob"}});
    let token = vault.alice().post("/v1/tokens", &card).await.json["id"].clone();
    vault.grant(token.as_str().unwrap(), 5000).await
}

pub fn call(grant: &str, operation: &str, attempt: &str, body: Value) -> Value {
    json!({
        "attempt": attempt, "grant": grant, "destination": "bank", "operation": operation,
        "amount": 1999, "currency": "usd", "reference": "pi_1", "body": body
    })
}

pub async fn forward(vault: &Vault, call: &Value) -> Answer {
    vault.alice().post("/v1/forward", call).await
}

fn everything() -> Value {
    json!({"card": {
        "number": "{{card.number}}", "month": "{{card.exp_month}}", "mm_yy": "{{card.expiry.MM/YY}}", "mmyy": "{{card.expiry.MMYY}}",
        "yymm": "{{card.expiry.YYMM}}", "yyyy_mm": "{{card.expiry.YYYY-MM}}", "yyyy": "{{card.exp_year}}", "yy": "{{card.exp_year2}}",
        "cvc": "{{card.cvc}}", "name": "{{card.name}}"
    }, "auth": {"eci": "{{three_d_secure.eci}}"}})
}

fn authentication() -> Value {
    json!({"eci": "05", "cavv": "AAABBEg0VhI0VniQEjRWAAAAAAA=", "ds_transaction_id": "c4e59ceb-a382-4d6a-bc87-385d591fa09d", "version": "2.2.0"})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_tree_arrives_in_every_format() {
    for (vault, endpoint) in start().await {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Payment xmlns=\"urn:pay\"><order><reference>pi_1</reference><amount>1999</amount><currency>USD</currency></order><card><cvc>123</cvc><mm_yy>12/40</mm_yy><mmyy>1240</mmyy><month>12</month><name>Ada &amp; Bob</name><number>4242424242424242</number><yy>40</yy><yymm>4012</yymm><yyyy>2040</yyyy><yyyy_mm>2040-12</yyyy_mm></card><auth><cavv>AAABBEg0VhI0VniQEjRWAAAAAAA=</cavv><ds>c4e59ceb-a382-4d6a-bc87-385d591fa09d</ds><eci>05</eci><version>2.2.0</version></auth></Payment>";
        let form = "auth[cavv]=AAABBEg0VhI0VniQEjRWAAAAAAA%3D&auth[ds]=c4e59ceb-a382-4d6a-bc87-385d591fa09d&auth[eci]=05&auth[version]=2.2.0&card[cvc]=123&card[mm_yy]=12%2F40&card[mmyy]=1240&card[month]=12&card[name]=Ada+%26+Bob&card[number]=4242424242424242&card[yy]=40&card[yymm]=4012&card[yyyy]=2040&card[yyyy_mm]=2040-12&order[amount]=1999&order[currency]=USD&order[reference]=pi_1".replace('[', "%5B").replace(']', "%5D");
        let json = json!({
            "card": {"number": "4242424242424242", "month": "12", "mm_yy": "12/40", "mmyy": "1240", "yymm": "4012", "yyyy_mm": "2040-12", "yyyy": "2040", "yy": "40", "cvc": "123", "name": "Ada & Bob"},
            "auth": {"eci": "05", "cavv": "AAABBEg0VhI0VniQEjRWAAAAAAA=", "ds": "c4e59ceb-a382-4d6a-bc87-385d591fa09d", "version": "2.2.0"},
            "order": {"amount": 1999, "currency": "USD", "reference": "pi_1"}
        });
        let decimal = json.to_string().replace("1999", "\"19.99\"");
        for (operation, media, body, answer) in [
            (
                "json",
                "application/json",
                json.to_string(),
                endpoint::json(r#"{"status":"ok"}"#),
            ),
            (
                "form",
                "application/x-www-form-urlencoded",
                form,
                endpoint::typed("application/x-www-form-urlencoded", "status=ok"),
            ),
            (
                "xml",
                "application/xml; charset=utf-8",
                xml.to_owned(),
                endpoint::typed("text/xml", "<r><status>ok</status></r>"),
            ),
            (
                "decimal",
                "application/json",
                decimal,
                endpoint::json(r#"{"status":"ok"}"#),
            ),
        ] {
            endpoint.answer(answer);
            let mut call = call(
                &grant(&vault).await,
                operation,
                &format!("att_{operation}"),
                everything(),
            );
            call["three_d_secure"] = authentication();
            let answer = forward(&vault, &call).await;
            assert_eq!(
                answer.json["response"],
                json!({"status": 200, "body": {"status": "ok"}}),
                "{}",
                answer.text
            );
            let (head, seen) = endpoint.last();
            assert!(
                head.lines()
                    .any(|line| line.eq_ignore_ascii_case(&format!("content-type: {media}"))),
                "{head}"
            );
            assert_eq!(seen, body, "{operation}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_parse_keeps_its_status_and_loses_its_text() {
    for (vault, endpoint) in start().await {
        for (n, answer) in [
            endpoint::typed("text/html", "<h1>4242424242424242</h1>"),
            endpoint::json("{\"status\":"),
            endpoint::typed("application/xml", "<!DOCTYPE a><a/>"),
            endpoint::typed("application/octet-stream", "{\"status\":\"ok\"}"),
            b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}".to_vec(),
        ]
        .into_iter()
        .enumerate()
        {
            endpoint.answer(answer);
            let body = json!({"card": {"number": "{{card.number}}"}});
            let call = call(&grant(&vault).await, "json", &format!("att_{n}"), body);
            let answer = forward(&vault, &call).await;
            assert_eq!(
                answer.json["response"],
                json!({"status": 200, "body": null}),
                "{n}: {}",
                answer.text
            );
            assert_eq!(answer.json["failure"], "malformed", "{n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_d_secure_values_are_typed_and_never_lost() {
    for (vault, endpoint) in start().await {
        let grant = grant(&vault).await;
        for (field, value) in [
            ("eci", "5a"),
            ("eci", "055"),
            ("cavv", "AAAB\",\"x\":\""),
            ("cavv", "short"),
            ("ds_transaction_id", "c4e59ceb-a382-4d6a-bc87-385d591fa09"),
            ("ds_transaction_id", "{{card.number}}"),
            ("version", "2.2"),
            ("version", "2.2.0]"),
            ("xid", "1"),
        ] {
            let mut call = call(&grant, "json", "att_1", json!({}));
            call["three_d_secure"] = json!({field: value});
            assert_eq!(
                forward(&vault, &call).await.json["code"],
                "invalid_request",
                "{field} {value}"
            );
        }
        // A body that wants a value which the call does not give is not sent without it.
        let wants = call(
            &grant,
            "json",
            "att_1",
            json!({"auth": {"eci": "{{three_d_secure.eci}}"}}),
        );
        assert_eq!(
            forward(&vault, &wants).await.json["code"],
            "invalid_request"
        );
        assert!(endpoint.seen().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_masked_request_and_leaves_nothing() {
    for (vault, endpoint) in start().await {
        let grant = grant(&vault).await;
        let mut asked = call(&grant, "xml", "att_1", everything());
        asked["three_d_secure"] = authentication();
        asked["dry_run"] = json!(true);
        let shown = forward(&vault, &asked).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        assert_eq!(shown.json["dry_run"], true);
        assert_eq!(
            shown.json["url"],
            format!("http://{}/xml", endpoint.address)
        );
        let body = shown.json["body"].as_str().unwrap();
        assert!(body.contains("<number>************4242</number>"), "{body}");
        assert!(
            body.contains("<cvc>***</cvc><mm_yy>**/**</mm_yy>"),
            "{body}"
        );
        for secret in ["424242", "123", "2040", "Ada", "acquirer-secret-key"] {
            assert!(!shown.text.contains(secret), "{secret}: {}", shown.text);
        }
        let headers: Vec<(String, String)> =
            serde_json::from_value(shown.json["headers"].clone()).unwrap();
        for (name, value) in [("authorization", "Bearer ***"), ("x-plain", "yes")] {
            assert!(
                headers.contains(&(name.to_owned(), value.to_owned())),
                "{headers:?}"
            );
        }
        assert!(endpoint.seen().is_empty());
        // Nothing is recorded: the id still is free, and the same call sends once it is meant.
        asked["dry_run"] = json!(false);
        let sent = forward(&vault, &asked).await;
        assert_eq!(
            (&sent.json["bytes_sent"], endpoint.seen().len()),
            (&json!("all"), 1)
        );
        // It is checked like a send.
        asked["dry_run"] = json!(true);
        asked["amount"] = json!(5001);
        assert_eq!(
            forward(&vault, &asked).await.json["code"],
            "binding_mismatch"
        );
        assert_eq!(
            vault.mallory().post("/v1/forward", &asked).await.status,
            404
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cvv_lives_on_only_where_the_operator_said_so() {
    for (mode, retry, second, third) in [
        (CvvMode::On, CvvRetry::Off, "cvc_gone", "cvc_gone"),
        (CvvMode::On, CvvRetry::Memory, "", "cvc_gone"),
        (CvvMode::Off, CvvRetry::Memory, "cvc_gone", "cvc_gone"),
    ] {
        for database in database::fresh() {
            let endpoint = Endpoint::plain().await;
            let text = destinations(&endpoint);
            let policy = CvvPolicy::new(mode, retry);
            let vault = Vault::start_with_cvvs(database, Some(&text), policy).await;
            let grant = grant(&vault).await;
            let body = json!({"card": {"number": "{{card.number}}", "cvc": "{{card.cvc}}"}});
            let mut codes = vec![];
            // A decline, an approval, and one more.
            for (attempt, status) in [("att_1", "no"), ("att_2", "ok"), ("att_3", "ok")] {
                endpoint.answer(endpoint::json(&json!({"status": status}).to_string()));
                let answer = forward(&vault, &call(&grant, "json", attempt, body.clone())).await;
                codes.push(answer.json["code"].as_str().unwrap_or("").to_owned());
            }
            let first = if mode == CvvMode::On { "" } else { "cvc_gone" };
            assert_eq!(codes, [first, second, third], "{mode:?} {retry:?}");
            let kept = vault
                .app
                .store
                .read(|tx| {
                    Ok::<_, token_vault::Error>(tx.all("select record from cvvs", &[])?.len())
                })
                .await;
            assert_eq!(
                kept.unwrap(),
                0,
                "no row outlives the first complete answer"
            );
        }
    }
    // Memory does not outlive the epoch.
    let endpoint = Endpoint::plain().await;
    let policy = CvvPolicy::new(CvvMode::On, CvvRetry::Memory);
    let vault =
        Vault::start_with_cvvs(database::sqlite(), Some(&destinations(&endpoint)), policy).await;
    let grant = grant(&vault).await;
    let body = json!({"card": {"number": "{{card.number}}", "cvc": "{{card.cvc}}"}});
    endpoint.answer(endpoint::json(r#"{"status":"no"}"#));
    assert_eq!(
        forward(&vault, &call(&grant, "json", "att_1", body.clone()))
            .await
            .status,
        200
    );
    vault.advance(20 * 60).await;
    let late = forward(&vault, &call(&grant, "json", "att_2", body)).await;
    assert_eq!(late.status, 410, "{}", late.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_files_work() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/destinations");
    let mut text = String::new();
    for file in std::fs::read_dir(folder).unwrap() {
        text += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    for database in database::fresh() {
        let vault = Vault::start(database, Some(&text)).await;
        for name in ["stripe_secret_key", "adyen_api_key"] {
            crate::forward_registered::set_secret(&vault, name, "sk_example_51");
        }
        let problems = vault
            .app
            .destinations
            .refresh(&vault.app.store, &vault.app.root)
            .await;
        assert_eq!(problems.unwrap(), Vec::<String>::new());
        let grant = grant(&vault).await;
        let stripe_card = json!({"number": "{{card.number}}", "exp_month": "{{card.exp_month}}", "exp_year": "{{card.exp_year}}", "cvc": "{{card.cvc}}"});
        let adyen = json!({"paymentMethod": {"number": "{{card.number}}", "expiryMonth": "{{card.exp_month}}", "expiryYear": "{{card.exp_year}}", "cvc": "{{card.cvc}}", "holderName": "{{card.name}}"}});
        for (destination, operation, body, three_d_secure, url, expected) in [
            (
                "stripe",
                "payment_method",
                json!({"card": stripe_card}),
                false,
                "https://api.stripe.com/v1/payment_methods",
                "card%5Bcvc%5D=***&card%5Bexp_month%5D=**&card%5Bexp_year%5D=****&card%5Bnumber%5D=************4242&type=card",
            ),
            (
                "stripe",
                "authorise",
                json!({"payment_method_data": {"card": stripe_card}}),
                true,
                "https://api.stripe.com/v1/payment_intents",
                "amount=1999&confirm=true&currency=usd&error_on_requires_action=true&metadata%5Breference%5D=pi_1&payment_method_data%5Bcard%5D%5Bcvc%5D=***",
            ),
            (
                "adyen",
                "authorise",
                adyen,
                true,
                "https://checkout-test.adyen.com/v71/payments",
                r#"{"amount":{"currency":"USD","value":1999},"merchantAccount":"YourMerchantAccountECOM","mpiData":{"cavv":"#,
            ),
        ] {
            let mut call = call(&grant, operation, "att_1", body);
            call["destination"] = json!(destination);
            call["dry_run"] = json!(true);
            if three_d_secure {
                call["three_d_secure"] = authentication();
            }
            let shown = forward(&vault, &call).await;
            assert_eq!(shown.json["url"], url, "{}", shown.text);
            let body = shown.json["body"].as_str().unwrap();
            assert!(body.starts_with(expected), "{body}");
            assert!(!shown.text.contains("sk_example_51") && !shown.text.contains("42424242"));
        }
    }
}

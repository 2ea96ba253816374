//! Forward on the wire: what it says of a send is what the other end saw, over TCP and TLS, whatever goes wrong.

use std::path::PathBuf;

use harness::database;
use harness::http::Answer;
use serde_json::{Value, json};

use crate::endpoint::{self, Behaviour, Endpoint};
use crate::vault::Vault;

const OPERATION: &str = r#"
    [[destination.operation]]
    name = "authorise"
    kind = "authorise"
    method = "POST"
    path = "/pay?channel=web"
    body = "xml"
    root = "Payment"
    answer = "json"
    placeholders = { "card.number" = "/card/number", "card.cvc" = "/card/cvc" }
    amount = "/amount"
    currency = "/currency"
    reference = "/reference"
    idempotency_header = "idempotency-key"
    response = ["/status"]
"#;

fn destination(name: &str, base_url: &str, more: &str) -> String {
    format!(
        r#"
        [[destination]]
        name = "{name}"
        base_url = "{base_url}"
        local = true
        merchants = ["*"]
        connect_ms = 1000
        read_ms = 500
        total_ms = 1500
        headers = {{ authorization = {{ file = "acquirer.key", prefix = "Bearer " }} }}
        {more}
        {OPERATION}
        "#
    )
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-endpoint"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn call(grant: &str, destination: &str, attempt: &str) -> Value {
    json!({
        "attempt": attempt, "grant": grant, "destination": destination, "operation": "authorise",
        "amount": 100, "currency": "usd", "reference": "pi_1",
        "body": {"card": {"number": "{{card.number}}"}}
    })
}

// Apostrophes are one byte in the call and six in XML: the request is four times what the endpoint's window holds.
fn big(mut call: Value) -> Value {
    call["body"]["note"] = json!("'".repeat(40_000));
    call
}

async fn send(vault: &Vault, call: impl Fn(&str) -> Value) -> Answer {
    let token = vault.token("4242424242424242").await;
    let answer = vault
        .alice()
        .post("/v1/forward", &call(&vault.grant(&token, 100).await))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_what_the_other_end_saw() {
    for database in database::fresh() {
        let folder = folder();
        let (tcp, tls) = (Endpoint::plain().await, Endpoint::tls(&folder, false).await);
        let ca = format!("ca = {:?}", folder.join("ca.pem"));
        let text = [
            destination("tcp", &format!("http://{}", tcp.address), ""),
            destination("tls", &format!("https://{}", tls.address), &ca),
        ]
        .concat();
        let vault = Vault::start(database, Some(&text)).await;
        let fine = endpoint::json(r#"{"status":"ok"}"#);
        for (n, (behaviour, large, told, failure)) in [
            (Behaviour::Answer(fine), false, "all", None),
            (Behaviour::Stall, false, "all", Some("timeout")),
            (Behaviour::HalfClose, false, "all", Some("reset")),
            (Behaviour::Huge, false, "all", Some("too_large")),
            (Behaviour::Drip, false, "all", Some("timeout")),
            (Behaviour::NeverRead, true, "partial", Some("timeout")),
            (Behaviour::ResetAfter(3000), true, "partial", Some("reset")),
            (Behaviour::AnswerEarly, true, "partial", None),
        ]
        .into_iter()
        .enumerate()
        {
            for (name, endpoint) in [("tcp", &tcp), ("tls", &tls)] {
                endpoint.behave(behaviour.clone());
                let attempt = format!("att_{n}_{name}");
                let answer = send(&vault, |grant| {
                    let call = call(grant, name, &attempt);
                    if large { big(call) } else { call }
                })
                .await;
                let case = format!("{n} {name}: {}", answer.text);
                assert_eq!(answer.json["bytes_sent"], told, "{case}");
                assert_eq!(answer.json["failure"].as_str(), failure, "{case}");
                let whole = endpoint::is_whole(endpoint.seen().last().unwrap().as_bytes());
                assert_eq!(whole, told == "all", "{case}");
            }
        }
        let _ = std::fs::remove_dir_all(folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_said_only_when_nothing_arrived() {
    for database in database::fresh() {
        let folder = folder();
        let tls = Endpoint::tls(&folder, false).await;
        let tcp = Endpoint::plain().await;
        let ca = format!("ca = {:?}", folder.join("ca.pem"));
        let (tcp_url, tls_url) = (
            format!("http://{}", tcp.address),
            format!("https://{}", tls.address),
        );
        let text = [
            destination("refused", "http://127.0.0.1:9", ""),
            // The endpoint's certificate is of a CA that is not among the public roots.
            destination("untrusted", &tls_url, ""),
            // TLS is spoken to an endpoint that speaks none.
            destination("plain", &tcp_url.replace("http:", "https:"), &ca),
            destination("tcp", &tcp_url, ""),
            destination("tls", &tls_url, &ca),
        ]
        .concat();
        let vault = Vault::start(database, Some(&text)).await;
        tcp.behave(Behaviour::Garbage);
        for (name, failure) in [
            ("refused", "connect"),
            ("untrusted", "tls"),
            ("plain", "tls"),
        ] {
            let answer = send(&vault, |grant| call(grant, name, &format!("att_{name}"))).await;
            assert_eq!(answer.json["bytes_sent"], "none", "{}", answer.text);
            assert_eq!(answer.json["failure"], failure, "{}", answer.text);
        }
        assert!(tls.seen().iter().all(String::is_empty));
        // One that closes at once, or after the first byte, races with the write: whichever comes first, `none` is
        // never said of bytes that arrived, nor `all` when the end of the request was never taken.
        for round in 0..10 {
            for (name, endpoint) in [("tcp", &tcp), ("tls", &tls)] {
                for (n, behaviour) in [Behaviour::CloseAtOnce, Behaviour::ResetAfter(1)]
                    .into_iter()
                    .enumerate()
                {
                    endpoint.behave(behaviour);
                    let attempt = format!("att_{round}_{name}_{n}");
                    let answer = send(&vault, |grant| big(call(grant, name, &attempt))).await;
                    assert_eq!(answer.json["failure"], "reset", "{}", answer.text);
                    let told = answer.json["bytes_sent"].as_str().unwrap();
                    if !endpoint.seen().last().unwrap().is_empty() {
                        assert_ne!(told, "none", "{attempt}");
                    }
                    assert_ne!(
                        told, "all",
                        "{attempt}: four windows cannot have been taken"
                    );
                }
            }
        }
        let _ = std::fs::remove_dir_all(folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_where_it_is_wanted() {
    for database in database::fresh() {
        let folder = folder();
        let endpoint = Endpoint::tls(&folder, true).await;
        endpoint.answer(endpoint::json(r#"{"status":"ok"}"#));
        let url = format!("https://{}", endpoint.address);
        let path = |name: &str| format!("{:?}", folder.join(name));
        let ca = format!("ca = {}", path("ca.pem"));
        let ours = format!(
            "{ca}\nclient_cert = {}\nclient_key = {}",
            path("client.pem"),
            path("client.key")
        );
        let text = [
            destination("mutual", &url, &ours),
            destination("without", &url, &ca),
        ]
        .concat();
        let vault = Vault::start(database, Some(&text)).await;
        let answer = send(&vault, |grant| call(grant, "mutual", "att_1")).await;
        assert_eq!(answer.json["response"]["body"]["status"], "ok");
        let (head, body) = endpoint.last();
        let head = head.to_lowercase();
        assert!(
            head.starts_with("post /pay?channel=web http/1.1\r\n"),
            "{head}"
        );
        for line in [
            "content-type: application/xml; charset=utf-8",
            "authorization: bearer acquirer-secret-key",
            "idempotency-key: att_1",
        ] {
            assert!(head.lines().any(|l| l == line), "{line}: {head}");
        }
        assert!(body.contains("<number>4242424242424242</number>"), "{body}");
        // TLS 1.3 tells a client of its missing certificate only after the client's first bytes: so it is not `none`.
        let answer = send(&vault, |grant| call(grant, "without", "att_2")).await;
        assert!(answer.json["response"].is_null(), "{}", answer.text);
        assert_eq!(endpoint.seen().last().unwrap(), "");
        let _ = std::fs::remove_dir_all(folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer() {
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let elsewhere = Endpoint::plain().await;
        let to = format!("http://{}/steal", elsewhere.address);
        let redirect = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
        );
        endpoint.answer(redirect.into_bytes());
        let text = destination("tcp", &format!("http://{}", endpoint.address), "");
        let vault = Vault::start(database, Some(&text)).await;
        let answer = send(&vault, |grant| call(grant, "tcp", "att_1")).await;
        assert_eq!(answer.json["response"]["status"], 307);
        assert!(elsewhere.seen().is_empty());
    }
}

//! Forward: at most once, only as registered, the outcome told truthfully.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use harness::database;
use harness::http::Answer;
use serde_json::{Value, json};

use crate::vault::Vault;

/// An acquirer that does what its reference says and counts what it was asked.
#[derive(Clone, Default)]
pub struct Acquirer {
    pub seen: Arc<std::sync::Mutex<Vec<Value>>>,
    calls: Arc<AtomicUsize>,
}

pub async fn authorise(State(acquirer): State<Acquirer>, Json(body): Json<Value>) -> Response {
    acquirer.calls.fetch_add(1, Ordering::SeqCst);
    acquirer.seen.lock().unwrap().push(body.clone());
    let reference = body["reference"].as_str().unwrap_or_default().to_owned();
    if reference.starts_with("slow") {
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }
    if reference.starts_with("hang") {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    if reference.starts_with("text") {
        return "not json".into_response();
    }
    let echo = format!(
        "card {} was charged",
        body["card"]["number"].as_str().unwrap_or_default()
    );
    let (cvc, status) = (
        body["card"]["cvc"].clone(),
        if reference.starts_with("no") {
            "declined"
        } else {
            "captured"
        },
    );
    Json(json!({"id": "a_1", "status": status, "note": echo, "cvc": cvc, "number": body["card"]["number"]})).into_response()
}

async fn with_acquirer() -> Vec<(Arc<Vault>, Acquirer)> {
    let mut all = vec![];
    for database in database::fresh() {
        let acquirer = Acquirer::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = axum::Router::new()
            .route("/pay", post(authorise))
            .with_state(acquirer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        all.push((
            Arc::new(Vault::start(database, Some(&destinations(address))).await),
            acquirer,
        ));
    }
    all
}

pub fn destinations(address: std::net::SocketAddr) -> String {
    let operation = r#"
        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "/pay"
        placeholders = { "card.number" = "/card/number", "card.exp_month" = "/card/exp_month", "card.exp_year" = "/card/exp_year", "card.cvc" = "/card/cvc" }
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/id", "/status", "/note"]
        approved = { pointer = "/status", values = ["captured"] }
    "#;
    format!(
        r#"
        [[destination]]
        name = "bank"
        base_url = "http://{address}"
        local = true
        merchants = ["*"]
        connect_ms = 500
        total_ms = 1500
        headers = {{ authorization = {{ file = "acquirer.key", prefix = "Bearer " }} }}
        {operation}
        [[destination]]
        name = "nobody"
        base_url = "http://127.0.0.1:9"
        local = true
        merchants = ["*"]
        {operation}
        "#
    )
}

pub fn body(grant: &str, attempt: &str, reference: &str) -> Value {
    json!({
        "attempt": attempt, "grant": grant, "destination": "bank", "operation": "authorise",
        "amount": 100, "currency": "usd", "reference": reference,
        "body": {"card": {"number": "{{card.number}}", "exp_month": "{{card.exp_month}}", "exp_year": "{{card.exp_year}}", "cvc": "{{card.cvc}}"}}
    })
}

async fn forward(vault: &Vault, body: &Value) -> Answer {
    vault.alice().post("/v1/forward", body).await
}

async fn a_grant(vault: &Vault) -> String {
    vault
        .grant(&vault.token("4242424242424242").await, 100)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_arrives_and_nothing_of_it_comes_back() {
    for (vault, acquirer) in with_acquirer().await {
        let grant = a_grant(&vault).await;
        let answer = forward(&vault, &body(&grant, "att_1", "pi_1")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(
            (&answer.json["bytes_sent"], &answer.json["cvc_sent"]),
            (&json!("all"), &json!(true))
        );
        let allowed =
            json!({"id": "a_1", "status": "captured", "note": "card ************4242 was charged"});
        assert_eq!(
            answer.json["response"],
            json!({"status": 200, "body": allowed})
        );
        let seen = acquirer.seen.lock().unwrap()[0].clone();
        let card = json!({"number": "4242424242424242", "exp_month": "12", "exp_year": "2040", "cvc": "123"});
        assert_eq!(
            seen,
            json!({"card": card, "amount": 100, "currency": "usd", "reference": "pi_1"})
        );

        // The same attempt answers what is recorded; another of the same id is refused.
        let again = forward(&vault, &body(&grant, "att_1", "pi_1")).await;
        assert_eq!(
            (again.text, acquirer.calls.load(Ordering::SeqCst)),
            (answer.text, 1)
        );
        assert_eq!(
            forward(&vault, &body(&grant, "att_1", "pi_2")).await.status,
            422
        );
        // PCI DSS 3.3.1: the CVV went with the first complete answer.
        let gone = forward(&vault, &body(&grant, "att_2", "pi_2")).await;
        assert_eq!(
            (gone.status, gone.json["code"].as_str()),
            (410, Some("cvc_gone"))
        );
    }
}

fn without_cvc(grant: &str, attempt: &str, reference: &str) -> Value {
    let mut body = body(grant, attempt, reference);
    body["body"]["card"].as_object_mut().unwrap().remove("cvc");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_has_limits() {
    for (vault, acquirer) in with_acquirer().await {
        let grant = a_grant(&vault).await;
        let mut over = without_cvc(&grant, "att_0", "pi_0");
        over["amount"] = json!(101);
        assert_eq!(
            forward(&vault, &over).await.json["code"],
            "binding_mismatch"
        );
        let mut euros = without_cvc(&grant, "att_0", "pi_0");
        euros["currency"] = json!("eur");
        assert_eq!(
            forward(&vault, &euros).await.json["code"],
            "binding_mismatch"
        );
        for attempt in ["att_1", "att_2", "att_3"] {
            assert_eq!(
                forward(&vault, &without_cvc(&grant, attempt, "no_1"))
                    .await
                    .status,
                200
            );
        }
        assert_eq!(
            forward(&vault, &without_cvc(&grant, "att_4", "pi_4"))
                .await
                .json["code"],
            "grant_exhausted"
        );
        assert_eq!(acquirer.calls.load(Ordering::SeqCst), 3);
        let foreign = vault
            .mallory()
            .post("/v1/forward", &without_cvc(&grant, "att_5", "pi_5"))
            .await;
        assert_eq!(foreign.status, 404);

        let grant = a_grant(&vault).await;
        let mut unreachable = without_cvc(&grant, "att_6", "pi_6");
        unreachable["destination"] = json!("nobody");
        for attempt in ["att_6", "att_7", "att_8", "att_9"] {
            unreachable["attempt"] = json!(attempt);
            let answer = forward(&vault, &unreachable).await;
            assert_eq!(
                (&answer.json["bytes_sent"], &answer.json["failure"]),
                (&json!("none"), &json!("connect"))
            );
        }
        // What was certainly not sent did not count.
        assert_eq!(
            forward(&vault, &without_cvc(&grant, "att_10", "pi_10"))
                .await
                .status,
            200
        );
        vault.advance(15 * 60 + 1).await;
        assert_eq!(
            forward(&vault, &without_cvc(&grant, "att_11", "pi_11"))
                .await
                .json["code"],
            "grant_expired"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_open_attempt_and_a_caller_that_hangs_up() {
    for (vault, acquirer) in with_acquirer().await {
        let grant = a_grant(&vault).await;
        let (slow, second) = (
            without_cvc(&grant, "att_1", "slow_1"),
            without_cvc(&grant, "att_2", "pi_2"),
        );
        let hung_up =
            tokio::time::timeout(Duration::from_millis(150), forward(&vault, &slow)).await;
        assert!(hung_up.is_err());
        assert_eq!(
            forward(&vault, &second).await.json["code"],
            "attempt_in_flight"
        );
        assert_eq!(
            forward(&vault, &slow).await.json["code"],
            "attempt_in_flight"
        );
        let close = json!({"attempt": "att_1"});
        assert_eq!(
            vault.alice().post("/v1/attempts/close", &close).await.json["code"],
            "attempt_in_flight"
        );
        let mut outcome = vault.alice().post("/v1/attempts/close", &close).await;
        for _ in 0..40 {
            if outcome.status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            outcome = vault.alice().post("/v1/attempts/close", &close).await;
        }
        assert_eq!(
            (outcome.status, &outcome.json["response"]["body"]["status"]),
            (200, &json!("captured"))
        );
        assert_eq!(acquirer.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_told_as_what_it_is() {
    for (vault, _) in with_acquirer().await {
        let grant = a_grant(&vault).await;
        let hung = forward(&vault, &without_cvc(&grant, "att_1", "hang_1")).await;
        assert_eq!(
            (&hung.json["bytes_sent"], &hung.json["failure"]),
            (&json!("all"), &json!("timeout"))
        );
        let text = forward(&vault, &without_cvc(&grant, "att_2", "text_1")).await;
        assert_eq!(
            (&text.json["bytes_sent"], &text.json["failure"]),
            (&json!("all"), &json!("malformed"))
        );
        // Closed before it started: never sendable, and said so.
        let closed = vault
            .alice()
            .post("/v1/attempts/close", &json!({"attempt": "att_3"}))
            .await;
        assert_eq!(
            (&closed.json["bytes_sent"], &closed.json["failure"]),
            (&json!("none"), &json!("closed"))
        );
        assert_eq!(
            forward(&vault, &without_cvc(&grant, "att_3", "pi_3"))
                .await
                .json["code"],
            "attempt_closed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_stand_only_where_they_are_registered() {
    for (vault, acquirer) in with_acquirer().await {
        let grant = a_grant(&vault).await;
        let number = json!("{{card.number}}");
        for (tree, code) in [
            (
                json!({"metadata": {"note": number}}),
                "placeholder_not_allowed",
            ),
            (json!({"card": {"name": number}}), "placeholder_not_allowed"),
            (
                json!({"card": [{"number": number}]}),
                "placeholder_not_allowed",
            ),
            (
                json!({"card": {"number": "x{{card.number}}"}}),
                "placeholder_not_allowed",
            ),
            (
                json!({"card": {"number": "{{card.number}} "}}),
                "placeholder_not_allowed",
            ),
            (json!({"{{card.number}}": 1}), "placeholder_not_allowed"),
            (json!({"card/number": number}), "placeholder_not_allowed"),
            (
                json!({"note": "4242424242424242"}),
                "card_number_in_wrong_place",
            ),
            (
                json!({"note": 4_242_424_242_424_242_i64}),
                "card_number_in_wrong_place",
            ),
            (json!("{{card.number}}"), "invalid_request"),
        ] {
            let mut request = body(&grant, "att_1", "pi_1");
            request["body"] = tree.clone();
            assert_eq!(forward(&vault, &request).await.json["code"], code, "{tree}");
        }
        let mut unregistered = body(&grant, "att_1", "pi_1");
        unregistered["operation"] = json!("refund");
        assert_eq!(
            forward(&vault, &unregistered).await.json["code"],
            "operation_not_allowed"
        );
        assert_eq!(acquirer.calls.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_saved_on_success_waits_for_it() {
    for (vault, _) in with_acquirer().await {
        for (reference, status) in [("no_1", "pending"), ("pi_1", "active")] {
            let token = vault.token("4242424242424242").await;
            let mut exchange = crate::vault::payment(&token, 100);
            exchange["store"] = json!("on_success");
            let answer = vault.exchange(&exchange, reference).await;
            let (grant, card) = (
                &answer.json["grant"]["id"],
                answer.json["stored_card"]["id"].as_str().unwrap(),
            );
            assert_eq!(answer.json["stored_card"]["status"], "pending");
            forward(
                &vault,
                &body(
                    grant.as_str().unwrap(),
                    &format!("att_{reference}"),
                    reference,
                ),
            )
            .await;
            assert_eq!(
                vault.alice().get(&format!("/v1/cards/{card}")).await.json["status"],
                status
            );
        }
    }
}

//! Bad input gets a clear code, never an echo, and the service goes on.

use harness::shows_a_card;
use serde_json::json;

use crate::vault::{Vault, on_each_store, payment};

const CANARY: &str = "4242424242424242";

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_right() {
    on_each_store(|vault| async move {
        let alice = vault.alice().with("idempotency-key", "k");
        let megabyte = format!("{{\"card\":{{\"number\":\"{}\"}}}}", "4".repeat(1_000_000));
        for (path, body, status, code) in [
            ("/v1/tokens", "", 400, "malformed_json"),
            ("/v1/tokens", "{\"card\":{\"number\":\"4242424242424242\"", 400, "malformed_json"),
            ("/v1/tokens", "[]", 400, "invalid_request"),
            ("/v1/tokens", "{\"card\":{\"number\":4242424242424242,\"exp_month\":1,\"exp_year\":2040}}", 400, "invalid_request"),
            ("/v1/tokens", "{\"card\":{\"number\":\"4242424242424242\",\"exp_month\":\"4242424242424242\",\"exp_year\":1}}", 400, "invalid_request"),
            ("/v1/tokens", "{\"card\":{\"number\":\"1\",\"exp_month\":1,\"exp_year\":2040,\"4242424242424242\":1}}", 400, "invalid_request"),
            ("/v1/tokens", megabyte.as_str(), 413, "payload_too_large"),
            ("/v1/exchange", "{\"source\":\"4242424242424242\",\"for\":\"payment\",\"amount\":1,\"currency\":\"usd\"}", 404, "not_found"),
            ("/v1/exchange", "{\"source\":\"tok_x\",\"for\":\"4242424242424242\"}", 400, "invalid_request"),
            ("/v1/exchange", "{\"source\":\"tok_x\",\"for\":\"payment\",\"amount\":-1,\"currency\":\"usd\"}", 400, "invalid_request"),
            ("/v1/exchange", "{\"source\":\"tok_x\",\"for\":\"payment\",\"amount\":1.5,\"currency\":\"usd\"}", 400, "invalid_request"),
            ("/v1/exchange", "{\"source\":\"tok_x\",\"for\":\"payment\",\"currency\":\"usd\"}", 400, "invalid_request"),
            ("/v1/tokens/lookup", "{\"token\":\"4242424242424242\"}", 400, "invalid_request"),
            ("/v1/forward", "{}", 400, "invalid_request"),
            ("/v1/attempts/close", "{\"attempt\":\"4242 4242 4242 4242\"}", 400, "invalid_request"),
            ("/v1/nothing", "{}", 404, "not_found"),
        ] {
            let answer = alice.post_text(path, "application/json", body).await;
            assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{path} {body:.90}");
            never_echoes(&answer);
        }
        goes_on(&vault).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_body() {
    on_each_store(|vault| async move {
        let alice = vault.alice();
        let no_key = alice.post("/v1/exchange", &payment("tok_x", 1)).await;
        assert_eq!(no_key.json["code"], "idempotency_key_missing");
        let form = alice
            .post_text("/v1/tokens", "application/x-www-form-urlencoded", "a=b")
            .await;
        assert_eq!(
            (form.status, form.json["code"].as_str()),
            (415, Some("unsupported_media_type"))
        );
        for answer in [
            alice.get(&format!("/v1/cards/{CANARY}")).await,
            alice
                .get("/v1/cards?starting_after=4242%204242%204242%204242")
                .await,
            alice.with("x-note", CANARY).get("/v1/cards").await,
            alice.with("traceparent", CANARY).get("/v1/cards").await,
            vault.public.get(&format!("/v1/frame?key={CANARY}")).await,
        ] {
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                (400, Some("card_number_in_wrong_place"))
            );
            never_echoes(&answer);
        }
        // A trace is hex, and about one in a thousand holds such a run by chance.
        let trace = format!("00-4242424242424242{}-4242424242424242-01", "a".repeat(16));
        assert_eq!(
            alice
                .with("traceparent", &trace)
                .get("/v1/cards")
                .await
                .status,
            200
        );
        let wrong_method = alice.get("/v1/tokens").await;
        assert_eq!(
            (wrong_method.status, wrong_method.json["code"].as_str()),
            (405, Some("method_not_allowed"))
        );
        assert_eq!(
            alice.get("/v1/cards?limit=1000").await.json["code"],
            "invalid_request"
        );
        assert_eq!(
            alice.get("/v1/cards?limit=x").await.json["code"],
            "invalid_request"
        );
        assert_eq!(
            vault.private.get("/v1/cards").await.json["code"],
            "unauthenticated"
        );
        let unknown = json!({"key": "pk_test_unknown"});
        assert_eq!(
            vault.public.post("/v1/field-sessions", &unknown).await.json["code"],
            "unauthenticated"
        );
        goes_on(&vault).await;
    })
    .await;
}

fn never_echoes(answer: &harness::http::Answer) {
    assert!(!shows_a_card(&answer.text), "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        answer.json["request_id"].as_str(),
        answer.headers["request-id"].to_str().ok()
    );
    assert_eq!(
        answer.headers["strict-transport-security"],
        service::headers::HSTS
    );
}

async fn goes_on(vault: &Vault) {
    let token = vault.token(CANARY).await;
    assert_eq!(vault.exchange(&payment(&token, 1), "k").await.status, 200);
}

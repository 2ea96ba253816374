//! The published test tokens: names that never burn.

use serde_json::json;

use crate::vault::{on_each_store, payment};

#[tokio::test(flavor = "multi_thread")]
async fn each_key_gets_a_grant_of_its_own_and_the_same_again() {
    on_each_store(|vault| async move {
        let body = payment("tok_visa", 500);
        let first = vault.exchange(&body, "a").await;
        assert_eq!(first.status, 200, "{}", first.text);
        assert_eq!(first.json["card"]["last4"], "4242");
        assert_eq!(
            first.json["grant"]["cvc"], true,
            "it brings a security code"
        );
        let again = vault.exchange(&body, "a").await;
        assert_eq!(again.text, first.text);
        assert_eq!(again.headers["idempotent-replayed"], "true");
        let other = vault.exchange(&body, "b").await;
        assert_eq!(other.status, 200, "{}", other.text);
        assert_ne!(other.json["grant"]["id"], first.json["grant"]["id"]);
        let mismatch = vault.exchange(&payment("tok_mastercard", 500), "a").await;
        assert_eq!(mismatch.json["code"], "idempotency_mismatch");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_can_be_kept_looked_up_and_not_ended() {
    on_each_store(|vault| async move {
        let body = json!({"source": "tok_amex", "for": "storage"});
        let (one, two) = (
            vault.exchange(&body, "a").await,
            vault.exchange(&body, "b").await,
        );
        let id = |answer: &harness::http::Answer| answer.json["stored_card"]["id"].clone();
        assert!(id(&one).is_string(), "{}", one.text);
        assert_ne!(id(&one), id(&two));
        assert_eq!(vault.exchange(&body, "a").await.text, one.text);
        let mut keep = payment("tok_visa", 500);
        keep["store"] = "on_success".into();
        let keep = vault.exchange(&keep, "c").await;
        assert_eq!(
            keep.json["stored_card"]["status"], "pending",
            "{}",
            keep.text
        );
        for call in [
            "/v1/tokens/lookup",
            "/v1/tokens/revoke",
            "/v1/tokens/lookup",
        ] {
            let state = vault
                .alice()
                .post(call, &json!({"token": "tok_amex"}))
                .await;
            assert_eq!(state.json["status"], "active", "{}", state.text);
            assert_eq!(state.json["card"]["brand"], "amex");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_published_is_no_token() {
    on_each_store(|vault| async move {
        for name in ["tok_nobody", "tok_visa_", "tok_4242424242424242", "visa"] {
            let answer = vault.exchange(&payment(name, 500), "k").await;
            assert_eq!(answer.json["code"], "not_found", "{name}: {}", answer.text);
        }
        let answer = vault
            .alice()
            .post("/v1/tokens/lookup", &json!({"token": "tok_nobody"}))
            .await;
        assert_eq!(answer.json["code"], "not_found");
    })
    .await;
}

//! Keys, scopes and modes: who may do what.

use serde_json::json;

use crate::vault::{on_each_store, payment};

#[tokio::test(flavor = "multi_thread")]
async fn each_key_does_its_own_and_nothing_else() {
    on_each_store(|vault| async move {
        let merchant = &vault.merchants[0];
        let token = vault.token("4242424242424242").await;
        let card =
            json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}});
        let service = vault.private.bearer(vault.service_key.expose());
        for (key, path, body, expected) in [
            (merchant.secret.expose(), "/v1/tokens", card.clone(), 403),
            (
                merchant.secret.expose(),
                "/v1/exchange",
                payment(&token, 1),
                403,
            ),
            (
                merchant.secret.expose(),
                "/v1/tokens/lookup",
                json!({"token": token}),
                200,
            ),
            (
                merchant.publishable.expose(),
                "/v1/tokens",
                card.clone(),
                401,
            ),
            (
                merchant.restricted.expose(),
                "/v1/keys/lookup",
                json!({"sha256": merchant.secret.sha256_hex()}),
                403,
            ),
            (vault.service_key.expose(), "/v1/tokens", card, 403),
            (
                vault.service_key.expose(),
                "/v1/exchange",
                payment(&token, 1),
                403,
            ), // names no merchant
            (
                "sk_test_nonsense",
                "/v1/tokens/lookup",
                json!({"token": token}),
                401,
            ),
        ] {
            let answer = vault
                .private
                .bearer(key)
                .with("idempotency-key", "k")
                .post(path, &body)
                .await;
            assert_eq!(answer.status, expected, "{path} {}", answer.text);
        }
        let info = service
            .post(
                "/v1/keys/lookup",
                &json!({"sha256": merchant.secret.sha256_hex()}),
            )
            .await;
        assert_eq!(
            (info.json["merchant"].as_str(), info.json["kind"].as_str()),
            (Some(merchant.id.as_str()), Some("secret"))
        );
        // Not of a merchant that is not linked, and not of the service itself.
        for hash in [
            vault.merchants[1].secret.sha256_hex(),
            vault.service_key.sha256_hex(),
            "00".into(),
        ] {
            assert_eq!(
                service
                    .post("/v1/keys/lookup", &json!({"sha256": hash}))
                    .await
                    .status,
                404
            );
        }
        let linked = service
            .with("cardseal-merchant", &merchant.id)
            .with("idempotency-key", "k");
        assert_eq!(
            linked
                .post("/v1/exchange", &payment(&token, 1))
                .await
                .status,
            200
        );
        let unlinked = service
            .with("cardseal-merchant", &vault.merchants[1].id)
            .with("idempotency-key", "k");
        assert_eq!(
            unlinked
                .post("/v1/exchange", &payment(&token, 1))
                .await
                .status,
            403
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_session_gives_a_token_for_that_payment_only() {
    on_each_store(|vault| async move {
        let merchant = &vault.merchants[0];
        let bound = json!({"key": merchant.publishable.expose(), "intent": "pi_1", "amount": 500, "currency": "usd"});
        let made = vault.private.bearer(merchant.secret.expose()).post("/v1/sessions", &bound).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let mut session = vault.session().await;
        session["session"] = made.json["session"].clone();
        // The jti is inside the session that the server made.
        let claims = session["session"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
        session["jti"] = serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["jti"].clone();
        let card = json!({"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"});
        let created = vault.tokenise(&session, &vault.seal(&session, &card)).await;
        assert_eq!(created.status, 200, "{}", created.text);
        let token = created.json["id"].as_str().unwrap();
        for (body, key) in [
            (payment(token, 501), "a"),
            (json!({"source": token, "for": "payment", "intent": "pi_2", "amount": 500, "currency": "usd"}), "b"),
            (json!({"source": token, "for": "payment", "intent": "pi_1", "amount": 500, "currency": "eur"}), "c"),
            (json!({"source": token, "for": "storage"}), "d"),
        ] {
            let answer = vault.exchange(&body, key).await;
            assert_eq!((answer.status, answer.json["code"].as_str()), (422, Some("binding_mismatch")), "{key}");
        }
        assert_eq!(vault.exchange(&payment(token, 500), "e").await.status, 200);
    })
    .await;
}

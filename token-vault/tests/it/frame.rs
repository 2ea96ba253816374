//! What the frame asks: sessions, tokenise, and who may embed it.

use serde_json::json;

use crate::vault::{SHOP, on_each_store};

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_card_becomes_a_token_once() {
    on_each_store(|vault| async move {
        let session = vault.session().await;
        assert_eq!(session["sealing"].as_array().unwrap().len(), 2);
        let card =
            json!({"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"});
        let sealed = vault.seal(&session, &card);
        let created = vault.tokenise(&session, &sealed).await;
        assert_eq!(created.status, 200, "{}", created.text);
        assert_eq!(
            created.json["card"],
            json!({"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2040,
                "networks": {"available": ["visa"], "preferred": null}})
        );
        assert!(created.json["id"].as_str().unwrap().starts_with("tok_"));

        let replayed = vault.tokenise(&session, &sealed).await;
        assert_eq!(
            (replayed.status, replayed.json["code"].as_str()),
            (409, Some("sealed_card_replayed"))
        );
        let again = vault.tokenise(&session, &vault.seal(&session, &card)).await;
        assert_ne!(again.json["id"], created.json["id"]);

        // Sealed for one session, sent with another.
        let other = vault.session().await;
        let answer = vault.tokenise(&other, &vault.seal(&session, &card)).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (422, Some("sealed_card_invalid"))
        );
        let mut unknown = vault.seal(&session, &card);
        unknown["sealed"]["kid"] = json!("x25519.nobody");
        let answer = vault.tokenise(&session, &unknown).await;
        assert_eq!(answer.json["code"], "sealing_key_unknown");

        vault.advance(16 * 60).await;
        let late = vault.tokenise(&session, &vault.seal(&session, &card)).await;
        assert_eq!(
            (late.status, late.json["code"].as_str()),
            (401, Some("session_invalid"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_are_checked_again_in_the_vault() {
    on_each_store(|vault| async move {
        let session = vault.session().await;
        for (number, year, cvc, code) in [
            ("4242424242424241", 2040, "123", "invalid_number"),
            ("4111111111111111", 2040, "123", "live_card_in_test_mode"),
            ("4242424242424242", 2020, "123", "expired_card"),
            ("4242424242424242", 2040, "12", "invalid_cvc"),
            ("378282246310005", 2040, "123", "invalid_cvc"),
        ] {
            let card = json!({"number": number, "exp_month": 12, "exp_year": year, "cvc": cvc});
            let answer = vault.tokenise(&session, &vault.seal(&session, &card)).await;
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                (402, Some(code))
            );
            // The request id is random hexadecimal and may hold any two digits.
            let id = answer.json["request_id"].as_str().unwrap();
            let told = answer.text.replace(id, "");
            assert!(!told.contains(number) && !told.contains(cvc));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_registered_origins_embed_the_frame() {
    on_each_store(|vault| async move {
        let key = vault.merchants[0].publishable.expose();
        let check = |origin: &str| vault.public.with("origin", origin);
        let allowed = check(SHOP).get(&format!("/v1/frame/check?key={key}")).await;
        assert_eq!(
            (allowed.status, allowed.text.as_str()),
            (
                200,
                r#"{"ok":true,"payments_url":"https://payments.example"}"#
            )
        );
        let refused = check("https://evil.example")
            .get(&format!("/v1/frame/check?key={key}"))
            .await;
        assert_eq!(
            (refused.status, refused.json["code"].as_str()),
            (403, Some("origin_not_allowed"))
        );
        assert_eq!(refused.headers["access-control-allow-origin"], "*");
        let document = vault
            .public
            .get(&format!("/v1/frame?key={key}&origin=https://evil.example"))
            .await;
        assert_eq!(document.status, 403);
        assert!(
            document.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("frame-ancestors 'none'")
        );
        let injected = format!("/v1/frame?key={key}&origin=https://shop.example;script-src%20*");
        assert_eq!(vault.public.get(&injected).await.status, 403);
        // A page of another site cannot have the frame's endpoints.
        let body = json!({"key": key});
        for (header, value) in [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ] {
            assert_eq!(
                vault
                    .public
                    .with(header, value)
                    .post("/v1/field-sessions", &body)
                    .await
                    .status,
                403
            );
        }
    })
    .await;
}

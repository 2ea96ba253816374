//! A token is used once, whatever races; the same key gets the same answer.

use std::sync::Arc;

use serde_json::json;

use crate::vault::{Vault, on_each_store, payment};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_exchanges_give_one_grant() {
    on_each_store(|vault| async move {
        for _ in 0..5 {
            let token = vault.token("4242424242424242").await;
            let answers = race(&vault, &token, 50).await;
            let won: Vec<_> = answers
                .iter()
                .filter(|(status, _)| *status == 200)
                .collect();
            assert_eq!(won.len(), 1, "exactly one grant");
            for (status, code) in answers.iter().filter(|(status, _)| *status != 200) {
                assert_eq!((*status, code.as_str()), (409, "token_already_used"));
            }
            assert_eq!(count(&vault, "grants").await, count(&vault, "tokens").await);
        }
    })
    .await;
}

async fn race(vault: &Arc<Vault>, token: &str, many: usize) -> Vec<(u16, String)> {
    let tasks = (0..many).map(|i| {
        let (vault, body) = (vault.clone(), payment(token, 100));
        tokio::spawn(async move {
            let answer = vault.exchange(&body, &format!("key-{i}")).await;
            (
                answer.status,
                answer.json["code"].as_str().unwrap_or_default().to_owned(),
            )
        })
    });
    let mut answers = vec![];
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    answers
}

async fn count(vault: &Vault, table: &'static str) -> i64 {
    let sql = format!("select count(*) from {table}");
    let row = vault
        .app
        .store
        .read(move |tx| Ok::<_, store::Error>(tx.first(&sql, &[])?.unwrap()))
        .await
        .unwrap();
    row.get(0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gets_the_same_bytes_also_after_expiry() {
    on_each_store(|vault| async move {
        let token = vault.token("4242424242424242").await;
        let first = vault.exchange(&payment(&token, 100), "k").await;
        assert_eq!(first.status, 200, "{}", first.text);
        assert!(first.headers.get("idempotent-replayed").is_none());
        assert_eq!(first.json["grant"]["cvc"], true);
        vault.advance(3600).await;
        let again = vault.exchange(&payment(&token, 100), "k").await;
        assert_eq!((again.status, &again.text), (200, &first.text));
        assert_eq!(again.headers["idempotent-replayed"], "true");

        let other_body = vault.exchange(&payment(&token, 101), "k").await;
        assert_eq!(
            (other_body.status, other_body.json["code"].as_str()),
            (422, Some("idempotency_mismatch"))
        );
        let other_key = vault.exchange(&payment(&token, 100), "k2").await;
        assert_eq!(
            (other_key.status, other_key.json["code"].as_str()),
            (409, Some("token_already_used"))
        );
        assert!(other_key.json["used_at"].is_i64());
        assert_eq!(
            other_key.json["used_by_request"],
            first.headers["request-id"].to_str().unwrap()
        );
        vault.advance(25 * 3600).await;
        assert_eq!(vault.exchange(&payment(&token, 100), "k").await.status, 409);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pay_and_save_is_one_exchange() {
    on_each_store(|vault| async move {
        let token = vault.token("4242424242424242").await;
        let mut body = payment(&token, 100);
        body["store"] = json!("now");
        let both = vault.exchange(&body, "k").await;
        assert_eq!(both.status, 200, "{}", both.text);
        assert!(both.json["grant"]["id"].is_string());
        assert_eq!(both.json["stored_card"]["status"], "active");
        let card = both.json["stored_card"]["id"].as_str().unwrap().to_owned();

        let read = vault.alice().get(&format!("/v1/cards/{card}")).await;
        assert_eq!(
            (read.status, read.json["card"]["last4"].as_str()),
            (200, Some("4242"))
        );
        // A stored card pays again and again, without a CVV.
        for key in ["a", "b", "c"] {
            let grant = vault.exchange(&payment(&card, 50), key).await;
            assert_eq!(
                (grant.status, &grant.json["grant"]["cvc"]),
                (200, &json!(false)),
                "{}",
                grant.text
            );
        }
        let replay = vault.exchange(&payment(&card, 50), "a").await;
        assert_eq!(replay.headers["idempotent-replayed"], "true");
        assert_eq!(vault.exchange(&payment(&card, 51), "a").await.status, 422);

        // With a fresh CVV it has one; that token is used up.
        let fresh = vault.token("4242424242424242").await;
        let mut with_cvc = payment(&card, 50);
        with_cvc["cvc_token"] = json!(fresh);
        assert_eq!(
            vault.exchange(&with_cvc, "d").await.json["grant"]["cvc"],
            true
        );
        assert_eq!(vault.exchange(&payment(&fresh, 50), "e").await.status, 409);

        assert_eq!(
            vault.alice().get("/v1/cards").await.json["data"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            vault
                .alice()
                .delete(&format!("/v1/cards/{card}"))
                .await
                .status,
            200
        );
        assert_eq!(
            vault.alice().get(&format!("/v1/cards/{card}")).await.status,
            404
        );
        assert_eq!(vault.exchange(&payment(&card, 50), "f").await.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_alone_gives_no_grant() {
    on_each_store(|vault| async move {
        let token = vault.token("4242424242424242").await;
        let answer = vault
            .exchange(&json!({"source": token, "for": "storage"}), "k")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.json.get("grant").is_none());
        assert_eq!(answer.json["stored_card"]["object"], "stored_card");
        let replay = vault
            .exchange(&json!({"source": token, "for": "storage"}), "k")
            .await;
        assert_eq!(replay.text, answer.text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_revoked_and_foreign_tokens() {
    on_each_store(|vault| async move {
        let revoked = vault.token("4242424242424242").await;
        let answer = vault
            .alice()
            .post("/v1/tokens/revoke", &json!({"token": revoked}))
            .await;
        assert_eq!(answer.json["status"], "revoked");
        let answer = vault.exchange(&payment(&revoked, 1), "k").await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (410, Some("token_revoked"))
        );

        let token = vault.token("4242424242424242").await;
        let foreign = vault
            .mallory()
            .with("idempotency-key", "k")
            .post("/v1/exchange", &payment(&token, 1))
            .await;
        let random = vault_api::Token::random();
        let unknown = vault
            .mallory()
            .with("idempotency-key", "k")
            .post("/v1/exchange", &payment(random.expose(), 1))
            .await;
        assert_eq!((foreign.status, unknown.status), (404, 404));
        let without_id = |answer: &harness::http::Answer| {
            let mut json = answer.json.clone();
            json.as_object_mut().unwrap().remove("request_id");
            json
        };
        assert_eq!(without_id(&foreign), without_id(&unknown));

        // The right public half with another secret is as absent.
        let mut forged = token.clone();
        forged.replace_range(60.., if token.ends_with("000") { "111" } else { "000" });
        assert_eq!(vault.exchange(&payment(&forged, 1), "k").await.status, 404);

        vault.advance(15 * 60 + 1).await;
        let answer = vault.exchange(&payment(&token, 1), "k").await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (410, Some("token_expired"))
        );
        let state = vault
            .alice()
            .post("/v1/tokens/lookup", &json!({"token": token}))
            .await;
        assert_eq!(state.json["status"], "expired");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_says_what_a_test_number_stands_for() {
    on_each_store(|vault| async move {
        for (number, risk, at_once) in [
            ("4100000000000019", Some("highest"), None),
            ("4000000000009235", Some("elevated"), None),
            ("4000000000000077", None, Some(true)),
            ("4242424242424242", None, None),
        ] {
            let token = vault.token(number).await;
            let exchanged = vault.exchange(&payment(&token, 100), "k").await;
            assert_eq!(exchanged.status, 200, "{}", exchanged.text);
            assert_eq!(exchanged.json["test_risk"].as_str(), risk, "{number}");
            let available = &exchanged.json["test_available_at_once"];
            assert_eq!(available.as_bool(), at_once, "{number}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_code_alone_serves_a_stored_card_and_nothing_else() {
    on_each_store(|vault| async move {
        let fresh = async |cvc: &str| {
            let session = vault.session().await;
            let sealed = vault.seal(&session, &json!({ "cvc": cvc }));
            let created = vault.tokenise(&session, &sealed).await;
            assert_eq!(created.status, 200, "{}", created.text);
            assert_eq!(
                (&created.json["type"], created.json.get("card")),
                (&json!("cvc_update"), None)
            );
            created.json["id"].as_str().unwrap().to_owned()
        };
        let stored = async |number: &str, cvc: &str| {
            let card =
                json!({"card": {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": cvc}});
            let token = vault.alice().post("/v1/tokens", &card).await;
            let token = token.json["id"].as_str().unwrap().to_owned();
            let body = json!({"source": token, "for": "storage"});
            let kept = vault.exchange(&body, &token).await;
            kept.json["stored_card"]["id"].as_str().unwrap().to_owned()
        };
        let visa = stored("4242424242424242", "123").await;
        let amex = stored("378282246310005", "1234").await;
        let with = async |card: &str, cvc: &str, key: &str| {
            let mut body = payment(card, 50);
            body["cvc_token"] = json!(cvc);
            vault.exchange(&body, key).await
        };

        let token = fresh("123").await;
        let looked = vault
            .alice()
            .post("/v1/tokens/lookup", &json!({"token": token}))
            .await;
        assert_eq!(
            (&looked.json["status"], looked.json.get("card")),
            (&json!("active"), None)
        );
        // It is no card: neither a payment nor a stored card comes of it, and it is not used up by asking.
        for body in [
            payment(&token, 50),
            json!({"source": token, "for": "storage"}),
        ] {
            let refused = vault.exchange(&body, "no-card").await;
            assert_eq!(
                (refused.status, refused.json["code"].as_str()),
                (422, Some("token_holds_no_card")),
                "{}",
                refused.text
            );
        }
        let granted = with(&visa, &token, "a").await;
        assert_eq!(granted.json["grant"]["cvc"], true, "{}", granted.text);
        assert_eq!(
            with(&visa, &token, "b").await.json["code"],
            "token_already_used"
        );
        let replay = with(&visa, &token, "a").await;
        assert_eq!(replay.text, granted.text);

        // Three digits or four is known once it is known for which card. The right card may still have it.
        let four = fresh("1234").await;
        let refused = with(&visa, &four, "c").await;
        assert_eq!(
            (refused.status, refused.json["code"].as_str()),
            (402, Some("invalid_cvc"))
        );
        assert_eq!(with(&amex, &four, "d").await.json["grant"]["cvc"], true);

        let foreign = vault
            .mallory()
            .post("/v1/tokens/lookup", &json!({"token": fresh("123").await}))
            .await;
        assert_eq!(foreign.status, 404);
        let revoked = fresh("123").await;
        vault
            .alice()
            .post("/v1/tokens/revoke", &json!({"token": revoked}))
            .await;
        assert_eq!(
            with(&visa, &revoked, "e").await.json["code"],
            "token_revoked"
        );
        let late = fresh("123").await;
        vault.advance(15 * 60 + 1).await;
        assert_eq!(with(&visa, &late, "f").await.json["code"], "token_expired");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_security_code_serves_its_own_payment() {
    on_each_store(|vault| async move {
        let key = vault.merchants[0].publishable.expose();
        let body = json!({"key": key, "intent": "pi_1", "amount": 50, "currency": "usd"});
        let secret = vault.private.bearer(vault.merchants[0].secret.expose());
        let bound = secret.post("/v1/sessions", &body).await;
        assert_eq!(bound.status, 200, "{}", bound.text);
        let body = json!({"key": key, "session": bound.json["session"]});
        let session = vault.public.post("/v1/field-sessions", &body).await.json;
        let sealed = vault.seal(&session, &json!({"cvc": "123"}));
        let token = vault.tokenise(&session, &sealed).await.json["id"].clone();

        let card = vault.token("4242424242424242").await;
        let kept = vault
            .exchange(&json!({"source": card, "for": "storage"}), "store")
            .await;
        let card = kept.json["stored_card"]["id"].as_str().unwrap().to_owned();
        for (intent, expected) in [("pi_2", 422), ("pi_1", 200)] {
            let mut body = payment(&card, 50);
            body["intent"] = json!(intent);
            body["cvc_token"] = token.clone();
            let answer = vault.exchange(&body, intent).await;
            assert_eq!(answer.status, expected, "{}", answer.text);
        }
    })
    .await;
}

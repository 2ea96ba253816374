//! What an operator rules for a publishable key's cards: brands of the merchant's own are taken under that key and no
//! other, and cards of another funding are refused.

use harness::database;
use serde_json::{Value, json};

use crate::key_commands::command;
use crate::vault::{Vault, payment};

const RULES: &str = r#"
funding = ["credit"]
[[brands]]
id = "store"
name = "Store Card"
prefixes = ["700700-700799"]
lengths = [15]
cvc_length = 0
luhn = false
"#;

/// No check digit: Luhn would want a 1 at the end.
const NUMBER: &str = "700712345678902";

fn card(number: &str, cvc: Option<&str>) -> Value {
    let mut card = json!({ "number": number, "exp_month": 12, "exp_year": 2040 });
    if let Some(cvc) = cvc {
        card["cvc"] = cvc.into();
    }
    card
}

async fn tokenise(vault: &Vault, key: &str, card: Value) -> (u16, Value) {
    let session = vault
        .public
        .post("/v1/field-sessions", &json!({ "key": key }))
        .await;
    assert_eq!(session.status, 200, "{}", session.text);
    let sealed = vault.seal_for(key, &session.json, &card);
    let answer = vault.tokenise(&session.json, &sealed).await;
    (answer.status, answer.json)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_card_is_taken_under_its_key_and_no_other() {
    assert!(!card::luhn::is_valid(NUMBER));
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let (with, without) = keys(&vault);
        let session = vault
            .public
            .post("/v1/field-sessions", &json!({ "key": with }))
            .await;
        let expected = json!([{
            "id": "store", "name": "Store Card", "prefixes": ["700700-700799"], "lengths": [15],
            "gaps": [4, 8, 12, 16], "cvc_length": 0, "luhn": false,
        }]);
        assert_eq!(session.json["brands"], expected);
        let other = vault
            .public
            .post("/v1/field-sessions", &json!({ "key": without }))
            .await;
        assert_eq!(other.json.get("brands"), None);

        let (status, token) = tokenise(&vault, &with, card(NUMBER, None)).await;
        assert_eq!(status, 200, "{token}");
        assert_eq!(token["card"]["brand"], "store");
        assert_eq!(
            token["card"]["networks"],
            json!({ "available": ["store"], "preferred": null })
        );
        assert_eq!(token["card"]["last4"], "8902");
        // It is kept and opened again like any other.
        let source = token["id"].as_str().unwrap();
        let granted = vault.exchange(&payment(source, 500), "own-brand").await;
        assert_eq!(granted.status, 200, "{}", granted.text);

        for (key, card, expected) in [
            (&without, card(NUMBER, None), "invalid_number"),
            (&with, card("70071234567890", None), "invalid_number"),
            (&with, card("700812345678902", None), "invalid_number"),
            (&with, card(NUMBER, Some("123")), "invalid_cvc"),
            (&with, card("4242424242424241", None), "invalid_number"),
            (
                &with,
                card("4111111111111111", None),
                "live_card_in_test_mode",
            ),
        ] {
            let (status, answer) = tokenise(&vault, key, card.clone()).await;
            assert_eq!(
                (status, &answer["code"]),
                (402, &json!(expected)),
                "{answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_takes_credit_refuses_debit_and_prepaid() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let (with, without) = keys(&vault);
        for (key, number, expected) in [
            (&with, "4242424242424242", None),
            (&with, "4000056655665556", Some("funding_not_allowed")),
            (&with, "5555555555554444", Some("funding_not_allowed")),
            // Nobody knows.
            (&with, "6011111111111117", None),
            (&without, "4000056655665556", None),
        ] {
            let (_, answer) = tokenise(&vault, key, card(number, Some("123"))).await;
            assert_eq!(answer["code"].as_str(), expected, "{number} {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_hold_for_a_session_that_outlives_its_key() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let (with, _) = keys(&vault);
        let body = json!({ "key": with });
        let session = vault.public.post("/v1/field-sessions", &body).await;
        assert_eq!(session.status, 200, "{}", session.text);
        let listed = command(&vault, &["keys", "list"]).unwrap();
        let rows = listed.as_array().unwrap().iter();
        let mut ruled = rows.filter(|key| !key["card_rules"]["funding"].is_null());
        let ids: Vec<_> = ruled
            .by_ref()
            .map(|key| key["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), 2, "{listed}");
        for id in ids {
            command(&vault, &["keys", "revoke", "--id", id]).unwrap();
        }
        let ended = vault.public.post("/v1/field-sessions", &body).await;
        assert_eq!(ended.status, 401, "{}", ended.text);
        for (card, expected) in [
            (card(NUMBER, None), (200, None)),
            (card("4242424242424242", Some("123")), (200, None)),
            (
                card("4000056655665556", Some("123")),
                (402, Some("funding_not_allowed")),
            ),
        ] {
            let sealed = vault.seal_for(&with, &session.json, &card);
            let answer = vault.tokenise(&session.json, &sealed).await;
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                expected,
                "{}",
                answer.text
            );
        }
    }
}

/// A key with the rules, rolled as keys are, and one without.
fn keys(vault: &Vault) -> (String, String) {
    let file = std::env::temp_dir().join(vault_api::ids::new_id("rules"));
    std::fs::write(&file, RULES).unwrap();
    let rules = file.to_string_lossy().into_owned();
    let create = |more: &[&str]| {
        let merchant = &vault.merchants[0].id;
        let fixed = ["keys", "create", "--merchant", merchant, "--kind"];
        command(vault, &[&fixed[..], more].concat())
    };
    let origin = ["pk", "--origin", "https://shop.example"];
    let text = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
    let made = create(&[&origin[..], &["--card-rules", &rules]].concat()).unwrap();
    let id = text(&made, "id");
    let rolled = command(vault, &["keys", "roll", "--id", &id, "--overlap", "24h"]).unwrap();
    let refused = create(&["sk", "--card-rules", &rules]).unwrap_err();
    assert!(refused.contains("--kind pk"), "{refused}");
    std::fs::remove_file(&file).unwrap();
    (text(&rolled, "key"), text(&create(&origin).unwrap(), "key"))
}

//! Bad input: coded refusals that never repeat it, and a bank that goes on.

use harness::shows_a_card;
use serde_json::{Value, json};

use crate::{sale, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_are_refused_without_repeating_them() {
    let number = "4242424242424242";
    for world in worlds().await {
        let shapes = [
            ("{", "malformed"),
            ("4242424242424242", "wrong_shape"),
            (r#"{"reference": 4242424242424242}"#, "wrong_shape"),
            (r#"{"amount": "4242424242424242"}"#, "wrong_shape"),
            (r#"{"reference": "4242424242424242"#, "malformed"),
            ("", "malformed"),
        ];
        for (body, code) in shapes {
            let answer = world
                .bank
                .post_text("/json/v1/payments", "application/json", body)
                .await;
            assert_eq!(
                (answer.status, &answer.json["error"]["code"]),
                (400, &json!(code)),
                "{body}"
            );
            assert!(!answer.text.contains(number), "{}", answer.text);
        }
        let edits: [(&str, Value); 9] = [
            ("/card/number", json!(4242424242424242_i64)),
            ("/card/exp_month", json!("4242424242424242")),
            ("/card/exp_month", json!(13)),
            ("/card/cvc", json!("4242424242424242")),
            ("/card/name", json!("4242 4242 4242 4242")),
            ("/amount", json!(-1)),
            ("/amount", json!(20.5)),
            ("/currency", json!("4242424242424242")),
            ("/reference", json!("4242424242424242")),
        ];
        for (place, value) in edits {
            let mut body = sale("ref_1", number);
            *body.pointer_mut(place).expect("a field") = value;
            let answer = world.bank.post("/json/v1/payments", &body).await;
            assert_eq!(answer.status, 400, "{place}: {}", answer.text);
            assert!(!shows_a_card(&answer.text), "{place}: {}", answer.text);
        }
        let megabyte = "4".repeat(1_000_000);
        let large = world
            .bank
            .post_text("/json/v1/payments", "application/json", &megabyte)
            .await;
        assert_eq!(
            (large.status, &large.json["error"]["code"]),
            (413, &json!("too_large"))
        );
        assert_eq!(
            world.sale("ref_1", number).await["status"],
            "captured",
            "and it goes on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_api_key_opens_it() {
    for world in worlds().await {
        let wrong = world.stranger.bearer("acq_test_of_the_tests_012345678x");
        for stranger in [&world.stranger, &wrong] {
            let answer = stranger
                .post("/json/v1/payments", &sale("ref_1", "4242424242424242"))
                .await;
            assert_eq!(
                (answer.status, &answer.json["error"]["code"]),
                (401, &json!("unauthorised"))
            );
            assert_eq!(
                stranger
                    .get("/json/v1/payments?reference=ref_1")
                    .await
                    .status,
                401
            );
        }
        assert!(world.entries("ref_1").await.is_empty());
        let body = json!({ "reference": "v" });
        let unknown = world.bank.post("/json/v1/payments/nb_0/void", &body).await;
        assert_eq!(unknown.json["error"]["code"], "no_such_payment");
        assert_eq!(
            world.bank.get("/json/v1/payments").await.json["error"]["field"],
            "reference"
        );
        assert_eq!(world.bank.get("/nothing").await.status, 404);
        for path in [
            "/json/v1/payments?reference=%00",
            "/json/v1/payments?reference=4242424242424242",
        ] {
            assert_eq!(world.bank.get(path).await.status, 400, "{path}");
        }
        let nul = world.bank.post("/json/v1/payments/%00/void", &body).await;
        assert_eq!(nul.status, 404);
    }
}

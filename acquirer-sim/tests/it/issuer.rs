//! The issuers' table as a caller sees it.

use serde_json::json;

use crate::{sale, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn each_test_card_answers_its_code() {
    for world in worlds().await {
        for (i, (number, status, code, cvc)) in [
            ("4242424242424242", "captured", "00", "M"),
            ("5555555555554444", "captured", "00", "M"),
            ("378282246310005", "captured", "00", "M"),
            ("4000000000000341", "declined", "05", "M"),
            ("4000000000000259", "captured", "00", "M"),
            ("4000000000000002", "declined", "05", "M"),
            ("4000000000009995", "declined", "51", "M"),
            ("4000000000000069", "declined", "54", "M"),
            ("4000000000000127", "declined", "82", "N"),
            ("4000000000000119", "declined", "96", "M"),
            ("4000000000009987", "declined", "41", "M"),
            ("4000000000009979", "declined", "43", "M"),
            ("4100000000000019", "declined", "59", "M"),
            ("4242424242424241", "declined", "14", "U"),
        ]
        .into_iter()
        .enumerate()
        {
            let paid = world.sale(&format!("ref_{i}"), number).await;
            let got = (&paid["status"], &paid["response_code"], &paid["cvc_result"]);
            assert_eq!(got, (&json!(status), &json!(code), &json!(cvc)), "{number}");
            assert_eq!(paid["auth_code"].is_string(), status == "captured");
            assert_eq!(
                paid["network_transaction_id"].is_string(),
                status == "captured"
            );
            assert!(paid["id"].as_str().is_some_and(|id| id.starts_with("nb_")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_card_and_a_missing_cvv() {
    for world in worlds().await {
        let mut body = sale("ref_expired", "4242424242424242");
        body["card"]["exp_year"] = json!("21");
        let paid = world.bank.post("/json/v1/payments", &body).await.json;
        assert_eq!(
            (&paid["status"], &paid["response_code"]),
            (&json!("declined"), &json!("54"))
        );

        let mut body = sale("ref_no_cvc", "4242424242424242");
        body["card"].as_object_mut().expect("a card").remove("cvc");
        body["capture"] = json!(false);
        let paid = world.bank.post("/json/v1/payments", &body).await.json;
        assert_eq!(
            (&paid["status"], &paid["cvc_result"]),
            (&json!("authorised"), &json!("P"))
        );
    }
}

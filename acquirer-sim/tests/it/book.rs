//! The book: one payment per reference, and never more money out than came in.

use serde_json::{Value, json};

use crate::{World, sale, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_reference_is_the_same_payment() {
    for world in worlds().await {
        let body = sale("ref_1", "4242424242424242");
        let calls: Vec<_> = (0..30)
            .map(|_| {
                let (bank, body) = (world.bank.clone(), body.clone());
                tokio::spawn(async move { bank.post("/json/v1/payments", &body).await.json })
            })
            .collect();
        let mut answers = vec![];
        for call in calls {
            answers.push(call.await.expect("an answer"));
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
        assert_eq!(world.entries("ref_1").await.len(), 1);

        // Another card under the reference changes nothing.
        assert_eq!(world.sale("ref_1", "4000000000000002").await, answers[0]);
        let found = world
            .bank
            .get("/json/v1/payments?reference=ref_1")
            .await
            .json;
        assert_eq!(found["payments"].as_array().map(Vec::len), Some(1));
        assert_eq!(found["payments"][0]["status"], "captured");
        let none = world
            .bank
            .get("/json/v1/payments?reference=ref_2")
            .await
            .json;
        assert_eq!(none, json!({ "payments": [] }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_refunds_never_exceed_what_was_captured() {
    for world in worlds().await {
        let id = world.sale("ref_1", "4242424242424242").await["id"].clone();
        let path = format!("/json/v1/payments/{}/refunds", id.as_str().expect("an id"));
        let calls: Vec<_> = (0..20)
            .map(|i| {
                let (bank, path) = (world.bank.clone(), path.clone());
                let body = json!({ "amount": 600, "reference": format!("re_{i}") });
                tokio::spawn(async move { bank.post(&path, &body).await.json })
            })
            .collect();
        let mut refunded = 0;
        for call in calls {
            let answer = call.await.expect("an answer");
            if answer["status"] == "refunded" {
                refunded += 1;
            } else {
                assert_eq!(
                    (&answer["status"], &answer["response_code"]),
                    (&json!("declined"), &json!("61"))
                );
            }
        }
        assert_eq!(refunded, 3, "3 × 600 of 2000");
        let stands = world
            .bank
            .get("/json/v1/payments?reference=ref_1")
            .await
            .json;
        assert_eq!(stands["payments"][0]["refunded_amount"], 1800);

        // A repeated refund is answered as it was, and gives nothing back twice.
        let body = json!({ "amount": 200, "reference": "re_last" });
        let first = world.bank.post(&path, &body).await.json;
        assert_eq!(first["status"], "refunded");
        assert_eq!(world.bank.post(&path, &body).await.json, first);
    }
}

async fn authorised(world: &World, reference: &str) -> String {
    let mut body = sale(reference, "4242424242424242");
    body["capture"] = json!(false);
    let paid = world.bank.post("/json/v1/payments", &body).await.json;
    assert_eq!(paid["status"], "authorised");
    format!("/json/v1/payments/{}", paid["id"].as_str().expect("an id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_captured_in_parts_or_voided() {
    for world in worlds().await {
        let post = async |path: String, body: Value| {
            let answer = world.bank.post(&path, &body).await.json;
            (answer["status"].clone(), answer["response_code"].clone())
        };
        let payment = authorised(&world, "ref_1").await;
        let capture = |amount: i64, reference: &str| {
            post(
                format!("{payment}/capture"),
                json!({ "amount": amount, "reference": reference }),
            )
        };
        let (captured, too_much) = (
            (json!("captured"), json!("00")),
            (json!("declined"), json!("61")),
        );
        assert_eq!(capture(1500, "cap_1").await, captured);
        assert_eq!(
            capture(1500, "cap_1").await,
            captured,
            "repeated, not captured twice"
        );
        assert_eq!(capture(501, "cap_2").await, too_much);
        assert_eq!(capture(500, "cap_3").await, captured);
        let invalid = (json!("declined"), json!("12"));
        let void = |payment: &str| post(format!("{payment}/void"), json!({ "reference": "v_1" }));
        assert_eq!(
            void(&payment).await,
            invalid,
            "captured money is refunded, not voided"
        );

        let payment = authorised(&world, "ref_2").await;
        assert_eq!(void(&payment).await, (json!("voided"), json!("00")));
        assert_eq!(void(&payment).await, (json!("voided"), json!("00")));
        let capture = post(
            format!("{payment}/capture"),
            json!({ "amount": 1, "reference": "cap_4" }),
        );
        assert_eq!(capture.await, invalid);
        let found = world
            .bank
            .get("/json/v1/payments?reference=ref_2")
            .await
            .json;
        assert_eq!(found["payments"][0]["status"], "voided");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_counts_and_sums() {
    for world in worlds().await {
        world.sale("ref_1", "4242424242424242").await;
        world.sale("ref_2", "5555555555554444").await;
        world.sale("ref_3", "4000000000000002").await;
        let summary = world.admin.get("/admin/summary").await.json;
        assert_eq!(
            summary["summary"],
            json!([
                { "kind": "sale", "currency": "usd", "status": "captured", "count": 2, "sum": 4000 },
                { "kind": "sale", "currency": "usd", "status": "declined", "count": 1, "sum": 2000 },
            ])
        );
        let entry = &world.entries("ref_2").await[0];
        assert_eq!(
            (&entry["last4"], &entry["brand"]),
            (&json!("4444"), &json!("mastercard"))
        );
        let page = world.admin.get("/").await;
        assert!(
            page.text.contains("40.00 USD") && page.text.contains("ref_2"),
            "{}",
            page.text
        );
        assert_eq!(world.admin.get("/readyz").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_file_holds_no_number() {
    let number = "4242424242424242";
    for world in worlds().await {
        world.sale("ref_1", number).await;
        world.sale("ref_2", "4000000000000002").await;
        let store::Location::Sqlite(file) = &world.database.location else {
            continue;
        };
        let folder = file.parent().expect("a folder");
        for file in std::fs::read_dir(folder).expect("a folder") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("read");
            for digits in [number, "4000000000000002", "424242424242", "Lovelace"] {
                let hit = bytes
                    .windows(digits.len())
                    .any(|window| window == digits.as_bytes());
                assert!(!hit, "{digits}");
            }
        }
    }
}

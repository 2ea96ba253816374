//! Faults on demand: what the caller sees, and what the book says all the same.

use std::time::{Duration, Instant};

use http::Request;
use serde_json::json;
use service::Client;
use service::client::Error;

use crate::{API_KEY, World, sale, worlds};

async fn add(world: &World, fault: serde_json::Value) {
    assert_eq!(world.admin.post("/admin/faults", &fault).await.status, 201);
}

// A payment whose call may end without an answer.
async fn try_to_pay(world: &World, reference: &str, within: Duration) -> Result<u16, Error> {
    let request = Request::post(format!("{}/json/v1/payments", world.url))
        .header("authorization", format!("Bearer {API_KEY}"))
        .body(sale(reference, "4242424242424242").to_string().into())
        .expect("a request");
    let answer = Client::new(Duration::from_secs(1), within)
        .send(request)
        .await;
    answer.map(|answer| answer.status().as_u16())
}

const AMPLE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_an_unknown_outcome() {
    for world in worlds().await {
        for (kind, booked) in [("drop_before_commit", 0), ("drop_after_commit", 1)] {
            add(&world, json!({ "kind": kind, "times": 1 })).await;
            let started = Instant::now();
            let error = try_to_pay(&world, kind, AMPLE)
                .await
                .expect_err("no answer");
            assert!(matches!(error, Error::Unknown(_)), "{error}");
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "closed, not timed out"
            );
            assert_eq!(world.entries(kind).await.len(), booked, "{kind}");
            // The fault was for one call: the same reference now has its answer, and one charge.
            assert_eq!(
                world.sale(kind, "4242424242424242").await["status"],
                "captured"
            );
            assert_eq!(world.entries(kind).await.len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_outages() {
    for world in worlds().await {
        add(&world, json!({ "kind": "error_after_commit" })).await;
        add(&world, json!({ "kind": "outage", "times": 2 })).await;
        assert_eq!(try_to_pay(&world, "ref_1", AMPLE).await.ok(), Some(500));
        assert_eq!(world.entries("ref_1").await.len(), 1);
        for _ in 0..2 {
            assert_eq!(try_to_pay(&world, "ref_2", AMPLE).await.ok(), Some(503));
        }
        assert!(world.entries("ref_2").await.is_empty());
        assert_eq!(try_to_pay(&world, "ref_2", AMPLE).await.ok(), Some(200));

        add(&world, json!({ "kind": "outage", "times": 5 })).await;
        assert_eq!(
            world.admin.get("/admin/faults").await.json["faults"][0]["times"],
            5
        );
        assert_eq!(world.admin.delete("/admin/faults").await.status, 204);
        assert_eq!(try_to_pay(&world, "ref_3", AMPLE).await.ok(), Some(200));
        let nonsense = world
            .admin
            .post("/admin/faults", &json!({ "kind": "flood" }))
            .await;
        assert_eq!(nonsense.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_bank_books_after_its_caller_gave_up() {
    for world in worlds().await {
        add(&world, json!({ "kind": "latency_ms", "ms": 600 })).await;
        let gave_up = try_to_pay(&world, "ref_1", Duration::from_millis(200)).await;
        assert!(matches!(gave_up, Err(Error::Unknown(_))));
        assert!(world.entries("ref_1").await.is_empty(), "not yet");
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(world.entries("ref_1").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_hits_one_call_and_a_refund_can_be_hit_too() {
    for world in worlds().await {
        let outage = world.bank.with("x-sim-fault", "outage");
        let paid = outage
            .post("/json/v1/payments", &sale("ref_1", "4242424242424242"))
            .await;
        assert_eq!(paid.status, 503);
        let unknown = world.bank.with("x-sim-fault", "4242424242424242");
        let paid = unknown
            .post("/json/v1/payments", &sale("ref_1", "4242424242424242"))
            .await;
        assert_eq!(
            (paid.status, &paid.json["error"]["code"]),
            (400, &json!("unknown_fault"))
        );

        let id = world.sale("ref_1", "4242424242424242").await["id"].clone();
        add(
            &world,
            json!({ "kind": "error_after_commit", "operation": "refund" }),
        )
        .await;
        let path = format!("/json/v1/payments/{}/refunds", id.as_str().expect("an id"));
        let body = json!({ "amount": 500, "reference": "re_1" });
        assert_eq!(world.bank.post(&path, &body).await.status, 500);
        assert_eq!(
            world.bank.post(&path, &body).await.json["status"],
            "refunded"
        );
        let stands = world
            .bank
            .get("/json/v1/payments?reference=ref_1")
            .await
            .json;
        assert_eq!(stands["payments"][0]["refunded_amount"], 500, "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_careless_bank_echoes_the_number_once_and_books_none() {
    for world in worlds().await {
        add(&world, json!({ "kind": "echo_pan" })).await;
        let paid = world.sale("ref_1", "4242424242424242").await;
        assert_eq!(paid["auth_code"], "4242424242424242");
        let again = world.sale("ref_1", "4242424242424242").await;
        assert!(!again.to_string().contains("4242424242424242"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_cut_doubled_or_never_come() {
    for world in worlds().await {
        for (kind, booked) in [("reset_mid_body", 1), ("duplicate_reply", 1), ("hang", 0)] {
            add(&world, json!({ "kind": kind })).await;
            let within = if kind == "hang" {
                Duration::from_millis(400)
            } else {
                AMPLE
            };
            let answer = try_to_pay(&world, kind, within).await;
            assert_eq!(
                answer.is_ok(),
                kind == "duplicate_reply",
                "{kind}: {answer:?}"
            );
            assert_eq!(world.entries(kind).await.len(), booked, "{kind}");
        }
        add(&world, json!({ "kind": "duplicate_reply" })).await;
        let body = sale("ref_twice", "4242424242424242");
        let twice = world.bank.post("/json/v1/payments", &body).await;
        assert_eq!(twice.text.matches("\"reference\":\"ref_twice\"").count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brown_out_fails_a_share_of_the_calls_of_one_acquirer() {
    for world in worlds().await {
        add(
            &world,
            json!({ "kind": "brown_out", "share": 30, "times": 20, "acquirer": "json" }),
        )
        .await;
        let mut failed = 0;
        for i in 0..20 {
            let status = try_to_pay(&world, &format!("ref_{i}"), AMPLE).await.ok();
            failed += i32::from(status == Some(503));
        }
        assert_eq!(failed, 6);
        assert_eq!(try_to_pay(&world, "ref_20", AMPLE).await.ok(), Some(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_approval_is_told_and_an_amount_can_mean_a_fault() {
    for world in worlds().await {
        add(&world, json!({ "kind": "late_approval", "ms": 300 })).await;
        let gave_up = try_to_pay(&world, "ref_1", Duration::from_millis(100)).await;
        assert!(matches!(gave_up, Err(Error::Unknown(_))));
        let told = world.told(1).await;
        assert_eq!(told[0].1["type"], "payment.approved");
        assert_eq!(told[0].1["reference"], "ref_1");
        assert_eq!(world.entries("ref_1").await.len(), 1);

        let mut body = sale("ref_2", "4242424242424242");
        body["amount"] = json!(990_007);
        assert_eq!(
            world.bank.post("/json/v1/payments", &body).await.status,
            503
        );
        let again = world.bank.post("/json/v1/payments", &body).await;
        assert_eq!(again.json["status"], "captured", "once per reference");
    }
}

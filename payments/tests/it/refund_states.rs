//! What becomes of a refund after its call: pending, succeeded, failed when it comes back, canceled before it is sent.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{Answer, World, on_both_stores};

on_both_stores!(
    a_pending_refund_ends_with_the_acquirers_word,
    a_refund_that_comes_back_is_in_the_balance_again,
    what_was_not_sent_can_be_canceled,
    metadata_of_a_refund_changes,
);

impl World {
    async fn refund_of(&self, paid: &Answer, amount: &str) -> Answer {
        let id = paid.id();
        let form = [("payment_intent", id.as_str()), ("amount", amount)];
        self.post("/v1/refunds", &form).await.ok()
    }

    async fn until_refund(&self, id: &str, status: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(40);
        loop {
            let refund = self.get(&format!("/v1/refunds/{id}")).await.ok().json;
            if refund["status"] == status {
                return refund;
            }
            assert!(Instant::now() < until, "not {status}: {refund}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    // Types and statuses of the refund's events, oldest first.
    async fn refund_events(&self) -> Vec<String> {
        let query = "types[]=refund.created&types[]=refund.updated&types[]=refund.failed";
        let list = self
            .get(&format!("/v1/events?limit=100&{query}"))
            .await
            .ok();
        let data = list.json["data"].as_array().expect("a list").clone();
        let told = data.iter().rev().map(|event| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            format!(
                "{} {}",
                text(&event["type"]),
                text(&event["data"]["object"]["status"])
            )
        });
        told.collect()
    }

    async fn nets(&self) -> Vec<i64> {
        let listed = self.get("/v1/balance_transactions").await.ok();
        let data = listed.json["data"].as_array().expect("a list").clone();
        data.iter()
            .rev()
            .map(|one| one["net"].as_i64().expect("a net"))
            .collect()
    }
}

fn operation(refund: &Answer) -> String {
    format!("op_{}", refund.id().trim_start_matches("re_"))
}

async fn a_pending_refund_ends_with_the_acquirers_word(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    world.bank.book().refunds_pending = true;
    let first = world.refund_of(&paid, "400").await;
    assert_eq!(
        (&first.json["status"], &first.json["pending_reason"]),
        (&json!("pending"), &json!("processing"))
    );
    // The acquirer has it: nobody takes it back, and its amount is not there for another.
    let cancel = world
        .post(&format!("/v1/refunds/{}/cancel", first.id()), &[])
        .await;
    assert_eq!(cancel.status, 400);
    assert!(
        cancel.text.contains("may have it already"),
        "{}",
        cancel.text
    );
    let form = [("payment_intent", paid.id()), ("amount", "601".to_owned())];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        world.post("/v1/refunds", &form).await.code(),
        "amount_too_large"
    );
    let charge = format!(
        "/v1/charges/{}",
        paid.json["latest_charge"].as_str().expect("an id")
    );
    assert_eq!(world.get(&charge).await.ok().json["amount_refunded"], 0);
    world.bank.book().refunds_pending = false;
    let done = world.until_refund(&first.id(), "succeeded").await;
    assert!(done["pending_reason"].is_null() && done["failure_balance_transaction"].is_null());
    assert_eq!(world.get(&charge).await.ok().json["amount_refunded"], 400);
    let cancel = world
        .post(&format!("/v1/refunds/{}/cancel", first.id()), &[])
        .await;
    assert!(
        cancel.text.contains("a status of succeeded"),
        "{}",
        cancel.text
    );
    // Another is pending, and then the issuer's no.
    world.bank.book().refunds_pending = true;
    let second = world.refund_of(&paid, "100").await;
    world.bank.book().refuse_operations = true;
    let failed = world.until_refund(&second.id(), "failed").await;
    assert_eq!(failed["failure_reason"], "declined");
    assert_eq!(world.nets().await, [1000 - 59, -400, -100, 100]);
    assert_eq!(
        world.refund_events().await,
        [
            "refund.created pending",
            "refund.updated succeeded",
            "refund.created pending",
            "refund.failed failed"
        ]
    );
    world.finish().await;
}

async fn a_refund_that_comes_back_is_in_the_balance_again(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    let refund = world.refund_of(&paid, "1000").await;
    assert_eq!(refund.json["status"], "succeeded");
    let charge = format!(
        "/v1/charges/{}",
        paid.json["latest_charge"].as_str().expect("an id")
    );
    assert_eq!(world.get(&charge).await.ok().json["refunded"], true);
    world.bank.book().returned = vec![(operation(&refund), "54"), ("op_nobodys".into(), "54")];
    world.advance_clock(61);
    let failed = world.until_refund(&refund.id(), "failed").await;
    assert_eq!(failed["failure_reason"], "expired_or_canceled_card");
    assert_eq!(
        failed["balance_transaction"],
        refund.json["balance_transaction"]
    );
    let back = failed["failure_balance_transaction"]
        .as_str()
        .expect("an id");
    let back = world
        .get(&format!("/v1/balance_transactions/{back}"))
        .await
        .ok()
        .json;
    assert_eq!(
        (&back["type"], &back["net"], &back["source"]),
        (&json!("refund_failure"), &json!(1000), &failed["id"])
    );
    let expanded = format!(
        "/v1/refunds/{}?expand[]=failure_balance_transaction",
        refund.id()
    );
    assert_eq!(
        world.get(&expanded).await.ok().json["failure_balance_transaction"],
        back
    );
    let now = world.get(&charge).await.ok().json;
    assert_eq!(
        (&now["refunded"], &now["amount_refunded"]),
        (&json!(false), &json!(0))
    );
    // It is in the list for a month, and happens once.
    world.advance_clock(200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    world.bank.book().returned.clear();
    let again = world.refund_of(&paid, "1000").await;
    assert_eq!(again.json["status"], "succeeded");
    assert_eq!(world.nets().await, [1000 - 59, -1000, 1000, -1000]);
    assert_eq!(
        world.refund_events().await,
        [
            "refund.created pending",
            "refund.updated succeeded",
            "refund.failed failed",
            "refund.created pending",
            "refund.updated succeeded"
        ]
    );
    world.finish().await;
}

async fn what_was_not_sent_can_be_canceled(mut world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    let url = std::fs::read_to_string(world.file("vault.url")).expect("the url");
    let (here, nowhere) = (
        format!("base_url = \"{url}\""),
        "base_url = \"http://127.0.0.1:9\"",
    );
    // One that may have arrived stays so, though later tries cannot even connect.
    world.bank.book().operation_faults = vec![StatusCode::BAD_GATEWAY; 50];
    let unknown = world.refund_of(&paid, "100").await;
    assert_eq!(unknown.json["status"], "pending");
    world.replace_in_acquirers(&here, nowhere).await;
    let unsent = world.refund_of(&paid, "300").await;
    assert_eq!(unsent.json["status"], "pending");
    world.advance_clock(400);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let path = |refund: &Answer| format!("/v1/refunds/{}/cancel", refund.id());
    let refused = world.post(&path(&unknown), &[]).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let stranger = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    let foreign = world
        .call(Method::POST, &path(&unsent), &stranger, None, "")
        .await;
    assert_eq!((foreign.status, foreign.code()), (404, "resource_missing"));
    let canceled = world.post(&path(&unsent), &[]).await.ok();
    assert_eq!(
        (&canceled.json["status"], &canceled.json["failure_reason"]),
        (&json!("canceled"), &json!("merchant_request"))
    );
    assert!(canceled.json["failure_balance_transaction"].is_string());
    assert_eq!(
        world.post(&path(&unsent), &[]).await.ok().json,
        canceled.json
    );
    world.bank.book().operation_faults.clear();
    world.replace_in_acquirers(nowhere, &here).await;
    world.advance_clock(2_000);
    world.until_refund(&unknown.id(), "succeeded").await;
    let rest = world.refund_of(&paid, "900").await;
    assert_eq!(rest.json["status"], "succeeded");
    assert_eq!(world.bank.taken(), (1000, 1000));
    assert_eq!(
        world.until_refund(&unsent.id(), "canceled").await,
        canceled.json
    );
    world.finish().await;
}

async fn metadata_of_a_refund_changes(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    let refund = world.refund_of(&paid, "100").await;
    let path = format!("/v1/refunds/{}", refund.id());
    let form = [("metadata[case]", "17"), ("expand[]", "charge")];
    let changed = world.post(&path, &form).await.ok();
    assert_eq!(changed.json["metadata"], json!({ "case": "17" }));
    assert_eq!(changed.json["charge"]["object"], "charge");
    let removed = world.post(&path, &[("metadata[case]", "")]).await.ok();
    assert_eq!(removed.json["metadata"], json!({}));
    let wrong = world.post(&path, &[("amount", "1")]).await;
    assert_eq!((wrong.status, wrong.code()), (400, "parameter_unknown"));
    let missing = world.post("/v1/refunds/re_nobodys", &form).await;
    assert_eq!((missing.status, missing.code()), (404, "resource_missing"));
    world.finish().await;
}

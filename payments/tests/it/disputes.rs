//! Disputes: opened, answered, accepted, lost by the clock; the money that goes with each, and what is refused.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    evidence_is_sent_once_and_a_won_dispute_gives_the_money_back,
    what_nobody_answers_is_lost_when_its_time_is_over,
    an_accepted_dispute_is_lost,
    an_inquiry_takes_no_money,
);

const DAY: i64 = 24 * 60 * 60;

impl World {
    /// A payment of 1,000 that is disputed; the dispute's path, and its payment's id.
    async fn disputed(&self, stage: &str) -> (String, String) {
        let paid = self.pay(1_000, Card::Approves, &[]).await.ok().id();
        {
            let mut book = self.bank.book();
            let payment = book.payments.keys().next().expect("a payment").clone();
            let now = crate::settlement::now_ms();
            book.disputes = vec![json!({
                "id": "cb_1", "payment": payment, "amount": 1_000, "currency": "usd", "reason_code": "10.4",
                "stage": stage, "status": "needs_response", "due_at": now + 7 * DAY * 1000, "has_evidence": false,
            })];
        }
        self.advance_clock(61);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let listed = self
                .get(&format!("/v1/disputes?payment_intent={paid}"))
                .await
                .ok();
            if let Some(id) = listed.json["data"][0]["id"].as_str() {
                return (format!("/v1/disputes/{id}"), paid);
            }
            assert!(Instant::now() < until, "no dispute");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_dispute(&self, path: &str, status: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let dispute = self.get(path).await.ok().json;
            if dispute["status"] == status {
                return dispute;
            }
            assert!(Instant::now() < until, "not {status}: {dispute}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn dispute_events(&self) -> Vec<String> {
        let all = self.event_types().await;
        let mut of_disputes: Vec<String> = all
            .into_iter()
            .filter_map(|kind| kind.strip_prefix("charge.dispute.").map(str::to_owned))
            .collect();
        of_disputes.sort();
        of_disputes
    }

    // What is said of a dispute that is closed is refused.
    async fn is_over(&self, path: &str) {
        for (path, form) in [
            (
                path.to_owned(),
                vec![("evidence[uncategorized_text]", "late")],
            ),
            (format!("{path}/close"), vec![]),
        ] {
            let refused = self.post(&path, &form).await;
            let error = &refused.json["error"];
            assert_eq!(
                (refused.status, &error["type"]),
                (400, &"invalid_request_error".into()),
                "{}",
                refused.text
            );
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|message| message.contains("closed"))
            );
        }
    }
}

fn amounts(dispute: &Value) -> Vec<i64> {
    let moved = dispute["balance_transactions"].as_array().expect("a list");
    moved
        .iter()
        .map(|one| one["amount"].as_i64().expect("an amount"))
        .collect()
}

async fn evidence_is_sent_once_and_a_won_dispute_gives_the_money_back(world: World) {
    let (path, paid) = world.disputed("chargeback").await;
    let opened = world.get(&path).await.ok().json;
    assert_eq!(
        (&opened["status"], &opened["reason"]),
        (&"needs_response".into(), &"fraudulent".into())
    );
    assert_eq!(amounts(&opened), [-1_000]);
    let refused = world
        .post("/v1/refunds", &[("payment_intent", &paid)])
        .await;
    assert_eq!((refused.status, refused.code()), (400, "charge_disputed"));
    for who in [
        world.bank.key("mer_two", Kind::Secret, Mode::Test),
        world.bank.key("mer_one", Kind::Secret, Mode::Live),
    ] {
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::POST, path.clone()),
            (Method::POST, format!("{path}/close")),
        ] {
            let id = path.split('/').nth(3).expect("an id");
            let random = path.replace(id, "dp_nobodys");
            let foreign = world.call(method.clone(), &path, &who, None, "").await;
            let missing = world.call(method, &random, &who, None, "").await;
            assert!(
                crate::matrix::same(&foreign, &missing),
                "{} {}",
                foreign.text,
                missing.text
            );
            assert_eq!((foreign.status, foreign.code()), (404, "resource_missing"));
        }
    }

    // Kept, and not sent yet; then sent, under one key once.
    let draft = [
        ("evidence[product_description]", "A mug"),
        ("submit", "false"),
    ];
    let kept = world.post(&path, &draft).await.ok().json;
    assert_eq!(
        (&kept["status"], &kept["evidence"]["product_description"]),
        (&"needs_response".into(), &"A mug".into())
    );
    let long = "x".repeat(20_000);
    let form = [("evidence[uncategorized_text]", long.as_str())];
    let sent = world.post_as("evidence", &path, &form).await.ok();
    assert_eq!(sent.json["status"], "under_review");
    assert_eq!(sent.json["evidence_details"]["submission_count"], 1);
    assert_eq!(
        world.post_as("evidence", &path, &form).await.ok().text,
        sent.text
    );
    world.bank.book().disputes[0]["status"] = json!("won");
    world.advance_clock(122);
    let won = world.until_dispute(&path, "won").await;
    assert_eq!(amounts(&won), [-1_000, 1_000]);
    assert_eq!(
        world.dispute_events().await,
        [
            "closed",
            "created",
            "funds_reinstated",
            "funds_withdrawn",
            "updated",
            "updated"
        ]
    );
    // A report that comes late changes nothing.
    world.bank.book().disputes[0]["status"] = json!("lost");
    world.advance_clock(200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.get(&path).await.ok().json["status"], "won");
    world.is_over(&path).await;
    world.finish().await;
}

async fn what_nobody_answers_is_lost_when_its_time_is_over(world: World) {
    let (path, paid) = world.disputed("chargeback").await;
    let open = world.get(&path).await.ok().json;
    assert_eq!(open["evidence_details"]["past_due"], false);
    world.advance_clock(7 * DAY + 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        world.get(&path).await.ok().json["evidence_details"]["past_due"],
        true
    );
    world.bank.book().disputes[0]["status"] = json!("lost");
    world.advance_clock(7 * DAY + 122);
    let lost = world.until_dispute(&path, "lost").await;
    assert_eq!(amounts(&lost), [-1_000]);
    assert_eq!(
        world.dispute_events().await,
        ["closed", "created", "funds_withdrawn", "updated"]
    );
    let charge = world
        .get(&format!("/v1/charges?payment_intent={paid}"))
        .await
        .ok();
    assert_eq!(charge.json["data"][0]["disputed"], true);
    world.is_over(&path).await;
    // The money is the buyer's already: it is not given back once more.
    let refused = world
        .post("/v1/refunds", &[("payment_intent", &paid)])
        .await;
    assert_eq!((refused.status, refused.code()), (400, "charge_disputed"));
    assert_eq!(world.bank.taken(), (1_000, 0));
    world.finish().await;
}

async fn an_accepted_dispute_is_lost(world: World) {
    let (path, _) = world.disputed("chargeback").await;
    let closed = world
        .post_as("close", &format!("{path}/close"), &[])
        .await
        .ok();
    assert_eq!(closed.json["status"], "lost");
    assert_eq!(amounts(&closed.json), [-1_000]);
    let again = world
        .post_as("close", &format!("{path}/close"), &[])
        .await
        .ok();
    assert_eq!(again.text, closed.text);
    world.is_over(&path).await;
    world.finish().await;
}

async fn an_inquiry_takes_no_money(world: World) {
    let (path, paid) = world.disputed("inquiry").await;
    let asked = world.get(&path).await.ok().json;
    assert_eq!(
        (&asked["status"], &asked["is_charge_refundable"]),
        (&"warning_needs_response".into(), &true.into())
    );
    assert_eq!(amounts(&asked), Vec::<i64>::new());
    // It becomes a chargeback: now the money goes.
    world.bank.book().disputes[0]["stage"] = json!("chargeback");
    world.advance_clock(122);
    let open = world.until_dispute(&path, "needs_response").await;
    assert_eq!(amounts(&open), [-1_000]);
    let refused = world
        .post("/v1/refunds", &[("payment_intent", &paid)])
        .await;
    assert_eq!(refused.code(), "charge_disputed");
    world.finish().await;
}

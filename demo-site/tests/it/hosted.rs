//! Paying on the hosted page: one way at a time, and only verified news make an order paid.

use harness::Http;
use harness::http::Answer;
use serde_json::{Value, json};

use crate::{World, event, eventually, pay, status, worlds};

async fn go(buyer: &Http, order: &str) -> String {
    let form = "application/x-www-form-urlencoded";
    let path = format!("/orders/{order}/hosted");
    let answer: Answer = buyer.post_text(&path, form, "").await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.headers["location"]
        .to_str()
        .expect("ASCII")
        .to_owned()
}

fn complete(world: &World, place: usize) -> Value {
    world.gateway.with(|memory| {
        let session = &mut memory.sessions[place];
        session["status"] = json!("complete");
        session["payment_status"] = json!("paid");
        session["url"] = Value::Null;
        session.clone()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_makes_it_paid_and_the_success_page_does_not() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        assert_eq!(
            go(&buyer, &order).await,
            "http://pay.example/c/pay/cs_test_0"
        );
        // Once more is the same page; there is one session.
        assert_eq!(
            go(&buyer, &order).await,
            "http://pay.example/c/pay/cs_test_0"
        );
        let success = format!("/payment/success/{order}");
        assert_eq!(buyer.get(&success).await.status, 200);
        assert_eq!(
            world.shop.get(&success).await.status,
            404,
            "of its buyer only"
        );
        assert_eq!(status(&buyer, &order).await.0, "pending");
        let session = complete(&world, 0);
        assert_eq!(session["amount_total"], 2400, "the price of the database");
        let mut forged = session.clone();
        forged["amount_total"] = json!(1);
        let cheap = event("evt_0", "checkout.session.completed", forged);
        assert_eq!(world.deliver(&cheap).await, 200);
        assert_eq!(status(&buyer, &order).await.0, "pending");
        let event = event("evt_1", "checkout.session.completed", session);
        assert_eq!(world.deliver(&event).await, 200);
        assert_eq!(status(&buyer, &order).await.0, "paid");
        assert_eq!(world.count("from fulfilments").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_closes_its_order() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        go(&buyer, &order).await;
        let mut session = world.gateway.with(|memory| memory.sessions[0].clone());
        session["status"] = json!("expired");
        let event = event("evt_1", "checkout.session.expired", session);
        assert_eq!(world.deliver(&event).await, 200);
        assert_eq!(status(&buyer, &order).await.0, "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_way_at_a_time() {
    for world in worlds().await {
        // Back from the hosted page, the buyer pays here: that page is closed first, and the order is not.
        let (order, buyer) = world.order("mug").await;
        go(&buyer, &order).await;
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
        let session = world.gateway.with(|memory| memory.sessions[0].clone());
        assert_eq!(session["status"], "expired");
        let late = event("evt_1", "checkout.session.expired", session);
        assert_eq!(world.deliver(&late).await, 200);
        assert_eq!(
            status(&buyer, &order).await.0,
            "pending",
            "the webhook of the payment comes yet"
        );
        // Paid there already: nothing is sent from here.
        let (order, buyer) = world.order("mug").await;
        go(&buyer, &order).await;
        complete(&world, 1);
        let calls = world.gateway.with(|memory| memory.calls.len());
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "processing");
        assert_eq!(world.gateway.with(|memory| memory.calls.len()), calls);
        // An attempt under way here: no session is made that could be paid.
        let (order, buyer) = world.order("mug").await;
        assert_eq!(pay(&buyer, &order, "tok_slow").await.0, "processing");
        assert_eq!(go(&buyer, &order).await, format!("/checkout/{order}"));
        let open = world.gateway.with(|memory| {
            let open = memory.sessions.iter().filter(|s| s["status"] == "open");
            open.count()
        });
        assert_eq!(open, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_webhook_is_found_after_an_hour() {
    for world in worlds().await {
        let (order, buyer) = world.order("lamp").await;
        go(&buyer, &order).await;
        complete(&world, 0);
        world.advance(2 * 3600);
        eventually("found", async || status(&buyer, &order).await.0 == "paid").await;
    }
}

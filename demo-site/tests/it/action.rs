//! The bank asks the buyer something: the order's own buyer gets what opens that one intent, and may leave.

use serde_json::json;

use crate::{event, pay, status, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn the_buyer_gets_the_intents_secret_until_it_is_over() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        assert_eq!(pay(&buyer, &order, "tok_asks").await.0, "processing");
        let path = format!("/order-status/{order}");
        let told = buyer.get(&path).await.json;
        assert_eq!(
            (&told["payment"], &told["client_secret"]),
            (&json!("action"), &json!("pi_1_secret_2"))
        );
        // Another click joins the attempt that is under way.
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "processing");
        assert_eq!(world.gateway.with(|memory| memory.calls.len()), 1);

        let mut intent = world.gateway.intent(&order, 1);
        intent["status"] = json!("succeeded");
        intent["amount_received"] = intent["amount"].clone();
        let news = event("evt_1", "payment_intent.succeeded", intent);
        assert_eq!(world.deliver(&news).await, 200);
        assert_eq!(status(&buyer, &order).await.0, "paid");
        let told = buyer.get(&path).await;
        assert!(!told.text.contains("secret"), "{}", told.text);
        let kept = "from payment_attempts where client_secret is not null";
        assert_eq!(world.count(kept).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_leaves_may_pay_in_another_way() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        pay(&buyer, &order, "tok_asks").await;
        let path = format!("/orders/{order}/leave");
        let (_, stranger) = world.order("mug").await;
        assert_eq!(stranger.post(&path, &json!({})).await.status, 404);
        let left = buyer.post(&path, &json!({})).await;
        assert_eq!(
            (left.status, &left.json["payment"]),
            (200, &json!("declined"))
        );
        let message = left.json["message"].as_str().unwrap_or_default();
        assert!(message.contains("You have not been charged"), "{message}");
        assert_eq!(world.gateway.intent(&order, 1)["status"], "canceled");
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
        // There is nothing to leave any more, and nothing is undone.
        let left = buyer.post(&path, &json!({})).await;
        assert_eq!(left.json["payment"], "processing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_too_late_changes_nothing() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        pay(&buyer, &order, "tok_asks").await;
        world.gateway.with(|memory| {
            for intent in memory.intents.values_mut() {
                intent["status"] = json!("processing");
            }
        });
        let left = buyer
            .post(&format!("/orders/{order}/leave"), &json!({}))
            .await;
        assert_eq!(left.json["payment"], "action");
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "processing");
    }
}

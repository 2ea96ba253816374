//! The orphan job: payments whose webhook never came.

use serde_json::json;

use crate::{eventually, pay, status, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_a_webhook_is_found_after_an_hour() {
    for world in worlds().await {
        let (order, buyer) = world.order("lamp").await;
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
        world.advance(50 * 60);
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        assert_eq!(
            status(&buyer, &order).await.0,
            "pending",
            "not before an hour"
        );
        world.advance(2 * 3600);
        eventually("found", async || status(&buyer, &order).await.0 == "paid").await;
        assert_eq!(world.count("from fulfilments").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_intent_closes_its_order() {
    for world in worlds().await {
        let (order, buyer) = world.order("lamp").await;
        assert_eq!(pay(&buyer, &order, "tok_slow").await.0, "processing");
        world.gateway.with(|memory| {
            for intent in memory.intents.values_mut() {
                intent["status"] = json!("canceled");
            }
        });
        world.advance(2 * 3600);
        let closed = async || status(&buyer, &order).await.0 == "cancelled";
        eventually("closed", closed).await;
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "closed");
    }
}

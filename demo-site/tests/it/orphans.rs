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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_behind_is_asked_again_under_its_key() {
    for world in worlds().await {
        let (order, buyer) = world.order("lamp").await;
        // The row that a process writes before it sends, and nothing more: no intent, no outcome.
        let id = order.clone();
        let now = world.clock.now_ms();
        let crashed = move |tx: &mut store::Tx<'_>| {
            tx.execute(
                "insert into payment_attempts
                     (order_id, number, idempotency_key, token, state, sends, send_after, created_at)
                 values ($1, 1, 'the_key_of_old', 'tok_ok', 'open', 1, $2, $3)",
                store::params![&id, now + 45_000, now],
            )
        };
        let written: Result<u64, store::Error> = world.store.write(crashed).await;
        assert_eq!(written.ok(), Some(1));
        assert_eq!(pay(&buyer, &order, "tok_other").await.0, "processing");
        world
            .gateway
            .with(|memory| assert!(memory.calls.is_empty()));

        world.advance(2 * 3600);
        eventually("paid", async || status(&buyer, &order).await.0 == "paid").await;
        let calls = world.gateway.with(|memory| memory.calls.clone());
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].key, "the_key_of_old");
        let token = calls[0].fields["payment_method_data[card][token]"].as_str();
        assert_eq!(token, "tok_ok");
    }
}

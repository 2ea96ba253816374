//! Webhooks: verified before anything is written, each once, in any order.

use harness::Http;
use serde_json::{Value, json};

use crate::{World, event, pay, sign, status, worlds};

const PATH: &str = "/webhooks/cardseal";
const JSON: &str = "application/json";

// An order whose payment the gateway knows to have succeeded, and its intent.
async fn paid(world: &World) -> (String, Http, Value) {
    let (order, buyer) = world.order("mug").await;
    assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
    let intent = world.gateway.intent(&order, 1);
    (order, buyer, intent)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_writes_nothing() {
    for world in worlds().await {
        let (order, buyer, intent) = paid(&world).await;
        let body = event("evt_1", "payment_intent.succeeded", intent).to_string();
        let now = world.clock.now();
        let genuine = sign(&body, now);
        let spaced = body.replace(':', ": ");
        let forged = format!("{}0000", &genuine[..genuine.len() - 4]);
        for (what, body, signature) in [
            ("unsigned", &body, String::new()),
            ("forged", &body, forged),
            ("stale", &body, sign(&body, now - 301)),
            ("from the future", &body, sign(&body, now + 310)),
            ("re-serialised", &spaced, genuine.clone()),
            ("another body's", &spaced, sign("{}", now)),
        ] {
            let shop = world.shop.with("stripe-signature", &signature);
            let answer = shop.post_text(PATH, JSON, body).await;
            let refused = (answer.status, answer.text.trim());
            assert_eq!(refused, (400, "Invalid signature"), "{what}");
        }
        let large = "4".repeat(1_000_000);
        let answer = world.shop.post_text(PATH, JSON, &large).await;
        assert!((400..500).contains(&answer.status));
        assert_eq!(world.count("from webhook_events").await, 0);
        assert_eq!(status(&buyer, &order).await.0, "pending");

        let shop = world.shop.with("stripe-signature", &genuine);
        assert_eq!(shop.post_text(PATH, JSON, &body).await.status, 200);
        assert_eq!(status(&buyer, &order).await.0, "paid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_at_once_are_one_fulfilment() {
    for world in worlds().await {
        for round in 0..10 {
            let (order, buyer, intent) = paid(&world).await;
            let event = event(&format!("evt_{round}"), "payment_intent.succeeded", intent);
            let body = event.to_string();
            let signature = sign(&body, world.clock.now());
            let shop = world.shop.with("stripe-signature", &signature);
            let deliveries: Vec<_> = (0..30)
                .map(|_| {
                    let (shop, body) = (shop.clone(), body.clone());
                    tokio::spawn(async move { shop.post_text(PATH, JSON, &body).await })
                })
                .collect();
            let mut handled = 0;
            for delivery in deliveries {
                let answer = delivery.await.expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text);
                handled += i64::from(answer.text.starts_with("Thanks"));
            }
            assert_eq!(handled, 1);
            assert_eq!(world.count("from fulfilments").await, round + 1);
            assert_eq!(status(&buyer, &order).await.0, "paid");
        }
    }
}

// The news of a declined attempt, of a success, of processing, of a partial refund and of a full one.
fn news(world: &World, order: &str) -> Vec<(&'static str, Value)> {
    let (declined, good) = (
        world.gateway.intent(order, 1),
        world.gateway.intent(order, 2),
    );
    let charge = json!({
        "id": "ch_1", "object": "charge", "payment_intent": good["id"], "refunded": true,
        "refunds": { "data": [{ "id": "re_1" }] }, "metadata": good["metadata"],
    });
    let part = json!({ "id": "ch_1", "payment_intent": good["id"], "refunded": false });
    vec![
        ("payment_intent.payment_failed", declined),
        ("payment_intent.succeeded", good.clone()),
        ("payment_intent.processing", good),
        ("charge.refunded", part),
        ("charge.refunded", charge),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_five_events_ends_the_same() {
    for world in worlds().await {
        for permutation in 0..120 {
            let (order, buyer) = world.order("mug").await;
            assert_eq!(pay(&buyer, &order, "tok_declined").await.0, "declined");
            assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
            let mut events = news(&world, &order);
            let mut rest = permutation;
            for left in (1..=events.len()).rev() {
                let (kind, object) = events.remove(rest % left);
                rest /= left;
                let id = format!("evt_{permutation}_{left}");
                assert_eq!(world.deliver(&event(&id, kind, object)).await, 200);
            }
            let (status, _) = status(&buyer, &order).await;
            assert_eq!(status, "refunded", "permutation {permutation}");
        }
        assert_eq!(
            world
                .count("from fulfilments where revoked_at is null")
                .await,
            0
        );
        assert_eq!(
            world.count("from webhook_events where processed = 0").await,
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_keeps_the_order_open_and_a_late_one_stops_nothing() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        assert_eq!(pay(&buyer, &order, "tok_slow").await.0, "processing");
        let mut intent = world.gateway.intent(&order, 1);
        intent["status"] = json!("requires_payment_method");
        intent["last_payment_error"] =
            json!({ "code": "card_declined", "decline_code": "do_not_honor", "message": "No." });
        let mut failed = event("evt_1", "payment_intent.payment_failed", intent);
        assert_eq!(world.deliver(&failed).await, 200);
        let open = ("pending".into(), "declined".into());
        assert_eq!(status(&buyer, &order).await, open);
        let row = world.row("select failure_reason from orders").await;
        assert_eq!(row.get::<String>(0).ok().as_deref(), Some("do_not_honor"));

        assert_eq!(pay(&buyer, &order, "tok_slow").await.0, "processing");
        failed["id"] = json!("evt_2");
        assert_eq!(world.deliver(&failed).await, 200);
        let waiting = ("pending".into(), "processing".into());
        assert_eq!(status(&buyer, &order).await, waiting);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_events_change_nothing() {
    for world in worlds().await {
        let (order, buyer, intent) = paid(&world).await;
        let mut cheap = intent.clone();
        cheap["amount_received"] = json!(1);
        let mut foreign = intent.clone();
        foreign["id"] = json!("pi_foreign");
        foreign["metadata"] = json!({});
        for (i, (kind, object)) in [
            ("payment_intent.succeeded", cheap),
            ("payment_intent.succeeded", foreign),
            ("payment_intent.succeeded", json!("4242424242424242")),
            ("invoice.upcoming", json!({ "id": "in_1" })),
            ("no.such.event", intent),
        ]
        .into_iter()
        .enumerate()
        {
            let event = event(&format!("evt_{i}"), kind, object);
            assert_eq!(world.deliver(&event).await, 200);
            assert_eq!(status(&buyer, &order).await.0, "pending");
        }
        assert_eq!(world.count("from fulfilments").await, 0);
        let kept = "from webhook_events where payload like '%4242424242424242%'";
        assert_eq!(world.count(kept).await, 0, "masked before it is stored");
        assert_eq!(world.deliver(&json!({ "id": "evt_x" })).await, 400);
    }
}

//! Orders: the price is the database's, and an order is its buyer's alone.

use harness::shows_a_card;
use serde_json::json;

use crate::{event, pay, status, worlds};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_amount_is_ignored() {
    for world in worlds().await {
        let body = "item=lamp&amount=1&price=1&currency=jpy&status=paid";
        let answer = world.shop.post_text("/orders", FORM, body).await;
        assert_eq!(answer.status, 303);
        let row = world
            .row("select amount, currency, status from orders")
            .await;
        assert_eq!(row.get::<i64>(0).ok(), Some(12900));
        assert_eq!(row.get::<String>(1).ok().as_deref(), Some("usd"));
        assert_eq!(row.get::<String>(2).ok().as_deref(), Some("pending"));

        let (order, buyer) = world.order("lamp").await;
        let body = json!({ "token": "tok_ok", "amount": 1 });
        let path = format!("/orders/{order}/pay");
        assert_eq!(buyer.post(&path, &body).await.status, 200);
        let call = world.gateway.with(|memory| memory.calls[0].clone());
        assert_eq!(call.fields["amount"], "12900");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_sale_makes_no_order() {
    for world in worlds().await {
        for (body, expected) in [
            ("item=yacht", 404),
            ("item=4242424242424242", 404),
            ("amount=1", 400),
            ("", 400),
            ("item=%00", 404),
        ] {
            let answer = world.shop.post_text("/orders", FORM, body).await;
            assert_eq!(answer.status, expected, "{body}");
            assert!(!shows_a_card(&answer.text), "{}", answer.text);
        }
        let large = "item=".to_owned() + &"4".repeat(1_000_000);
        let answer = world.shop.post_text("/orders", FORM, &large).await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert_eq!(world.count("from orders").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_buyers_cannot_see_each_other() {
    for world in worlds().await {
        let (first, alice) = world.order("mug").await;
        let (second, bob) = world.order("pen").await;
        for (buyer, own, other) in [(&alice, &first, &second), (&bob, &second, &first)] {
            assert_eq!(buyer.get(&format!("/order-status/{own}")).await.status, 200);
            assert_eq!(buyer.get(&format!("/checkout/{own}")).await.status, 200);
            let unknown = "/order-status/00000000-0000-4000-8000-000000000000";
            let unknown = buyer.get(unknown).await;
            let foreign = buyer.get(&format!("/order-status/{other}")).await;
            assert_eq!((foreign.status, &foreign.text), (404, &unknown.text));
            let page = buyer.get(&format!("/checkout/{other}")).await;
            assert_eq!(page.status, 404);
            let path = format!("/orders/{other}/pay");
            let paid = buyer.post(&path, &json!({ "token": "tok_ok" })).await;
            assert_eq!(paid.status, 404);
        }
        let nobody = world.shop.get(&format!("/order-status/{first}")).await;
        assert_eq!(nobody.status, 404);
        world
            .gateway
            .with(|memory| assert!(memory.calls.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browsers_return_makes_nothing_paid() {
    for world in worlds().await {
        let (order, buyer) = world.order("tote").await;
        for path in [
            "/payment/success",
            "/checkout/success?status=paid",
            "/order-status/x",
        ] {
            assert_eq!(buyer.get(path).await.status, 404, "{path}");
        }
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
        let waiting = ("pending".into(), "processing".into());
        assert_eq!(status(&buyer, &order).await, waiting);

        let event = event(
            "evt_1",
            "payment_intent.succeeded",
            world.gateway.intent(&order, 1),
        );
        assert_eq!(world.deliver(&event).await, 200);
        assert_eq!(status(&buyer, &order).await.0, "paid");
        let page = buyer.get(&format!("/checkout/{order}")).await;
        assert!(page.text.contains("Paid — thank you"), "{}", page.text);
    }
}

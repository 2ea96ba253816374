//! Paying: declines and second tries, double clicks, and outcomes that nobody knows.

use harness::shows_a_card;

use crate::{World, eventually, pay, status, worlds};

async fn until_succeeded(world: &World) {
    let succeeded = "from payment_attempts where state = 'succeeded'";
    eventually("asked again until it is known", async || {
        world.count(succeeded).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_is_said_and_the_next_try_pays() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        for (token, words) in [
            (
                "tok_declined",
                "Your card was declined. Please contact your bank",
            ),
            (
                "tok_poor",
                "insufficient funds. You have not been charged. Try again with another",
            ),
            (
                "tok_expired",
                "Your card has expired. Please update your card",
            ),
        ] {
            let (state, message) = pay(&buyer, &order, token).await;
            assert_eq!(state, "declined");
            assert!(message.contains(words), "{message}");
            let open = ("pending".into(), "declined".into());
            assert_eq!(status(&buyer, &order).await, open);
        }
        let row = world
            .row("select failure_reason, payment_intent_id, created_at from orders")
            .await;
        assert_eq!(row.get::<String>(0).ok().as_deref(), Some("expired_card"));
        assert!(row.get::<String>(1).is_ok_and(|id| id.starts_with("pi_2_")));

        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "succeeded");
        let keys = |memory: &mut crate::gateway::Memory| {
            memory
                .calls
                .iter()
                .map(|call| call.key.clone())
                .collect::<Vec<_>>()
        };
        let created: i64 = row.get(2).expect("a time");
        let expected: Vec<_> = (1..=4)
            .map(|n| format!("order_{order}_{created}_{n}"))
            .collect();
        assert_eq!(world.gateway.with(keys), expected);
        let tokens = world
            .count("from payment_attempts where token is not null")
            .await;
        assert_eq!(tokens, 0, "a token is erased with its outcome");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_pays_once() {
    for world in worlds().await {
        let (order, buyer) = world.order("pen").await;
        let clicks: Vec<_> = (0..10)
            .map(|i| {
                let (buyer, order) = (buyer.clone(), order.clone());
                tokio::spawn(async move { pay(&buyer, &order, &format!("tok_ok{i}")).await.0 })
            })
            .collect();
        for click in clicks {
            let state = click.await.expect("an answer");
            assert!(
                ["succeeded", "processing"].contains(&state.as_str()),
                "{state}"
            );
        }
        assert_eq!(pay(&buyer, &order, "tok_late").await.0, "succeeded");
        assert_eq!(world.gateway.with(|memory| memory.calls.len()), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_repeats_the_same_key() {
    for world in worlds().await {
        let (order, buyer) = world.order("plant").await;
        world.gateway.with(|memory| memory.lose = 2);
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "processing");
        // An impatient buyer with another token does not start a second payment.
        assert_eq!(pay(&buyer, &order, "tok_other").await.0, "processing");
        until_succeeded(&world).await;
        world.gateway.with(|memory| {
            assert_eq!(memory.intents.len(), 1, "one charge");
            assert!(memory.calls.len() >= 3);
            let first = memory.calls[0].clone();
            assert!(memory.calls.iter().all(|call| call.key == first.key));
            assert!(memory.calls.iter().all(|call| call.fields == first.fields));
        });
        let waiting = ("pending".into(), "processing".into());
        assert_eq!(status(&buyer, &order).await, waiting);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_learnt_late_reaches_the_page() {
    for world in worlds().await {
        let (order, buyer) = world.order("plant").await;
        world.gateway.with(|memory| memory.lose = 1);
        assert_eq!(pay(&buyer, &order, "tok_poor").await.0, "processing");
        let declined = async || status(&buyer, &order).await.1 == "declined";
        eventually("the decline is learnt", declined).await;
        let told = buyer.get(&format!("/order-status/{order}")).await;
        assert!(told.text.contains("insufficient funds"), "{}", told.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_repeat_does_not_end_an_unknown_outcome() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        world.gateway.with(|memory| memory.refuse = 1);
        let (state, message) = pay(&buyer, &order, "tok_ok").await;
        assert_eq!(
            state, "declined",
            "a first call that was not taken is a definite no"
        );
        assert!(message.contains("not been charged"), "{message}");

        world.gateway.with(|memory| memory.lose = 1);
        assert_eq!(pay(&buyer, &order, "tok_ok").await.0, "processing");
        world.gateway.with(|memory| memory.refuse = 1);
        until_succeeded(&world).await;
        assert_eq!(world.gateway.with(|memory| memory.intents.len()), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_without_repeating_them() {
    for world in worlds().await {
        let (order, buyer) = world.order("mug").await;
        let path = format!("/orders/{order}/pay");
        for body in [
            "",
            "{",
            "{}",
            r#"{"token":4242424242424242}"#,
            r#"{"token":"4242424242424242"}"#,
            r#"{"token":"tok_4242424242424242"}"#,
            r#"{"token":"tok_a&amount=1"}"#,
        ] {
            let answer = buyer.post_text(&path, "application/json", body).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(!shows_a_card(&answer.text), "{}", answer.text);
        }
        let body = r#"{"token":"tok_ok"}"#;
        let other = buyer.post_text(&path, "text/plain", body).await;
        assert_eq!(
            other.status, 400,
            "only JSON, which no foreign form can send"
        );
        world
            .gateway
            .with(|memory| assert!(memory.calls.is_empty()));
    }
}

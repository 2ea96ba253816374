//! Several acquirers: what was not sent, or met a fault, goes to the next; an unknown outcome never does.

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    what_the_first_did_not_get_goes_to_the_second,
    an_unknown_outcome_stays_where_it_is,
    an_acquirer_that_goes_down_in_load_costs_no_payment,
);

async fn what_the_first_did_not_get_goes_to_the_second(mut world: World) {
    world.add_acquirer().await;
    for card in [Card::NotSentToFirst, Card::FaultAtFirst] {
        let before = world.bank.book().forwards.len();
        let paid = world.pay(1000, card, &[]).await.ok();
        assert_eq!(paid.json["status"], "succeeded", "{card:?}");
        assert_eq!(paid.json["last_payment_error"], serde_json::Value::Null);
        let sends = world.bank.book().forwards[before..].to_vec();
        let to: Vec<_> = sends
            .iter()
            .map(|send| send["to"].as_str().expect("a destination"))
            .collect();
        assert_eq!(to, ["acquirer", "other"], "{card:?}");
        // The refund goes where the payment was made.
        let refund = world
            .post("/v1/refunds", &[("payment_intent", &paid.id())])
            .await
            .ok();
        assert_eq!(refund.json["status"], "succeeded");
    }
    {
        // The first one's complete answer ended the security code (PCI DSS 3.3.1).
        let book = world.bank.book();
        let cvc: Vec<bool> = book
            .forwards
            .iter()
            .map(|send| send["body"]["card"].get("cvc").is_some())
            .collect();
        assert_eq!(cvc, [true, true, true, false]);
    }
    let types = world.event_types().await;
    assert!(
        !types.contains(&"payment_intent.payment_failed".to_owned()),
        "{types:?}"
    );
    let acquirers = world.rows("select acquirer, cast(count(*) as bigint) from charges where status = 'succeeded' group by acquirer").await;
    assert_eq!(acquirers, [("second".to_owned(), 2)]);
    // Both refuse for a fault: the buyer is told once.
    let declined = world.pay(1000, Card::Declines("96"), &[]).await;
    assert_eq!(
        (declined.status, declined.code()),
        (402, "processing_error")
    );
    // A decline of the issuer's own is not taken elsewhere.
    let before = world.bank.book().forwards.len();
    assert_eq!(world.pay(1000, Card::Declines("51"), &[]).await.status, 402);
    assert_eq!(world.bank.book().forwards.len() - before, 1);
    world.finish().await;
}

async fn an_unknown_outcome_stays_where_it_is(mut world: World) {
    world.add_acquirer().await;
    let paid = world.pay(1000, Card::AnswerLost, &[]).await.ok();
    world.until_status(&paid.id(), "succeeded").await;
    assert_eq!(world.bank.book().forwards.len(), 1);
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

// A third of the way the first acquirer cannot be reached any more.
async fn an_acquirer_that_goes_down_in_load_costs_no_payment(mut world: World) {
    let half = "[[rule]]\nname = \"both\"\nuse = [{ acquirer = \"first\", weight = 50 }, \
                { acquirer = \"second\", weight = 50 }]\n";
    world.add_acquirer_with(half).await;
    let weight = async |world: &World| {
        let form = [("amount", "100"), ("currency", "usd")];
        let why = world.post("/v1/routing/explain", &form).await.ok().json;
        let all = why["candidates"].as_array().expect("candidates").clone();
        let first = all
            .iter()
            .find(|one| one["acquirer"] == "first")
            .expect("the first")
            .clone();
        (
            first["effective_weight"].as_f64().expect("a weight"),
            first["state"].as_str().expect("a state").to_owned(),
        )
    };
    let (whole, state) = weight(&world).await;
    assert!(
        (whole - 50.0).abs() < 0.01 && state == "available",
        "{whole} {state}"
    );
    for card in [Card::Approves, Card::NotSentToFirst, Card::NotSentToFirst] {
        for _ in 0..5 {
            let pay = || world.pay(100, card, &[]);
            let (a, b, c, d) = tokio::join!(pay(), pay(), pay(), pay());
            for paid in [a, b, c, d] {
                assert_eq!(paid.ok().json["status"], "succeeded");
            }
        }
    }
    assert_eq!((world.bank.charges(), world.bank.taken()), (60, (6_000, 0)));
    let (dimmed, state) = weight(&world).await;
    assert!(dimmed < 45.0 && state == "breaker_open", "{dimmed} {state}");
    // With its breaker open it is not asked each time: most of forty went to the other at once.
    let to_first = world.bank.book().forwards[20..]
        .iter()
        .filter(|send| send["to"] == "acquirer")
        .count();
    assert!(to_first < 20, "{to_first} of 40 were tried there");
    world.finish().await;
}

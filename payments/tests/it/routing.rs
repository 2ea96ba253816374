//! Routing: why an acquirer is asked, who is taken out, who is full, and how often a card may be tried at all.

use serde_json::{Value, json};

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    rules_are_explained_and_followed,
    a_refund_goes_where_the_payment_was_whatever_the_rules_say_now,
    an_operator_takes_a_route_out_and_decides_an_attempt,
    a_full_acquirer_keeps_nobody_else_waiting,
    schemes_limit_how_often_a_card_is_tried,
    an_acknowledged_reversal_ends_it_at_once,
    a_late_approval_is_reversed,
);

const RULES: &str = r#"
default_region = "DE"
[[rule]]
name = "large"
amount_from = 5000
use = [{ acquirer = "second" }]
[[rule]]
name = "Austria"
region = ["AT"]
use = [{ acquirer = "second" }]
"#;

fn last_destination(world: &World) -> Value {
    let book = world.bank.book();
    book.forwards.last().expect("a forward")["to"].clone()
}

async fn rules_are_explained_and_followed(mut world: World) {
    world.add_acquirer_with(RULES).await;
    for (amount, region, rule, chosen) in [
        ("4999", None, Value::Null, "first"),
        ("5000", None, json!("large"), "second"),
        ("1", Some("AT"), json!("Austria"), "second"),
    ] {
        let mut form = vec![("amount", amount), ("currency", "usd")];
        form.extend(region.map(|region| ("region", region)));
        let why = world.post("/v1/routing/explain", &form).await.ok().json;
        assert_eq!(
            (&why["rule"], &why["chosen"]),
            (&rule, &json!(chosen)),
            "{why}"
        );
        assert_eq!(why["candidates"].as_array().map(Vec::len), Some(2));
    }
    let refused = world
        .post("/v1/routing/explain", &[("currency", "usd")])
        .await;
    assert_eq!((refused.status, refused.code()), (400, "parameter_missing"));
    world.pay(4999, Card::Approves, &[]).await.ok();
    assert_eq!(last_destination(&world), "acquirer");
    world.pay(5000, Card::Approves, &[]).await.ok();
    assert_eq!(last_destination(&world), "other");
    let metrics = world.metrics().await;
    for route in ["first", "second"] {
        let line = format!("payments_route_approval_ratio{{acquirer=\"{route}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    world.finish().await;
}

async fn a_refund_goes_where_the_payment_was_whatever_the_rules_say_now(mut world: World) {
    world.add_acquirer_with("").await;
    let paid = world.pay(9000, Card::Approves, &[]).await.ok();
    world.kill();
    world.write_rules(RULES);
    world.run().await;
    world.operate(&[
        "route", "disable", "first", "--by", "op", "--reason", "test",
    ]);
    let form = [("payment_intent", paid.id())];
    let form: Vec<_> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let refund = world.post("/v1/refunds", &form).await.ok();
    assert_eq!(refund.json["status"], "succeeded");
    let acquirers = world
        .rows("select acquirer, amount_refunded from charges")
        .await;
    assert_eq!(acquirers, [("first".to_owned(), 9000)]);
    world.finish().await;
}

async fn an_operator_takes_a_route_out_and_decides_an_attempt(mut world: World) {
    world.add_acquirer_with("").await;
    let who = ["--by", "ada", "--reason", "maintenance"];
    world.operate(&[&["route", "disable", "first"], &who[..]].concat());
    world.until_chosen("second").await;
    world.pay(100, Card::Approves, &[]).await.ok();
    assert_eq!(last_destination(&world), "other");
    world.operate(&[&["route", "disable", "second"], &who[..]].concat());
    world.until_chosen("").await;
    let refused = world.pay(100, Card::Approves, &[]).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    world.operate(&[&["route", "enable", "first"], &who[..]].concat());
    world.until_chosen("first").await;

    // The acquirer never says what became of it; a person asks it by telephone.
    world.bank.book().inquiries_down = true;
    for (card, outcome, status) in [
        (Card::AnswerLost, "charged", "succeeded"),
        (Card::RequestLost, "not_charged", "requires_payment_method"),
    ] {
        let paid = world.pay(700, card, &[]).await.ok();
        assert_eq!(paid.json["status"], "processing");
        let (attempt, payment) = world.unknown_attempt().await;
        let mut arguments = vec!["attempt", "resolve", &attempt, "--outcome", outcome];
        arguments.extend(who);
        if outcome == "charged" {
            arguments.extend(["--payment", &payment]);
        }
        world.operate(&arguments);
        world.until_status(&paid.id(), status).await;
    }
    let acts = world
        .rows("select act, cast(count(*) as bigint) from operator_acts group by act order by act")
        .await;
    let acts: Vec<_> = acts.iter().map(|(act, n)| (act.as_str(), *n)).collect();
    assert_eq!(
        acts,
        [
            ("attempt.resolve.charged", 1),
            ("attempt.resolve.not_charged", 1),
            ("route.disable", 2),
            ("route.enable", 1)
        ]
    );
    world.finish().await;
}

async fn a_full_acquirer_keeps_nobody_else_waiting(mut world: World) {
    // Two sends at once, and both hang for as long as they like.
    world
        .replace_in_acquirers("total_ms = 1500", "total_ms = 60000\nmax_in_flight = 2")
        .await;
    world.add_acquirer().await;
    let hung = [
        world.token(Card::HangsAtFirst),
        world.token(Card::HangsAtFirst),
    ];
    let pay = |token: &str| {
        let form = [
            ("amount", "100"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method_data[type]", "card"),
            ("payment_method_data[card][token]", token),
        ];
        let form = form.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let world = &world;
        async move {
            let form: Vec<(&str, &str)> =
                form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            world.post("/v1/payment_intents", &form).await
        }
    };
    let others = async {
        while world.bank.book().hanging < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // By construction, not by the clock: with both permits out nobody is sent there.
        for _ in 0..20 {
            let paid = world.pay(100, Card::Approves, &[]).await.ok();
            assert_eq!(paid.json["status"], "succeeded");
            assert_eq!(last_destination(&world), "other");
        }
        let still = world.bank.book().hanging;
        world.bank.release();
        still
    };
    let (one, other, still) = tokio::join!(pay(&hung[0]), pay(&hung[1]), others);
    assert_eq!(still, 2, "they hung all the while");
    for paid in [one, other] {
        assert_eq!(paid.ok().json["status"], "succeeded");
    }
    world.finish().await;
}

async fn schemes_limit_how_often_a_card_is_tried(world: World) {
    // Category 1: the issuer will never approve, so it is not asked again.
    world.bank.book().fingerprint = Some("fp1_lost".to_owned());
    for (n, network) in [(1, "declined_by_network"), (1, "not_sent_to_network")] {
        let declined = world.pay(100, Card::Declines("41"), &[]).await;
        assert_eq!(declined.json["error"]["decline_code"], "lost_card");
        assert_eq!(world.bank.book().forwards.len(), n, "sends");
        let charge = declined.json["error"]["charge"]
            .as_str()
            .expect("a charge")
            .to_owned();
        let charge = world.get(&format!("/v1/charges/{charge}")).await.ok().json;
        assert_eq!(charge["outcome"]["network_status"], network);
    }
    // Twenty reattempts in thirty days, and again a month later.
    world.bank.book().fingerprint = Some("fp1_poor".to_owned());
    let before = world.bank.book().forwards.len();
    for _ in 0..25 {
        let declined = world.pay(100, Card::Declines("51"), &[]).await;
        assert_eq!(declined.json["error"]["decline_code"], "insufficient_funds");
    }
    assert_eq!(world.bank.book().forwards.len() - before, 21);
    world.advance_clock(31 * 24 * 60 * 60);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    world.pay(100, Card::Declines("51"), &[]).await;
    assert_eq!(world.bank.book().forwards.len() - before, 22);
    world.finish().await;
}

async fn an_acknowledged_reversal_ends_it_at_once(mut world: World) {
    world.bank.book().reversals = Some(vec![]);
    // Its time to settle is out of reach: only the reversal can end it.
    world
        .replace_in_acquirers("settle_after_s = 3", "settle_after_s = 900")
        .await;
    let paid = world.pay(1000, Card::RequestLost, &[]).await.ok();
    assert_eq!(paid.json["status"], "processing");
    let done = world
        .until_status(&paid.id(), "requires_payment_method")
        .await;
    assert_eq!(done.json["last_payment_error"]["code"], "processing_error");
    assert_eq!(world.bank.book().reversals.as_ref().map(Vec::len), Some(1));
    // Confirmed again, it is paid once.
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let path = format!("/v1/payment_intents/{}/confirm", paid.id());
    assert_eq!(
        world.post(&path, &form).await.ok().json["status"],
        "succeeded"
    );
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

async fn a_late_approval_is_reversed(world: World) {
    let paid = world.pay(1000, Card::RequestLost, &[]).await.ok();
    world
        .until_status(&paid.id(), "requires_payment_method")
        .await;
    // After its time to settle, and after a second no, it is there all the same.
    world.bank.book().reversals = Some(vec![]);
    world.bank.book().approve_what_was_lost();
    assert_eq!(world.bank.charges(), 1);
    world.advance_clock(120);
    // It is counted once the acquirer's answer to the reversal is here.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut metrics = String::new();
    while !metrics.contains("payments_late_approvals_total") {
        assert!(std::time::Instant::now() < until, "not reversed: {metrics}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        metrics = world.metrics().await;
    }
    assert_eq!(world.bank.charges(), 0);
    let now = world
        .get(&format!("/v1/payment_intents/{}", paid.id()))
        .await
        .ok();
    assert_eq!(now.json["status"], "requires_payment_method");
    world.finish().await;
}

//! Fraud rules that look at one payment: what is blocked is never sent or is taken back, what is reviewed is listed.

use serde_json::{Value, json};

use crate::bank::Card;
use crate::world::{Answer, World, on_both_stores};

on_both_stores!(
    the_highest_risk_is_blocked_and_nothing_is_sent,
    an_elevated_risk_is_reviewed_and_approved,
    a_refund_closes_the_review,
    a_wrong_security_code_is_reversed_after_the_approval,
    an_acquirer_without_reversals_is_asked_for_the_money,
    a_reversal_that_is_not_answered_is_repeated,
    rules_ask_for_amount_and_merchant_and_the_first_decides,
    a_file_that_is_wrong_is_said_at_the_start,
);

async fn charge_of(world: &World, failed: &Answer) -> Value {
    let id = failed.json["error"]["charge"].as_str().expect("a charge");
    world.get(&format!("/v1/charges/{id}")).await.ok().json
}

async fn latest_charge(world: &World, paid: &Answer) -> Value {
    let id = paid.json["latest_charge"].as_str().expect("a charge");
    world.get(&format!("/v1/charges/{id}")).await.ok().json
}

async fn the_highest_risk_is_blocked_and_nothing_is_sent(world: World) {
    let blocked = world.pay(1000, Card::Risky("highest"), &[]).await;
    assert_eq!((blocked.status, blocked.code()), (402, "card_declined"));
    let error = &blocked.json["error"];
    assert_eq!(error["decline_code"], "fraudulent");
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert!(world.bank.book().forwards.is_empty(), "nothing was sent");
    let charge = charge_of(&world, &blocked).await;
    assert_eq!(
        (&charge["status"], &charge["paid"]),
        (&"failed".into(), &false.into())
    );
    let expected = json!({
        "advice_code": null, "network_advice_code": null, "network_decline_code": null,
        "network_status": "not_sent_to_network", "reason": "highest_risk_level", "risk_level": "highest",
        "risk_score": 75, "rule": "block_if_highest_risk", "type": "blocked",
        "seller_message": "A rule blocked this payment; nothing was sent to the bank.",
    });
    assert_eq!(charge["outcome"], expected);
    // The same intent is paid with another card.
    let intent = error["payment_intent"]["id"].as_str().expect("an id");
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let path = format!("/v1/payment_intents/{intent}/confirm");
    let paid = world.post(&path, &form).await.ok();
    let outcome = &latest_charge(&world, &paid).await["outcome"];
    assert_eq!(
        (
            &outcome["type"],
            &outcome["risk_level"],
            &outcome["risk_score"]
        ),
        (&"authorized".into(), &"normal".into(), &0.into())
    );
    assert!(outcome.get("rule").is_none());
    assert_eq!(world.bank.taken(), (1000, 0));
    assert!(
        world
            .metrics()
            .await
            .contains("payments_risk_total{action=\"block\",level=\"highest\"} 1")
    );
    world.finish().await;
}

async fn an_elevated_risk_is_reviewed_and_approved(world: World) {
    let paid = world.pay(700, Card::Risky("elevated"), &[]).await.ok();
    assert_eq!(paid.json["status"], "succeeded");
    let charge = latest_charge(&world, &paid).await;
    let outcome = &charge["outcome"];
    for (name, expected) in [
        ("type", "manual_review"),
        ("network_status", "approved_by_network"),
        ("risk_level", "elevated"),
        ("reason", "elevated_risk_level"),
        ("rule", "review_if_elevated_risk"),
    ] {
        assert_eq!(outcome[name], expected, "{name}");
    }
    let listed = world.get("/v1/reviews?expand[]=data.charge").await.ok();
    let review = &listed.json["data"][0];
    assert_eq!(review["id"], charge["review"]);
    assert_eq!(review["charge"]["id"], charge["id"]);
    assert_eq!(
        (&review["open"], &review["reason"]),
        (&true.into(), &"rule".into())
    );
    let path = format!("/v1/reviews/{}", review["id"].as_str().expect("an id"));
    for _ in 0..2 {
        let approved = world.post(&format!("{path}/approve"), &[]).await.ok().json;
        assert_eq!(
            (&approved["open"], &approved["closed_reason"]),
            (&false.into(), &"approved".into())
        );
    }
    assert_eq!(world.get(&path).await.ok().json["reason"], "approved");
    let types = world.event_types().await;
    let count = |kind: &str| types.iter().filter(|other| *other == kind).count();
    assert_eq!(
        (count("review.opened"), count("review.closed")),
        (1, 1),
        "{types:?}"
    );
    let nobody = world.get("/v1/reviews/prv_nobodys").await;
    assert_eq!((nobody.status, nobody.code()), (404, "resource_missing"));
    world.finish().await;
}

async fn a_refund_closes_the_review(world: World) {
    let paid = world.pay(700, Card::Risky("elevated"), &[]).await.ok();
    let id = paid.id();
    for (amount, open) in [("300", true), ("400", false)] {
        let form = [("payment_intent", id.as_str()), ("amount", amount)];
        world.post("/v1/refunds", &form).await.ok();
        let review = world.get("/v1/reviews").await.ok().json["data"][0].clone();
        assert_eq!(review["open"], open);
        if !open {
            assert_eq!(review["closed_reason"], "refunded");
            let path = format!(
                "/v1/reviews/{}/approve",
                review["id"].as_str().expect("an id")
            );
            assert_eq!(world.post(&path, &[]).await.status, 400);
        }
    }
    world.finish().await;
}

async fn blocked_after_approval(world: &World) {
    let blocked = world.pay(1000, Card::Checks("N", "Y"), &[]).await;
    assert_eq!((blocked.status, blocked.code()), (402, "card_declined"));
    assert_eq!(blocked.json["error"]["decline_code"], "fraudulent");
    let outcome = charge_of(world, &blocked).await["outcome"].clone();
    for (name, expected) in [
        ("type", "blocked"),
        ("network_status", "reversed_after_approval"),
        ("reason", "rule"),
        ("rule", "block_if_cvc_fails"),
    ] {
        assert_eq!(outcome[name], expected, "{name}: {outcome}");
    }
}

async fn a_wrong_security_code_is_reversed_after_the_approval(world: World) {
    world.bank.book().reversals = Some(vec![]);
    blocked_after_approval(&world).await;
    assert_eq!(world.bank.charges(), 0, "nothing stands at the acquirer");
    assert_eq!(world.bank.book().reversals.as_ref().map(Vec::len), Some(1));
    // Without a code there is nothing to mismatch.
    world.pay(500, Card::Checks("P", "N"), &[]).await.ok();
    assert_eq!(world.bank.taken(), (500, 0));
    world.finish().await;
}

async fn an_acquirer_without_reversals_is_asked_for_the_money(mut world: World) {
    world
        .replace_in_acquirers("settle_after_s = 3", "settle_after_s = 3\nreversal = false")
        .await;
    blocked_after_approval(&world).await;
    assert_eq!(world.bank.taken(), (1000, 1000));
    world.finish().await;
}

async fn a_reversal_that_is_not_answered_is_repeated(mut world: World) {
    // The acquirer does not take reversals yet: asked in vain, then again by whoever is up.
    blocked_after_approval(&world).await;
    assert_eq!(world.bank.charges(), 1);
    world.kill();
    world.bank.book().reversals = Some(vec![]);
    world.run().await;
    world.advance_clock(10);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(25);
    while world.bank.charges() > 0 {
        assert!(std::time::Instant::now() < until, "it was not taken back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.finish().await;
}

async fn rules_ask_for_amount_and_merchant_and_the_first_decides(mut world: World) {
    world
        .with_risk_rules(
            r#"
            [[rule]]
            name = "a customer of ours"
            action = "allow"
            merchant = ["mer_one"]
            currency = ["usd"]
            amount_from = 700
            amount_to = 700
            [[rule]]
            name = "too much"
            action = "block"
            currency = ["usd"]
            amount_from = 500
            [[rule]]
            name = "the postal code is wrong"
            action = "review"
            postal_code = ["fail"]
            [[rule]]
            name = "everything is wrong"
            action = "block"
            cvc = ["fail"]
            postal_code = ["fail"]
            "#,
        )
        .await;
    world.bank.book().reversals = Some(vec![]);
    let too_much = world.pay(701, Card::Approves, &[]).await;
    assert_eq!(too_much.status, 402);
    let outcome = charge_of(&world, &too_much).await["outcome"].clone();
    assert_eq!(
        (&outcome["rule"], &outcome["reason"], &outcome["risk_level"]),
        (&"too much".into(), &"rule".into(), &"normal".into())
    );
    // Let through by name, whatever the issuer says of the code.
    let allowed = world.pay(700, Card::Checks("N", "N"), &[]).await.ok();
    let outcome = latest_charge(&world, &allowed).await["outcome"].clone();
    assert_eq!(
        (&outcome["type"], &outcome["rule"]),
        (&"authorized".into(), &"a customer of ours".into())
    );
    // The review stands before the block.
    let reviewed = world.pay(100, Card::Checks("N", "N"), &[]).await.ok();
    let outcome = latest_charge(&world, &reviewed).await["outcome"].clone();
    assert_eq!(outcome["type"], "manual_review");
    assert_eq!(world.bank.taken(), (800, 0));
    world.finish().await;
}

async fn a_file_that_is_wrong_is_said_at_the_start(world: World) {
    let file = world.file("wrong.toml");
    std::fs::write(
        &file,
        "[[rule]]\nname = \"r\"\naction = \"block\"\namount_from = 5\n",
    )
    .expect("written");
    let file_of = |name: &str| world.file(name);
    let args = [
        "serve",
        "--listen=127.0.0.1:0",
        "--admin=127.0.0.1:0",
        &format!("--database={}", world.database),
        &format!("--service-key-file={}", file_of("service.key")),
        &format!("--seal-key-file={}", file_of("seal.key")),
        &format!("--acquirers={}", file_of("acquirers.toml")),
        &format!("--risk={file}"),
    ];
    let (ok, _, said) = world.command(&args).await;
    assert!(!ok);
    for part in [
        "wrong.toml",
        "rule r",
        "an amount says nothing without its currency",
    ] {
        assert!(said.contains(part), "{said}");
    }
    world.finish().await;
}

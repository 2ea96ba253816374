//! Exemptions from an authentication: what the acquirer is asked for, how far payments of low value go, and what the
//! charge says.

use serde_json::Value;

use crate::bank::Card;
use crate::issuer::Asked;
use crate::three_ds::{introduce, page, settled};
use crate::world::{Answer, World, on_both_stores};

on_both_stores!(
    payments_of_low_value_are_counted_until_an_authentication,
    a_normal_risk_is_asked_for_and_who_asks_is_liable,
    without_a_set_up_nothing_is_asked_for,
);

const LOW_VALUE: &str = "[exemptions]\ncurrency = \"eur\"\nlow_value = 3000\n";

async fn pay(world: &World, amount: i64, card: Card, extra: &[(&str, &str)]) -> Answer {
    let (amount, token) = (amount.to_string(), world.token(card));
    let mut form = vec![
        ("amount", amount.as_str()),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
        ("expand[]", "latest_charge"),
    ];
    form.extend_from_slice(extra);
    world.post("/v1/payment_intents", &form).await.ok()
}

// What the last authorisation asked for.
fn asked(world: &World) -> Value {
    let book = world.bank.book();
    let mut sends = book.forwards.iter().rev();
    let last = sends.find(|send| send["to"] == "acquirer").expect("a send");
    last["body"]["sca_exemption"].clone()
}

async fn payments_of_low_value_are_counted_until_an_authentication(mut world: World) {
    world.with_three_d_secure(LOW_VALUE).await;
    world.bank.book().fingerprint = Some("fp1_a".into());
    for (amount, expected) in [
        (3_000, "low_value".into()),
        (3_001, Value::Null),
        (2_000, "low_value".into()),
        (1_000, "low_value".into()),
        (1_000, "low_value".into()),
        // 70 euros so far: 31 more would be 101.
        (3_000, "low_value".into()),
        (100, Value::Null),
    ] {
        let paid = pay(&world, amount, Card::Approves, &[]).await;
        assert_eq!(asked(&world), expected, "{amount}");
        let card = &paid.json["latest_charge"]["payment_method_details"]["card"];
        let said = &card["three_d_secure"];
        if expected.is_null() {
            assert_eq!(said, &Value::Null);
        } else {
            assert_eq!(
                (&said["result"], &said["liability_shift"]),
                (&"exempted".into(), &false.into())
            );
            assert_eq!(said["exemption_indicator_applied"], true);
        }
    }
    // Another card begins anew; a decline does not count.
    world.bank.book().fingerprint = Some("fp1_b".into());
    let (amount, token) = ("3000", world.token(Card::Declines("51")));
    let form = [
        ("amount", amount),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    assert_eq!(world.post("/v1/payment_intents", &form).await.status, 402);
    for _ in 0..3 {
        pay(&world, 3_000, Card::Approves, &[]).await;
        assert_eq!(asked(&world), "low_value");
    }
    pay(&world, 3_000, Card::Approves, &[]).await;
    assert_eq!(asked(&world), Value::Null, "120 euros");
    // The issuer wants the buyer all the same, who is authenticated: then the count begins anew.
    let intent = pay(&world, 900, Card::Wants(Asked::Says("Y")), &[])
        .await
        .json;
    assert_eq!(asked(&world), "low_value");
    let page = page(&intent);
    assert_eq!(introduce(&world, &page).await.status, 202);
    assert_eq!(settled(&world, &page).await["status"], "complete");
    world
        .until_status(intent["id"].as_str().expect("an id"), "succeeded")
        .await;
    assert_eq!(asked(&world), Value::Null, "authenticated");
    pay(&world, 3_000, Card::Approves, &[]).await;
    assert_eq!(asked(&world), "low_value");
    world.finish().await;
}

async fn a_normal_risk_is_asked_for_and_who_asks_is_liable(mut world: World) {
    let set_up = "[exemptions]\ncurrency = \"eur\"\nrisk_analysis = 25000\n";
    world.with_three_d_secure(set_up).await;
    let low_risk = Value::from("transaction_risk_analysis");
    let paid = pay(&world, 25_000, Card::Approves, &[]).await;
    assert_eq!(asked(&world), low_risk);
    let card = &paid.json["latest_charge"]["payment_method_details"]["card"];
    let said = &card["three_d_secure"];
    assert_eq!(
        (&said["exemption_indicator"], &said["liability_shift"]),
        (&"low_risk".into(), &false.into())
    );
    pay(&world, 25_001, Card::Approves, &[]).await;
    assert_eq!(asked(&world), Value::Null, "too much");
    pay(&world, 100, Card::Risky("elevated"), &[]).await;
    assert_eq!(asked(&world), Value::Null, "an elevated risk");
    pay(&world, 100, Card::Approves, &[("off_session", "true")]).await;
    assert_eq!(asked(&world), Value::Null, "the merchant initiates it");
    world.pay(100, Card::Approves, &[]).await.ok();
    assert_eq!(asked(&world), Value::Null, "dollars");
    world.finish().await;
}

async fn without_a_set_up_nothing_is_asked_for(world: World) {
    let paid = pay(&world, 100, Card::Approves, &[]).await;
    assert_eq!(asked(&world), Value::Null);
    let card = &paid.json["latest_charge"]["payment_method_details"]["card"];
    assert_eq!(card["three_d_secure"], Value::Null);
    world.finish().await;
}

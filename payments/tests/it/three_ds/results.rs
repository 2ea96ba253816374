//! Whose word ends a challenge, and what is left when none comes: time, a new confirmation, a restart, two results at once.

use axum::http::Method;
use serde_json::{Value, json};

use super::{JSON, challenged, id, introduce, page, rreq, settled, tell};
use crate::bank::Card;
use crate::issuer::Asked;
use crate::world::{World, on_both_stores};

on_both_stores!(
    only_the_directory_servers_word_counts,
    time_runs_out,
    a_new_confirmation_ends_the_old_one,
    a_restart_loses_nothing,
    results_race_and_one_counts,
);

async fn only_the_directory_servers_word_counts(world: World) {
    let (intent, page) = challenged(&world, &[]).await;
    // What the buyer's browser posts is believed by nobody.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("{page}/challenge");
    let cres = world
        .raw(
            Method::POST,
            &path,
            &form,
            "cres=eyJ0cmFuc1N0YXR1cyI6IlkifQ",
        )
        .await;
    assert_eq!(cres.status, 200);
    let passed = rreq(&world, "Y");
    for (who, headers) in [
        ("nobody", vec![JSON]),
        (
            "a stranger",
            vec![JSON, ("authorization", "Bearer another-key")],
        ),
    ] {
        let answer = world
            .raw(Method::POST, "/3ds/results", &headers, &passed.to_string())
            .await;
        assert_eq!(answer.status, 401, "{who}");
    }
    for (name, value, code) in [
        (
            "threeDSServerTransID",
            json!("d7c1ee99-0000-44a6-b1f2-391e29c6b340"),
            "301",
        ),
        (
            "acsTransID",
            json!("d7c1ee99-0000-44a6-b1f2-391e29c6b340"),
            "301",
        ),
        (
            "dsTransID",
            json!("d7c1ee99-0000-44a6-b1f2-391e29c6b340"),
            "301",
        ),
        ("transStatus", json!("C"), "203"),
        ("authenticationValue", json!(null), "203"),
        ("messageType", json!("CRes"), "203"),
    ] {
        let mut altered = passed.clone();
        altered[name] = value;
        let answer = tell(&world, &altered).await.ok();
        assert_eq!(answer.json["errorCode"], code, "{name}: {}", answer.text);
    }
    let path = format!("/v1/payment_intents/{}", id(&intent));
    assert_eq!(world.get(&path).await.json["status"], "requires_action");
    assert_eq!(world.bank.charges(), 0);
    // The first word counts; the same again is acknowledged, another one too, and neither changes anything.
    tell(&world, &rreq(&world, "N")).await.ok();
    tell(&world, &passed).await.ok();
    let failed = world.get(&path).await.json;
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(world.bank.charges(), 0);
    world.finish().await;
}

async fn time_runs_out(world: World) {
    let (challenge, _) = challenged(&world, &[]).await;
    let card = Card::Wants(Asked::Says("C"));
    let unopened = world.pay(2500, card, &[]).await.ok().json;
    world.advance_clock(15 * 60);
    for intent in [&challenge, &unopened] {
        let over = world
            .until_status(id(intent), "requires_payment_method")
            .await
            .json;
        let code = &over["last_payment_error"]["code"];
        assert_eq!(code, "payment_intent_authentication_failure");
    }
    let types = world.event_types().await;
    let failed = "payment_intent.payment_failed";
    assert_eq!(types.iter().filter(|kind| *kind == failed).count(), 2);
    // A yes that comes now comes too late.
    tell(&world, &rreq(&world, "Y")).await.ok();
    let path = format!("/v1/payment_intents/{}", id(&challenge));
    assert_eq!(
        world.get(&path).await.json["status"],
        "requires_payment_method"
    );
    assert_eq!(world.bank.charges(), 0);
    world.finish().await;
}

async fn a_new_confirmation_ends_the_old_one(world: World) {
    let (intent, page) = challenged(&world, &[]).await;
    let late = rreq(&world, "Y");
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
    let paid = world.post(&path, &form).await.ok().json;
    assert_eq!(paid["status"], "succeeded");
    tell(&world, &late).await.ok();
    assert_eq!(settled(&world, &page).await["status"], "complete");
    assert_eq!(world.bank.taken(), (2500, 0));

    let (intent, _) = challenged(&world, &[]).await;
    let late = rreq(&world, "Y");
    let path = format!("/v1/payment_intents/{}/cancel", id(&intent));
    let canceled = world.post(&path, &[]).await.ok().json;
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(canceled["next_action"], Value::Null);
    tell(&world, &late).await.ok();

    let (intent, _) = challenged(&world, &[]).await;
    let late = rreq(&world, "Y");
    let path = format!("/v1/payment_intents/{}", id(&intent));
    let changed = world.post(&path, &[("amount", "2600")]).await.ok().json;
    assert_eq!(changed["status"], "requires_confirmation");
    tell(&world, &late).await.ok();
    assert_eq!(world.bank.taken(), (2500, 0));
    world.finish().await;
}

async fn a_restart_loses_nothing(mut world: World) {
    // Killed while the AReq is on its way: what the vault has recorded of it counts.
    let card = Card::Wants(Asked::VaultHangs);
    let intent = world.pay(2500, card, &[]).await.ok().json;
    let page = page(&intent);
    introduce(&world, &page).await;
    while world.bank.book().three_ds.areqs.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.kill();
    world.advance_clock(60);
    world.run().await;
    assert_eq!(settled(&world, &page).await["status"], "challenge");
    assert_eq!(world.bank.book().three_ds.areqs.len(), 1);
    // Killed as soon as the result is known: the payment is made without anybody asking for it.
    let told = tell(&world, &rreq(&world, "Y")).await.ok();
    assert_eq!(told.json["messageType"], "RRes");
    world.kill();
    world.advance_clock(180);
    world.run().await;
    world.until_status(id(&intent), "succeeded").await;
    assert_eq!(world.bank.taken(), (2500, 0));
    world.finish().await;
}

async fn results_race_and_one_counts(world: World) {
    for round in 0..20 {
        let (intent, page) = challenged(&world, &[]).await;
        let (yes, no) = (rreq(&world, "Y"), rreq(&world, "N"));
        let cancel = format!("/v1/payment_intents/{}/cancel", id(&intent));
        let (_, _, _, canceled) = tokio::join!(
            tell(&world, &yes),
            tell(&world, &no),
            tell(&world, &yes),
            world.post(&cancel, &[]),
        );
        settled(&world, &page).await;
        let path = format!("/v1/payment_intents/{}", id(&intent));
        let now = world.get(&path).await.ok().json;
        let taken = world.bank.taken().0;
        let status = now["status"].as_str().expect("a status");
        assert!(
            ["succeeded", "requires_payment_method", "canceled"].contains(&status),
            "{round}: {now}"
        );
        assert!(canceled.status == 200 || status != "canceled", "{now}");
        let received = now["amount_received"].as_i64().expect("an amount");
        assert_eq!(received > 0, status == "succeeded");
        let sums = world.rows("select 'sum', cast(coalesce(sum(amount_received), 0) as bigint) from payment_intents").await;
        assert_eq!(sums[0].1, taken, "{round}");
    }
    world.finish().await;
}

//! An answer that never came: the outcome is asked for, never guessed.

use std::time::{Duration, Instant};

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    a_lost_answer_is_adopted,
    a_lost_request_is_declared_only_after_settling,
    a_hanging_vault_is_asked_what_it_recorded,
    a_crash_between_send_and_answer_is_resolved_without_the_merchant,
    a_reference_is_of_one_attempt_and_an_acquirers_payment_of_one_charge,
);

async fn a_lost_answer_is_adopted(world: World) {
    world.bank.book().inquiries_down = true;
    let paid = world.pay(1000, Card::AnswerLost, &[]).await.ok();
    assert_eq!(paid.json["status"], "processing");
    let path = format!("/v1/payment_intents/{}", paid.id());
    for verb in ["/confirm", "/cancel", "/capture", ""] {
        let form: &[(&str, &str)] = if verb.is_empty() {
            &[("amount", "5")]
        } else {
            &[]
        };
        let refused = world.post(&format!("{path}{verb}"), form).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "payment_intent_unexpected_state"),
            "{verb}"
        );
    }
    // Words may be changed meanwhile.
    assert_eq!(
        world
            .post(&path, &[("description", "late")])
            .await
            .ok()
            .json["description"],
        "late"
    );
    world.bank.book().inquiries_down = false;
    let done = world.until_status(&paid.id(), "succeeded").await;
    assert_eq!(done.json["amount_received"], 1000);
    assert_eq!((world.bank.charges(), world.bank.taken().0), (1, 1000));
    let types = world.event_types().await;
    for kind in [
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ] {
        assert_eq!(
            types.iter().filter(|other| *other == kind).count(),
            1,
            "{types:?}"
        );
    }
    world.finish().await;
}

async fn a_lost_request_is_declared_only_after_settling(world: World) {
    let started = Instant::now();
    let paid = world.pay(1000, Card::RequestLost, &[]).await.ok();
    assert_eq!(paid.json["status"], "processing");
    let done = world
        .until_status(&paid.id(), "requires_payment_method")
        .await;
    assert!(
        started.elapsed() > Duration::from_secs(2),
        "before the acquirer's time to settle"
    );
    assert!(world.bank.book().inquiries >= 2);
    assert_eq!(done.json["last_payment_error"]["code"], "processing_error");
    assert_eq!(world.bank.charges(), 0);
    assert_eq!(
        world.event_types().await.last().map(String::as_str),
        Some("payment_intent.payment_failed")
    );
    world.finish().await;
}

async fn a_hanging_vault_is_asked_what_it_recorded(world: World) {
    let paid = world.pay(1000, Card::VaultHangs, &[]).await.ok();
    assert_eq!(paid.json["status"], "succeeded", "{}", paid.text);
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

async fn a_crash_between_send_and_answer_is_resolved_without_the_merchant(mut world: World) {
    let sent = async {
        while world.bank.charges() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! { _ = world.pay(1000, Card::VaultHangs, &[]) => panic!("answered"), () = sent => {} }
    world.kill();
    world.run().await;
    let list = world.get("/v1/payment_intents").await.ok();
    let id = list.json["data"][0]["id"]
        .as_str()
        .expect("the intent")
        .to_owned();
    assert_eq!(list.json["data"][0]["status"], "processing");
    world.until_status(&id, "succeeded").await;
    assert_eq!(
        (world.bank.charges(), world.bank.book().forwards.len()),
        (1, 1)
    );
    world.finish().await;
}

// The second wall, behind the code: the database.
async fn a_reference_is_of_one_attempt_and_an_acquirers_payment_of_one_charge(world: World) {
    for _ in 0..2 {
        world.pay(1000, Card::Approves, &[]).await.ok();
    }
    for change in [
        "update attempts set reference = (select min(reference) from attempts)",
        "update charges set acquirer_payment = (select min(acquirer_payment) from charges)",
        "update charges set attempt = (select min(attempt) from charges)",
        "update charges set amount_refunded = amount_captured + 1",
        "update charges set amount_captured = amount + 1",
    ] {
        let said = world.refused_by_database(change).await.to_lowercase();
        assert!(
            said.contains("unique") || said.contains("check") || said.contains("db error"),
            "{change}: {said}"
        );
    }
    assert_eq!(world.bank.charges(), 2);
    world.finish().await;
}

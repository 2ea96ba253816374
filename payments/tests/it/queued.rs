//! Confirmations that are accepted at once (`Prefer: respond-async`): every outcome, refusals that can be known, a full queue.

use std::time::{Duration, Instant};

use axum::http::Method;

use crate::bank::{Card, Lookups};
use crate::issuer::Asked;
use crate::pay::join_all;
use crate::world::{Answer, World, encode, on_both_stores, pay_form};

on_both_stores!(
    it_is_answered_before_the_acquirer_and_then_paid,
    each_outcome_is_the_usual_one,
    what_can_be_known_to_fail_is_refused_at_once,
    what_cannot_be_known_fails_later,
    one_key_is_one_charge,
    a_full_queue_says_when_to_come_again,
    what_cannot_be_begun_is_given_up,
    a_vault_that_hangs_keeps_nobody_waiting,
);

impl World {
    /// A confirmation whose caller does not wait.
    pub async fn queue(&self, key: Option<&str>, path: &str, form: &[(&str, &str)]) -> Answer {
        let authorization = format!("Bearer {}", self.merchant.expose());
        let mut headers = vec![
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("prefer", "respond-async"),
        ];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.raw(Method::POST, path, &headers, &encode(form)).await
    }

    pub async fn queue_payment(&self, card: Card, extra: &[(&str, &str)]) -> Answer {
        let token = self.token(card);
        let form = [&pay_form("1000", &token), extra].concat();
        self.queue(None, "/v1/payment_intents", &form).await
    }
}

impl Answer {
    /// Accepted, and not done.
    #[track_caller]
    pub fn accepted(self) -> Self {
        assert_eq!(
            (self.status, &self.json["status"]),
            (202, &"processing".into()),
            "{}",
            self.text
        );
        assert_eq!(self.headers["preference-applied"], "respond-async");
        self
    }
}

async fn it_is_answered_before_the_acquirer_and_then_paid(world: World) {
    let token = world.token(Card::HangsAtFirst);
    let form = pay_form("1000", &token);
    let path = "/v1/payment_intents";
    let first = world.queue(Some("k"), path, &form).await.accepted();
    let again = world.queue(Some("k"), path, &form).await.accepted();
    assert_eq!(first.text, again.text, "byte-equal");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let until = Instant::now() + Duration::from_secs(10);
    while world.bank.book().hanging == 0 {
        assert!(Instant::now() < until, "it is not sent");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let one = format!("{path}/{}", first.id());
    for verb in ["/confirm", "/cancel"] {
        let refused = world.post(&format!("{one}{verb}"), &[]).await;
        assert_eq!(refused.code(), "payment_intent_unexpected_state", "{verb}");
    }
    let metrics = world.metrics().await;
    assert!(metrics.contains("payments_queue_depth 1\n"), "{metrics}");
    assert!(
        metrics.contains("payments_queue_oldest_seconds "),
        "{metrics}"
    );
    assert!(
        metrics.contains("payments_queued_total{outcome=\"accepted\"} 1\n"),
        "{metrics}"
    );
    world.bank.release();
    let paid = world.until_status(&first.id(), "succeeded").await;
    assert_eq!(paid.json["amount_received"], 1000);
    assert_eq!(world.bank.charges(), 1);
    // Two of a transaction have no order.
    let mut types = world.event_types().await;
    types.sort();
    let expected = [
        "charge.succeeded",
        "payment_intent.created",
        "payment_intent.processing",
        "payment_intent.succeeded",
    ];
    assert_eq!(types, expected);
    let left = "select id, attempts from outbox where topic = 'confirm' and done_at is null";
    until_none(&world, left).await;
    // What was accepted is what the key answers, for good.
    let late = world.queue(Some("k"), path, &form).await;
    assert_eq!((late.status, late.text), (202, first.text));
    world.finish().await;
}

async fn until_none(world: &World, sql: &'static str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !world.rows(sql).await.is_empty() {
        assert!(Instant::now() < until, "{:?}", world.rows(sql).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn each_outcome_is_the_usual_one(world: World) {
    let declined = world
        .queue_payment(Card::Declines("51"), &[])
        .await
        .accepted();
    let declined = world
        .until_status(&declined.id(), "requires_payment_method")
        .await;
    let error = &declined.json["last_payment_error"];
    assert_eq!(
        (&error["code"], &error["decline_code"]),
        (&"card_declined".into(), &"insufficient_funds".into())
    );
    let manual = [("capture_method", "manual")];
    let held = world
        .queue_payment(Card::Approves, &manual)
        .await
        .accepted();
    let held = world.until_status(&held.id(), "requires_capture").await;
    assert_eq!(held.json["amount_capturable"], 1000);
    let lost = world.queue_payment(Card::AnswerLost, &[]).await.accepted();
    world.until_status(&lost.id(), "succeeded").await;
    let unsent = world.queue_payment(Card::NotSent, &[]).await.accepted();
    let unsent = world
        .until_status(&unsent.id(), "requires_payment_method")
        .await;
    assert_eq!(
        unsent.json["last_payment_error"]["code"],
        "processing_error"
    );
    let wants = Card::Wants(Asked::Says("C"));
    let asked = world.queue_payment(wants, &[]).await.accepted();
    let asked = world.until_status(&asked.id(), "requires_action").await;
    assert!(asked.json["next_action"].is_object(), "{}", asked.text);

    // An intent that was there before, with a saved payment method.
    let method = world.method(Card::Approves).await;
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("payment_method", &method),
    ];
    let intent = world.post("/v1/payment_intents", &form).await.ok();
    let path = format!("/v1/payment_intents/{}/confirm", intent.id());
    let form = [("expand[]", "payment_method")];
    let accepted = world.queue(None, &path, &form).await.accepted();
    assert_eq!(accepted.json["payment_method"]["id"], method.as_str());
    world.until_status(&intent.id(), "succeeded").await;

    assert_eq!((world.bank.charges(), world.bank.taken().0), (3, 1500));
    let types = world.event_types().await;
    for (kind, count) in [
        ("payment_intent.processing", 7),
        ("payment_intent.succeeded", 2),
        ("payment_intent.payment_failed", 2),
        ("payment_intent.amount_capturable_updated", 1),
        ("payment_intent.requires_action", 1),
    ] {
        let seen = types.iter().filter(|other| *other == kind).count();
        assert_eq!(seen, count, "{kind}: {types:?}");
    }
    world.finish().await;
}

async fn what_can_be_known_to_fail_is_refused_at_once(mut world: World) {
    world.kill();
    world.flags.extend(["--queue-foresight-ms", "10000"]);
    world.run().await;
    world.bank.book().lookups = Lookups::Answered;
    let path = "/v1/payment_intents";
    let used = world.token(Card::Approves);
    let form = pay_form("1000", &used);
    let paid = world.queue(None, path, &form).await.accepted();
    world.until_status(&paid.id(), "succeeded").await;
    let refused = world.queue(Some("k"), path, &form).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "token_already_used")
    );
    let nobody = vault_api::Token::random();
    let refused = world
        .queue(None, path, &pay_form("1000", nobody.expose()))
        .await;
    assert_eq!((refused.status, refused.code()), (400, "resource_missing"));
    let form = [("amount", "500"), ("currency", "usd")];
    let without = world.post(path, &form).await.ok();
    let confirm = format!("{path}/{}/confirm", without.id());
    let refused = world.queue(None, &confirm, &[]).await;
    assert_eq!(refused.code(), "payment_intent_unexpected_state");
    // Shown at once: the vault has told.
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", &token),
        ("expand[]", "payment_method"),
    ];
    let accepted = world.queue(None, &confirm, &form).await.accepted();
    assert_eq!(accepted.json["payment_method"]["card"]["last4"], "4242");
    world.until_status(&without.id(), "succeeded").await;
    // Whoever asks for too much is told before anything has happened.
    let token = world.token(Card::Approves);
    let form = [&pay_form("1000", &token)[..], &[("expand[]", "nothing")]].concat();
    assert_eq!(world.queue(None, path, &form).await.status, 400);
    assert_eq!(world.bank.charges(), 2);
    world.finish().await;
}

async fn what_cannot_be_known_fails_later(world: World) {
    let used = world.token(Card::Approves);
    let form = pay_form("1000", &used);
    world.post("/v1/payment_intents", &form).await.ok();
    let accepted = world
        .queue(None, "/v1/payment_intents", &form)
        .await
        .accepted();
    let failed = world
        .until_status(&accepted.id(), "requires_payment_method")
        .await;
    let error = &failed.json["last_payment_error"];
    assert_eq!(error["code"], "token_already_used");
    assert_eq!(
        error["payment_method"]["id"],
        accepted.json["payment_method"]
    );
    assert_eq!(failed.json["payment_method"], serde_json::Value::Null);
    assert_eq!(
        world.event_types().await.last().map(String::as_str),
        Some("payment_intent.payment_failed")
    );
    // Another card pays it.
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", &token),
    ];
    let path = format!("/v1/payment_intents/{}/confirm", accepted.id());
    world.queue(None, &path, &form).await.accepted();
    let paid = world.until_status(&accepted.id(), "succeeded").await;
    assert_eq!(paid.json["last_payment_error"], serde_json::Value::Null);
    assert_eq!(world.bank.charges(), 2);
    world.finish().await;
}

async fn one_key_is_one_charge(world: World) {
    let form = [("amount", "1000"), ("currency", "usd")];
    let intent = world.post("/v1/payment_intents", &form).await.ok();
    let path = format!("/v1/payment_intents/{}/confirm", intent.id());
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let answers = join_all((0..30).map(|_| world.queue(Some("order"), &path, &form))).await;
    for answer in &answers {
        match answer.status {
            202 => assert_eq!(answer.json["status"], "processing"),
            409 => assert_eq!(answer.code(), "idempotency_key_in_use"),
            _ => panic!("{}", answer.text),
        }
    }
    // Under keys of their own, one has it and the others are told.
    let second = world.post(
        "/v1/payment_intents",
        &[("amount", "1000"), ("currency", "usd")],
    );
    let path = format!("/v1/payment_intents/{}/confirm", second.await.ok().id());
    let tokens: Vec<String> = (0..10).map(|_| world.token(Card::Approves)).collect();
    let forms: Vec<_> = tokens
        .iter()
        .map(|token| {
            [
                ("payment_method_data[type]", "card"),
                ("payment_method_data[card][token]", token.as_str()),
            ]
        })
        .collect();
    let calls = forms.iter().map(|form| world.queue(None, &path, form));
    let accepted = join_all(calls).await;
    let count = |status| {
        accepted
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((count(202), count(400)), (1, 9));
    world.until_status(&intent.id(), "succeeded").await;
    let id = accepted
        .iter()
        .find(|answer| answer.status == 202)
        .expect("one")
        .id();
    world.until_status(&id, "succeeded").await;
    assert_eq!(
        (world.bank.charges(), world.bank.book().forwards.len()),
        (2, 2)
    );
    world.finish().await;
}

async fn a_full_queue_says_when_to_come_again(mut world: World) {
    world.kill();
    world
        .flags
        .extend(["--queue-limit", "2", "--queue-workers", "1"]);
    world.run().await;
    let first = world
        .queue_payment(Card::HangsAtFirst, &[])
        .await
        .accepted();
    let second = world.queue_payment(Card::Approves, &[]).await.accepted();
    let token = world.token(Card::Approves);
    let form = pay_form("1000", &token);
    let full = world
        .queue(Some("later"), "/v1/payment_intents", &form)
        .await;
    assert_eq!(
        (full.status, &full.json["error"]["type"]),
        (503, &"api_error".into()),
        "{}",
        full.text
    );
    assert_eq!(full.headers["retry-after"], "2");
    // Whoever waits for the outcome is served all the same.
    world.pay(1000, Card::Approves, &[]).await.ok();
    world.bank.release();
    for id in [first.id(), second.id()] {
        world.until_status(&id, "succeeded").await;
    }
    let until = Instant::now() + Duration::from_secs(20);
    let third = loop {
        let third = world
            .queue(Some("later"), "/v1/payment_intents", &form)
            .await;
        if third.status == 202 {
            break third;
        }
        assert!(Instant::now() < until, "{}", third.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    world.until_status(&third.id(), "succeeded").await;
    assert_eq!(world.bank.charges(), 4);
    world.finish().await;
}

async fn what_cannot_be_begun_is_given_up(world: World) {
    world.bank.book().exchanges_down = true;
    let accepted = world.queue_payment(Card::Approves, &[]).await.accepted();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = world
        .get(&format!("/v1/payment_intents/{}", accepted.id()))
        .await
        .ok();
    assert_eq!(waiting.json["status"], "processing");
    world.advance_clock(16 * 60);
    let failed = world
        .until_status(&accepted.id(), "requires_payment_method")
        .await;
    assert_eq!(
        failed.json["last_payment_error"]["code"],
        "processing_error"
    );
    // The card was not sent, so it may be confirmed once more.
    world.bank.book().exchanges_down = false;
    let method = accepted.json["payment_method"].as_str().expect("an id");
    let path = format!("/v1/payment_intents/{}/confirm", accepted.id());
    world.post(&path, &[("payment_method", method)]).await.ok();
    world.until_status(&accepted.id(), "succeeded").await;
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

async fn a_vault_that_hangs_keeps_nobody_waiting(world: World) {
    world.get("/v1/payment_intents").await.ok();
    world.bank.book().lookups = Lookups::Hang;
    world.bank.book().exchanges_lost = 1;
    let started = Instant::now();
    let accepted = world.queue_payment(Card::Approves, &[]).await.accepted();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    // The vault's own limit is ten seconds; then it is asked once more, and is there.
    world.until_status(&accepted.id(), "succeeded").await;
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

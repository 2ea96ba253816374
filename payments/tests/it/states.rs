//! Calls on objects that are past them: each is refused with Stripe's error and changes nothing. Every route that acts on an
//! object by its id is in the table, or is said to know no wrong state; a new one fails the test until it is.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

use crate::bank::Card;
use crate::matrix::described;
use crate::world::{World, on_both_stores};

on_both_stores!(what_is_over_is_not_changed);

/// Routes that may be called in any state: they change words, or begin something anew.
const ANY_STATE: &[&str] = &[
    "/v1/checkout/sessions/{id}",
    "/v1/refunds/{id}",
    "/v1/payment_methods/{id}",
];
/// Routes whose wrong states have a test of their own: [`crate::disputes`].
const ELSEWHERE: &[&str] = &["/v1/disputes/{id}", "/v1/disputes/{id}/close"];

struct Wrong {
    route: &'static str,
    id: String,
    form: Vec<(&'static str, String)>,
    status: u16,
    code: &'static str,
}

impl World {
    async fn made(&self, path: &str, form: &[(&str, &str)]) -> String {
        self.post(path, form).await.ok().id()
    }

    async fn setup(&self, customer: &str, confirm: bool) -> String {
        let token = self.token(Card::Approves);
        let mut form = vec![("customer", customer)];
        if confirm {
            form.extend([
                ("confirm", "true"),
                ("payment_method_data[type]", "card"),
                ("payment_method_data[card][token]", token.as_str()),
            ]);
        }
        self.made("/v1/setup_intents", &form).await
    }
}

async fn table(world: &World) -> Vec<Wrong> {
    let mut table = Vec::new();
    let mut wrong = |route, id: &str, form: &[(&'static str, &str)], status, code| {
        let form = form
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        table.push(Wrong {
            route,
            id: id.to_owned(),
            form: form.collect(),
            status,
            code,
        });
    };
    let state = "payment_intent_unexpected_state";
    let open = [("amount", "100"), ("currency", "usd")];
    let paid = world.pay(100, Card::Approves, &[]).await.ok().id();
    let canceled = world.made("/v1/payment_intents", &open).await;
    world
        .post(&format!("/v1/payment_intents/{canceled}/cancel"), &[])
        .await
        .ok();
    let held = world
        .pay(100, Card::Approves, &[("capture_method", "manual")])
        .await
        .ok()
        .id();
    for id in [&paid, &canceled] {
        wrong(
            "/v1/payment_intents/{id}",
            id,
            &[("amount", "50")],
            400,
            state,
        );
        wrong(
            "/v1/payment_intents/{id}/confirm",
            id,
            &[("payment_method", "pm_card_visa")],
            400,
            state,
        );
        wrong("/v1/payment_intents/{id}/capture", id, &[], 400, state);
        wrong("/v1/payment_intents/{id}/cancel", id, &[], 400, state);
    }
    wrong(
        "/v1/payment_intents/{id}",
        &held,
        &[("amount", "50")],
        400,
        state,
    );
    wrong(
        "/v1/payment_intents/{id}/confirm",
        &held,
        &[("payment_method", "pm_card_visa")],
        400,
        state,
    );
    wrong(
        "/v1/payment_intents/{id}/capture",
        &held,
        &[("amount_to_capture", "101")],
        400,
        "amount_too_large",
    );

    let customer = world.customer().await;
    let (done, ended) = (
        world.setup(&customer, true).await,
        world.setup(&customer, false).await,
    );
    world
        .post(&format!("/v1/setup_intents/{ended}/cancel"), &[])
        .await
        .ok();
    let state = "setup_intent_unexpected_state";
    for id in [&done, &ended] {
        wrong(
            "/v1/setup_intents/{id}/confirm",
            id,
            &[("payment_method", "pm_card_visa")],
            400,
            state,
        );
        wrong("/v1/setup_intents/{id}/cancel", id, &[], 400, state);
    }

    let state = "payment_method_unexpected_state";
    let used = world.method(Card::Approves).await;
    let once = [("payment_method", used.as_str()), ("confirm", "true")];
    world
        .made("/v1/payment_intents", &[&open[..], &once].concat())
        .await;
    wrong(
        "/v1/payment_methods/{id}/attach",
        &used,
        &[("customer", &customer)],
        400,
        state,
    );
    wrong("/v1/payment_methods/{id}/detach", &used, &[], 400, "");
    let gone = world.customer().await;
    world.delete(&format!("/v1/customers/{gone}")).await.ok();
    wrong(
        "/v1/customers/{id}",
        &gone,
        &[("name", "X")],
        404,
        "resource_missing",
    );

    let refund = world
        .made(
            "/v1/refunds",
            &[("payment_intent", &paid), ("amount", "40")],
        )
        .await;
    wrong("/v1/refunds/{id}/cancel", &refund, &[], 400, "");
    let session = [("mode", "setup"), ("success_url", "https://shop.example/")];
    let session = world.made("/v1/checkout/sessions", &session).await;
    world
        .post(&format!("/v1/checkout/sessions/{session}/expire"), &[])
        .await
        .ok();
    wrong("/v1/checkout/sessions/{id}/expire", &session, &[], 400, "");

    let risky = world.pay(100, Card::Risky("elevated"), &[]).await.ok().id();
    world
        .made("/v1/refunds", &[("payment_intent", &risky)])
        .await;
    let reviews = world.get("/v1/reviews").await.ok().json;
    let review = reviews["data"][0]["id"]
        .as_str()
        .expect("a review")
        .to_owned();
    wrong("/v1/reviews/{id}/approve", &review, &[], 400, "");

    let hook = [("url", "http://127.0.0.1:1/x"), ("enabled_events[]", "*")];
    let hook = world.made("/v1/webhook_endpoints", &hook).await;
    world
        .delete(&format!("/v1/webhook_endpoints/{hook}"))
        .await
        .ok();
    wrong(
        "/v1/webhook_endpoints/{id}",
        &hook,
        &[("disabled", "true")],
        404,
        "resource_missing",
    );
    wrong(
        "/v1/webhook_endpoints/{id}/roll_secret",
        &hook,
        &[],
        404,
        "resource_missing",
    );
    let events = world.get("/v1/events").await.ok().json;
    let event = events["data"][0]["id"]
        .as_str()
        .expect("an event")
        .to_owned();
    wrong(
        "/v1/events/{id}/retry",
        &event,
        &[("webhook_endpoint", &hook)],
        400,
        "resource_missing",
    );
    table
}

async fn what_is_over_is_not_changed(world: World) {
    let table = table(&world).await;
    let known: BTreeSet<&str> = table.iter().map(|wrong| wrong.route).collect();
    for operation in described(&world).await {
        let path = operation.path.as_str();
        if operation.keyed && operation.method == Method::POST && path.contains("{id}") {
            let told =
                known.contains(path) || ANY_STATE.contains(&path) || ELSEWHERE.contains(&path);
            assert!(told, "{operation:?} has no wrong state in the table");
        }
    }
    let before = (
        world.bank.charges(),
        world.bank.taken(),
        world.bank.book().forwards.len(),
    );
    let events = world.event_types().await;
    for wrong in &table {
        let path = wrong.route.replace("{id}", &wrong.id);
        let form: Vec<(&str, &str)> = wrong
            .form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let object = path.rsplit_once(&wrong.id).expect("an id").0.to_owned() + &wrong.id;
        let was = world.get(&object).await.json;
        // Under a key as well: a refusal did nothing, and gives it back.
        for key in ["one", "one"] {
            let answer = world.post_as(key, &path, &form).await;
            let error = &answer.json["error"];
            let told = (answer.status, error["type"].as_str(), answer.code());
            assert_eq!(
                told,
                (wrong.status, Some("invalid_request_error"), wrong.code),
                "{path} {form:?} {}",
                answer.text
            );
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|message| message.len() > 10),
                "{}",
                answer.text
            );
            let intent = &error["payment_intent"];
            assert!(
                *intent == Value::Null || intent["id"] == *wrong.id,
                "{}",
                answer.text
            );
        }
        assert_eq!(world.get(&object).await.json, was, "{path}");
    }
    assert_eq!(
        (
            world.bank.charges(),
            world.bank.taken(),
            world.bank.book().forwards.len()
        ),
        before
    );
    assert_eq!(world.event_types().await, events, "nothing is told");
    world.finish().await;
}

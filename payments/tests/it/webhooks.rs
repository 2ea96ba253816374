//! Webhooks out: signed in both families, retried, stopped by 410.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vault_api::keys::hex;

use crate::bank::Card;
use crate::hooks::Hooks;
use crate::world::{World, on_both_stores};

on_both_stores!(
    both_signatures_verify,
    a_failure_is_retried_and_a_redirect_is_one,
    gone_disables,
    crud
);

pub fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub async fn listen(world: &World, hooks: &Hooks, event: &str) -> String {
    let url = hooks.serve().await;
    let form = [("url", url.as_str()), ("enabled_events[]", event)];
    let made = world.post("/v1/webhook_endpoints", &form).await.ok();
    made.json["secret"].as_str().expect("a secret").to_owned()
}

pub async fn wait_for(hooks: &Hooks, count: usize, most: Duration) {
    let until = Instant::now() + most;
    while hooks.received().len() < count {
        assert!(
            Instant::now() < until,
            "{} of {count} deliveries",
            hooks.received().len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn both_signatures_verify(world: World) {
    let hooks = Hooks::default();
    let secret = listen(&world, &hooks, "*").await;
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    wait_for(&hooks, 3, Duration::from_secs(5)).await;
    for (headers, body) in hooks.received() {
        let text = |name: &str| headers[name].to_str().expect("text").to_owned();
        let timestamp = text("webhook-timestamp");
        let stripe = hex(&hmac(secret.as_bytes(), &format!("{timestamp}.{body}")));
        assert_eq!(
            text("stripe-signature"),
            format!("t={timestamp},v1={stripe}")
        );
        let key = STANDARD
            .decode(secret.strip_prefix("whsec_").expect("a prefix"))
            .expect("base64");
        let standard = hmac(&key, &format!("{}.{timestamp}.{body}", text("webhook-id")));
        assert_eq!(
            text("webhook-signature"),
            format!("v1,{}", STANDARD.encode(standard))
        );
        let event: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(event["id"].as_str(), Some(text("webhook-id").as_str()));
        assert_eq!(
            (&event["object"], &event["livemode"]),
            (&"event".into(), &false.into())
        );
    }
    let of_type = |kind: &str| -> serde_json::Value {
        let bodies = hooks
            .received()
            .into_iter()
            .map(|(_, body)| serde_json::from_str(&body).expect("JSON"));
        bodies
            .into_iter()
            .find(|event: &serde_json::Value| event["type"] == kind)
            .expect("the event")
    };
    assert_eq!(
        of_type("payment_intent.succeeded")["data"]["object"]["id"],
        paid.id()
    );
    assert_eq!(
        of_type("charge.succeeded")["data"]["object"]["payment_intent"],
        paid.id()
    );
    let event = of_type("payment_intent.created");
    let stored = world
        .get(&format!(
            "/v1/events/{}",
            event["id"].as_str().expect("an id")
        ))
        .await
        .ok();
    assert_eq!(stored.json["data"], event["data"]);
    world.finish().await;
}

async fn a_failure_is_retried_and_a_redirect_is_one(world: World) {
    let hooks = Hooks::default();
    listen(&world, &hooks, "payment_intent.succeeded").await;
    hooks.answer_first(StatusCode::FOUND);
    hooks.answer_first(StatusCode::INTERNAL_SERVER_ERROR);
    world.pay(1000, Card::Approves, &[]).await.ok();
    wait_for(&hooks, 3, Duration::from_secs(20)).await;
    let received = hooks.received();
    assert!(received.iter().all(|(headers, body)| headers["webhook-id"]
        == received[0].0["webhook-id"]
        && *body == received[0].1));
    assert_ne!(
        received[0].0["webhook-timestamp"], received[2].0["webhook-timestamp"],
        "signed anew"
    );
    let event = received[0].0["webhook-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let delivery = crate::deliveries::until(&world, &event, "delivered").await;
    let attempts = delivery["attempts"].as_array().expect("a list");
    let seen: Vec<_> = attempts
        .iter()
        .map(|a| (a["response_status"].as_i64(), a["reason"].as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (
                Some(500),
                Some("the endpoint did not answer with a success")
            ),
            (Some(302), Some("redirects are not followed")),
            (Some(200), None),
        ]
    );
    world.finish().await;
}

async fn gone_disables(world: World) {
    let hooks = Hooks::default();
    listen(&world, &hooks, "payment_intent.created").await;
    hooks.answer_first(StatusCode::GONE);
    let form = [("amount", "500"), ("currency", "usd")];
    world.post("/v1/payment_intents", &form).await.ok();
    wait_for(&hooks, 1, Duration::from_secs(5)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.post("/v1/payment_intents", &form).await.ok();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(hooks.received().len(), 1);
    let list = world.get("/v1/webhook_endpoints").await.ok();
    assert_eq!(list.json["data"][0]["status"], "disabled");
    world.finish().await;
}

async fn crud(world: World) {
    let form = [
        ("url", "http://127.0.0.1:1/x"),
        ("enabled_events[]", "charge.refunded"),
        ("metadata[a]", "b"),
    ];
    let made = world.post("/v1/webhook_endpoints", &form).await.ok();
    let path = format!("/v1/webhook_endpoints/{}", made.id());
    let read = world.get(&path).await.ok();
    assert_eq!(
        (&read.json["secret"], &read.json["metadata"]["a"]),
        (&serde_json::Value::Null, &"b".into())
    );
    let changed = world
        .post(&path, &[("disabled", "true"), ("enabled_events[]", "*")])
        .await
        .ok();
    assert_eq!(
        (&changed.json["status"], &changed.json["enabled_events"][0]),
        (&"disabled".into(), &"*".into())
    );
    let live = world.bank.key(
        "mer_one",
        vault_api::keys::Kind::Secret,
        vault_api::keys::Mode::Live,
    );
    let body = crate::world::encode(&form);
    let plain = world
        .call(Method::POST, "/v1/webhook_endpoints", &live, None, &body)
        .await;
    assert_eq!((plain.status, plain.code()), (400, "url_invalid"));
    assert_eq!(
        world
            .call(Method::DELETE, &path, &live, None, "")
            .await
            .status,
        404
    );
    let who = world.merchant.clone();
    assert_eq!(
        world
            .call(Method::DELETE, &path, &who, None, "")
            .await
            .ok()
            .json["deleted"],
        true
    );
    assert_eq!(world.get(&path).await.status, 404);
    for url in ["ftp://x/y", "/relative", "http://user:pass@host/", "x"] {
        let bad = world
            .post(
                "/v1/webhook_endpoints",
                &[("url", url), ("enabled_events[]", "*")],
            )
            .await;
        assert_eq!(bad.code(), "url_invalid", "{url}");
    }
    world.finish().await;
}

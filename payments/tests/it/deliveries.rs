//! Webhooks out over time: the table of retries, secrets that are rolled and sealed, a worker that is killed, addresses
//! that are refused, events sent once more and made to happen.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::{Method, StatusCode};
use serde_json::Value;
use vault_api::keys::{Kind, Mode, hex};

use crate::bank::Card;
use crate::hooks::Hooks;
use crate::webhooks::{hmac, listen, wait_for};
use crate::world::{World, encode, on_both_stores};

on_both_stores!(
    ten_tries_over_three_days_then_it_is_listed,
    a_busy_endpoint_is_asked_later,
    a_killed_worker_loses_nothing,
    a_hanging_endpoint_keeps_no_other_waiting,
    private_addresses_are_refused,
    a_rolled_secret_overlaps,
    secrets_are_sealed,
    sent_once_more,
    events_are_made_to_happen
);

const SOON: Duration = Duration::from_secs(20);

fn system_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs() as i64
}

/// The event's only delivery, once it is in this state.
pub async fn until(world: &World, event: &str, state: &str) -> Value {
    until_it(world, event, |delivery| delivery["state"] == state).await
}

async fn until_it(world: &World, event: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + SOON;
    let path = format!("/v1/events/{event}/deliveries");
    loop {
        let list = world.get(&path).await.ok();
        let delivery = &list.json["data"][0];
        if holds(delivery) {
            return delivery.clone();
        }
        assert!(Instant::now() < until, "{}", list.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn latest_event(world: &World, kind: &str) -> String {
    let list = world.get(&format!("/v1/events?type={kind}")).await.ok();
    let id = list.json["data"][0]["id"].as_str();
    id.expect("an event").to_owned()
}

async fn intent(world: &World) -> String {
    let form = [("amount", "500"), ("currency", "usd")];
    world.post("/v1/payment_intents", &form).await.ok().id()
}

async fn ten_tries_over_three_days_then_it_is_listed(world: World) {
    let hooks = Hooks::default();
    let url = hooks.serve().await;
    let form = [
        ("url", url.as_str()),
        ("enabled_events[]", "payment_intent.created"),
        ("retry_policy", "standard"),
    ];
    let made = world.post("/v1/webhook_endpoints", &form).await.ok();
    assert_eq!(made.json["retry_policy"], "standard");
    (0..10).for_each(|_| hooks.answer_first(StatusCode::BAD_GATEWAY));
    intent(&world).await;
    let event = latest_event(&world, "payment_intent.created").await;
    let h = 3600;
    let table = [5, 300, 1800, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h];
    for (n, wait) in table.into_iter().enumerate() {
        let tried = until_it(&world, &event, |d| d["attempt_count"] == n as i64 + 1).await;
        let at = tried["attempts"][n]["created"].as_i64().expect("a time");
        let next = tried["next_attempt"].as_i64().expect("a next one");
        // The post itself took a moment.
        assert!((wait..wait + 20).contains(&(next - at)), "{n}: {tried}");
        let pending = world.get("/v1/events?delivery_success=false").await.ok();
        assert_eq!(pending.json["data"][0]["id"], event.as_str());
        world.advance_clock(next - system_now() + 1);
    }
    let failed = until(&world, &event, "failed").await;
    assert_eq!(
        (&failed["attempt_count"], &failed["next_attempt"]),
        (&10.into(), &Value::Null)
    );
    assert_eq!(failed["attempts"][9]["response_status"], 502);
    assert_eq!(hooks.received().len(), 10);
    let list = world.get("/v1/events?delivery_success=false").await.ok();
    assert_eq!(list.json["data"].as_array().map(Vec::len), Some(1));
    let list = world.get("/v1/events?delivery_success=true").await.ok();
    assert_eq!(list.json["data"].as_array().map(Vec::len), Some(0));
    world.finish().await;
}

async fn a_busy_endpoint_is_asked_later(world: World) {
    let hooks = Hooks::default();
    listen(&world, &hooks, "payment_intent.created").await;
    hooks.busy_first(3_000);
    intent(&world).await;
    let event = latest_event(&world, "payment_intent.created").await;
    let tried = until_it(&world, &event, |d| d["attempt_count"] == 1).await;
    let at = tried["attempts"][0]["created"].as_i64().expect("a time");
    let next = tried["next_attempt"].as_i64().expect("a next one");
    assert!((3_000..3_020).contains(&(next - at)), "{tried}");
    world.advance_clock(next - system_now() + 1);
    until(&world, &event, "delivered").await;
    // Test mode gives up after three tries within seconds.
    (0..3).for_each(|_| hooks.answer_first(StatusCode::BAD_GATEWAY));
    intent(&world).await;
    let event = latest_event(&world, "payment_intent.created").await;
    let failed = until(&world, &event, "failed").await;
    assert_eq!(failed["attempt_count"], 3);
    world.finish().await;
}

async fn a_killed_worker_loses_nothing(mut world: World) {
    let hooks = Hooks::default();
    listen(&world, &hooks, "payment_intent.succeeded").await;
    hooks.hang_first(1);
    world.pay(1000, Card::Approves, &[]).await.ok();
    wait_for(&hooks, 1, SOON).await;
    world.kill();
    world.run().await;
    // Its lease ends.
    world.advance_clock(120);
    wait_for(&hooks, 2, SOON).await;
    let received = hooks.received();
    assert_eq!(received[0].0["webhook-id"], received[1].0["webhook-id"]);
    assert_eq!(received[0].1, received[1].1);
    let event = received[0].0["webhook-id"].to_str().expect("text");
    let delivery = until(&world, event, "delivered").await;
    assert_eq!(delivery["attempt_count"], 1, "{delivery}");
    world.finish().await;
}

async fn a_hanging_endpoint_keeps_no_other_waiting(mut world: World) {
    let (hangs, well) = (Hooks::default(), Hooks::default());
    hangs.hang_first(100);
    listen(&world, &hangs, "payment_intent.created").await;
    listen(&world, &well, "payment_intent.created").await;
    for _ in 0..50 {
        intent(&world).await;
    }
    wait_for(&well, 50, Duration::from_secs(15)).await;
    assert!(hangs.received().len() <= 32);
    world.kill();
    world.finish().await;
}

async fn private_addresses_are_refused(mut world: World) {
    let hooks = Hooks::default();
    let url = hooks.serve().await;
    world.kill();
    world.flags.clear();
    world.run().await;
    let named = url.replace("127.0.0.1", "localhost");
    for url in [&url, &named] {
        let form = [
            ("url", url.as_str()),
            ("enabled_events[]", "payment_intent.created"),
        ];
        world.post("/v1/webhook_endpoints", &form).await.ok();
    }
    intent(&world).await;
    let event = latest_event(&world, "payment_intent.created").await;
    let path = format!("/v1/events/{event}/deliveries");
    let until = Instant::now() + SOON;
    loop {
        let list = world.get(&path).await.ok();
        let data = list.json["data"].as_array().expect("a list").clone();
        if data.iter().all(|delivery| delivery["state"] == "failed") {
            let refused = |d: &Value| {
                let reason = d["reason"].as_str().unwrap_or_default();
                reason.contains("the address is not on the public internet")
            };
            assert!(data.len() == 2 && data.iter().all(refused), "{}", list.text);
            break;
        }
        assert!(Instant::now() < until, "{}", list.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(hooks.received().len(), 0);
    let live = world.bank.key("mer_one", Kind::Secret, Mode::Live);
    for url in [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "http://shop.example/x",
    ] {
        let form = encode(&[("url", url), ("enabled_events[]", "*")]);
        let path = "/v1/webhook_endpoints";
        let answer = world.call(Method::POST, path, &live, None, &form).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "url_invalid"),
            "{url}"
        );
    }
    world.finish().await;
}

async fn a_rolled_secret_overlaps(world: World) {
    let hooks = Hooks::default();
    let old = listen(&world, &hooks, "payment_intent.created").await;
    let list = world.get("/v1/webhook_endpoints").await.ok();
    let id = list.json["data"][0]["id"].as_str().expect("an id");
    let path = format!("/v1/webhook_endpoints/{id}/roll_secret");
    let bad = world.post(&path, &[("previous_expires_in", "-1")]).await;
    assert_eq!(bad.code(), "parameter_invalid_integer");
    let form = [("previous_expires_in", "3600")];
    let rolled = world.post_as("roll-1", &path, &form).await.ok();
    let new = rolled.json["secret"].as_str().expect("a secret").to_owned();
    let again = world.post_as("roll-1", &path, &form).await.ok();
    assert_eq!(again.json["secret"], new.as_str());
    let signatures = |at: usize, secrets: &[&str]| {
        let (headers, body) = &hooks.received()[at];
        let timestamp = headers["webhook-timestamp"].to_str().expect("text");
        let sign = |secret: &&str| {
            let mac = hmac(secret.as_bytes(), &format!("{timestamp}.{body}"));
            format!(",v1={}", hex(&mac))
        };
        let wanted: String = secrets.iter().map(sign).collect();
        let standard = headers["webhook-signature"].to_str().expect("text");
        assert_eq!(standard.split(' ').count(), secrets.len(), "{standard}");
        assert_eq!(
            headers["stripe-signature"].to_str().expect("text"),
            format!("t={timestamp}{wanted}")
        );
    };
    intent(&world).await;
    wait_for(&hooks, 1, SOON).await;
    signatures(0, &[&new, &old]);
    world.advance_clock(3_601);
    intent(&world).await;
    wait_for(&hooks, 2, SOON).await;
    signatures(1, &[&new]);
    let args = [
        "webhook-endpoints",
        "roll-secret",
        id,
        "--database",
        &world.database,
        "--seal-key-file",
        &world.file("seal.key"),
        "--previous-expires-in",
        "86400",
    ];
    let (ok, said, error) = world.command(&args).await;
    assert!(ok, "{error}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let newest = said["secret"].as_str().expect("a secret");
    intent(&world).await;
    wait_for(&hooks, 3, SOON).await;
    signatures(2, &[newest, &new]);
    world.finish().await;
}

async fn secrets_are_sealed(mut world: World) {
    let hooks = Hooks::default();
    let secret = listen(&world, &hooks, "payment_intent.created").await;
    let plain =
        "select secret, case when sealed_secret is null then 1 else 0 end from webhook_endpoints";
    assert_eq!(world.rows(plain).await, [(String::new(), 0)]);
    assert!(!world.log().contains(&secret));
    // As an older version stored it: sealed at the next start, and it signs as before.
    world.kill();
    world
        .execute("update webhook_endpoints set secret = 'whsec_b2xk', sealed_secret = null")
        .await;
    world.run().await;
    assert_eq!(world.rows(plain).await, [(String::new(), 0)]);
    intent(&world).await;
    wait_for(&hooks, 1, SOON).await;
    let (headers, body) = &hooks.received()[0];
    let timestamp = headers["webhook-timestamp"].to_str().expect("text");
    let mac = hmac(b"whsec_b2xk", &format!("{timestamp}.{body}"));
    assert_eq!(
        headers["stripe-signature"].to_str().expect("text"),
        format!("t={timestamp},v1={}", hex(&mac))
    );
    world.finish().await;
}

async fn sent_once_more(world: World) {
    let (hooks, late) = (Hooks::default(), Hooks::default());
    listen(&world, &hooks, "payment_intent.created").await;
    intent(&world).await;
    let event = latest_event(&world, "payment_intent.created").await;
    until(&world, &event, "delivered").await;
    listen(&world, &late, "payment_intent.created").await;
    let path = format!("/v1/events/{event}/retry");
    let answer = world.post(&path, &[]).await.ok();
    assert_eq!(answer.json["id"], event.as_str());
    wait_for(&hooks, 2, SOON).await;
    wait_for(&late, 1, SOON).await;
    let seen: Vec<_> = [hooks.received(), late.received()].concat();
    assert!(
        seen.iter()
            .all(|(headers, _)| headers["webhook-id"] == *event)
    );
    let list = world.get("/v1/webhook_endpoints").await.ok();
    let newest = list.json["data"][0]["id"].as_str().expect("an id");
    let args = [
        "events",
        "resend",
        &event,
        "--webhook-endpoint",
        newest,
        "--database",
        &world.database,
    ];
    let (ok, said, error) = world.command(&args).await;
    assert!(ok && said.contains("\"deliveries\":1"), "{said}{error}");
    wait_for(&late, 2, SOON).await;
    assert_eq!(hooks.received().len(), 2);
    let (ok, _, error) = world
        .command(&[
            "events",
            "resend",
            "evt_none",
            "--database",
            &world.database,
        ])
        .await;
    assert!(!ok && error.contains("no such event"), "{error}");
    let none = world.post("/v1/events/evt_none/retry", &[]).await;
    assert_eq!((none.status, none.code()), (404, "resource_missing"));
    world.finish().await;
}

async fn events_are_made_to_happen(world: World) {
    let key = world.file("secret.key");
    std::fs::write(&key, world.merchant.expose()).expect("written");
    let (ok, list, _) = world.command(&["trigger", "list"]).await;
    assert!(ok && list.lines().any(|event| event == "refund.failed"));
    // Each kind of step; e2e/sdk/node/trigger.test.js makes all of them happen.
    for event in [
        "charge.refunded",
        "checkout.session.completed",
        "customer.deleted",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_method.updated",
        "setup_intent.setup_failed",
    ] {
        assert!(list.lines().any(|known| known == event), "{event}");
        let args = [
            "trigger",
            event,
            "--api",
            &world.base,
            "--secret-key-file",
            &key,
        ];
        let (ok, made, said) = world.command(&args).await;
        assert!(ok, "{event}: {said}");
        let made: Value = serde_json::from_str(&made).expect("JSON");
        assert_eq!(made["type"], event);
    }
    let (ok, _, said) = world.command(&["trigger", "invoice.burned"]).await;
    assert!(!ok && said.contains("payment_intent.succeeded"), "{said}");
    world.finish().await;
}

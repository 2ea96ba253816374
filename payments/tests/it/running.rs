//! Running it: several processes as one, one of them killed; the trace that a request's calls carry on.

use std::time::Duration;

use axum::http::{Method, Request};

use crate::bank::Card;
use crate::hooks::Hooks;
use crate::webhooks::{listen, wait_for};
use crate::world::{World, encode, on_both_stores, pay_form};

on_both_stores!(
    two_processes_are_one,
    a_rolling_restart_fails_no_payment,
    the_trace_goes_on,
    the_doctor_looks,
);

async fn two_processes_are_one(world: World) {
    if world.database.starts_with("sqlite:") {
        // One process is what an embedded store is for.
        return world.finish().await;
    }
    let hooks = Hooks::default();
    listen(&world, &hooks, "payment_intent.succeeded").await;
    let mut other = world.beside().await;
    for n in 0..20 {
        let at = if n % 2 == 0 { &world } else { &other };
        let token = at.token(Card::Approves);
        let form = pay_form("1000", &token);
        at.post("/v1/payment_intents", &form).await.ok();
    }
    // One's key is the other's too.
    let token = world.token(Card::Approves);
    let form = pay_form("1000", &token);
    let first = world
        .post_as("both", "/v1/payment_intents", &form)
        .await
        .ok();
    let again = other
        .post_as("both", "/v1/payment_intents", &form)
        .await
        .ok();
    assert_eq!(first.json, again.json);
    wait_for(&hooks, 21, Duration::from_secs(20)).await;
    // An attempt that the killed one left open is resolved by the other, once.
    let lost = other.token(Card::AnswerLost);
    let form = pay_form("1000", &lost);
    let open = other.post("/v1/payment_intents", &form).await.ok();
    other.kill();
    world.until_status(&open.id(), "succeeded").await;
    wait_for(&hooks, 22, Duration::from_secs(20)).await;
    let mut seen: Vec<_> = hooks
        .received()
        .iter()
        .map(|(headers, _)| headers["webhook-id"].to_str().expect("text").to_owned())
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), world.bank.charges()), (22, 22));
    world.finish().await;
}

// One after the other is asked to stop and comes again, while buyers pay; a caller whose node is away asks the other one
// under the same key, as a load balancer and an SDK do.
async fn a_rolling_restart_fails_no_payment(mut world: World) {
    if world.database.starts_with("sqlite:") {
        return world.finish().await;
    }
    let mut other = world.beside().await;
    let nodes = std::sync::Mutex::new([world.base.clone(), other.base.clone()]);
    let over = std::sync::atomic::AtomicBool::new(false);
    let (bank, who) = (
        world.bank.clone(),
        format!("Bearer {}", world.merchant.expose()),
    );
    let buyer = async |buyer: usize| {
        let client = service::Client::new(Duration::from_secs(1), Duration::from_secs(30));
        let mut paid = 0;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            let token = bank.token(Card::Approves);
            let (form, key) = (encode(&pay_form("1000", &token)), format!("{buyer}-{paid}"));
            let mut tries = 0;
            loop {
                let base = nodes.lock().expect("not poisoned")[(buyer + tries) % 2].clone();
                let request = Request::post(format!("{base}/v1/payment_intents"))
                    .header("authorization", &who)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("idempotency-key", &key)
                    .body(bytes::Bytes::from(form.clone()))
                    .expect("a request");
                let answer = client.send(request).await;
                if let Ok(answer) = &answer
                    && answer.status() == 200
                {
                    let body: serde_json::Value =
                        serde_json::from_slice(answer.body()).expect("JSON");
                    assert_eq!(body["status"], "succeeded", "{body}");
                    break;
                }
                let again = answer
                    .as_ref()
                    .map_or(true, |a| a.status() == 409 || a.status().is_server_error());
                tries += 1;
                assert!(again && tries < 20, "{buyer} {tries}: {answer:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            paid += 1;
        }
        paid
    };
    let restarts = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            other.stop().await;
            other.run().await;
            nodes.lock().expect("not poisoned")[1] = other.base.clone();
            tokio::time::sleep(Duration::from_millis(700)).await;
            world.stop().await;
            world.run().await;
            nodes.lock().expect("not poisoned")[0] = world.base.clone();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (a, b, c, d, ()) = tokio::join!(buyer(0), buyer(1), buyer(2), buyer(3), restarts);
    let paid = a + b + c + d;
    assert!(paid > 20, "{paid}");
    assert_eq!(world.bank.charges(), paid, "one charge a payment");
    let stored = world
        .rows("select status, count(*) from payment_intents group by status")
        .await;
    assert_eq!(stored, [("succeeded".to_owned(), paid as i64)]);
    other.kill();
    world.finish().await;
}

async fn the_trace_goes_on(world: World) {
    let token = world.token(Card::Approves);
    let who = format!("Bearer {}", world.merchant.expose());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [
        ("authorization", who.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("traceparent", parent.as_str()),
        ("idempotency-key", "traced"),
    ];
    let form = encode(&pay_form("1000", &token));
    let paid = world
        .raw(Method::POST, "/v1/payment_intents", &headers, &form)
        .await
        .ok();
    let refund = encode(&[("payment_intent", paid.id().as_str())]);
    let mut headers = headers.to_vec();
    headers[3].1 = "traced too";
    world
        .raw(Method::POST, "/v1/refunds", &headers, &refund)
        .await
        .ok();
    let seen = world.bank.book().traces.clone();
    for call in ["exchange", "forward", "operation"] {
        let told = seen.iter().find(|(name, _)| *name == call);
        let (_, told) = told.unwrap_or_else(|| panic!("{call}: {seen:?}"));
        assert!(
            told.starts_with(&format!("00-{trace}-")) && *told != parent,
            "{call}: {told}"
        );
    }
    assert!(world.log().contains(&format!("\"trace_id\":\"{trace}\"")));
    world.finish().await;
}

async fn the_doctor_looks(world: World) {
    let hooks = Hooks::default();
    listen(&world, &hooks, "*").await;
    let url = std::fs::read_to_string(world.file("vault.url")).expect("the url");
    let files =
        ["service.key", "seal.key", "acquirers.toml", "acquirer.key"].map(|f| world.file(f));
    let shut = |file: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file, mode).expect("shut");
    };
    let args = [
        "doctor",
        "--database",
        &world.database,
        "--vault-url",
        &url,
        "--service-key-file",
        &files[0],
        "--seal-key-file",
        &files[1],
        "--acquirers",
        &files[2],
    ];
    let examine = async |args: &[&str]| {
        let (fit, report, _) = world.command(args).await;
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        let checks = report["checks"].as_array().expect("checks").clone();
        let bad = checks.into_iter().filter(|check| check["ok"] == false);
        (
            fit,
            bad.map(|c| (c["check"].to_string(), c["problem"].to_string()))
                .collect::<Vec<_>>(),
        )
    };
    let (fit, bad) = examine(&args).await;
    let all = format!("{bad:?}");
    assert!(
        !fit && all.contains("chmod 600") && all.contains("not on the public internet"),
        "{all}"
    );
    files.iter().for_each(|file| shut(file));
    let (fit, bad) = examine(&[&args[..], &["--webhook-loopback"]].concat()).await;
    // What is left is what a test needs and live mode must not have.
    assert!(
        !fit && bad.len() == 1 && bad[0].1.contains("--webhook-loopback"),
        "{bad:?}"
    );
    let list = world.get("/v1/webhook_endpoints").await.ok();
    let hook = list.json["data"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    world
        .delete(&format!("/v1/webhook_endpoints/{hook}"))
        .await
        .ok();
    let (fit, bad) = examine(&args).await;
    assert!(fit, "{bad:?}");
    let mut wrong = args;
    wrong[4] = "http://127.0.0.1:1";
    let (fit, bad) = examine(&wrong).await;
    assert!(
        !fit && format!("{bad:?}").contains("check --vault-url"),
        "{bad:?}"
    );
    world.finish().await;
}

//! The command line, health, and the wall: payments reaches neither `pan` nor `token-vault`.

use std::process::Command;

use axum::http::{Method, Request};
use bytes::Bytes;
use serde_json::Value;

use crate::bank::Card;
use crate::hooks::Hooks;
use crate::world::{World, on_both_stores};

on_both_stores!(
    endpoints_made_by_the_command_line_receive,
    health_and_a_graceful_stop
);

fn payments(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_payments"))
        .args(args)
        .output()
        .expect("run");
    (
        output.status.success(),
        String::from_utf8(output.stdout).expect("text"),
    )
}

async fn endpoints_made_by_the_command_line_receive(world: World) {
    let hooks = Hooks::default();
    let url = hooks.serve().await;
    let args = [
        "webhook-endpoints",
        "create",
        "--database",
        &world.database,
        "--seal-key-file",
        &world.file("seal.key"),
        "--merchant",
        "mer_one",
        "--url",
        &url,
        "--events",
        "payment_intent.succeeded,charge.refunded",
    ];
    let (ok, made, said) = world.command(&args).await;
    assert!(ok, "{said}");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert!(
        made["secret"]
            .as_str()
            .is_some_and(|secret| secret.starts_with("whsec_"))
    );
    let database = world.database.clone();
    let list = move || payments(&["webhook-endpoints", "list", "--database", &database]);
    let (_, list) = tokio::task::spawn_blocking(list).await.expect("joined");
    let listed: Value = serde_json::from_str(list.trim()).expect("one line");
    assert_eq!(
        (&listed["id"], &listed["merchant"]),
        (&made["id"], &"mer_one".into())
    );
    assert!(!list.contains("whsec_"));
    world.pay(1000, Card::Approves, &[]).await.ok();
    for _ in 0..200 {
        if !hooks.received().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(hooks.received().len(), 1);
    world.finish().await;
}

async fn health_and_a_graceful_stop(world: World) {
    let client = service::Client::new(
        std::time::Duration::from_secs(2),
        std::time::Duration::from_secs(5),
    );
    for path in ["/healthz", "/readyz", "/metrics"] {
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", world.admin));
        let answer = client
            .send(request.body(Bytes::new()).expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    world.finish().await;
}

#[test]
fn every_command_explains_itself() {
    for args in [
        &["--help"][..],
        &["serve", "--help"],
        &["webhook-endpoints", "--help"],
        &["webhook-endpoints", "create", "--help"],
        &["webhook-endpoints", "list", "--help"],
        &["webhook-endpoints", "roll-secret", "--help"],
        &["events", "resend", "--help"],
        &["trigger", "--help"],
    ] {
        let (ok, help) = payments(args);
        assert!(ok && help.contains("Usage:"), "{args:?}");
    }
    assert!(
        payments(&["serve", "--help"])
            .1
            .contains("PAYMENTS_VAULT_URL")
    );
}

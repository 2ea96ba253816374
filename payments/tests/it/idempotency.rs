//! One key, one charge: replays, mismatches, parallel calls, crashes.

use serde_json::Value;

use crate::bank::Card;
use crate::pay::join_all;
use crate::world::{World, on_both_stores, pay_form};

on_both_stores!(
    a_key_replays_and_refuses_another_request,
    a_decline_is_replayed,
    a_refused_call_gives_its_key_back,
    thirty_at_once_make_one_charge,
    a_killed_call_is_resumed_under_its_key,
    thirty_confirmations_at_once_make_one_charge,
    a_confirmation_that_the_vault_refuses_leaves_nothing,
);

async fn a_key_replays_and_refuses_another_request(world: World) {
    let token = world.token(Card::Approves);
    let form = pay_form("1000", &token);
    let first = world
        .post_as("order_1", "/v1/payment_intents", &form)
        .await
        .ok();
    let again = world
        .post_as("order_1", "/v1/payment_intents", &form)
        .await
        .ok();
    assert_eq!(first.text, again.text, "byte-equal");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(world.bank.charges(), 1);
    let other = world
        .post_as("order_1", "/v1/payment_intents", &pay_form("1001", &token))
        .await;
    assert_eq!(
        (other.status, &other.json["error"]["type"]),
        (400, &"idempotency_error".into())
    );
    let path = format!("/v1/payment_intents/{}/cancel", first.id());
    assert_eq!(
        world.post_as("order_1", &path, &[]).await.json["error"]["type"],
        "idempotency_error"
    );
    // Refunds too.
    let refund = [("payment_intent", first.id())];
    let refund: Vec<_> = refund
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let one = world.post_as("refund_1", "/v1/refunds", &refund).await.ok();
    assert_eq!(
        world
            .post_as("refund_1", "/v1/refunds", &refund)
            .await
            .ok()
            .text,
        one.text
    );
    assert_eq!(world.bank.taken(), (1000, 1000));
    // A day later the key is free.
    world.advance_clock(24 * 60 * 60 + 60);
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    let reused = world
        .post_as("order_1", "/v1/payment_intents", &pay_form("1001", &token))
        .await;
    assert_eq!(reused.code(), "token_already_used");
    // No row of it holds a token, a secret or an answer in the clear.
    let rows = world
        .rows("select key, 0 from idempotency where status is not null")
        .await;
    assert!(!rows.is_empty());
    world.finish().await;
}

async fn a_decline_is_replayed(world: World) {
    let token = world.token(Card::Declines("51"));
    let form = pay_form("1000", &token);
    let first = world.post_as("k", "/v1/payment_intents", &form).await;
    let again = world.post_as("k", "/v1/payment_intents", &form).await;
    assert_eq!((first.status, again.status), (402, 402));
    assert_eq!(first.text, again.text);
    assert_eq!(world.bank.book().forwards.len(), 1);
    world.finish().await;
}

async fn a_refused_call_gives_its_key_back(world: World) {
    let bad = world
        .post_as(
            "k",
            "/v1/payment_intents",
            &[("amount", "1.5"), ("currency", "usd")],
        )
        .await;
    assert_eq!(bad.code(), "parameter_invalid_integer");
    let good = world
        .post_as(
            "k",
            "/v1/payment_intents",
            &[("amount", "150"), ("currency", "usd")],
        )
        .await;
    assert_eq!(good.status, 200, "{}", good.text);
    let long = "x".repeat(256);
    let refused = world.post_as(&long, "/v1/payment_intents", &[]).await;
    assert_eq!(refused.json["error"]["type"], "idempotency_error");
    world.finish().await;
}

async fn thirty_at_once_make_one_charge(world: World) {
    let token = world.token(Card::Approves);
    let form = pay_form("1000", &token);
    let answers =
        join_all((0..30).map(|_| world.post_as("order", "/v1/payment_intents", &form))).await;
    let mut ids: Vec<Value> = Vec::new();
    for answer in &answers {
        match answer.status {
            200 => ids.push(answer.json["id"].clone()),
            409 => assert_eq!(answer.code(), "idempotency_key_in_use"),
            _ => panic!("{}", answer.text),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert_eq!(world.bank.book().forwards.len(), 1);
    let again = world
        .post_as("order", "/v1/payment_intents", &form)
        .await
        .ok();
    assert_eq!(again.json["id"], ids[0]);
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

// kill -9 while the vault has sent the card and has not answered: the next call with the key adopts the charge.
async fn a_killed_call_is_resumed_under_its_key(mut world: World) {
    let token = world.token(Card::VaultHangs);
    let form = pay_form("1000", &token);
    {
        let call = world.post_as("order", "/v1/payment_intents", &form);
        let sent = async {
            while world.bank.charges() == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! { _ = call => panic!("answered"), () = sent => {} }
    }
    world.kill();
    world.run().await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        let answer = world.post_as("order", "/v1/payment_intents", &form).await;
        answers.push(answer.status);
        if answer.status != 409 {
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.json["status"], "succeeded", "{}", answer.text);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(answers.last(), Some(&200), "{answers:?}");
    assert_eq!(world.bank.charges(), 1);
    assert_eq!(
        world.get("/v1/payment_intents").await.ok().json["data"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    world.finish().await;
}

async fn thirty_confirmations_at_once_make_one_charge(world: World) {
    let form = [("amount", "1000"), ("currency", "usd")];
    let path = confirm_path(&world, &form).await;
    let token = world.token(Card::Approves);
    let form = token_form(&token);
    let answers = join_all((0..30).map(|_| world.post_as("order", &path, &form))).await;
    let mut paid: Vec<&str> = Vec::new();
    for answer in &answers {
        match answer.status {
            200 => paid.push(&answer.text),
            409 => assert_eq!(answer.code(), "idempotency_key_in_use"),
            _ => panic!("{}", answer.text),
        }
    }
    paid.dedup();
    assert_eq!(paid.len(), 1, "{answers:?}");
    assert_eq!(world.bank.book().forwards.len(), 1);
    let again = world.post_as("order", &path, &form).await.ok();
    assert_eq!(again.text, paid[0]);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    world.finish().await;
}

// The key is claimed with the attempt: until then there is nothing to give back.
async fn a_confirmation_that_the_vault_refuses_leaves_nothing(world: World) {
    let form = [("amount", "1000"), ("currency", "usd")];
    let used = world.token(Card::Approves);
    let first = confirm_path(&world, &form).await;
    world.post(&first, &token_form(&used)).await.ok();

    let path = confirm_path(&world, &form).await;
    let refused = world.post_as("order", &path, &token_form(&used)).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "token_already_used")
    );
    let claims =
        "select key, 0 from idempotency where key = 'order' union all select key, 0 from claims";
    assert_eq!(world.rows(claims).await, vec![]);
    let methods = world
        .rows("select 'all', count(*) from payment_methods")
        .await;
    assert_eq!(methods[0].1, 1);

    let fresh = world.token(Card::Approves);
    let paid = world
        .post_as("order", &path, &token_form(&fresh))
        .await
        .ok();
    assert_eq!(paid.json["status"], "succeeded");
    // Answered and unleased in the transaction of the outcome.
    let open =
        "select key, 0 from idempotency where status is null union all select key, 0 from claims";
    assert_eq!(world.rows(open).await, vec![]);
    assert_eq!(world.bank.charges(), 2);
    world.finish().await;
}

async fn confirm_path(world: &World, form: &[(&str, &str)]) -> String {
    let made = world.post("/v1/payment_intents", form).await.ok();
    format!("/v1/payment_intents/{}/confirm", made.id())
}

fn token_form(token: &str) -> [(&str, &str); 2] {
    [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token),
    ]
}

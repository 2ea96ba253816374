//! Races: never more refunded than captured, never more captured than authorised, one charge whoever confirms. The
//! acquirer's book is the judge, and the ledger sums to zero.
//!
//! `CARDSEAL_RACE_ROUNDS` says how many rounds each (default 60; `cargo xtask soak` and a release run 1000).

use std::future::Future;

use serde_json::json;

use crate::bank::Card;
use crate::world::{Answer, World, on_both_stores};

on_both_stores!(
    two_refunds_of_60_on_100,
    captures_against_cancels,
    confirms_against_confirms,
    words_against_words,
);

fn rounds() -> usize {
    let asked = std::env::var("CARDSEAL_RACE_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Rounds at once.
const ABREAST: usize = 8;

// All rounds, several abreast.
async fn run<'w, R: Future<Output = ()> + 'w>(round: impl Fn(usize) -> R + 'w) {
    let all = rounds();
    let lane = |lane: usize| {
        let round = &round;
        async move {
            for n in (lane..all).step_by(ABREAST) {
                round(n).await;
            }
        }
    };
    tokio::join!(
        lane(0),
        lane(1),
        lane(2),
        lane(3),
        lane(4),
        lane(5),
        lane(6),
        lane(7)
    );
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

async fn two_refunds_of_60_on_100(world: World) {
    run(|_| async {
        let paid = world.pay(100, Card::Approves, &[]).await.ok();
        let id = paid.id();
        let form = [("payment_intent", id.as_str()), ("amount", "60")];
        let (one, other) = tokio::join!(
            world.post("/v1/refunds", &form),
            world.post("/v1/refunds", &form)
        );
        assert_eq!(
            statuses(&[one.clone(), other.clone()]),
            [200, 400],
            "{} {}",
            one.text,
            other.text
        );
        let refused = if one.status == 400 { one } else { other };
        assert_eq!(refused.code(), "amount_too_large");
    })
    .await;
    let rounds = rounds() as i64;
    assert_eq!(world.bank.taken(), (100 * rounds, 60 * rounds));
    let over = world
        .rows("select id, amount_refunded from charges where amount_refunded + refund_reserved > amount_captured")
        .await;
    assert!(over.is_empty(), "{over:?}");
    world.finish().await;
}

async fn captures_against_cancels(world: World) {
    run(|_| async {
        let manual = [("capture_method", "manual")];
        let held = world.pay(100, Card::Approves, &manual).await.ok();
        let path = format!("/v1/payment_intents/{}", held.id());
        let (capture, cancel) = (format!("{path}/capture"), format!("{path}/cancel"));
        let (one, other, void) = tokio::join!(
            world.post(&capture, &[("amount_to_capture", "60")]),
            world.post(&capture, &[]),
            world.post(&cancel, &[]),
        );
        let answers = [one, other, void];
        assert_eq!(statuses(&answers), [200, 400, 400], "{answers:?}");
        let now = world.get(&path).await.ok();
        let (status, received) = (&now.json["status"], now.json["amount_received"].as_i64());
        match answers.iter().position(|answer| answer.status == 200) {
            Some(0) => assert_eq!((status, received), (&"succeeded".into(), Some(60))),
            Some(1) => assert_eq!((status, received), (&"succeeded".into(), Some(100))),
            _ => assert_eq!((status, received), (&"canceled".into(), Some(0))),
        }
    })
    .await;
    let received = world
        .rows("select 'all', cast(sum(amount_received) as bigint) from payment_intents")
        .await;
    assert_eq!(world.bank.taken().0, received[0].1);
    world.finish().await;
}

async fn confirms_against_confirms(world: World) {
    run(|_| async {
        let made = world
            .post(
                "/v1/payment_intents",
                &[("amount", "100"), ("currency", "usd")],
            )
            .await
            .ok();
        let path = format!("/v1/payment_intents/{}/confirm", made.id());
        let tokens = [0, 1, 2].map(|_| world.token(Card::Approves));
        let form = |token: &str| {
            vec![
                ("payment_method_data[type]".to_owned(), "card".to_owned()),
                (
                    "payment_method_data[card][token]".to_owned(),
                    token.to_owned(),
                ),
            ]
        };
        let confirm = |token: usize| {
            let (world, path, form) = (&world, &path, form(&tokens[token]));
            async move {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                world.post(path, &form).await
            }
        };
        let (a, b, c) = tokio::join!(confirm(0), confirm(1), confirm(2));
        let answers = [a, b, c];
        assert_eq!(statuses(&answers), [200, 400, 400], "{answers:?}");
    })
    .await;
    assert_eq!(world.bank.charges(), rounds());
    assert_eq!(world.bank.taken(), (100 * rounds() as i64, 0));
    world.finish().await;
}

// What two calls say of one object is kept, whoever is first; and what a confirmation says beside them.
async fn words_against_words(world: World) {
    run(|_| async {
        let form = [("amount", "100"), ("currency", "usd")];
        let path = format!(
            "/v1/payment_intents/{}",
            world.post("/v1/payment_intents", &form).await.ok().id()
        );
        let confirm = format!("{path}/confirm");
        let token = world.token(Card::Approves);
        let pay = [
            ("payment_method_data[type]", "card"),
            ("payment_method_data[card][token]", token.as_str()),
            ("setup_future_usage", "on_session"),
        ];
        let (one, other, paid) = tokio::join!(
            world.post(&path, &[("metadata[one]", "1"), ("description", "said")]),
            world.post(&path, &[("metadata[other]", "2")]),
            world.post(&confirm, &pay),
        );
        assert_eq!(statuses(&[one, other, paid]), [200, 200, 200]);
        let now = world.get(&path).await.ok().json;
        let kept = (
            &now["metadata"],
            &now["description"],
            &now["setup_future_usage"],
        );
        let both = json!({ "one": "1", "other": "2" });
        assert_eq!(kept, (&both, &json!("said"), &json!("on_session")));
        assert_eq!(now["status"], "succeeded");
    })
    .await;
    assert_eq!(world.bank.charges(), rounds());
    let hook = [
        ("url", "http://127.0.0.1:1/x"),
        ("enabled_events[]", "charge.refunded"),
    ];
    let hook = world.post("/v1/webhook_endpoints", &hook).await.ok().id();
    let path = format!("/v1/webhook_endpoints/{hook}");
    let paid = world.pay(100, Card::Approves, &[]).await.ok().id();
    let refund = world
        .post("/v1/refunds", &[("payment_intent", &paid)])
        .await
        .ok()
        .id();
    let refund = format!("/v1/refunds/{refund}");
    run(|round| {
        let (world, path, refund) = (&world, &path, &refund);
        async move {
            // Fifty keys are the most.
            let key = format!("metadata[{}]", round % 50);
            let value = round.to_string();
            let form = [(key.as_str(), value.as_str())];
            let (one, other) = tokio::join!(world.post(path, &form), world.post(refund, &form));
            assert_eq!(statuses(&[one, other]), [200, 200]);
        }
    })
    .await;
    for path in [path, refund] {
        let now = world.get(&path).await.ok().json;
        let kept = now["metadata"].as_object().map(serde_json::Map::len);
        assert_eq!(kept, Some(rounds().min(50)), "{path}");
    }
    world.finish().await;
}

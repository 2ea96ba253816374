//! Never more refunded than captured.

use axum::http::StatusCode;

use crate::bank::Card;
use crate::pay::join_all;
use crate::world::{World, on_both_stores};

on_both_stores!(
    partial_refunds_up_to_the_whole,
    two_of_sixty_on_a_hundred,
    an_unanswered_refund_is_repeated_under_its_reference,
    a_refused_refund_gives_its_reserve_back,
);

async fn partial_refunds_up_to_the_whole(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    let charge = paid.json["latest_charge"]
        .as_str()
        .expect("a charge")
        .to_owned();
    let first = [
        ("payment_intent", paid.id()),
        ("amount", "300".into()),
        ("reason", "requested_by_customer".into()),
    ];
    let first: Vec<_> = first
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let refund = world.post("/v1/refunds", &first).await.ok();
    assert_eq!(
        (&refund.json["object"], &refund.json["status"]),
        (&"refund".into(), &"succeeded".into())
    );
    assert_eq!(
        world
            .get(&format!("/v1/refunds/{}", refund.id()))
            .await
            .ok()
            .json,
        refund.json
    );
    let rest = world.post("/v1/refunds", &[("charge", &charge)]).await.ok();
    assert_eq!(rest.json["amount"], 700);
    let more = world.post("/v1/refunds", &[("charge", &charge)]).await;
    assert_eq!((more.status, more.code()), (400, "charge_already_refunded"));
    let told = world.get("/v1/events?type=charge.refunded").await.ok();
    let lists = told.json["data"].as_array().expect("a list").iter();
    let ids: Vec<Vec<&str>> = lists
        .map(|event| {
            let refunds = event["data"]["object"]["refunds"]["data"].as_array();
            let ids = refunds.expect("a list").iter();
            ids.map(|refund| refund["id"].as_str().expect("an id"))
                .collect()
        })
        .collect();
    let (first, second) = (refund.id(), rest.id());
    assert_eq!(
        ids,
        [vec![&*second, &*first], vec![&*first]],
        "newest first"
    );
    let charge = world.get(&format!("/v1/charges/{charge}")).await.ok();
    assert_eq!(
        (&charge.json["refunded"], &charge.json["amount_refunded"]),
        (&true.into(), &1000.into())
    );
    assert_eq!(world.bank.taken(), (1000, 1000));
    let list = world
        .get(&format!("/v1/refunds?payment_intent={}", paid.id()))
        .await
        .ok();
    assert_eq!(list.json["data"].as_array().map(Vec::len), Some(2));
    world.finish().await;
}

async fn two_of_sixty_on_a_hundred(world: World) {
    for _ in 0..20 {
        let before = world.bank.taken().1;
        let paid = world.pay(100, Card::Approves, &[]).await.ok();
        let id = paid.id();
        let form = [("payment_intent", id.as_str()), ("amount", "60")];
        let answers = join_all([
            world.post("/v1/refunds", &form),
            world.post("/v1/refunds", &form),
        ])
        .await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{answers:?}");
        assert_eq!(world.bank.taken().1 - before, 60);
    }
    world.finish().await;
}

async fn an_unanswered_refund_is_repeated_under_its_reference(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    world.bank.book().operation_faults = vec![StatusCode::BAD_GATEWAY; 2];
    let refund = world
        .post(
            "/v1/refunds",
            &[("payment_intent", &paid.id()), ("amount", "400")],
        )
        .await
        .ok();
    assert_eq!(refund.json["status"], "pending");
    // What is on its way is reserved.
    let over = world
        .post(
            "/v1/refunds",
            &[("payment_intent", &paid.id()), ("amount", "601")],
        )
        .await;
    assert_eq!(over.code(), "amount_too_large");
    let path = format!("/v1/refunds/{}", refund.id());
    for _ in 0..400 {
        if world.get(&path).await.ok().json["status"] != "pending" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.get(&path).await.ok().json["status"], "succeeded");
    assert_eq!(world.bank.taken(), (1000, 400));
    world.finish().await;
}

async fn a_refused_refund_gives_its_reserve_back(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    world.bank.book().refuse_operations = true;
    let refused = world
        .post("/v1/refunds", &[("payment_intent", &paid.id())])
        .await
        .ok();
    assert_eq!(
        (&refused.json["status"], &refused.json["failure_reason"]),
        (&"failed".into(), &"declined".into())
    );
    world.bank.book().refuse_operations = false;
    let refund = world
        .post("/v1/refunds", &[("payment_intent", &paid.id())])
        .await
        .ok();
    assert_eq!(
        (&refund.json["status"], &refund.json["amount"]),
        (&"succeeded".into(), &1000.into())
    );
    assert!(
        world
            .event_types()
            .await
            .contains(&"refund.failed".to_owned())
    );
    world.finish().await;
}

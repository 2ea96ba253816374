//! Balance and balance transactions: gross = fee + net, in agreement with the ledger (checked after every test).

use vault_api::keys::{Kind, Mode};

use axum::http::Method;

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    fees_come_off_what_is_captured,
    a_refused_refund_gives_the_balance_back,
    another_merchants_balance_is_not_seen,
    a_test_card_brings_money_at_once,
);

async fn fees_come_off_what_is_captured(world: World) {
    let paid = world.pay(10_000, Card::Approves, &[]).await.ok();
    let held = world
        .pay(5_000, Card::Approves, &[("capture_method", "manual")])
        .await
        .ok();
    let charge = format!(
        "/v1/charges/{}",
        held.json["latest_charge"].as_str().expect("a charge")
    );
    assert!(world.get(&charge).await.ok().json["balance_transaction"].is_null());
    let capture = format!("/v1/payment_intents/{}/capture", held.id());
    world
        .post(&capture, &[("amount_to_capture", "1950")])
        .await
        .ok();
    let id = world.get(&charge).await.ok().json["balance_transaction"].clone();
    let id = id.as_str().expect("a balance transaction").to_owned();
    let one = world
        .get(&format!("/v1/balance_transactions/{id}"))
        .await
        .ok()
        .json;
    // 2.9 % of 1950 is 56.55, and 30.
    assert_eq!(
        (&one["amount"], &one["fee"], &one["net"]),
        (&1950.into(), &87.into(), &1863.into())
    );
    assert_eq!(
        (&one["status"], &one["type"]),
        (&"pending".into(), &"charge".into())
    );
    assert_eq!(
        (&one["source"], &one["fee_details"][0]["amount"]),
        (&held.json["latest_charge"], &87.into())
    );
    let form = [("payment_intent", paid.id()), ("amount", "400".to_owned())];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let refund = world.post("/v1/refunds", &form).await.ok();
    let source = format!("/v1/balance_transactions?source={}", refund.id());
    let listed = world.get(&source).await.ok().json["data"].clone();
    assert_eq!(listed[0]["id"], refund.json["balance_transaction"]);
    assert_eq!(
        (&listed[0]["amount"], &listed[0]["net"]),
        (&(-400).into(), &(-400).into())
    );
    let listed = world
        .get("/v1/balance_transactions?type=charge&currency=usd")
        .await
        .ok();
    assert_eq!(listed.json["data"].as_array().map(Vec::len), Some(2));
    // 10 000 - 320, 1 950 - 87; the refund is taken at once, the captures are paid out in two days.
    let balance = world.get("/v1/balance").await.ok().json;
    assert_eq!(balance["pending"][0]["amount"], 9_680 + 1_863);
    assert_eq!(balance["available"][0]["amount"], -400);
    world.advance_clock(3 * 24 * 60 * 60);
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let balance = world.get("/v1/balance").await.ok().json;
    assert_eq!(balance["pending"][0]["amount"], 0);
    assert_eq!(balance["available"][0]["amount"], 9_680 + 1_863 - 400);
    for (query, code) in [
        ("type=salary", ""),
        ("colour=red", "parameter_unknown"),
        ("limit=0", "parameter_invalid_integer"),
    ] {
        let bad = world
            .get(&format!("/v1/balance_transactions?{query}"))
            .await;
        assert_eq!((bad.status, bad.code()), (400, code), "{query}");
    }
    world.finish().await;
}

async fn a_refused_refund_gives_the_balance_back(world: World) {
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    world.bank.book().refuse_operations = true;
    world
        .post("/v1/refunds", &[("payment_intent", &paid.id())])
        .await
        .ok();
    let listed = world.get("/v1/balance_transactions").await.ok();
    let data = listed.json["data"].as_array().expect("a list");
    let nets: i64 = data.iter().filter_map(|one| one["net"].as_i64()).sum();
    assert_eq!((data.len(), nets), (3, 1000 - 59));
    world.finish().await;
}

async fn another_merchants_balance_is_not_seen(world: World) {
    world.pay(1000, Card::Approves, &[]).await.ok();
    let own = world.get("/v1/balance_transactions").await.ok();
    let id = own.json["data"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let stranger = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    for id in [id.as_str(), "txn_nobodys"] {
        let path = format!("/v1/balance_transactions/{id}");
        let answer = world.call(Method::GET, &path, &stranger, None, "").await;
        assert_eq!((answer.status, answer.code()), (404, "resource_missing"));
    }
    let balance = world
        .call(Method::GET, "/v1/balance", &stranger, None, "")
        .await
        .ok();
    assert_eq!(balance.json["pending"].as_array().map(Vec::len), Some(0));
    world.finish().await;
}

// Sold at once or captured later; the usual card's money comes in two days.
async fn a_test_card_brings_money_at_once(world: World) {
    let later = [("capture_method", "manual"), ("expand[]", "latest_charge")];
    let now = [("expand[]", "latest_charge.balance_transaction")];
    let paid = world.pay(10_000, Card::AvailableAtOnce, &now).await.ok();
    let moved = &paid.json["latest_charge"]["balance_transaction"];
    assert_eq!(
        (&moved["status"], &moved["available_on"]),
        (&"available".into(), &moved["created"])
    );
    let held = world.pay(5_000, Card::AvailableAtOnce, &later).await.ok();
    let capture = format!("/v1/payment_intents/{}/capture", held.id());
    world.post(&capture, &[]).await.ok();
    world.pay(2_000, Card::Approves, &[]).await.ok();
    let balance = world.get("/v1/balance").await.ok().json;
    // 320, 175 and 88 are the fees.
    assert_eq!(
        balance["available"][0]["amount"],
        10_000 - 320 + 5_000 - 175
    );
    assert_eq!(balance["pending"][0]["amount"], 2_000 - 88);
    world.finish().await;
}

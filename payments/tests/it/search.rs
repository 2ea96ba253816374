//! Search: metadata, states, ranges, pages; what is not understood is refused.

use axum::http::Method;

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(intents_are_found_by_what_they_are, pages_and_refusals);

async fn found(world: &World, query: &str) -> Vec<String> {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let path = format!("/v1/payment_intents/search?limit=100&query={query}");
    let answer = world.get(&path).await.ok();
    assert_eq!(answer.json["object"], "search_result");
    let data = answer.json["data"].as_array().expect("a list").clone();
    let mut amounts: Vec<_> = data.iter().map(|i| i["amount"].to_string()).collect();
    amounts.sort();
    amounts
}

async fn intents_are_found_by_what_they_are(world: World) {
    let customer = world.customer().await;
    for (amount, currency, more) in [
        (
            "101",
            "usd",
            vec![("metadata[order]", "o-1"), ("metadata[plan]", "Gold 100%")],
        ),
        (
            "102",
            "eur",
            vec![("metadata[order]", "o-2"), ("customer", customer.as_str())],
        ),
        ("103", "usd", vec![]),
    ] {
        let form = [&[("amount", amount), ("currency", currency)][..], &more].concat();
        world.post("/v1/payment_intents", &form).await.ok();
    }
    world
        .pay(104, Card::Approves, &[("metadata[order]", "o-1")])
        .await
        .ok();
    let by_customer = format!("customer:'{customer}'");
    let list = world.get("/v1/payment_intents?limit=1").await.ok();
    let created = list.json["data"][0]["created"].as_i64().expect("a time");
    let (not_after, after) = (format!("created<={created}"), format!("created>{created}"));
    for (query, wanted) in [
        ("metadata['order']:'o-1'", "101 104"),
        ("metadata['order']:'O-1'", "101 104"),
        ("metadata['order']:'o-1' AND status:'succeeded'", "104"),
        ("metadata['order']:'o-1' AND -status:'succeeded'", "101"),
        ("metadata['order']:'o-2' OR amount:103", "102 103"),
        ("metadata['order']:null", "103"),
        ("-metadata['order']:null", "101 102 104"),
        ("metadata['plan']~'old 100%'", "101"),
        ("metadata['plan']~'o_d'", ""),
        ("metadata['o\\'; drop table refunds; --']:'x'", ""),
        ("amount>101 AND amount<=103", "102 103"),
        ("currency:\"eur\"", "102"),
        ("-currency:'eur' amount<103", "101"),
        (&by_customer, "102"),
        ("customer:null", "101 103 104"),
        (&not_after, "101 102 103 104"),
        (&after, ""),
    ] {
        assert_eq!(found(&world, query).await.join(" "), wanted, "{query}");
    }
    let other = world.bank.key(
        "mer_two",
        vault_api::keys::Kind::Secret,
        vault_api::keys::Mode::Test,
    );
    let path = "/v1/payment_intents/search?query=amount%3E0";
    let answer = world.call(Method::GET, path, &other, None, "").await.ok();
    assert_eq!(answer.json["data"].as_array().map(Vec::len), Some(0));
    world.finish().await;
}

async fn pages_and_refusals(world: World) {
    for amount in ["201", "202", "203"] {
        let form = [("amount", amount), ("currency", "usd")];
        world.post("/v1/payment_intents", &form).await.ok();
    }
    let base = "/v1/payment_intents/search?query=currency%3A%27usd%27&limit=2";
    let first = world.get(base).await.ok();
    assert_eq!(first.json["has_more"], true);
    let next = first.json["next_page"].as_str().expect("a next page");
    let second = world.get(&format!("{base}&page={next}")).await.ok();
    assert_eq!(
        (
            &second.json["has_more"],
            &second.json["next_page"],
            &second.json["data"][0]["amount"]
        ),
        (&false.into(), &serde_json::Value::Null, &201.into())
    );
    for (query, param) in [
        ("", "query"),
        ("?query=", "query"),
        ("?query=colour%3A%27red%27", "query"),
        ("?query=status%3Asucceeded", "query"),
        ("?query=amount%3A1&page=pi_none", "page"),
        ("?query=amount%3A1&limit=0", "limit"),
        ("?query=amount%3A1&starting_after=pi_1", "starting_after"),
    ] {
        let answer = world
            .get(&format!("/v1/payment_intents/search{query}"))
            .await;
        assert_eq!(
            (answer.status, answer.json["error"]["param"].as_str()),
            (400, Some(param)),
            "{query} {}",
            answer.text
        );
    }
    world.finish().await;
}

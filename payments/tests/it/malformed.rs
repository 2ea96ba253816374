//! Requests that are not well formed: bytes that are no form, paths, keys and versions that are none. Each is refused with
//! Stripe's error, none is a fault of ours, and no key is used up.

use axum::http::Method;

use crate::bank::Card;
use crate::world::{Answer, World, on_both_stores};

on_both_stores!(
    bytes_that_are_no_form,
    paths_and_methods_that_are_no_route,
    keys_and_versions_that_are_none,
    lists_that_cannot_be_paged,
    what_cannot_be_expanded,
);

const FORM: &str = "application/x-www-form-urlencoded";

impl World {
    async fn send(&self, method: Method, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let who = format!("Bearer {}", self.merchant.expose());
        let mut headers = vec![("authorization", who.as_str())];
        if !more.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type", FORM));
        }
        headers.extend_from_slice(more);
        self.raw(method, path, &headers, body).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let error = &answer.json["error"];
    let told = (answer.status, error["type"].as_str(), answer.code());
    assert_eq!(
        told,
        (status, Some("invalid_request_error"), code),
        "{}",
        answer.text
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| message.len() > 10),
        "{}",
        answer.text
    );
    assert!(
        answer.headers["request-id"]
            .to_str()
            .is_ok_and(|id| id.starts_with("req_"))
    );
}

async fn bytes_that_are_no_form(world: World) {
    let deep = format!("metadata{}=1", "[a]".repeat(7));
    let many = "a[]=1&".repeat(501);
    let key = format!("{}=1", "k".repeat(201));
    for body in [
        "amount=1%",
        "amount=1%4",
        "amount=%zz",
        "amount=100%&currency=usd",
        "description=%ff",
        "description=%c3%28",
        "description=a%00b",
        "%00=1",
        "metadata[%00]=1",
        "amount=1&amount=1",
        "amount=1&amount[a]=1",
        "amount[a]=1&amount=1",
        "metadata[a]=1&metadata[a]=2",
        "metadata[a=1",
        "metadata]a[=1",
        "metadata[a]b=1",
        "[a]=1",
        "=1",
        "expand[][a]=1",
        &deep,
        &many,
        &key,
    ] {
        let answer = world
            .send(Method::POST, "/v1/payment_intents", &[], body)
            .await;
        refused(&answer, 400, "");
        let answer = world
            .send(Method::GET, &format!("/v1/payment_intents?{body}"), &[], "")
            .await;
        refused(&answer, 400, "");
    }
    for kind in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
        "application/x-www-form",
    ] {
        let more = [("content-type", kind)];
        let answer = world
            .send(
                Method::POST,
                "/v1/payment_intents",
                &more,
                "{\"amount\":100}",
            )
            .await;
        refused(&answer, 415, "");
    }
    let more = [(
        "content-type",
        "Application/X-WWW-Form-Urlencoded; charset=utf-8",
    )];
    let form = "amount=100&currency=USD";
    world
        .send(Method::POST, "/v1/payment_intents", &more, form)
        .await
        .ok();
    let huge = format!("description={}", "x".repeat(300 * 1024));
    refused(
        &world
            .send(Method::POST, "/v1/payment_intents", &[], &huge)
            .await,
        413,
        "",
    );
    // A POST's parameters are in its body: what a URL says may stand in a log.
    let answer = world
        .send(Method::POST, "/v1/payment_intents?confirm=true", &[], form)
        .await;
    refused(&answer, 400, "");
    assert_eq!(world.bank.book().forwards.len(), 0);
    world.finish().await;
}

async fn paths_and_methods_that_are_no_route(world: World) {
    let paid = world.pay(500, Card::Approves, &[]).await.ok();
    let long = "x".repeat(4_000);
    for id in ["%00", "pi_%ff", "pi_%2e%2e", "%70i_x", "pi_x%20"] {
        for path in [
            format!("/v1/payment_intents/{id}"),
            format!("/v1/customers/{id}/payment_methods/pm_x"),
            format!("/c/pay/{id}"),
            format!("/3ds/{id}"),
        ] {
            refused(&world.send(Method::GET, &path, &[], "").await, 404, "");
        }
        let path = format!("/v1/payment_intents/{id}/confirm");
        refused(&world.send(Method::POST, &path, &[], "").await, 404, "");
    }
    for id in ["pi_", "'", "1;drop", &long, &paid.id().to_uppercase()] {
        let path = format!("/v1/payment_intents/{id}");
        refused(
            &world.send(Method::GET, &path, &[], "").await,
            404,
            "resource_missing",
        );
    }
    for (method, path) in [
        (Method::PUT, "/v1/payment_intents"),
        (Method::PATCH, "/v1/payment_intents/pi_x"),
        (Method::DELETE, "/v1/payment_intents/pi_x"),
        (Method::GET, "/v1/refunds/re_x/cancel"),
        (Method::POST, "/v1/balance"),
        (Method::POST, "/v1/payment_intents/"),
        (Method::GET, "//v1/payment_intents"),
        (Method::GET, "/v1/payment_intents/../refunds"),
        (Method::GET, "/V1/payment_intents"),
        (Method::GET, "/v2/payment_intents"),
        (Method::GET, "/v1/subscriptions"),
        (Method::TRACE, "/v1/payment_intents"),
    ] {
        let answer = world.send(method.clone(), path, &[], "").await;
        let missing = answer.code() == "resource_missing";
        refused(&answer, 404, if missing { "resource_missing" } else { "" });
        assert!(
            !missing || path.ends_with("refunds"),
            "{method} {path} {}",
            answer.text
        );
    }
    world.finish().await;
}

async fn keys_and_versions_that_are_none(world: World) {
    let form = "amount=100&currency=usd";
    let long = "k".repeat(256);
    for key in ["", " ", "k\u{e4}y", &long] {
        let more = [("idempotency-key", key)];
        let answer = world
            .send(Method::POST, "/v1/payment_intents", &more, form)
            .await;
        assert_eq!(
            (answer.status, &answer.json["error"]["type"]),
            (400, &"idempotency_error".into()),
            "{key}"
        );
    }
    let two = [("idempotency-key", "one"), ("idempotency-key", "two")];
    let answer = world
        .send(Method::POST, "/v1/payment_intents", &two, form)
        .await;
    assert_eq!(
        (answer.status, &answer.json["error"]["type"]),
        (400, &"idempotency_error".into())
    );
    let more = [("idempotency-key", "4242 4242 4242 4242")];
    let answer = world
        .send(Method::POST, "/v1/payment_intents", &more, form)
        .await;
    refused(&answer, 400, "card_data_not_allowed");
    assert!(!answer.headers.contains_key("idempotency-key"));
    // A key is told again, whatever became of its call.
    for (body, status) in [("", 400), (form, 200)] {
        let more = [("idempotency-key", "told")];
        let answer = world
            .send(Method::POST, "/v1/payment_intents", &more, body)
            .await;
        assert_eq!(
            (answer.status, &answer.headers["idempotency-key"]),
            (status, &"told".parse().expect("a value"))
        );
    }

    for version in ["2026-10-28.endive", "2024-06-20", "2020-08-27"] {
        let more = [("stripe-version", version)];
        let answer = world
            .send(Method::GET, "/v1/payment_intents", &more, "")
            .await
            .ok();
        assert_eq!(answer.headers["stripe-version"], version);
    }
    let answer = world
        .send(Method::GET, "/v1/payment_intents", &[], "")
        .await
        .ok();
    assert_eq!(answer.headers["stripe-version"], "2026-10-28.endive");
    let long = format!("2026-10-28.{}", "a".repeat(40));
    for version in [
        "",
        "latest",
        "2026",
        "2026-10",
        "2026/10/28",
        "2026-10-28.",
        "2026-10-28.Endive",
        "28-10-2026",
        &long,
    ] {
        let more = [("stripe-version", version)];
        let answer = world
            .send(Method::POST, "/v1/payment_intents", &more, form)
            .await;
        refused(&answer, 400, "");
        let message = answer.json["error"]["message"].as_str().expect("a message");
        assert!(
            message.starts_with("Invalid Stripe API version"),
            "{message}"
        );
    }
    let made = world
        .rows("select 'all', count(*) from payment_intents")
        .await;
    assert_eq!(made[0].1, 1, "one call was good");
    world.finish().await;
}

/// Every list, and an id that it could be paged from.
async fn lists_that_cannot_be_paged(world: World) {
    let lists = crate::matrix::described(&world).await;
    let paged = |o: &&crate::matrix::Operation| o.keyed && o.takes.contains_key("starting_after");
    let lists: Vec<_> = lists.iter().filter(paged).collect();
    assert!(lists.len() >= 12, "{lists:?}");
    let customer = world.customer().await;
    let who = world.merchant.clone();
    for list in lists {
        if list.path.contains("{id}") && !list.path.starts_with("/v1/customers") {
            continue;
        }
        let path = list.path.replace("{id}", &customer);
        let named = if list.needed.is_empty() {
            String::new()
        } else {
            format!("&customer={customer}")
        };
        let ask = async |query: &str| {
            let path = format!("{path}?{query}{named}");
            world.call(Method::GET, &path, &who, None, "").await
        };
        for limit in ["0", "101", "-1", "1.5", "ten"] {
            let answer = ask(&format!("limit={limit}")).await;
            refused(&answer, 400, "parameter_invalid_integer");
            assert_eq!(answer.json["error"]["param"], "limit", "{list:?}");
        }
        for limit in ["1", "100"] {
            ask(&format!("limit={limit}")).await.ok();
        }
        if !list.takes.contains_key("ending_before") {
            continue;
        }
        for name in ["starting_after", "ending_before"] {
            let answer = ask(&format!("{name}=nobodys")).await;
            refused(&answer, 400, "resource_missing");
            assert_eq!(answer.json["error"]["param"], name, "{list:?}");
        }
        refused(&ask("starting_after=a&ending_before=b").await, 400, "");
    }
    world.finish().await;
}

async fn what_cannot_be_expanded(world: World) {
    let paid = world.pay(500, Card::Approves, &[]).await.ok();
    let one = format!("/v1/payment_intents/{}", paid.id());
    let many: String = (0..21)
        .map(|n| format!("expand[{n}]=latest_charge&"))
        .collect();
    for query in [
        "expand[]=nothing",
        "expand[]=amount",
        "expand[]=metadata",
        "expand[]=latest_charge.nothing",
        "expand[]=latest_charge.amount",
        "expand[]=a.b.c.d.e",
        "expand[]=.",
        "expand[]=latest_charge..",
        &many,
    ] {
        let answer = world.get(&format!("{one}?{query}")).await;
        refused(&answer, 400, "");
        assert_eq!(answer.json["error"]["param"], "expand", "{query}");
    }
    for (query, code) in [
        ("expand[]=", "parameter_invalid_empty"),
        ("expand=customer", "parameter_invalid_array"),
    ] {
        refused(&world.get(&format!("{one}?{query}")).await, 400, code);
    }
    let good = world
        .get(&format!(
            "{one}?expand[]=latest_charge.balance_transaction&expand[]=customer"
        ))
        .await
        .ok();
    assert_eq!(
        good.json["latest_charge"]["balance_transaction"]["object"],
        "balance_transaction"
    );
    // Of a change it is said before anything is done: nothing is paid, and its key is free.
    let who = world.merchant.clone();
    let objects = crate::matrix::objects(&world).await;
    let before = (world.bank.charges(), world.bank.book().forwards.len());
    let token = world.token(Card::Approves);
    let form = crate::world::encode(&crate::world::pay_form("600", &token));
    let mut seen = 0;
    for operation in crate::matrix::described(&world).await {
        if operation.method != Method::POST || !operation.takes.contains_key("expand") {
            continue;
        }
        for path in [
            "nothing",
            "id",
            "latest_charge.nothing",
            "customer.invoice_settings.nothing",
        ] {
            let needs = match operation.path.as_str() {
                "/v1/payment_intents" => format!("&{form}"),
                _ => operation.needs(""),
            };
            let form = format!("expand[]={path}{needs}");
            let answer = operation
                .call(
                    &world,
                    &operation.real(&objects),
                    &who,
                    Some("expands"),
                    &form,
                )
                .await;
            refused(&answer, 400, "");
            assert_eq!(
                answer.json["error"]["param"], "expand",
                "{operation:?} {path}"
            );
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
    assert_eq!(
        (world.bank.charges(), world.bank.book().forwards.len()),
        before
    );
    world.finish().await;
}

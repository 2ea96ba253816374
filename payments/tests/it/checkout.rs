//! Checkout Sessions: made, paid on the hosted page, declined, expired by call and by clock, refused late.

use axum::http::Method;
use serde_json::Value;
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{Answer, World, encode, on_both_stores, shows_a_card};

on_both_stores!(
    a_session_is_stripes,
    paid_on_its_page,
    open_for_half_an_hour,
    expired_by_call,
    a_card_is_saved,
    bad_sessions,
    the_page_is_safe,
);

const SESSION: &[(&str, &str)] = &[
    ("mode", "payment"),
    ("line_items[0][price_data][currency]", "usd"),
    ("line_items[0][price_data][unit_amount]", "1500"),
    (
        "line_items[0][price_data][product_data][name]",
        "A <b>mug</b> {secret}",
    ),
    ("line_items[0][quantity]", "2"),
    ("line_items[1][price_data][currency]", "usd"),
    ("line_items[1][price_data][unit_amount]", "250"),
    ("line_items[1][price_data][product_data][name]", "A pen"),
    (
        "line_items[1][price_data][product_data][description]",
        "Blue",
    ),
    (
        "success_url",
        "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
    ),
    ("cancel_url", "https://shop.example/basket"),
    ("client_reference_id", "order-1"),
    ("metadata[order_id]", "order-1"),
    ("payment_intent_data[metadata][order_id]", "order-1"),
];

const PATH: &str = "/v1/checkout/sessions";

async fn session(world: &World, more: &[(&str, &str)]) -> Answer {
    world.post(PATH, &[SESSION, more].concat()).await.ok()
}

async fn page(world: &World, id: &str) -> Answer {
    world
        .raw(Method::GET, &format!("/c/pay/{id}"), &[], "")
        .await
}

async fn status(world: &World, id: &str) -> Value {
    let path = format!("/c/pay/{id}/status");
    world.raw(Method::GET, &path, &[], "").await.ok().json
}

fn attribute(html: &str, name: &str) -> String {
    let (_, rest) = html
        .split_once(&format!("data-{name}=\""))
        .expect("the attribute");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// What the page's script does, with what the page says.
async fn confirm(world: &World, html: &str, card: Card) -> Answer {
    let secret = attribute(html, "secret");
    assert_eq!(attribute(html, "key"), world.browser.expose());
    let token = world.token(card);
    let form = [
        ("client_secret", secret.as_str()),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let (id, _) = secret.split_once("_secret_").expect("a client secret");
    let kind = if id.starts_with("seti_") {
        "setup_intents"
    } else {
        "payment_intents"
    };
    let path = format!("/v1/{kind}/{id}/confirm");
    let browser = &world.browser;
    world
        .call(Method::POST, &path, browser, None, &encode(&form))
        .await
}

async fn a_session_is_stripes(world: World) {
    let made = session(
        &world,
        &[("expand[]", "line_items"), ("expand[]", "payment_intent")],
    )
    .await;
    let session = &made.json;
    assert!(made.id().starts_with("cs_test_"));
    for (name, wanted) in [
        ("object", "checkout.session"),
        ("mode", "payment"),
        ("status", "open"),
        ("payment_status", "unpaid"),
        ("currency", "usd"),
        ("client_reference_id", "order-1"),
        ("ui_mode", "hosted"),
    ] {
        assert_eq!(session[name], wanted, "{name}");
    }
    assert_eq!(session["amount_total"], 3_250);
    let open_for = session["expires_at"].as_i64().expect("a time")
        - session["created"].as_i64().expect("a time");
    assert_eq!(open_for, 1_800);
    assert_eq!(
        session["url"],
        format!("http://127.0.0.1:1/c/pay/{}", made.id())
    );
    let intent = &session["payment_intent"];
    assert_eq!(
        (
            &intent["amount"],
            &intent["status"],
            &intent["metadata"]["order_id"]
        ),
        (
            &3_250.into(),
            &"requires_payment_method".into(),
            &"order-1".into()
        )
    );
    let lines = session["line_items"]["data"].as_array().expect("a list");
    assert_eq!(
        (
            lines.len(),
            &lines[0]["amount_total"],
            &lines[0]["quantity"]
        ),
        (2, &3_000.into(), &2.into())
    );
    let path = format!("{PATH}/{}", made.id());
    let list = world.get(&format!("{path}/line_items?limit=1")).await.ok();
    assert_eq!(
        (&list.json["has_more"], &list.json["data"][0]),
        (&true.into(), &lines[0])
    );
    let after = lines[0]["id"].as_str().expect("an id");
    let rest = world
        .get(&format!("{path}/line_items?starting_after={after}"))
        .await
        .ok();
    assert_eq!(
        (&rest.json["has_more"], &rest.json["data"][0]),
        (&false.into(), &lines[1])
    );
    let read = world.get(&path).await.ok();
    assert_eq!(
        (&read.json["id"], read.json.get("line_items")),
        (&session["id"], None)
    );
    let renamed = world.post(&path, &[("metadata[more]", "1")]).await.ok();
    assert_eq!(
        renamed.json["metadata"],
        serde_json::json!({"order_id": "order-1", "more": "1"})
    );
    let first = world.post_as("one", PATH, SESSION).await.ok();
    assert_eq!(
        world.post_as("one", PATH, SESSION).await.ok().json,
        first.json
    );
    let list = world.get(&format!("{PATH}?status=open&limit=1")).await.ok();
    assert_eq!(
        (&list.json["data"][0]["id"], &list.json["has_more"]),
        (&first.json["id"], &true.into())
    );
    let by_intent = format!(
        "{PATH}?payment_intent={}",
        intent["id"].as_str().expect("an id")
    );
    assert_eq!(
        world.get(&by_intent).await.ok().json["data"][0]["id"],
        made.id()
    );
    let other = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    for path in [&path, &format!("{path}/line_items")] {
        assert_eq!(
            world.call(Method::GET, path, &other, None, "").await.status,
            404
        );
    }
    world.finish().await;
}

async fn paid_on_its_page(world: World) {
    let made = session(&world, &[]).await;
    let html = page(&world, &made.id()).await.ok().text;
    assert!(html.contains("$32.50") && html.contains("$30.00"));
    let declined = confirm(&world, &html, Card::Declines("51")).await;
    assert_eq!((declined.status, declined.code()), (402, "card_declined"));
    assert_eq!(status(&world, &made.id()).await["status"], "open");
    let paid = confirm(&world, &html, Card::Approves).await.ok();
    assert_eq!(paid.json["status"], "succeeded");
    let told = status(&world, &made.id()).await;
    let success = format!("https://shop.example/done?session={}", made.id());
    assert_eq!(
        (&told["status"], &told["redirect"]),
        (&"complete".into(), &success.clone().into())
    );
    let done = world.get(&format!("{PATH}/{}", made.id())).await.ok();
    assert_eq!(
        (
            &done.json["status"],
            &done.json["payment_status"],
            &done.json["url"]
        ),
        (&"complete".into(), &"paid".into(), &Value::Null)
    );
    let event = world
        .get("/v1/events?type=checkout.session.completed")
        .await
        .ok();
    let object = &event.json["data"][0]["data"]["object"];
    assert_eq!(
        (&object["id"], &object["payment_status"]),
        (&made.json["id"], &"paid".into())
    );
    let again = page(&world, &made.id()).await.ok().text;
    assert!(
        again.contains("All done") && again.contains(&success) && !again.contains("data-secret")
    );
    let twice = confirm(&world, &html, Card::Approves).await;
    assert_eq!(
        (twice.status, twice.code()),
        (400, "payment_intent_unexpected_state")
    );
    assert_eq!(world.bank.charges(), 1);
    // A hold is complete and not paid.
    let held = session(&world, &[("payment_intent_data[capture_method]", "manual")]).await;
    let html = page(&world, &held.id()).await.ok().text;
    confirm(&world, &html, Card::Approves).await.ok();
    let held = world.get(&format!("{PATH}/{}", held.id())).await.ok();
    assert_eq!(
        (&held.json["status"], &held.json["payment_status"]),
        (&"complete".into(), &"unpaid".into())
    );
    // The acquirer's answer is lost: found out, and the session is complete all the same.
    let unknown = session(&world, &[]).await;
    let html = page(&world, &unknown.id()).await.ok().text;
    confirm(&world, &html, Card::AnswerLost).await.ok();
    let intent = unknown.json["payment_intent"].as_str().expect("an id");
    world.until_status(intent, "succeeded").await;
    assert_eq!(status(&world, &unknown.id()).await["status"], "complete");
    world.finish().await;
}

async fn open_for_half_an_hour(world: World) {
    let (early, late) = (session(&world, &[]).await, session(&world, &[]).await);
    let html = page(&world, &early.id()).await.ok().text;
    let late_html = page(&world, &late.id()).await.ok().text;
    // Some of the half hour has passed while the test ran.
    world.advance_clock(1_700);
    confirm(&world, &html, Card::Approves).await.ok();
    world.advance_clock(1_801);
    let refused = confirm(&world, &late_html, Card::Approves).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "payment_intent_unexpected_state"),
        "{}",
        refused.text
    );
    assert_eq!(status(&world, &late.id()).await["status"], "expired");
    let gone = page(&world, &late.id()).await;
    assert_eq!(gone.status, 410);
    assert!(gone.text.contains("expired") && gone.text.contains("https://shop.example/basket"));
    let intent = late.json["payment_intent"].as_str().expect("an id");
    world.until_status(intent, "canceled").await;
    let expired = world
        .get("/v1/events?type=checkout.session.expired")
        .await
        .ok();
    let events = expired.json["data"].as_array().expect("a list");
    assert_eq!(
        (events.len(), &events[0]["data"]["object"]["id"]),
        (1, &late.json["id"])
    );
    assert_eq!(events[0]["data"]["object"]["status"], "expired");
    assert!(
        world
            .event_types()
            .await
            .contains(&"payment_intent.canceled".to_owned())
    );
    let done = world.get(&format!("{PATH}/{}", early.id())).await.ok();
    assert_eq!(done.json["status"], "complete");
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

async fn expired_by_call(world: World) {
    let made = session(&world, &[]).await;
    let html = page(&world, &made.id()).await.ok().text;
    let intent = made.json["payment_intent"].as_str().expect("an id");
    let alone = [
        (format!("/v1/payment_intents/{intent}/cancel"), vec![]),
        (
            format!("/v1/payment_intents/{intent}"),
            vec![("amount", "1")],
        ),
    ];
    for (path, form) in &alone {
        let refused = world.post(path, form).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "payment_intent_unexpected_state"),
            "{path}"
        );
    }
    let path = format!("{PATH}/{}/expire", made.id());
    let expired = world.post(&path, &[]).await.ok();
    assert_eq!(
        (&expired.json["status"], &expired.json["url"]),
        (&"expired".into(), &Value::Null)
    );
    assert_eq!(world.post(&path, &[]).await.status, 400);
    let refused = confirm(&world, &html, Card::Approves).await;
    assert_eq!(refused.code(), "payment_intent_unexpected_state");
    let paid = session(&world, &[]).await;
    let html = page(&world, &paid.id()).await.ok().text;
    confirm(&world, &html, Card::Approves).await.ok();
    let late = world
        .post(&format!("{PATH}/{}/expire", paid.id()), &[])
        .await;
    assert_eq!(late.status, 400);
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

async fn a_card_is_saved(world: World) {
    let customer = world.customer().await;
    let form = [
        ("mode", "setup"),
        ("customer", customer.as_str()),
        ("success_url", "https://shop.example/saved"),
        ("setup_intent_data[metadata][plan]", "gold"),
    ];
    let made = world.post(PATH, &form).await.ok();
    assert_eq!(
        (&made.json["payment_intent"], &made.json["payment_status"]),
        (&Value::Null, &"no_payment_required".into())
    );
    let html = page(&world, &made.id()).await.ok().text;
    assert!(html.contains("Save card"));
    let saved = confirm(&world, &html, Card::Approves).await.ok();
    assert_eq!(saved.json["status"], "succeeded");
    assert!(
        saved.json.get("metadata").is_none(),
        "a browser sees little"
    );
    assert_eq!(saved.headers["access-control-allow-origin"], "*");
    assert_eq!(
        status(&world, &made.id()).await["redirect"],
        "https://shop.example/saved"
    );
    let cards = world
        .get(&format!("/v1/customers/{customer}/payment_methods"))
        .await
        .ok();
    assert_eq!(cards.json["data"].as_array().map(Vec::len), Some(1));
    assert!(
        world
            .event_types()
            .await
            .contains(&"checkout.session.completed".to_owned())
    );
    let form = [
        ("mode", "setup"),
        ("success_url", "https://shop.example/saved"),
    ];
    let late = world.post(PATH, &form).await.ok();
    let html = page(&world, &late.id()).await.ok().text;
    world.advance_clock(1_801);
    let refused = confirm(&world, &html, Card::Approves).await;
    assert_eq!(refused.code(), "setup_intent_unexpected_state");
    world.finish().await;
}

async fn bad_sessions(world: World) {
    let without = |name: &str| -> Vec<(&str, &str)> {
        SESSION
            .iter()
            .filter(|(n, _)| *n != name)
            .copied()
            .collect()
    };
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        let names: Vec<_> = more.iter().map(|(name, _)| *name).collect();
        let kept = SESSION.iter().filter(|(n, _)| !names.contains(n)).copied();
        kept.chain(more.iter().copied()).collect()
    };
    type Row<'a> = (Vec<(&'a str, &'a str)>, &'a str, &'a str);
    let table: Vec<Row<'_>> = vec![
        (without("mode"), "parameter_missing", "mode"),
        (without("success_url"), "parameter_missing", "success_url"),
        (with(&[("mode", "subscription")]), "", "mode"),
        (with(&[("ui_mode", "embedded")]), "", "ui_mode"),
        (
            with(&[("success_url", "javascript:alert(1)")]),
            "url_invalid",
            "success_url",
        ),
        (
            with(&[("cancel_url", "/basket")]),
            "url_invalid",
            "cancel_url",
        ),
        (
            with(&[("expires_at", "60")]),
            "parameter_invalid_integer",
            "expires_at",
        ),
        (
            with(&[("expires_at", "99999999999")]),
            "parameter_invalid_integer",
            "expires_at",
        ),
        (with(&[("line_items", "x")]), "", ""),
        (
            with(&[("line_items[0][quantity]", "0")]),
            "parameter_invalid_integer",
            "line_items[0][quantity]",
        ),
        (
            with(&[("line_items[0][quantity]", "999999")]),
            "amount_too_large",
            "line_items",
        ),
        (
            with(&[("line_items[0][price_data][unit_amount]", "1.5")]),
            "parameter_invalid_integer",
            "line_items[0][price_data][unit_amount]",
        ),
        (
            with(&[("line_items[1][price_data][unit_amount]", "-1")]),
            "parameter_invalid_integer",
            "line_items[1][price_data][unit_amount]",
        ),
        (
            with(&[("line_items[1][price_data][currency]", "eur")]),
            "",
            "line_items",
        ),
        (
            with(&[("line_items[1][price_data][currency]", "xyz")]),
            "",
            "line_items[1][price_data][currency]",
        ),
        (
            without("line_items[1][price_data][product_data][name]"),
            "parameter_missing",
            "line_items[1][price_data][product_data][name]",
        ),
        (
            with(&[("line_items[1][price]", "price_1")]),
            "",
            "line_items[1][price]",
        ),
        (
            with(&[("line_items[1][colour]", "red")]),
            "parameter_unknown",
            "line_items[1][colour]",
        ),
        (
            with(&[("payment_method_types[]", "ideal")]),
            "",
            "payment_method_types",
        ),
        (
            with(&[("customer", "cus_none")]),
            "resource_missing",
            "customer",
        ),
        (
            with(&[("customer_email", "nobody")]),
            "email_invalid",
            "customer_email",
        ),
        (
            with(&[("allow_promotion_codes", "true")]),
            "parameter_unknown",
            "allow_promotion_codes",
        ),
        (
            with(&[("client_reference_id", "4242424242424242")]),
            "card_data_not_allowed",
            "",
        ),
    ];
    for (form, code, param) in table {
        let answer = world.post(PATH, &form).await;
        let said = answer.json["error"]["param"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 400, "{form:?} {}", answer.text);
        if !(code.is_empty() && param.is_empty()) {
            assert_eq!(
                (answer.code(), said),
                (code, param),
                "{form:?} {}",
                answer.text
            );
        }
    }
    // A merchant that the operator has not set up.
    let other = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    let refused = world
        .call(Method::POST, PATH, &other, None, &encode(SESSION))
        .await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("not set up"), "{}", refused.text);
    assert_eq!(
        world.get(PATH).await.ok().json["data"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    world.finish().await;
}

async fn the_page_is_safe(world: World) {
    let made = session(&world, &[]).await;
    let answer = page(&world, &made.id()).await.ok();
    assert!(
        answer
            .text
            .contains("A &lt;b&gt;mug&lt;/b&gt; &#123;secret&#125;")
    );
    assert!(answer.text.contains("Nuts &amp; &lt;Bolts&gt;"));
    let policy = answer.headers["content-security-policy"]
        .to_str()
        .expect("text");
    for part in [
        "default-src 'none'",
        "script-src 'self' http://vault.localhost:2;",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for name in [
        "strict-transport-security",
        "x-content-type-options",
        "referrer-policy",
        "cache-control",
    ] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    assert!(!answer.text.contains(world.merchant.expose()));
    for id in [
        "cs_test_none",
        "x",
        "cs_live_4242424242424242",
        "%3Cscript%3E",
    ] {
        let missing = page(&world, id).await;
        assert_eq!(missing.status, 404, "{id}");
        assert!(
            !shows_a_card(&missing.text) && missing.headers.contains_key("content-security-policy")
        );
        let path = format!("/c/pay/{id}/status");
        assert_eq!(world.raw(Method::GET, &path, &[], "").await.status, 404);
    }
    for (file, kind) in [
        ("checkout.js", "text/javascript"),
        ("checkout.css", "text/css"),
    ] {
        let file = world
            .raw(Method::GET, &format!("/c/{file}"), &[], "")
            .await
            .ok();
        assert!(
            file.headers["content-type"]
                .to_str()
                .expect("text")
                .starts_with(kind)
        );
    }
    world.finish().await;
}

//! Bad input gets Stripe's error type and code, and nothing of it comes back.

use axum::http::Method;

use crate::bank::Card;
use crate::world::{World, encode, on_both_stores, shows_a_card};

on_both_stores!(each_mistake_has_its_code, the_edge_of_the_api);

async fn each_mistake_has_its_code(world: World) {
    let token = world.token(Card::Approves);
    let card = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let good = [("amount", "1000"), ("currency", "usd")];
    type Form<'a> = Vec<(&'a str, &'a str)>;
    let with = |extra: &[(&'static str, &'static str)]| -> Form<'_> { [&good[..], extra].concat() };
    let table: Vec<(Form<'_>, &str, &str)> = vec![
        (vec![("currency", "usd")], "parameter_missing", "amount"),
        (vec![("amount", "1000")], "parameter_missing", "currency"),
        (
            vec![("amount", "10.5"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            vec![("amount", "1e3"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            vec![("amount", "ten"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            vec![("amount", "0"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            vec![("amount", "-1"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            vec![("amount", ""), ("currency", "usd")],
            "parameter_invalid_empty",
            "amount",
        ),
        (
            vec![("amount", "100000000"), ("currency", "usd")],
            "amount_too_large",
            "amount",
        ),
        (
            vec![("amount", "99999999999999999999"), ("currency", "usd")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            vec![("amount[x]", "1"), ("currency", "usd")],
            "parameter_invalid_string",
            "amount",
        ),
        (
            vec![("amount", "1000"), ("currency", "xyz")],
            "",
            "currency",
        ),
        (
            vec![("amount", "1000"), ("currency", "dollars")],
            "",
            "currency",
        ),
        (with(&[("capture_method", "later")]), "", "capture_method"),
        (with(&[("confirm", "yes")]), "", "confirm"),
        (with(&[("colour", "red")]), "parameter_unknown", "colour"),
        (
            with(&[("metadata", "text")]),
            "parameter_invalid_hash",
            "metadata",
        ),
        (
            with(&[("payment_method", "pm_none")]),
            "resource_missing",
            "payment_method",
        ),
        (
            with(&[("payment_method_types[]", "ideal")]),
            "",
            "payment_method_types",
        ),
        (
            with(&[("automatic_payment_methods[on]", "true")]),
            "parameter_missing",
            "automatic_payment_methods[enabled]",
        ),
        (
            with(&[("return_url", "https://x.example")]),
            "",
            "return_url",
        ),
        (
            with(&[("confirm", "true")]),
            "payment_intent_unexpected_state",
            "",
        ),
        (
            with(&[("payment_method_data[type]", "card")]),
            "parameter_missing",
            "payment_method_data[card]",
        ),
        (
            with(&[("payment_method_data[card][token]", "x")]),
            "parameter_missing",
            "payment_method_data[type]",
        ),
        (
            with(&[
                ("payment_method_data[type]", "card"),
                ("payment_method_data[card][token]", "hello"),
            ]),
            "resource_missing",
            "payment_method_data[card][token]",
        ),
        (
            [
                &good[..],
                &card,
                &[("payment_method_data[card][brand]", "visa")],
            ]
            .concat(),
            "parameter_unknown",
            "payment_method_data[card][brand]",
        ),
        (
            with(&[("payment_method_data[card][number]", "4242424242424242")]),
            "card_data_not_allowed",
            "",
        ),
        (
            with(&[("metadata[note]", "4242-4242-4242-4242")]),
            "card_data_not_allowed",
            "",
        ),
        (
            with(&[("description", "pay with 4242424242424242 please")]),
            "card_data_not_allowed",
            "",
        ),
    ];
    for (form, code, param) in table {
        let answer = world.post("/v1/payment_intents", &form).await;
        assert_eq!(answer.status, 400, "{form:?} {}", answer.text);
        assert_eq!(
            answer.json["error"]["type"], "invalid_request_error",
            "{form:?}"
        );
        assert_eq!(
            (
                answer.code(),
                answer.json["error"]["param"].as_str().unwrap_or_default()
            ),
            (code, param),
            "{form:?}"
        );
        assert!(!shows_a_card(&answer.text), "{}", answer.text);
    }
    assert!(!shows_a_card(&world.log()), "the log holds card data");
    assert_eq!(world.bank.book().forwards.len(), 0);
    let unknown = vault_api::Token::random();
    let form = crate::world::pay_form("1000", unknown.expose());
    let answer = world.post("/v1/payment_intents", &form).await;
    assert_eq!((answer.status, answer.code()), (400, "resource_missing"));
    assert!(!answer.text.contains(unknown.expose()));
    world.finish().await;
}

async fn the_edge_of_the_api(world: World) {
    let who = format!("Bearer {}", world.merchant.expose());
    let headers = [
        ("authorization", who.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    for (method, path) in [
        (Method::GET, "/v1/nothing"),
        (Method::GET, "/"),
        (Method::DELETE, "/v1/payment_intents"),
        (Method::POST, "/v1/payment_intents/pi_x/nothing"),
    ] {
        let answer = world.raw(method, path, &headers, "").await;
        assert_eq!(
            (answer.status, &answer.json["error"]["type"]),
            (404, &"invalid_request_error".into()),
            "{path}"
        );
        assert!(
            answer.json["error"]["message"]
                .as_str()
                .expect("text")
                .starts_with("Unrecognized request URL")
        );
    }
    let json = [
        ("authorization", who.as_str()),
        ("content-type", "application/json"),
    ];
    assert_eq!(
        world
            .raw(Method::POST, "/v1/payment_intents", &json, "{}")
            .await
            .status,
        415
    );
    let large = format!("description={}", "x".repeat(300 * 1024));
    assert_eq!(
        world
            .raw(Method::POST, "/v1/payment_intents", &headers, &large)
            .await
            .status,
        413
    );
    let many = encode(&vec![("expand[]", "latest_charge"); 501]);
    assert_eq!(
        world
            .raw(Method::POST, "/v1/payment_intents", &headers, &many)
            .await
            .status,
        400
    );
    let mut versioned = headers.to_vec();
    versioned.push(("stripe-version", "2024-06-20"));
    let answer = world
        .raw(
            Method::POST,
            "/v1/payment_intents",
            &versioned,
            "amount=100&currency=jpy",
        )
        .await
        .ok();
    assert_eq!(answer.headers["stripe-version"], "2024-06-20");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.headers.contains_key("strict-transport-security"));
    let mut keyed = headers.to_vec();
    keyed.push(("idempotency-key", "4242424242424242"));
    let answer = world
        .raw(
            Method::POST,
            "/v1/payment_intents",
            &keyed,
            "amount=100&currency=jpy",
        )
        .await;
    assert_eq!(answer.code(), "card_data_not_allowed");
    let bad = world.get("/v1/payment_intents?expand[]=data.nothing").await;
    assert_eq!(bad.status, 400);
    world.finish().await;
}

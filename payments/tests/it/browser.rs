//! A publishable key and the client secret open one intent, on two routes, and see a reduced object.

use axum::http::Method;
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{Answer, World, encode, on_both_stores};

on_both_stores!(
    a_browser_confirms_its_intent,
    a_declined_browser_sees_little,
    the_secret_opens_one_intent_on_two_routes,
    a_secret_that_is_none_opens_nothing,
);

async fn intent(world: &World) -> (String, String) {
    let form = [
        ("amount", "800"),
        ("currency", "usd"),
        ("metadata[cost]", "hidden"),
    ];
    let made = world.post("/v1/payment_intents", &form).await.ok();
    let secret = made.json["client_secret"].as_str().expect("a secret");
    (made.id(), secret.to_owned())
}

async fn confirm(world: &World, id: &str, secret: &str, card: Card, key: Option<&str>) -> Answer {
    let browser = world.bank.key("mer_one", Kind::Publishable, Mode::Test);
    let token = world.token(card);
    let form = [
        ("client_secret", secret),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let path = format!("/v1/payment_intents/{id}/confirm");
    world
        .call(Method::POST, &path, &browser, key, &encode(&form))
        .await
}

async fn a_browser_confirms_its_intent(world: World) {
    let (id, secret) = intent(&world).await;
    let paid = confirm(&world, &id, &secret, Card::Approves, Some("key-1"))
        .await
        .ok();
    assert_eq!(paid.json["status"], "succeeded");
    let browser = world.bank.key("mer_one", Kind::Publishable, Mode::Test);
    let path = format!("/v1/payment_intents/{id}?client_secret={secret}");
    let read = world
        .call(Method::GET, &path, &browser, None, "")
        .await
        .ok();
    assert_eq!(read.json, paid.json);
    for hidden in ["metadata", "customer", "latest_charge", "amount_received"] {
        assert!(read.json.get(hidden).is_none(), "{hidden}");
    }
    for answer in [&paid, &read] {
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert!(
            !answer
                .headers
                .contains_key("access-control-allow-credentials")
        );
        assert_eq!(
            answer.headers["cross-origin-resource-policy"],
            "cross-origin"
        );
    }
    assert_eq!(world.bank.taken().0, 800);
    // The same key from the server is another key.
    let form = [("amount", "100"), ("currency", "usd")];
    world
        .post_as("key-1", "/v1/payment_intents", &form)
        .await
        .ok();
    world.finish().await;
}

async fn a_declined_browser_sees_little(world: World) {
    let (id, secret) = intent(&world).await;
    let declined = confirm(&world, &id, &secret, Card::Declines("05"), None).await;
    assert_eq!((declined.status, declined.code()), (402, "card_declined"));
    let error = &declined.json["error"];
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(
        error["payment_intent"]["last_payment_error"]["code"],
        "card_declined"
    );
    assert!(error["payment_intent"].get("metadata").is_none());
    assert!(error.get("charge").is_none());
    let paid = confirm(&world, &id, &secret, Card::Approves, None)
        .await
        .ok();
    assert_eq!(paid.json["status"], "succeeded");
    world.finish().await;
}

async fn the_secret_opens_one_intent_on_two_routes(world: World) {
    let (id, _) = intent(&world).await;
    let (other, secret) = intent(&world).await;
    let browser = world.bank.key("mer_one", Kind::Publishable, Mode::Test);
    let stranger = world.bank.key("mer_two", Kind::Publishable, Mode::Test);
    let get = |path: String, key| {
        let world = &world;
        async move { world.call(Method::GET, &path, key, None, "").await }
    };
    for (id, key) in [
        (id.as_str(), &browser),
        ("pi_nobodys", &browser),
        (&other, &stranger),
    ] {
        let path = format!("/v1/payment_intents/{id}?client_secret={secret}");
        let answer = get(path, key).await;
        assert_eq!(
            (answer.status, answer.code()),
            (404, "resource_missing"),
            "{id}"
        );
    }
    let answer = get(format!("/v1/payment_intents/{other}"), &browser).await;
    assert_eq!((answer.status, answer.code()), (400, "parameter_missing"));
    let answer = get(
        format!("/v1/payment_intents/{other}?client_secret={secret}&expand[]=customer"),
        &browser,
    )
    .await;
    assert_eq!((answer.status, answer.code()), (400, "secret_key_required"));
    let form = encode(&[("client_secret", secret.as_str())]);
    for (method, path) in [
        (Method::GET, "/v1/payment_intents".to_owned()),
        (Method::GET, "/v1/balance".to_owned()),
        (Method::POST, format!("/v1/payment_intents/{other}")),
        (Method::POST, format!("/v1/payment_intents/{other}/cancel")),
        (Method::POST, "/v1/refunds".to_owned()),
    ] {
        let answer = world.call(method, &path, &browser, None, &form).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "secret_key_required"),
            "{path}"
        );
        assert!(
            !answer.headers.contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
    let path = format!("/v1/payment_intents/{other}/confirm");
    let asked = world
        .raw(
            Method::OPTIONS,
            &path,
            &[("origin", "https://shop.example")],
            "",
        )
        .await;
    assert_eq!(
        (asked.status, &asked.headers["access-control-allow-origin"]),
        (204, &"*".parse().expect("a value"))
    );
    let asked = world.raw(Method::OPTIONS, "/v1/refunds", &[], "").await;
    assert_eq!(asked.status, 404);
    world.finish().await;
}

// Garbled, of another intent, of one that is over; and whatever key comes with it.
async fn a_secret_that_is_none_opens_nothing(world: World) {
    let (id, secret) = intent(&world).await;
    let (_, of_another) = intent(&world).await;
    let browser = world.bank.key("mer_one", Kind::Publishable, Mode::Test);
    let path = format!("/v1/payment_intents/{id}");
    let garbled = secret.replace("_secret_", "_secret_x");
    let long = format!("{secret}{}", "x".repeat(200));
    for who in [&browser, &world.merchant] {
        for (bad, status, code) in [
            (garbled.as_str(), 404, "resource_missing"),
            (&of_another, 404, "resource_missing"),
            (&id, 404, "resource_missing"),
            (&secret[..secret.len() - 1], 404, "resource_missing"),
            ("", 400, "parameter_invalid_empty"),
            (&long, 400, "parameter_invalid_string_too_long"),
        ] {
            for (method, path, body) in [
                (
                    Method::GET,
                    format!("{path}?client_secret={bad}"),
                    String::new(),
                ),
                (
                    Method::POST,
                    format!("{path}/confirm"),
                    format!("client_secret={bad}&payment_method=pm_card_visa"),
                ),
            ] {
                let answer = world.call(method, &path, who, None, &body).await;
                assert_eq!(
                    (answer.status, answer.code()),
                    (status, code),
                    "{bad} {}",
                    answer.text
                );
                assert!(!answer.text.contains(&secret));
            }
        }
        let right = format!("{path}?client_secret={secret}");
        let read = world.call(Method::GET, &right, who, None, "").await.ok();
        assert_eq!(read.id(), id);
    }
    assert_eq!(world.bank.book().forwards.len(), 0);
    // Of an intent that is over it still reads, and pays nothing.
    world.post(&format!("{path}/cancel"), &[]).await.ok();
    let late = confirm(&world, &id, &secret, Card::Approves, None).await;
    assert_eq!(
        (late.status, late.code()),
        (400, "payment_intent_unexpected_state")
    );
    assert_eq!(late.json["error"]["payment_intent"]["status"], "canceled");
    assert!(
        late.json["error"]["payment_intent"]
            .get("metadata")
            .is_none()
    );
    assert_eq!(world.bank.book().forwards.len(), 0);
    world.finish().await;
}

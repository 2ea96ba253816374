//! Cards that are set up for later with their buyer in front of them.

use axum::http::Method;
use serde_json::{Value, json};
use vault_api::keys::{Kind, Mode};

use super::{id, introduce, page, rreq, settled, tell};
use crate::bank::Card;
use crate::issuer::Asked;
use crate::world::{Answer, World, encode, on_both_stores};

on_both_stores!(
    a_card_is_set_up_with_its_buyer_in_front_of_it,
    a_browser_sets_a_card_up,
);

async fn setup(world: &World, card: Card, extra: &[(&str, &str)]) -> Answer {
    let (customer, token) = (world.customer().await, world.token(card));
    let mut form = vec![
        ("customer", customer.as_str()),
        ("confirm", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    form.extend_from_slice(extra);
    world.post("/v1/setup_intents", &form).await
}

async fn until_setup(world: &World, id: &str, status: &str) -> Value {
    loop {
        let intent = world
            .get(&format!("/v1/setup_intents/{id}"))
            .await
            .ok()
            .json;
        if intent["status"] == status {
            return intent;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn a_card_is_set_up_with_its_buyer_in_front_of_it(world: World) {
    // Nobody is there to be asked: the card is kept as before.
    let card = Card::Wants(Asked::Says("C"));
    let kept = setup(&world, card, &[]).await.ok().json;
    assert_eq!(kept["status"], "succeeded");
    for (asked, told, status) in [
        ("Y", None, "succeeded"),
        ("C", Some("Y"), "succeeded"),
        ("C", Some("N"), "requires_payment_method"),
        ("R", None, "requires_payment_method"),
        ("U", None, "succeeded"),
    ] {
        let extra = [("return_url", "https://shop.example/cards")];
        let card = Card::Wants(Asked::Says(asked));
        let intent = setup(&world, card, &extra).await.ok().json;
        assert_eq!(intent["status"], "requires_action", "{intent}");
        let page = page(&intent);
        introduce(&world, &page).await;
        let now = settled(&world, &page).await;
        if let Some(told) = told {
            assert_eq!(now["status"], "challenge");
            tell(&world, &rreq(&world, told)).await.ok();
        }
        let over = until_setup(&world, id(&intent), status).await;
        assert_eq!(over["next_action"], Value::Null);
        let back = settled(&world, &page).await;
        let redirect = back["redirect"].as_str().expect("a URL");
        let result = if status == "succeeded" {
            "succeeded"
        } else {
            "failed"
        };
        assert!(redirect.contains(&format!(
            "setup_intent={}&setup_intent_client_secret=",
            id(&intent)
        )));
        assert!(redirect.ends_with(&format!("redirect_status={result}")));
        let cards = format!(
            "/v1/customers/{}/payment_methods",
            intent["customer"].as_str().expect("a customer")
        );
        let cards = world.get(&cards).await.ok().json["data"].clone();
        let count = cards.as_array().expect("a list").len();
        assert_eq!(
            count,
            usize::from(status == "succeeded"),
            "{asked} {told:?}"
        );
        if status != "succeeded" {
            let code = &over["last_setup_error"]["code"];
            assert_eq!(code, "setup_intent_authentication_failure");
        }
    }
    {
        let book = world.bank.book();
        let areq = book.three_ds.areqs.last().expect("an AReq");
        assert_eq!(
            (&areq["messageCategory"], &areq["purchaseAmount"]),
            (&json!("02"), &Value::Null)
        );
    }
    let card = Card::Offers(Asked::NotEnrolled);
    let extra = [("use_stripe_sdk", "true")];
    assert_eq!(
        setup(&world, card, &extra).await.ok().json["status"],
        "succeeded"
    );
    assert_eq!(world.bank.charges(), 0);
    world.finish().await;
}

async fn a_browser_sets_a_card_up(world: World) {
    let customer = world.customer().await;
    let intent = world
        .post("/v1/setup_intents", &[("customer", customer.as_str())])
        .await
        .ok()
        .json;
    let key = world.bank.key("mer_one", Kind::Publishable, Mode::Test);
    let token = world.token(Card::Wants(Asked::Says("C")));
    let secret = intent["client_secret"].as_str().expect("a secret");
    let body = encode(&[
        ("client_secret", secret),
        ("use_stripe_sdk", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ]);
    let path = format!("/v1/setup_intents/{}/confirm", id(&intent));
    let confirmed = world
        .call(Method::POST, &path, &key, None, &body)
        .await
        .ok();
    assert_eq!(confirmed.json["status"], "requires_action");
    assert_eq!(
        confirmed.json["customer"],
        Value::Null,
        "a browser sees a reduced object"
    );
    let wrong = body.replace(secret, "seti_1_secret_2");
    let refused = world.call(Method::POST, &path, &key, None, &wrong).await;
    assert_eq!((refused.status, refused.code()), (404, "resource_missing"));
    let page = page(&confirmed.json);
    introduce(&world, &page).await;
    assert_eq!(settled(&world, &page).await["status"], "challenge");
    // The buyer goes back and takes another card; the first one's answer changes nothing any more.
    let late = rreq(&world, "Y");
    let token = world.token(Card::Approves);
    let body = encode(&[
        ("client_secret", secret),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ]);
    let confirmed = world
        .call(Method::POST, &path, &key, None, &body)
        .await
        .ok();
    assert_eq!(confirmed.json["status"], "succeeded");
    tell(&world, &late).await.ok();
    let path = format!("/v1/setup_intents/{}?client_secret={secret}", id(&intent));
    let seen = world.call(Method::GET, &path, &key, None, "").await.ok();
    assert_eq!(seen.json["status"], "succeeded");
    let cards = format!("/v1/customers/{customer}/payment_methods");
    let cards = world.get(&cards).await.ok().json["data"].clone();
    assert_eq!(cards.as_array().expect("a list").len(), 1);
    world.finish().await;
}

//! Setup intents: a card kept without a payment.

use axum::http::Method;
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    a_card_is_kept_for_its_customer,
    a_confirmation_comes_later,
    a_used_token_asks_for_another_card,
    a_canceled_one_stays_canceled,
    another_merchants_setup_is_missing,
);

async fn a_card_is_kept_for_its_customer(world: World) {
    let (customer, token) = (world.customer().await, world.token(Card::Approves));
    let form = [
        ("customer", customer.as_str()),
        ("confirm", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", &token),
        ("metadata[plan]", "gold"),
    ];
    let setup = world
        .post_as("key-1", "/v1/setup_intents", &form)
        .await
        .ok();
    assert_eq!(
        (&setup.json["object"], &setup.json["status"]),
        (&"setup_intent".into(), &"succeeded".into())
    );
    assert_eq!(
        (&setup.json["usage"], &setup.json["metadata"]["plan"]),
        (&"off_session".into(), &"gold".into())
    );
    let again = world
        .post_as("key-1", "/v1/setup_intents", &form)
        .await
        .ok();
    assert_eq!(again.json, setup.json);
    let method = setup.json["payment_method"]
        .as_str()
        .expect("a method")
        .to_owned();
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("off_session", "true"),
        ("customer", &customer),
        ("payment_method", &method),
    ];
    let paid = world.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(paid.json["status"], "succeeded");
    assert_eq!((world.bank.taken().0, world.bank.charges()), (500, 1));
    let types = world.event_types().await;
    for kind in [
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
    ] {
        assert_eq!(
            types.iter().filter(|one| *one == kind).count(),
            1,
            "{types:?}"
        );
    }
    let listed = world
        .get(&format!("/v1/setup_intents?customer={customer}"))
        .await
        .ok();
    assert_eq!(listed.json["data"][0]["id"], setup.json["id"]);
    let expanded = world
        .get(&format!(
            "/v1/setup_intents/{}?expand[]=payment_method&expand[]=customer",
            setup.id()
        ))
        .await
        .ok();
    assert_eq!(
        expanded.json["payment_method"]["customer"],
        customer.as_str()
    );
    assert_eq!(expanded.json["customer"]["object"], "customer");
    world.finish().await;
}

async fn a_confirmation_comes_later(world: World) {
    let setup = world.post("/v1/setup_intents", &[]).await.ok();
    assert_eq!(setup.json["status"], "requires_payment_method");
    let confirm = format!("/v1/setup_intents/{}/confirm", setup.id());
    let refused = world.post(&confirm, &[]).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "setup_intent_unexpected_state")
    );
    assert_eq!(
        refused.json["error"]["setup_intent"]["id"],
        setup.json["id"]
    );
    let method = world.method(Card::Approves).await;
    let done = world
        .post(&confirm, &[("payment_method", &method)])
        .await
        .ok();
    assert_eq!(
        (&done.json["status"], &done.json["payment_method"]),
        (&"succeeded".into(), &method.as_str().into())
    );
    let twice = world.post(&confirm, &[("payment_method", &method)]).await;
    assert_eq!(
        (twice.status, twice.code()),
        (400, "setup_intent_unexpected_state")
    );
    let with = world
        .post("/v1/setup_intents", &[("payment_method", &method)])
        .await
        .ok();
    assert_eq!(with.json["status"], "requires_confirmation");
    for (form, code) in [
        (vec![("usage", "sometimes")], ""),
        (vec![("colour", "red")], "parameter_unknown"),
        (vec![("customer", "cus_nobodys")], "resource_missing"),
        (vec![("payment_method", "pm_nobodys")], "resource_missing"),
        (vec![("return_url", "https://shop.example")], ""),
    ] {
        let bad = world.post("/v1/setup_intents", &form).await;
        assert_eq!((bad.status, bad.code()), (400, code), "{form:?}");
    }
    world.finish().await;
}

async fn a_used_token_asks_for_another_card(world: World) {
    let token = world.token(Card::Approves);
    let amount = crate::world::pay_form("900", &token);
    world.post("/v1/payment_intents", &amount).await.ok();
    let setup = world.post("/v1/setup_intents", &[]).await.ok();
    let confirm = format!("/v1/setup_intents/{}/confirm", setup.id());
    let used = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let refused = world.post(&confirm, &used).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "token_already_used")
    );
    let after = world
        .get(&format!("/v1/setup_intents/{}", setup.id()))
        .await
        .ok();
    assert_eq!(after.json["status"], "requires_payment_method");
    assert_eq!(after.json["last_setup_error"]["code"], "token_already_used");
    let method = world.method(Card::Approves).await;
    let done = world
        .post(&confirm, &[("payment_method", &method)])
        .await
        .ok();
    assert_eq!(done.json["status"], "succeeded");
    assert!(done.json["last_setup_error"].is_null());
    world.finish().await;
}

async fn a_canceled_one_stays_canceled(world: World) {
    let setup = world.post("/v1/setup_intents", &[]).await.ok();
    let path = format!("/v1/setup_intents/{}/cancel", setup.id());
    let canceled = world
        .post(&path, &[("cancellation_reason", "abandoned")])
        .await
        .ok();
    assert_eq!(canceled.json["status"], "canceled");
    assert_eq!(canceled.json["cancellation_reason"], "abandoned");
    let twice = world.post(&path, &[]).await;
    assert_eq!(
        (twice.status, twice.code()),
        (400, "setup_intent_unexpected_state")
    );
    let method = world.method(Card::Approves).await;
    let confirm = format!("/v1/setup_intents/{}/confirm", setup.id());
    let refused = world.post(&confirm, &[("payment_method", &method)]).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "setup_intent_unexpected_state")
    );
    assert_eq!(world.bank.book().exchanges, 0);
    world.finish().await;
}

async fn another_merchants_setup_is_missing(world: World) {
    let setup = world.post("/v1/setup_intents", &[]).await.ok();
    let stranger = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    for id in [setup.id(), "seti_nobodys".to_owned()] {
        let path = format!("/v1/setup_intents/{id}");
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::POST, format!("{path}/confirm")),
            (Method::POST, format!("{path}/cancel")),
        ] {
            let answer = world.call(method, &path, &stranger, None, "").await;
            assert_eq!(
                (answer.status, answer.code()),
                (404, "resource_missing"),
                "{path}"
            );
        }
    }
    world.finish().await;
}

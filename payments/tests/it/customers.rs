//! Customers and their saved cards.

use axum::http::Method;
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{World, on_both_stores, shows_a_card};

on_both_stores!(
    a_customer_lives,
    an_attached_card_is_paid_with_again,
    a_saved_card_is_changed,
    a_security_code_goes_with_a_saved_card_alone,
    a_card_is_kept_by_its_payment,
    a_card_that_was_not_approved_is_not_kept,
    a_deleted_customer_has_no_cards,
    whose_card_it_is_decides,
    another_merchants_customer_is_missing,
    lists_are_filtered,
);

async fn a_customer_lives(world: World) {
    let form = [
        ("email", "a@example.com"),
        ("name", "A"),
        ("address[city]", "Oslo"),
        ("metadata[crm]", "7"),
    ];
    let made = world.post("/v1/customers", &form).await.ok();
    assert_eq!(
        (&made.json["object"], &made.json["address"]["city"]),
        (&"customer".into(), &"Oslo".into())
    );
    let path = format!("/v1/customers/{}", made.id());
    assert_eq!(world.get(&path).await.ok().json, made.json);
    let changed = world
        .post(
            &path,
            &[("name", ""), ("phone", "123"), ("metadata[crm]", "8")],
        )
        .await
        .ok();
    assert!(changed.json["name"].is_null());
    assert_eq!(
        (&changed.json["phone"], &changed.json["email"]),
        (&"123".into(), &"a@example.com".into())
    );
    assert_eq!(changed.json["metadata"]["crm"], "8");
    let bad = world.post(&path, &[("email", "nobody")]).await;
    assert_eq!((bad.status, bad.code()), (400, "email_invalid"));
    let bad = world.post(&path, &[("address[planet]", "Mars")]).await;
    assert_eq!((bad.status, bad.code()), (400, "parameter_unknown"));
    let gone = world.delete(&path).await.ok();
    assert_eq!(gone.json["deleted"], true);
    assert_eq!(world.get(&path).await.ok().json, gone.json);
    assert_eq!(world.post(&path, &[("name", "B")]).await.status, 404);
    assert_eq!(world.delete(&path).await.status, 404);
    let types = world.event_types().await;
    assert_eq!(
        types,
        ["customer.created", "customer.updated", "customer.deleted"]
    );
    world.finish().await;
}

async fn an_attached_card_is_paid_with_again(world: World) {
    let (customer, method) = (world.customer().await, world.method(Card::Approves).await);
    let path = format!("/v1/payment_methods/{method}/attach");
    for _ in 0..2 {
        let attached = world.post(&path, &[("customer", &customer)]).await.ok();
        assert_eq!(attached.json["customer"], customer.as_str());
        assert_eq!(attached.json["card"]["last4"], "4242");
    }
    let listed = world
        .get(&format!("/v1/customers/{customer}/payment_methods"))
        .await
        .ok();
    assert_eq!(listed.json["data"][0]["id"], method.as_str());
    let listed = world
        .get(&format!(
            "/v1/payment_methods?customer={customer}&type=card"
        ))
        .await
        .ok();
    assert_eq!(listed.json["data"].as_array().map(Vec::len), Some(1));
    let default = [("invoice_settings[default_payment_method]", method.as_str())];
    let changed = world
        .post(&format!("/v1/customers/{customer}"), &default)
        .await
        .ok();
    assert_eq!(
        changed.json["invoice_settings"]["default_payment_method"],
        method.as_str()
    );
    let form = [
        ("amount", "700"),
        ("currency", "usd"),
        ("customer", &customer),
        ("payment_method", &method),
        ("off_session", "true"),
        ("confirm", "true"),
    ];
    for paid in 1..=2 {
        let intent = world.post("/v1/payment_intents", &form).await.ok();
        assert_eq!(
            (&intent.json["status"], &intent.json["customer"]),
            (&"succeeded".into(), &customer.as_str().into())
        );
        assert_eq!(world.bank.taken().0, 700 * paid);
    }
    let charges = world
        .get(&format!("/v1/charges?customer={customer}"))
        .await
        .ok();
    assert_eq!(charges.json["data"][1]["customer"], customer.as_str());
    let detached = world
        .post(&format!("/v1/payment_methods/{method}/detach"), &[])
        .await
        .ok();
    assert!(detached.json["customer"].is_null());
    let again = world.post("/v1/payment_intents", &form).await;
    assert_eq!(
        (again.status, again.code()),
        (400, "payment_method_unexpected_state")
    );
    let again = world.post(&path, &[("customer", &customer)]).await;
    assert_eq!(
        (again.status, again.code()),
        (400, "payment_method_unexpected_state")
    );
    assert_eq!(
        world
            .post(&format!("/v1/payment_methods/{method}/detach"), &[])
            .await
            .status,
        400
    );
    let types = world.event_types().await;
    assert_eq!(
        types
            .iter()
            .filter(|kind| *kind == "payment_method.attached")
            .count(),
        1
    );
    world.finish().await;
}

async fn a_card_is_kept_by_its_payment(world: World) {
    let customer = world.customer().await;
    let keep = [
        ("customer", customer.as_str()),
        ("setup_future_usage", "off_session"),
    ];
    let paid = world.pay(1000, Card::Approves, &keep).await.ok();
    let method = paid.json["payment_method"]
        .as_str()
        .expect("a method")
        .to_owned();
    let listed = world
        .get(&format!(
            "/v1/customers/{customer}/payment_methods/{method}"
        ))
        .await
        .ok();
    assert_eq!(listed.json["customer"], customer.as_str());
    let form = [
        ("amount", "300"),
        ("currency", "usd"),
        ("customer", &customer),
        ("payment_method", &method),
    ];
    let second = world.post("/v1/payment_intents", &form).await.ok();
    let confirm = format!("/v1/payment_intents/{}/confirm", second.id());
    let second = world.post(&confirm, &[("off_session", "true")]).await.ok();
    assert_eq!(second.json["status"], "succeeded");
    assert_eq!(world.bank.taken().0, 1300);
    // Kept without a customer, it is attached later, without another exchange.
    let paid = world.pay(1000, Card::Approves, &keep[1..]).await.ok();
    let method = paid.json["payment_method"]
        .as_str()
        .expect("a method")
        .to_owned();
    let exchanges = world.bank.book().exchanges;
    let attach = format!("/v1/payment_methods/{method}/attach");
    world.post(&attach, &[("customer", &customer)]).await.ok();
    assert_eq!(world.bank.book().exchanges, exchanges);
    // One that was paid with and not kept is used up.
    let paid = world.pay(1000, Card::Approves, &[]).await.ok();
    let method = paid.json["payment_method"]
        .as_str()
        .expect("a method")
        .to_owned();
    let attach = format!("/v1/payment_methods/{method}/attach");
    let refused = world.post(&attach, &[("customer", &customer)]).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "payment_method_unexpected_state")
    );
    world.finish().await;
}

async fn a_card_that_was_not_approved_is_not_kept(world: World) {
    let customer = world.customer().await;
    let keep = [
        ("customer", customer.as_str()),
        ("setup_future_usage", "off_session"),
    ];
    let declined = world.pay(1000, Card::Declines("05"), &keep).await;
    assert_eq!((declined.status, declined.code()), (402, "card_declined"));
    // Approved, but the vault never saw the answer: the payment counts, the card is not kept.
    let lost = world.pay(1000, Card::AnswerLost, &keep).await.ok();
    world.until_status(&lost.id(), "succeeded").await;
    let listed = world
        .get(&format!("/v1/payment_methods?customer={customer}"))
        .await
        .ok();
    assert_eq!(listed.json["data"].as_array().map(Vec::len), Some(0));
    let method = declined.json["error"]["payment_method"]["id"]
        .as_str()
        .expect("a method")
        .to_owned();
    let attach = format!("/v1/payment_methods/{method}/attach");
    let refused = world.post(&attach, &[("customer", &customer)]).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "payment_method_unexpected_state")
    );
    world.finish().await;
}

async fn a_deleted_customer_has_no_cards(world: World) {
    let (customer, method) = (world.customer().await, world.method(Card::Approves).await);
    let attach = format!("/v1/payment_methods/{method}/attach");
    world.post(&attach, &[("customer", &customer)]).await.ok();
    world
        .delete(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    let method = world
        .get(&format!("/v1/payment_methods/{method}"))
        .await
        .ok();
    assert!(method.json["customer"].is_null());
    let form = [
        ("amount", "700"),
        ("currency", "usd"),
        ("customer", customer.as_str()),
    ];
    let refused = world.post("/v1/payment_intents", &form).await;
    assert_eq!((refused.status, refused.code()), (400, "resource_missing"));
    let other = world.method(Card::Approves).await;
    let attach = format!("/v1/payment_methods/{other}/attach");
    let refused = world.post(&attach, &[("customer", &customer)]).await;
    assert_eq!((refused.status, refused.code()), (400, "resource_missing"));
    world.finish().await;
}

async fn whose_card_it_is_decides(world: World) {
    let (customer, other) = (world.customer().await, world.customer().await);
    let method = world.method(Card::Approves).await;
    let attach = format!("/v1/payment_methods/{method}/attach");
    world.post(&attach, &[("customer", &customer)]).await.ok();
    let refused = world.post(&attach, &[("customer", &other)]).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "payment_method_unexpected_state")
    );
    let form = [
        ("amount", "700"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", method.as_str()),
    ];
    let without = world.post("/v1/payment_intents", &form).await;
    let theirs = world
        .post(
            "/v1/payment_intents",
            &[&form[..], &[("customer", &other)]].concat(),
        )
        .await;
    for refused in [without, theirs] {
        assert_eq!(
            (refused.status, refused.code()),
            (400, "payment_method_unexpected_state")
        );
    }
    assert_eq!(world.bank.taken().0, 0);
    world.finish().await;
}

async fn another_merchants_customer_is_missing(world: World) {
    let (customer, method) = (world.customer().await, world.method(Card::Approves).await);
    let stranger = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    let call = |method: Method, path: String, body: &'static str| {
        let (world, stranger) = (&world, &stranger);
        async move { world.call(method, &path, stranger, None, body).await }
    };
    for id in [customer.as_str(), "cus_nobodys"] {
        let path = format!("/v1/customers/{id}");
        let answers = [
            call(Method::GET, path.clone(), "").await,
            call(Method::POST, path.clone(), "name=B").await,
            call(Method::DELETE, path.clone(), "").await,
            call(Method::GET, format!("{path}/payment_methods"), "").await,
        ];
        for answer in answers {
            assert_eq!(
                (answer.status, answer.code()),
                (404, "resource_missing"),
                "{}",
                answer.text
            );
        }
        let path = format!("/v1/payment_methods?customer={id}");
        assert_eq!(call(Method::GET, path, "").await.status, 400);
    }
    for id in [method.as_str(), "pm_nobodys"] {
        let path = format!("/v1/payment_methods/{id}/attach");
        assert_eq!(
            call(Method::POST, path, "customer=cus_nobodys")
                .await
                .status,
            404
        );
        let path = format!("/v1/payment_methods/{id}/detach");
        assert_eq!(call(Method::POST, path, "").await.status, 404);
    }
    world.finish().await;
}

async fn a_saved_card_is_changed(world: World) {
    let token = world.token(Card::Approves);
    let form = [
        ("type", "card"),
        ("card[token]", token.as_str()),
        ("metadata[a]", "1"),
        ("metadata[b]", "2"),
        ("billing_details[name]", "Jenny Rosen"),
        ("billing_details[address][line1]", "1 Main St"),
        ("billing_details[address][postal_code]", "12345"),
    ];
    let method = world.post("/v1/payment_methods", &form).await.ok().id();
    let path = format!("/v1/payment_methods/{method}");
    let refused = world.post(&path, &[("metadata[a]", "3")]).await;
    assert_eq!(
        (refused.status, &refused.json["error"]["param"]),
        (400, &"payment_method".into())
    );
    let customer = world.customer().await;
    let attach = format!("{path}/attach");
    world.post(&attach, &[("customer", &customer)]).await.ok();
    let change = [
        ("metadata[a]", "3"),
        ("metadata[b]", ""),
        ("billing_details[name]", ""),
        ("billing_details[email]", "jenny@example.com"),
        ("billing_details[address][postal_code]", "54321"),
        ("expand[]", "customer"),
    ];
    let changed = world.post_as("k", &path, &change).await.ok();
    assert_eq!(changed.json["customer"]["id"], customer.as_str());
    assert_eq!(changed.json["metadata"], serde_json::json!({ "a": "3" }));
    let told = serde_json::json!({
        "name": null, "email": "jenny@example.com", "phone": null, "tax_id": null,
        "address": { "line1": "1 Main St", "line2": null, "city": null, "state": null,
                     "postal_code": "54321", "country": null },
    });
    assert_eq!(changed.json["billing_details"], told);
    let again = world.post_as("k", &path, &change).await.ok();
    assert_eq!(again.text, changed.text);
    let shown = world.get(&path).await.ok();
    assert_eq!(shown.json["billing_details"], told);
    let events = world
        .get("/v1/events?type=payment_method.updated")
        .await
        .ok();
    assert_eq!(events.json["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(events.json["data"][0]["data"]["object"], shown.json);
    // The expiry is the vault's, and what is no address is none.
    let refused = world.post(&path, &[("card[exp_year]", "2041")]).await;
    assert_eq!((refused.status, refused.code()), (400, "parameter_unknown"));
    let refused = world
        .post(&path, &[("billing_details[address][country]", "xx")])
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "country_code_invalid")
    );
    assert_eq!(world.get(&path).await.ok().text, shown.text);
    let missing = world
        .post("/v1/payment_methods/pm_nobodys", &[("metadata[a]", "3")])
        .await;
    assert_eq!((missing.status, missing.code()), (404, "resource_missing"));
    world.finish().await;
}

async fn lists_are_filtered(world: World) {
    let first = world.customer().await;
    world
        .post("/v1/customers", &[("email", "other@example.com")])
        .await
        .ok();
    let ids = |answer: crate::world::Answer| -> Vec<String> {
        let data = answer.ok().json["data"].as_array().expect("a list").clone();
        data.iter()
            .map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(
        ids(world.get("/v1/customers?email=buyer@example.com").await),
        [first]
    );
    world.advance_clock(100);
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let late = world.post("/v1/customers", &[("name", "late")]).await.ok();
    let at = late.json["created"].as_i64().expect("a time");
    for (range, count) in [
        (format!("created[gte]={at}"), 1),
        (format!("created[gt]={at}"), 0),
        (format!("created[lt]={at}"), 2),
        (format!("created[lte]={at}"), 3),
        (format!("created={at}"), 1),
        (format!("created[gt]={}&created[lt]={at}", at - 10), 0),
    ] {
        let found = ids(world.get(&format!("/v1/customers?{range}")).await);
        assert_eq!(found.len(), count, "{range}");
    }
    for (range, code) in [
        ("created[gte]=soon", "parameter_invalid_integer"),
        ("created[after]=5", "parameter_unknown"),
        ("created=soon", "parameter_invalid_integer"),
    ] {
        let bad = world.get(&format!("/v1/charges?{range}")).await;
        assert_eq!((bad.status, bad.code()), (400, code), "{range}");
    }
    world.finish().await;
}

async fn a_security_code_goes_with_a_saved_card_alone(world: World) {
    let name = "payment_method_options[card][cvc_token]";
    let cvc = world.token(Card::Approves);
    let fresh = world.token(Card::Approves);
    let confirm = async |form: &[(&str, &str)]| {
        let amount = [("amount", "700"), ("currency", "usd")];
        let intent = world.post("/v1/payment_intents", &amount).await.ok().id();
        let path = format!("/v1/payment_intents/{intent}/confirm");
        world.post(&path, form).await
    };
    let card = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", &*fresh),
        (name, &*cvc),
    ];
    let refused = confirm(&card).await;
    assert_eq!(
        (refused.status, refused.json["error"]["param"].as_str()),
        (400, Some(name))
    );
    for bad in ["tok_", "4242424242424242", "card_1"] {
        let refused = confirm(&[("payment_method", "pm_1"), (name, bad)]).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(!shows_a_card(&refused.text), "{}", refused.text);
    }
    // It belongs to a confirmation, not to an intent.
    let form = [("amount", "700"), ("currency", "usd"), (name, &*cvc)];
    let refused = world.post("/v1/payment_intents", &form).await;
    assert_eq!(
        (refused.status, refused.json["error"]["param"].as_str()),
        (400, Some(name))
    );
    world.finish().await;
}

//! Paying, declining, capturing later, canceling; who may see what.

use axum::http::{HeaderMap, Method};
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    a_payment_succeeds,
    a_decline_asks_for_another_payment_method,
    create_then_confirm_with_a_payment_method,
    authorise_and_capture_a_part,
    authorise_and_void,
    what_was_not_sent_can_be_confirmed_again,
    another_merchants_id_is_like_a_random_one,
    keys_of_other_kinds_are_refused,
    lists_page_both_ways,
    confirms_race_and_one_wins,
);

async fn a_payment_succeeds(world: World) {
    let extra = [
        ("metadata[order]", "o1"),
        ("description", "Two \"books\""),
        ("expand[]", "latest_charge"),
    ];
    let paid = world.pay(1999, Card::Approves, &extra).await.ok();
    assert_eq!(paid.json["status"], "succeeded");
    assert_eq!(paid.json["amount_received"], 1999);
    assert_eq!(paid.json["metadata"]["order"], "o1");
    let charge = &paid.json["latest_charge"];
    assert_eq!(
        (&charge["object"], &charge["paid"]),
        (&"charge".into(), &true.into())
    );
    assert_eq!(charge["payment_method_details"]["card"]["last4"], "4242");
    assert_eq!(
        charge["payment_method_details"]["card"]["checks"]["cvc_check"],
        "pass"
    );
    assert!(
        paid.headers["request-id"]
            .to_str()
            .expect("text")
            .starts_with("req_")
    );
    assert_eq!(world.bank.taken(), (1999, 0));
    {
        let book = world.bank.book();
        let body = book.forwards[0]["body"].clone();
        assert_eq!(body["card"]["number"], "{{card.number}}");
        assert_eq!(body["merchant"], "mer_one");
    }
    let types = world.event_types().await;
    assert_eq!(types.len(), 3, "{types:?}");
    assert!(
        types.contains(&"payment_intent.succeeded".to_owned()),
        "{types:?}"
    );
    let sealed = world
        .rows("select id, 0 from payment_methods where sealed_token is not null")
        .await;
    assert!(sealed.is_empty(), "the token outlives the outcome");
    world.finish().await;
}

async fn a_decline_asks_for_another_payment_method(world: World) {
    for (code, error, decline) in [
        ("05", "card_declined", "generic_decline"),
        ("51", "card_declined", "insufficient_funds"),
        ("54", "expired_card", "expired_card"),
        ("82", "incorrect_cvc", "incorrect_cvc"),
        ("41", "card_declined", "lost_card"),
        ("43", "card_declined", "stolen_card"),
        ("96", "processing_error", "processing_error"),
    ] {
        let declined = world.pay(1000, Card::Declines(code), &[]).await;
        assert_eq!(declined.status, 402, "{}", declined.text);
        let body = &declined.json["error"];
        assert_eq!(
            (body["type"].as_str(), body["code"].as_str()),
            (Some("card_error"), Some(error))
        );
        assert_eq!(body["decline_code"], decline);
        let intent = &body["payment_intent"];
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["last_payment_error"]["code"], error);
        assert_eq!(intent["payment_method"], serde_json::Value::Null);
        assert!(
            body["charge"]
                .as_str()
                .is_some_and(|id| id.starts_with("ch_"))
        );
    }
    assert_eq!(world.bank.charges(), 0);
    // The same intent takes another card.
    let declined = world.pay(1000, Card::Declines("51"), &[]).await;
    let id = declined.json["error"]["payment_intent"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let paid = world
        .post(&format!("/v1/payment_intents/{id}/confirm"), &form)
        .await
        .ok();
    assert_eq!(
        (&paid.json["status"], &paid.json["last_payment_error"]),
        (&"succeeded".into(), &().into())
    );
    let types = world.event_types().await;
    assert_eq!(
        types
            .iter()
            .filter(|kind| *kind == "payment_intent.payment_failed")
            .count(),
        8
    );
    assert_eq!(
        types.iter().filter(|kind| *kind == "charge.failed").count(),
        8
    );
    world.finish().await;
}

async fn create_then_confirm_with_a_payment_method(world: World) {
    let token = world.token(Card::Approves);
    let method = world
        .post(
            "/v1/payment_methods",
            &[("type", "card"), ("card[token]", &token)],
        )
        .await
        .ok();
    let created = world
        .post(
            "/v1/payment_intents",
            &[("amount", "500"), ("currency", "EUR")],
        )
        .await
        .ok();
    assert_eq!(created.json["status"], "requires_payment_method");
    assert!(
        created.json["client_secret"]
            .as_str()
            .is_some_and(|secret| secret.starts_with(&created.id()))
    );
    let path = format!("/v1/payment_intents/{}", created.id());
    let bare = world.post(&format!("{path}/confirm"), &[]).await;
    assert_eq!(
        (bare.status, bare.code()),
        (400, "payment_intent_unexpected_state")
    );
    let updated = world
        .post(
            &path,
            &[("amount", "700"), ("payment_method", &method.id())],
        )
        .await
        .ok();
    assert_eq!(
        (&updated.json["status"], &updated.json["amount"]),
        (&"requires_confirmation".into(), &700.into())
    );
    let paid = world.post(&format!("{path}/confirm"), &[]).await.ok();
    assert_eq!(
        (&paid.json["status"], &paid.json["amount_received"]),
        (&"succeeded".into(), &700.into())
    );
    // The method has done its work, and the intent is final.
    let other = world
        .post(
            "/v1/payment_intents",
            &[("amount", "500"), ("currency", "eur")],
        )
        .await
        .ok();
    let again = [("payment_method", method.id())];
    let again: Vec<_> = again
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let reused = world
        .post(
            &format!("/v1/payment_intents/{}/confirm", other.id()),
            &again,
        )
        .await;
    assert_eq!(
        (reused.status, reused.code()),
        (400, "payment_method_unexpected_state")
    );
    for verb in ["confirm", "cancel", "capture"] {
        let refused = world.post(&format!("{path}/{verb}"), &[]).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "payment_intent_unexpected_state"),
            "{verb}"
        );
    }
    let used = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let used = world
        .post(
            &format!("/v1/payment_intents/{}/confirm", other.id()),
            &used,
        )
        .await;
    assert_eq!((used.status, used.code()), (400, "token_already_used"));
    world.finish().await;
}

async fn authorise_and_capture_a_part(world: World) {
    let held = world
        .pay(1000, Card::Approves, &[("capture_method", "manual")])
        .await
        .ok();
    assert_eq!(
        (&held.json["status"], &held.json["amount_capturable"]),
        (&"requires_capture".into(), &1000.into())
    );
    assert_eq!(world.bank.taken(), (0, 0));
    let path = format!("/v1/payment_intents/{}/capture", held.id());
    let over = world.post(&path, &[("amount_to_capture", "1001")]).await;
    assert_eq!((over.status, over.code()), (400, "amount_too_large"));
    let early = world
        .post("/v1/refunds", &[("payment_intent", &held.id())])
        .await;
    assert_eq!((early.status, early.code()), (400, "charge_not_refundable"));
    let captured = world
        .post(&path, &[("amount_to_capture", "600")])
        .await
        .ok();
    assert_eq!(
        (&captured.json["status"], &captured.json["amount_received"]),
        (&"succeeded".into(), &600.into())
    );
    assert_eq!(world.bank.taken(), (600, 0));
    let twice = world.post(&path, &[]).await;
    assert_eq!(twice.code(), "payment_intent_unexpected_state");
    let over = world
        .post(
            "/v1/refunds",
            &[("payment_intent", &held.id()), ("amount", "601")],
        )
        .await;
    assert_eq!((over.status, over.code()), (400, "amount_too_large"));
    world.finish().await;
}

async fn authorise_and_void(world: World) {
    let held = world
        .pay(1000, Card::Approves, &[("capture_method", "manual")])
        .await
        .ok();
    let path = format!("/v1/payment_intents/{}/cancel", held.id());
    let canceled = world
        .post(&path, &[("cancellation_reason", "duplicate")])
        .await
        .ok();
    assert_eq!(
        (
            &canceled.json["status"],
            &canceled.json["cancellation_reason"]
        ),
        (&"canceled".into(), &"duplicate".into())
    );
    assert_eq!(world.bank.taken(), (0, 0));
    // A void that the acquirer refuses leaves the authorisation as it was.
    let held = world
        .pay(1000, Card::Approves, &[("capture_method", "manual")])
        .await
        .ok();
    world.bank.book().refuse_operations = true;
    let refused = world
        .post(&format!("/v1/payment_intents/{}/cancel", held.id()), &[])
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    world.until_status(&held.id(), "requires_capture").await;
    // Nothing authorised: canceled at once.
    let open = world
        .post(
            "/v1/payment_intents",
            &[("amount", "500"), ("currency", "usd")],
        )
        .await
        .ok();
    let canceled = world
        .post(&format!("/v1/payment_intents/{}/cancel", open.id()), &[])
        .await
        .ok();
    assert_eq!(canceled.json["status"], "canceled");
    world.finish().await;
}

async fn what_was_not_sent_can_be_confirmed_again(world: World) {
    let failed = world.pay(1000, Card::NotSent, &[]).await;
    assert_eq!((failed.status, failed.code()), (402, "processing_error"));
    let intent = &failed.json["error"]["payment_intent"];
    assert_eq!(intent["status"], "requires_payment_method");
    // The card was never sent, so the same payment method serves again.
    let method = failed.json["error"]["payment_method"]["id"]
        .as_str()
        .expect("an id");
    let path = format!(
        "/v1/payment_intents/{}/confirm",
        intent["id"].as_str().expect("an id")
    );
    let again = world.post(&path, &[("payment_method", method)]).await;
    assert_eq!((again.status, again.code()), (402, "processing_error"));
    assert_eq!(world.bank.book().forwards.len(), 2);
    assert_eq!(world.bank.charges(), 0);
    world.finish().await;
}

async fn another_merchants_id_is_like_a_random_one(world: World) {
    let ours = world.pay(1000, Card::Approves, &[]).await.ok();
    let charge = ours.json["latest_charge"]
        .as_str()
        .expect("a charge")
        .to_owned();
    let method = ours.json["payment_method"]
        .as_str()
        .expect("a method")
        .to_owned();
    let other = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    let live = world.bank.key("mer_one", Kind::Secret, Mode::Live);
    let paths = [
        (Method::GET, format!("/v1/payment_intents/{}", ours.id())),
        (Method::POST, format!("/v1/payment_intents/{}", ours.id())),
        (
            Method::POST,
            format!("/v1/payment_intents/{}/confirm", ours.id()),
        ),
        (
            Method::POST,
            format!("/v1/payment_intents/{}/cancel", ours.id()),
        ),
        (
            Method::POST,
            format!("/v1/payment_intents/{}/capture", ours.id()),
        ),
        (Method::GET, format!("/v1/charges/{charge}")),
        (Method::GET, format!("/v1/payment_methods/{method}")),
    ];
    for (verb, path) in paths {
        let id = path.split('/').nth(3).expect("an id").to_owned();
        let random = path.replace(
            &id,
            &format!(
                "{}_{}",
                id.split('_').next().expect("a prefix"),
                "x".repeat(24)
            ),
        );
        for who in [&other, &live] {
            let foreign = world.call(verb.clone(), &path, who, None, "").await;
            let missing = world.call(verb.clone(), &random, who, None, "").await;
            assert_eq!(
                (foreign.status, foreign.code()),
                (404, "resource_missing"),
                "{path}"
            );
            assert_eq!(foreign.text, missing.text, "{path}");
            let without_id = |headers: &HeaderMap| {
                let mut headers = headers.clone();
                headers.remove("request-id");
                headers.remove("date");
                headers
            };
            assert_eq!(
                without_id(&foreign.headers),
                without_id(&missing.headers),
                "{path}"
            );
        }
    }
    let refund = world
        .call(
            Method::POST,
            "/v1/refunds",
            &other,
            None,
            &format!("charge={charge}"),
        )
        .await;
    assert_eq!((refund.status, refund.code()), (400, "resource_missing"));
    world.finish().await;
}

async fn keys_of_other_kinds_are_refused(world: World) {
    for kind in [Kind::Publishable, Kind::Restricted, Kind::Service] {
        let key = world.bank.key("mer_one", kind, Mode::Test);
        let answer = world
            .call(Method::GET, "/v1/payment_intents", &key, None, "")
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "secret_key_required"),
            "{kind:?}"
        );
    }
    let unknown = vault_api::keys::ApiKey::random(Kind::Secret, Mode::Test);
    let answer = world
        .call(Method::GET, "/v1/payment_intents", &unknown, None, "")
        .await;
    assert_eq!(answer.status, 401);
    assert!(!answer.text.contains(unknown.expose()));
    let headers = [("authorization", "Bearer sk_test_nonsense")];
    assert_eq!(
        world
            .raw(Method::GET, "/v1/payment_intents", &headers, "")
            .await
            .status,
        401
    );
    assert_eq!(
        world
            .raw(Method::GET, "/v1/payment_intents", &[], "")
            .await
            .status,
        401
    );
    use base64::Engine as _;
    let basic =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:", world.merchant.expose()));
    let basic = format!("Basic {basic}");
    let answer = world
        .raw(
            Method::GET,
            "/v1/payment_intents",
            &[("authorization", basic.as_str())],
            "",
        )
        .await;
    assert_eq!(answer.status, 200);
    world.finish().await;
}

async fn lists_page_both_ways(world: World) {
    let mut ids = Vec::new();
    for amount in 101..=107 {
        let amount = amount.to_string();
        let created = world
            .post(
                "/v1/payment_intents",
                &[("amount", &amount), ("currency", "usd")],
            )
            .await
            .ok();
        ids.push(created.id());
    }
    let page = |answer: &crate::world::Answer| -> Vec<String> {
        let data = answer.json["data"].as_array().expect("a list");
        data.iter()
            .map(|item| item["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let all = page(&world.get("/v1/payment_intents?limit=100").await.ok());
    let (mut sorted, mut expected) = (all.clone(), ids.clone());
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    let mut seen = Vec::new();
    let mut path = "/v1/payment_intents?limit=3".to_owned();
    loop {
        let answer = world.get(&path).await.ok();
        seen.extend(page(&answer));
        if answer.json["has_more"] == false {
            break;
        }
        path = format!(
            "/v1/payment_intents?limit=3&starting_after={}",
            seen.last().expect("one")
        );
    }
    assert_eq!(seen, all);
    let before = world
        .get(&format!(
            "/v1/payment_intents?limit=2&ending_before={}",
            all[4]
        ))
        .await
        .ok();
    assert_eq!(page(&before), all[2..4]);
    assert_eq!(before.json["has_more"], true);
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "starting_after=pi_none",
        "starting_after=a&ending_before=b",
        "x=1",
    ] {
        assert_eq!(
            world
                .get(&format!("/v1/payment_intents?{bad}"))
                .await
                .status,
            400,
            "{bad}"
        );
    }
    world.finish().await;
}

async fn confirms_race_and_one_wins(world: World) {
    let created = world
        .post(
            "/v1/payment_intents",
            &[("amount", "500"), ("currency", "usd")],
        )
        .await
        .ok();
    let path = format!("/v1/payment_intents/{}/confirm", created.id());
    let tokens: Vec<String> = (0..12).map(|_| world.token(Card::Approves)).collect();
    let forms: Vec<Vec<(&str, &str)>> = tokens
        .iter()
        .map(|token| crate::world::pay_form("", token)[3..].to_vec())
        .collect();
    let calls = forms.iter().map(|form| world.post(&path, form));
    let answers = join_all(calls).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|a| a.status == 200 || a.code() == "payment_intent_unexpected_state"),
        "{answers:?}"
    );
    assert_eq!(world.bank.charges(), 1);
    world.finish().await;
}

/// Awaits all at once.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pinned: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut pinned {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if pinned.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pinned
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

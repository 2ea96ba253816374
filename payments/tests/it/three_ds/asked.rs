//! Who is asked, and what the issuer's answer decides: a payment, a merchant's own wish, a buyer who is not there.

use serde_json::{Value, json};

use super::{challenged, charge_of, id, introduce, page, rreq, settled, tell};
use crate::bank::Card;
use crate::issuer::{Asked, DS_TRANSACTION};
use crate::world::{World, on_both_stores};

on_both_stores!(
    a_challenge_passed_pays,
    what_the_issuer_says_decides,
    the_merchant_may_ask_for_it,
    nobody_is_asked_off_session,
    merchant_initiated_payments_carry_their_origin,
);

async fn a_challenge_passed_pays(world: World) {
    let (intent, page) = challenged(&world, &[]).await;
    assert_eq!(intent["next_action"]["type"], "use_stripe_sdk");
    let kind = &intent["next_action"]["use_stripe_sdk"]["type"];
    assert_eq!(kind, "three_d_secure_redirect");
    assert_eq!(world.bank.charges(), 0);
    let told = tell(&world, &rreq(&world, "Y")).await.ok();
    assert_eq!(told.json["messageType"], "RRes");
    let paid = world.until_status(id(&intent), "succeeded").await.json;
    assert_eq!(paid["next_action"], Value::Null);
    assert_eq!(settled(&world, &page).await["status"], "complete");
    assert_eq!(world.bank.taken(), (2500, 0));

    let charge = charge_of(&world, &intent).await;
    let three_ds = &charge["payment_method_details"]["card"]["three_d_secure"];
    assert_eq!(three_ds["result"], "authenticated");
    assert_eq!(three_ds["authentication_flow"], "challenge");
    assert_eq!(three_ds["electronic_commerce_indicator"], "05");
    assert_eq!(three_ds["transaction_id"], DS_TRANSACTION);
    assert_eq!(three_ds["version"], "2.2.0");
    assert_eq!(three_ds["liability_shift"], true);
    {
        let book = world.bank.book();
        let last = book.forwards.last().expect("a send");
        assert_eq!(last["three_d_secure"]["eci"], "05");
        assert_eq!(last["three_d_secure"]["ds_transaction_id"], DS_TRANSACTION);
        let areq = &book.three_ds.areqs[0];
        assert_eq!(areq["purchaseAmount"], "2500");
        assert_eq!(areq["purchaseCurrency"], "840");
        assert_eq!(areq["browserUserAgent"], "Mozilla/5.0");
        assert_eq!(areq["browserIP"], "127.0.0.1");
        assert_eq!(areq["threeDSCompInd"], "Y");
    }
    let types = world.event_types().await;
    let asked = "payment_intent.requires_action".to_owned();
    assert!(types.contains(&asked), "{types:?}");
    assert!(!types.contains(&"charge.failed".to_owned()), "{types:?}");
    world.finish().await;
}

async fn what_the_issuer_says_decides(world: World) {
    for (asked, status, result, shift) in [
        ("Y", "succeeded", "authenticated", true),
        ("A", "succeeded", "attempt_acknowledged", true),
        ("N", "requires_payment_method", "", false),
        ("R", "requires_payment_method", "", false),
        ("U", "requires_payment_method", "", false),
    ] {
        let card = Card::Wants(Asked::Says(asked));
        let intent = world.pay(1000, card, &[]).await.ok().json;
        let page = page(&intent);
        introduce(&world, &page).await;
        assert_eq!(settled(&world, &page).await["status"], "complete");
        let now = world.until_status(id(&intent), status).await.json;
        if status == "succeeded" {
            let charge = charge_of(&world, &intent).await;
            let three_ds = &charge["payment_method_details"]["card"]["three_d_secure"];
            assert_eq!(three_ds["result"], result);
            assert_eq!(three_ds["authentication_flow"], "frictionless");
            assert_eq!(three_ds["liability_shift"], shift);
        } else {
            let code = match asked {
                "U" => "authentication_required",
                _ => "payment_intent_authentication_failure",
            };
            assert_eq!(now["last_payment_error"]["code"], code, "{asked}");
            assert_eq!(now["next_action"], Value::Null);
        }
    }
    // Of a challenge, a no is a no; the buyer may try another card.
    let (intent, page) = challenged(&world, &[]).await;
    tell(&world, &rreq(&world, "N")).await.ok();
    assert_eq!(settled(&world, &page).await["status"], "complete");
    let failed = world
        .until_status(id(&intent), "requires_payment_method")
        .await
        .json;
    let code = &failed["last_payment_error"]["code"];
    assert_eq!(code, "payment_intent_authentication_failure");
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
    assert_eq!(
        world.post(&path, &form).await.ok().json["status"],
        "succeeded"
    );
    // The directory server cannot help: an issuer that insists declines, at once or after the page.
    for asked in [Asked::NotEnrolled, Asked::Error] {
        let answer = world.pay(1000, Card::Wants(asked), &[]).await;
        if asked == Asked::NotEnrolled {
            assert_eq!(answer.status, 402, "{}", answer.text);
            assert_eq!(answer.code(), "authentication_required");
            continue;
        }
        let page = super::page(&answer.ok().json);
        introduce(&world, &page).await;
        assert_eq!(settled(&world, &page).await["status"], "complete");
    }
    assert_eq!(world.bank.charges(), 3);
    world.finish().await;
}

async fn the_merchant_may_ask_for_it(world: World) {
    let any = [(
        "payment_method_options[card][request_three_d_secure]",
        "any",
    )];
    for (asked, result, flow, shift) in [
        (
            Asked::Says("Y"),
            "authenticated",
            json!("frictionless"),
            true,
        ),
        (Asked::Says("U"), "processing_error", json!(null), false),
        (Asked::Error, "processing_error", json!(null), false),
    ] {
        let intent = world.pay(900, Card::Offers(asked), &any).await.ok().json;
        let wanted = &intent["payment_method_options"]["card"]["request_three_d_secure"];
        assert_eq!(wanted, "any");
        let page = page(&intent);
        introduce(&world, &page).await;
        settled(&world, &page).await;
        world.until_status(id(&intent), "succeeded").await;
        let charge = charge_of(&world, &intent).await;
        let three_ds = &charge["payment_method_details"]["card"]["three_d_secure"];
        assert_eq!(three_ds["result"], result, "{asked:?}");
        assert_eq!(three_ds["authentication_flow"], flow);
        assert_eq!(three_ds["liability_shift"], shift);
    }
    let card = Card::Offers(Asked::NotEnrolled);
    let paid = world.pay(900, card, &any).await.ok().json;
    assert_eq!(paid["status"], "succeeded");
    let charge = charge_of(&world, &paid).await;
    let three_ds = &charge["payment_method_details"]["card"]["three_d_secure"];
    assert_eq!(three_ds["result"], "not_supported");
    // Without being asked, a card that does not want it is paid at once.
    let card = Card::Offers(Asked::Says("C"));
    let paid = world.pay(900, card, &[]).await.ok().json;
    assert_eq!(paid["status"], "succeeded");
    let charge = charge_of(&world, &paid).await;
    assert_eq!(
        charge["payment_method_details"]["card"]["three_d_secure"],
        Value::Null
    );
    let challenge = [(
        "payment_method_options[card][request_three_d_secure]",
        "challenge",
    )];
    let card = Card::Offers(Asked::Says("Y"));
    let intent = world.pay(900, card, &challenge).await.ok().json;
    introduce(&world, &page(&intent)).await;
    settled(&world, &page(&intent)).await;
    {
        let book = world.bank.book();
        let areq = book.three_ds.areqs.last().expect("an AReq");
        assert_eq!(areq["threeDSRequestorChallengeInd"], "04");
    }
    let wrong = [(
        "payment_method_options[card][request_three_d_secure]",
        "often",
    )];
    let refused = world.pay(900, Card::Approves, &wrong).await;
    let param = &refused.json["error"]["param"];
    assert_eq!(
        param,
        "payment_method_options[card][request_three_d_secure]"
    );
    world.until_status(id(&intent), "succeeded").await;
    world.finish().await;
}

async fn nobody_is_asked_off_session(world: World) {
    for extra in [
        ("off_session", "true"),
        ("error_on_requires_action", "true"),
    ] {
        let card = Card::Wants(Asked::Says("C"));
        let refused = world.pay(700, card, &[extra]).await;
        assert_eq!(refused.status, 402, "{}", refused.text);
        let error = &refused.json["error"];
        assert_eq!(error["code"], "authentication_required");
        assert_eq!(error["decline_code"], "authentication_required");
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    }
    assert!(world.bank.book().three_ds.areqs.is_empty());
    world.finish().await;
}

async fn merchant_initiated_payments_carry_their_origin(world: World) {
    let customer = world.customer().await;
    let first = [
        ("customer", customer.as_str()),
        ("setup_future_usage", "off_session"),
    ];
    let paid = world.pay(1000, Card::Approves, &first).await.ok().json;
    let method = paid["payment_method"]
        .as_str()
        .expect("a method")
        .to_owned();
    for off_session in ["true", "false"] {
        let form = [
            ("amount", "1000"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("customer", customer.as_str()),
            ("payment_method", method.as_str()),
            ("off_session", off_session),
        ];
        let paid = world.post("/v1/payment_intents", &form).await.ok().json;
        assert_eq!(paid["status"], "succeeded");
    }
    {
        let book = world.bank.book();
        let said: Vec<&Value> = book
            .forwards
            .iter()
            .map(|f| &f["body"]["credential_on_file"])
            .collect();
        let stored = |initiator: &str| json!({"initiator": initiator, "credential": "stored", "network_transaction_id": "ntx1"});
        assert_eq!(
            said,
            [
                &json!({"initiator": "customer", "credential": "first"}),
                &stored("merchant"),
                &stored("customer"),
            ]
        );
    }
    let once = world.pay(1000, Card::Approves, &[]).await.ok();
    assert_eq!(once.json["status"], "succeeded");
    {
        let book = world.bank.book();
        let last = book.forwards.last().expect("a send");
        assert_eq!(last["body"]["credential_on_file"], Value::Null);
    }
    world.finish().await;
}

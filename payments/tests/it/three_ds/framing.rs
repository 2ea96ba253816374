//! The page that the shop frames, and the way back after a redirect.

use axum::http::Method;
use serde_json::{Value, json};
use vault_api::keys::{Kind, Mode};

use super::{HEADERS, browser, challenged, id, introduce, page, rreq, settled, tell};
use crate::bank::Card;
use crate::issuer::Asked;
use crate::world::{World, encode, on_both_stores};

on_both_stores!(the_page_is_framed_by_the_shop_alone, a_redirect_comes_back,);

async fn the_page_is_framed_by_the_shop_alone(world: World) {
    let card = Card::Wants(Asked::Says("C"));
    let intent = world.pay(2500, card, &[]).await.ok().json;
    let page = page(&intent);
    let secret = intent["client_secret"].as_str().expect("a secret");
    let open = async |origin: &str| {
        let path = format!("{page}?{}", encode(&[("origin", origin)]));
        world.raw(Method::GET, &path, &[], "").await
    };
    // Nobody has used a publishable key yet.
    assert_eq!(open("https://shop.example").await.status, 404);
    for merchant in ["mer_one", "mer_two"] {
        let key = world.bank.key(merchant, Kind::Publishable, Mode::Test);
        let path = format!("/v1/payment_intents/{}?client_secret={secret}", id(&intent));
        let status = world.call(Method::GET, &path, &key, None, "").await.status;
        // The secret opens the intent for its own merchant's key.
        assert_eq!(status == 200, merchant == "mer_one", "{merchant}");
    }
    let framed = open("https://shop.example").await;
    assert_eq!(framed.status, 200, "{}", framed.text);
    let policy = framed.headers["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(
        policy.ends_with("frame-ancestors https://shop.example"),
        "{policy}"
    );
    assert!(policy.contains("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"));
    assert!(policy.contains("https://acs.example"), "{policy}");
    assert!(!framed.text.contains(secret) && !framed.text.contains("<script>"));
    for origin in [
        "https://evil.example",
        "http://shop.example",
        "null",
        "*",
        "",
    ] {
        let refused = open(origin).await;
        assert_eq!(refused.status, 404, "{origin}");
        assert!(!refused.text.contains("threeDSMethodData"), "{origin}");
    }
    let path = "/3ds/tds_000000000000000000000000?origin=https://shop.example";
    assert_eq!(world.raw(Method::GET, path, &[], "").await.status, 404);
    // Bad input is named and loses nothing.
    let path = format!("{page}/browser");
    for (name, body) in [
        ("threeDSCompInd", json!({}).to_string()),
        ("threeDSCompInd", "not JSON".to_owned()),
        ("browserTZ", browser().replace("-60", "\"-60\"")),
        ("browserLanguage", browser().replace("en-GB", "en<GB")),
    ] {
        let refused = world.raw(Method::POST, &path, &HEADERS, &body).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json["error"]["param"], name);
    }
    for _ in 0..2 {
        assert_eq!(introduce(&world, &page).await.status, 202);
    }
    settled(&world, &page).await;
    assert_eq!(world.bank.book().three_ds.areqs.len(), 1);
    world.finish().await;
}

async fn a_redirect_comes_back(world: World) {
    let extra = [("return_url", "https://shop.example/back?order=1#done")];
    let (intent, page) = challenged(&world, &extra).await;
    assert_eq!(intent["next_action"]["type"], "redirect_to_url");
    let action = &intent["next_action"]["redirect_to_url"];
    assert_eq!(action["return_url"], extra[0].1);
    let opened = world.raw(Method::GET, &page, &[], "").await.ok();
    let policy = opened.headers["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert!(opened.text.contains("name=creq"));
    tell(&world, &rreq(&world, "Y")).await.ok();
    let over = settled(&world, &page).await;
    let back = over["redirect"].as_str().expect("a URL");
    let expected = format!(
        "https://shop.example/back?order=1&payment_intent={}&payment_intent_client_secret={}&redirect_status=succeeded#done",
        id(&intent),
        intent["client_secret"].as_str().expect("a secret")
    );
    assert_eq!(back, expected);
    // A library in the page opens it there instead.
    let extra = [extra[0], ("use_stripe_sdk", "true")];
    let (intent, page) = challenged(&world, &extra).await;
    assert_eq!(intent["next_action"]["type"], "use_stripe_sdk");
    tell(&world, &rreq(&world, "N")).await.ok();
    assert_eq!(settled(&world, &page).await["redirect"], Value::Null);
    world.finish().await;
}

//! 3-D Secure from the merchant's and the buyer's side: who is asked, what decides, what the acquirer is told, and
//! what is left when nobody answers or the program dies.

use axum::http::Method;
use serde_json::{Value, json};
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::issuer::{ACS_TRANSACTION, Asked, DS_TRANSACTION};
use crate::world::{Answer, RESULTS_KEY, World, encode, on_both_stores};

on_both_stores!(
    a_challenge_passed_pays,
    what_the_issuer_says_decides,
    the_merchant_may_ask_for_it,
    nobody_is_asked_off_session,
    only_the_directory_servers_word_counts,
    time_runs_out,
    a_new_confirmation_ends_the_old_one,
    the_page_is_framed_by_the_shop_alone,
    a_redirect_comes_back,
    a_restart_loses_nothing,
    results_race_and_one_counts,
    merchant_initiated_payments_carry_their_origin,
    a_card_is_set_up_with_its_buyer_in_front_of_it,
    a_browser_sets_a_card_up,
);

/// The intent's page, by its id.
pub fn page(intent: &Value) -> String {
    let action = &intent["next_action"];
    let url = action["use_stripe_sdk"]["url"]
        .as_str()
        .or(action["redirect_to_url"]["url"].as_str());
    let url = url.unwrap_or_else(|| panic!("a page: {intent}"));
    let path = url.strip_prefix("https://payments.example");
    path.expect("payments' own").to_owned()
}

fn browser() -> String {
    json!({
        "threeDSCompInd": "Y", "browserJavaEnabled": false, "browserLanguage": "en-GB", "browserColorDepth": 24,
        "browserScreenHeight": 844, "browserScreenWidth": 390, "browserTZ": -60,
    })
    .to_string()
}

const JSON: (&str, &str) = ("content-type", "application/json");
const HEADERS: [(&str, &str); 3] = [JSON, ("accept", "*/*"), ("user-agent", "Mozilla/5.0")];

/// What the page tells of the buyer's browser.
pub async fn introduce(world: &World, page: &str) -> Answer {
    let path = format!("{page}/browser");
    world.raw(Method::POST, &path, &HEADERS, &browser()).await
}

/// The page's status, once it is neither `working` nor `settling`.
pub async fn settled(world: &World, page: &str) -> Value {
    loop {
        let path = format!("{page}/status");
        let answer = world.raw(Method::GET, &path, &[], "").await.ok();
        if !["working", "settling"].contains(&answer.json["status"].as_str().expect("a status")) {
            return answer.json;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// An RReq for the last AReq.
fn rreq(world: &World, status: &str) -> Value {
    let mut book = world.bank.book();
    let transaction = book.three_ds.areqs.last().expect("an AReq")["threeDSServerTransID"].clone();
    let mut rreq = json!({
        "messageType": "RReq", "messageVersion": "2.2.0", "threeDSServerTransID": transaction,
        "acsTransID": ACS_TRANSACTION, "dsTransID": DS_TRANSACTION, "transStatus": status,
    });
    if status == "Y" {
        rreq["eci"] = "05".into();
        rreq["authenticationValue"] = book.three_ds.cavv().into();
    }
    rreq
}

async fn tell(world: &World, rreq: &Value) -> Answer {
    let key = format!("Bearer {RESULTS_KEY}");
    let headers = [JSON, ("authorization", key.as_str())];
    let path = "/3ds/results";
    world
        .raw(Method::POST, path, &headers, &rreq.to_string())
        .await
}

/// A payment that has come to its challenge: the intent, and its page.
async fn challenged(world: &World, extra: &[(&str, &str)]) -> (Value, String) {
    let card = Card::Wants(Asked::Says("C"));
    let intent = world.pay(2500, card, extra).await.ok().json;
    assert_eq!(intent["status"], "requires_action", "{intent}");
    let page = page(&intent);
    assert_eq!(introduce(world, &page).await.status, 202);
    assert_eq!(settled(world, &page).await["status"], "challenge");
    (intent, page)
}

fn id(intent: &Value) -> &str {
    intent["id"].as_str().expect("an id")
}

async fn charge_of(world: &World, intent: &Value) -> Value {
    let path = format!("/v1/payment_intents/{}?expand[]=latest_charge", id(intent));
    world.get(&path).await.ok().json["latest_charge"].clone()
}

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
        let page = crate::three_ds::page(&answer.ok().json);
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

async fn only_the_directory_servers_word_counts(world: World) {
    let (intent, page) = challenged(&world, &[]).await;
    // What the buyer's browser posts is believed by nobody.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("{page}/challenge");
    let cres = world
        .raw(
            Method::POST,
            &path,
            &form,
            "cres=eyJ0cmFuc1N0YXR1cyI6IlkifQ",
        )
        .await;
    assert_eq!(cres.status, 200);
    let passed = rreq(&world, "Y");
    for (who, headers) in [
        ("nobody", vec![JSON]),
        (
            "a stranger",
            vec![JSON, ("authorization", "Bearer another-key")],
        ),
    ] {
        let answer = world
            .raw(Method::POST, "/3ds/results", &headers, &passed.to_string())
            .await;
        assert_eq!(answer.status, 401, "{who}");
    }
    for (name, value, code) in [
        (
            "threeDSServerTransID",
            json!("d7c1ee99-0000-44a6-b1f2-391e29c6b340"),
            "301",
        ),
        (
            "acsTransID",
            json!("d7c1ee99-0000-44a6-b1f2-391e29c6b340"),
            "301",
        ),
        (
            "dsTransID",
            json!("d7c1ee99-0000-44a6-b1f2-391e29c6b340"),
            "301",
        ),
        ("transStatus", json!("C"), "203"),
        ("authenticationValue", json!(null), "203"),
        ("messageType", json!("CRes"), "203"),
    ] {
        let mut altered = passed.clone();
        altered[name] = value;
        let answer = tell(&world, &altered).await.ok();
        assert_eq!(answer.json["errorCode"], code, "{name}: {}", answer.text);
    }
    let path = format!("/v1/payment_intents/{}", id(&intent));
    assert_eq!(world.get(&path).await.json["status"], "requires_action");
    assert_eq!(world.bank.charges(), 0);
    // The first word counts; the same again is acknowledged, another one too, and neither changes anything.
    tell(&world, &rreq(&world, "N")).await.ok();
    tell(&world, &passed).await.ok();
    let failed = world.get(&path).await.json;
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(world.bank.charges(), 0);
    world.finish().await;
}

async fn time_runs_out(world: World) {
    let (challenge, _) = challenged(&world, &[]).await;
    let card = Card::Wants(Asked::Says("C"));
    let unopened = world.pay(2500, card, &[]).await.ok().json;
    world.advance_clock(15 * 60);
    for intent in [&challenge, &unopened] {
        let over = world
            .until_status(id(intent), "requires_payment_method")
            .await
            .json;
        let code = &over["last_payment_error"]["code"];
        assert_eq!(code, "payment_intent_authentication_failure");
    }
    let types = world.event_types().await;
    let failed = "payment_intent.payment_failed";
    assert_eq!(types.iter().filter(|kind| *kind == failed).count(), 2);
    // A yes that comes now comes too late.
    tell(&world, &rreq(&world, "Y")).await.ok();
    let path = format!("/v1/payment_intents/{}", id(&challenge));
    assert_eq!(
        world.get(&path).await.json["status"],
        "requires_payment_method"
    );
    assert_eq!(world.bank.charges(), 0);
    world.finish().await;
}

async fn a_new_confirmation_ends_the_old_one(world: World) {
    let (intent, page) = challenged(&world, &[]).await;
    let late = rreq(&world, "Y");
    let token = world.token(Card::Approves);
    let form = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token.as_str()),
    ];
    let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
    let paid = world.post(&path, &form).await.ok().json;
    assert_eq!(paid["status"], "succeeded");
    tell(&world, &late).await.ok();
    assert_eq!(settled(&world, &page).await["status"], "complete");
    assert_eq!(world.bank.taken(), (2500, 0));

    let (intent, _) = challenged(&world, &[]).await;
    let late = rreq(&world, "Y");
    let path = format!("/v1/payment_intents/{}/cancel", id(&intent));
    let canceled = world.post(&path, &[]).await.ok().json;
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(canceled["next_action"], Value::Null);
    tell(&world, &late).await.ok();

    let (intent, _) = challenged(&world, &[]).await;
    let late = rreq(&world, "Y");
    let path = format!("/v1/payment_intents/{}", id(&intent));
    let changed = world.post(&path, &[("amount", "2600")]).await.ok().json;
    assert_eq!(changed["status"], "requires_confirmation");
    tell(&world, &late).await.ok();
    assert_eq!(world.bank.taken(), (2500, 0));
    world.finish().await;
}

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

async fn a_restart_loses_nothing(mut world: World) {
    // Killed while the AReq is on its way: what the vault has recorded of it counts.
    let card = Card::Wants(Asked::VaultHangs);
    let intent = world.pay(2500, card, &[]).await.ok().json;
    let page = page(&intent);
    introduce(&world, &page).await;
    while world.bank.book().three_ds.areqs.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.kill();
    world.advance_clock(60);
    world.run().await;
    assert_eq!(settled(&world, &page).await["status"], "challenge");
    assert_eq!(world.bank.book().three_ds.areqs.len(), 1);
    // Killed as soon as the result is known: the payment is made without anybody asking for it.
    let told = tell(&world, &rreq(&world, "Y")).await.ok();
    assert_eq!(told.json["messageType"], "RRes");
    world.kill();
    world.advance_clock(180);
    world.run().await;
    world.until_status(id(&intent), "succeeded").await;
    assert_eq!(world.bank.taken(), (2500, 0));
    world.finish().await;
}

async fn results_race_and_one_counts(world: World) {
    for round in 0..20 {
        let (intent, page) = challenged(&world, &[]).await;
        let (yes, no) = (rreq(&world, "Y"), rreq(&world, "N"));
        let cancel = format!("/v1/payment_intents/{}/cancel", id(&intent));
        let (_, _, _, canceled) = tokio::join!(
            tell(&world, &yes),
            tell(&world, &no),
            tell(&world, &yes),
            world.post(&cancel, &[]),
        );
        settled(&world, &page).await;
        let path = format!("/v1/payment_intents/{}", id(&intent));
        let now = world.get(&path).await.ok().json;
        let taken = world.bank.taken().0;
        let status = now["status"].as_str().expect("a status");
        assert!(
            ["succeeded", "requires_payment_method", "canceled"].contains(&status),
            "{round}: {now}"
        );
        assert!(canceled.status == 200 || status != "canceled", "{now}");
        let received = now["amount_received"].as_i64().expect("an amount");
        assert_eq!(received > 0, status == "succeeded");
        let sums = world.rows("select 'sum', cast(coalesce(sum(amount_received), 0) as bigint) from payment_intents").await;
        assert_eq!(sums[0].1, taken, "{round}");
    }
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

//! 3-D Secure as a 3DS Server and a browser see it: AReq, challenge, RReq; and what the issuer makes of the result.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{RESULTS_KEY, World, sale, serve, worlds};

/// A 3DS Server that writes down what it is told.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Value>>>);

impl Server {
    async fn start() -> (Self, String) {
        let server = Self::default();
        let router = Router::new()
            .route("/results", post(results))
            .with_state(server.clone());
        (server, serve(router).await)
    }

    fn told(&self) -> Vec<Value> {
        self.0.lock().expect("not poisoned").clone()
    }
}

async fn results(
    State(server): State<Server>,
    headers: HeaderMap,
    Json(rreq): Json<Value>,
) -> Json<Value> {
    assert_eq!(headers["authorization"], format!("Bearer {RESULTS_KEY}"));
    server.0.lock().expect("not poisoned").push(rreq.clone());
    Json(json!({
        "messageType": "RRes", "messageVersion": "2.2.0", "dsTransID": rreq["dsTransID"],
        "acsTransID": rreq["acsTransID"], "resultsStatus": "01",
    }))
}

fn areq(number: &str, transaction: u32, server: &str) -> Value {
    json!({
        "messageType": "AReq", "messageVersion": "2.2.0", "messageCategory": "01", "deviceChannel": "02",
        "threeDSCompInd": "Y", "threeDSRequestorAuthenticationInd": "01", "threeDSRequestorID": "r1",
        "threeDSRequestorName": "Shop", "threeDSRequestorURL": "https://shop.example",
        "threeDSServerRefNumber": "CARDSEAL",
        "threeDSServerTransID": format!("8a880dc0-d2d2-4067-bcb1-b08d{transaction:08}"),
        "threeDSServerURL": format!("{server}/results"), "notificationURL": format!("{server}/back"),
        "acquirerBIN": "400000", "acquirerMerchantID": "m1", "mcc": "5411", "merchantCountryCode": "276",
        "merchantName": "Shop <b>", "purchaseAmount": "2000", "purchaseCurrency": "840", "purchaseExponent": "2",
        "purchaseDate": "20261121094500", "transType": "01", "acctNumber": number, "cardExpiryDate": "3412",
        "browserAcceptHeader": "*/*", "browserLanguage": "en", "browserUserAgent": "Mozilla/5.0",
        "browserJavascriptEnabled": true, "browserJavaEnabled": false, "browserColorDepth": "24",
        "browserScreenHeight": "844", "browserScreenWidth": "390", "browserTZ": "0",
    })
}

async fn authenticate(world: &World, number: &str, transaction: u32, server: &str) -> Value {
    let message = areq(number, transaction, server);
    let answer = world.bank.post("/3ds/v1/authenticate", &message).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        !answer.text.contains(number),
        "an answer repeats the number"
    );
    answer.json
}

/// Opens the challenge's page and presses a button.
async fn press(world: &World, ares: &Value, button: &str) -> String {
    let creq = json!({
        "messageType": "CReq", "messageVersion": "2.2.0", "challengeWindowSize": "05",
        "threeDSServerTransID": ares["threeDSServerTransID"], "acsTransID": ares["acsTransID"],
    });
    let creq = URL_SAFE_NO_PAD.encode(creq.to_string());
    let form = format!("creq={creq}&threeDSSessionData=c2Vzc2lvbg");
    let kind = "application/x-www-form-urlencoded";
    let sent = world
        .stranger
        .post_text("/3ds/challenge", kind, &form)
        .await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let page = format!(
        "/3ds/challenge/{}",
        ares["acsTransID"].as_str().expect("an id")
    );
    let question = world.stranger.get(&page).await;
    assert!(question.text.contains("20.00 USD") && question.text.contains("Shop &lt;b&gt;"));
    let answer = format!("answer={button}");
    world.stranger.post_text(&page, kind, &answer).await.text
}

fn with(mut payment: Value, from: &Value) -> Value {
    payment["three_d_secure"] = json!({
        "eci": from["eci"], "cavv": from["authenticationValue"], "ds_transaction_id": from["dsTransID"],
        "version": "2.2.0",
    });
    payment
}

async fn code(world: &World, payment: &Value) -> String {
    let answer = world.bank.post("/json/v1/payments", payment).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["response_code"]
        .as_str()
        .expect("a code")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_test_card_answers_its_status() {
    for world in worlds().await {
        let (_, server) = Server::start().await;
        for (i, (number, status, eci)) in [
            ("4242424242424242", "Y", "05"),
            ("5555555555554444", "Y", "02"),
            ("4000000000003014", "Y", "05"),
            ("5555550000003014", "Y", "02"),
            ("4000000000003022", "A", "06"),
            ("4000000000003030", "N", "07"),
            ("4000000000003048", "R", "07"),
            ("4000000000003071", "U", "07"),
            ("4000002500003155", "C", ""),
        ]
        .into_iter()
        .enumerate()
        {
            let transaction = 1000 + u32::try_from(i).expect("small");
            let ares = authenticate(&world, number, transaction, &server).await;
            assert_eq!(ares["transStatus"], status, "{number} {ares}");
            assert_eq!(ares["eci"].as_str().unwrap_or_default(), eci, "{number}");
            let has_value = ares["authenticationValue"].is_string();
            assert_eq!(has_value, matches!(status, "Y" | "A"), "{number}");
            assert_eq!(ares["acsURL"].is_string(), status == "C", "{number}");
        }
        let error = authenticate(&world, "4000000000003097", 1100, &server).await;
        assert_eq!(
            (&error["messageType"], &error["errorCode"]),
            (&json!("Erro"), &json!("403"))
        );
        let again = authenticate(&world, "4242424242424242", 1000, &server).await;
        assert_eq!(again["errorCode"], "301");
        let enrolled = |number: &str| json!({ "acctNumber": number });
        let path = "/3ds/v1/versioning";
        let amex = world.bank.post(path, &enrolled("378282246310005")).await;
        assert_eq!(amex.json["enrolled"], false);
        let visa = world.bank.post(path, &enrolled("4242424242424242")).await;
        assert!(visa.json["threeDSMethodURL"].is_string(), "{}", visa.text);
        let stranger = world
            .stranger
            .post(path, &enrolled("4242424242424242"))
            .await;
        assert_eq!(stranger.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_ends_once_and_the_server_is_told() {
    for world in worlds().await {
        let (server, url) = Server::start().await;
        for (i, (button, status, cancel)) in [
            ("pass", "Y", json!(null)),
            ("fail", "N", json!(null)),
            ("cancel", "N", json!("01")),
        ]
        .into_iter()
        .enumerate()
        {
            let transaction = 2000 + u32::try_from(i).expect("small");
            let ares = authenticate(&world, "4000002760003184", transaction, &url).await;
            let way_back = press(&world, &ares, button).await;
            assert!(way_back.contains("name=cres") && way_back.contains("c2Vzc2lvbg"));
            assert!(!way_back.contains("authenticationValue"));
            // A second press changes nothing and is not told again.
            press_again(&world, &ares).await;
            let told = server.told();
            assert_eq!(told.len(), i + 1);
            let rreq = told.last().expect("told");
            assert_eq!(
                (&rreq["transStatus"], &rreq["challengeCancel"]),
                (&json!(status), &cancel)
            );
            assert_eq!(rreq["authenticationValue"].is_string(), status == "Y");
            assert_eq!(rreq["threeDSServerTransID"], ares["threeDSServerTransID"]);
        }
    }
}

async fn press_again(world: &World, ares: &Value) {
    let page = format!(
        "/3ds/challenge/{}",
        ares["acsTransID"].as_str().expect("an id")
    );
    let kind = "application/x-www-form-urlencoded";
    let again = world.stranger.post_text(&page, kind, "answer=pass").await;
    assert!(again.text.contains("name=cres"), "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authentication_is_good_for_one_payment_of_its_own_card() {
    for world in worlds().await {
        let (server, url) = Server::start().await;
        let number = "4000002760003184";
        assert_eq!(code(&world, &sale("ref_a", number)).await, "1A");
        assert_eq!(
            code(&world, &sale("ref_mc", "5555550000003022")).await,
            "65"
        );

        let ares = authenticate(&world, number, 3000, &url).await;
        press(&world, &ares, "pass").await;
        let result = server.told().remove(0);
        let mut altered = result.clone();
        altered["authenticationValue"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert_eq!(
            code(&world, &with(sale("ref_b", number), &altered)).await,
            "63"
        );
        let mut altered = result.clone();
        altered["eci"] = json!("06");
        assert_eq!(
            code(&world, &with(sale("ref_c", number), &altered)).await,
            "63"
        );
        let other = with(sale("ref_d", "4000000000003220"), &result);
        assert_eq!(code(&world, &other).await, "63");
        let mut more = with(sale("ref_e", number), &result);
        more["amount"] = json!(2001);
        assert_eq!(code(&world, &more).await, "63");

        let paid = with(sale("ref_f", number), &result);
        assert_eq!(code(&world, &paid).await, "00");
        // The same payment again is the same payment; another one is a replay.
        assert_eq!(code(&world, &paid).await, "00");
        assert_eq!(
            code(&world, &with(sale("ref_g", number), &result)).await,
            "63"
        );
        let attempted = authenticate(&world, "4000000000003022", 3001, &url).await;
        let declines = "4000008400001629";
        assert_eq!(code(&world, &sale("ref_i", declines)).await, "1A");
        let ares = authenticate(&world, declines, 3002, &url).await;
        press(&world, &ares, "pass").await;
        let result = server.told().pop().expect("told");
        assert_eq!(
            code(&world, &with(sale("ref_j", declines), &result)).await,
            "05"
        );
        let paid = with(sale("ref_h", "4000000000003022"), &attempted);
        assert_eq!(code(&world, &paid).await, "00");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_was_set_up_may_be_charged_by_the_merchant() {
    for world in worlds().await {
        let (server, url) = Server::start().await;
        let number = "4000002500003155";
        let by_merchant = |reference: &str, number: &str| {
            let mut payment = sale(reference, number);
            payment["credential_on_file"] = json!({
                "initiator": "merchant", "credential": "stored", "network_transaction_id": "123456789012345",
            });
            payment
        };
        assert_eq!(code(&world, &by_merchant("ref_1", number)).await, "1A");
        let ares = authenticate(&world, number, 4000, &url).await;
        press(&world, &ares, "pass").await;
        let result = server.told().remove(0);
        assert_eq!(code(&world, &by_merchant("ref_2", number)).await, "1A");
        assert_eq!(
            code(&world, &with(sale("ref_3", number), &result)).await,
            "00"
        );
        assert_eq!(code(&world, &by_merchant("ref_4", number)).await, "00");
        assert_eq!(code(&world, &sale("ref_5", number)).await, "1A");
        assert_eq!(
            code(&world, &by_merchant("ref_6", "4000002760003184")).await,
            "1A"
        );
        assert_eq!(
            code(&world, &by_merchant("ref_7", "4000003800000446")).await,
            "00"
        );
        assert_eq!(code(&world, &sale("ref_8", "4000003800000446")).await, "1A");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_nobody_answers_ends_by_itself() {
    for world in worlds().await {
        let (server, url) = Server::start().await;
        let ares = authenticate(&world, "4000000000003089", 5000, &url).await;
        let creq = json!({
            "messageType": "CReq", "messageVersion": "2.2.0",
            "threeDSServerTransID": ares["threeDSServerTransID"], "acsTransID": ares["acsTransID"],
        });
        let form = format!("creq={}", URL_SAFE_NO_PAD.encode(creq.to_string()));
        let kind = "application/x-www-form-urlencoded";
        world
            .stranger
            .post_text("/3ds/challenge", kind, &form)
            .await;
        while server.told().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let rreq = server.told().remove(0);
        assert_eq!(
            (&rreq["transStatus"], &rreq["challengeCancel"]),
            (&json!("N"), &json!("04"))
        );
    }
}

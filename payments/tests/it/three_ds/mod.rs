//! 3-D Secure from the merchant's and the buyer's side: who is asked, what decides, what the acquirer is told, and
//! what is left when nobody answers or the program dies.

mod asked;
mod framing;
mod results;
mod setup;

use axum::http::Method;
use serde_json::{Value, json};

use crate::bank::Card;
use crate::issuer::{ACS_TRANSACTION, Asked, DS_TRANSACTION};
use crate::world::{Answer, RESULTS_KEY, World};

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

const JSON: (&str, &str) = ("content-type", "application/json");
const HEADERS: [(&str, &str); 3] = [JSON, ("accept", "*/*"), ("user-agent", "Mozilla/5.0")];

fn browser() -> String {
    json!({
        "threeDSCompInd": "Y", "browserJavaEnabled": false, "browserLanguage": "en-GB", "browserColorDepth": 24,
        "browserScreenHeight": 844, "browserScreenWidth": 390, "browserTZ": -60,
    })
    .to_string()
}

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

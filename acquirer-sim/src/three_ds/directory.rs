//! The directory server: which cards take part, and the AReq that it passes to the issuer's access control server.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use card::Month;
use pan::Pan;
use serde::Deserialize;
use serde_json::{Value, json};

use super::areq::{AReq, CardElement, Erro, VERSIONS};
use super::cards::{self, Answer};
use super::records::{self, Authentication};
use super::{random, uuid};
use crate::Bank;
use crate::dialects::Problem;

const REFERENCE: &str = "CARDSEAL_SIM_DS_0001";

#[derive(Deserialize)]
struct Versioning {
    #[serde(rename = "acctNumber")]
    number: CardElement,
}

/// `POST /3ds/v1/versioning {acctNumber}`: what the directory server's ranges say of a card, as 3DS Servers keep it
/// from a PRes: the versions, and where the issuer's 3DS Method is.
pub(crate) async fn versioning(
    State(bank): State<Bank>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let servers = bank.three_ds_servers()?;
    let asked: Versioning = serde_json::from_slice(&body).map_err(|_| Problem::WRONG_SHAPE)?;
    let number = Pan::parse(&asked.number.0).map_err(|_| Problem::field("acctNumber"))?;
    let (_, answer) = cards::of(&number);
    if answer == Answer::NotEnrolled {
        return Ok(Json(json!({ "enrolled": false })));
    }
    Ok(Json(json!({
        "enrolled": true,
        "acsStartProtocolVersion": VERSIONS[0],
        "acsEndProtocolVersion": VERSIONS[1],
        "threeDSMethodURL": servers.url("/method"),
    })))
}

/// `POST /3ds/v1/authenticate`: AReq in, ARes (or Erro) out, always 200, as EMV has it.
pub(crate) async fn authenticate(
    State(bank): State<Bank>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let servers = bank.three_ds_servers()?;
    let now = bank.0.clock.now_ms();
    let areq = match AReq::parse(&body, Month::of_unix(bank.0.clock.now())) {
        Ok(areq) => areq,
        Err(erro) => return Ok(Json(erro.message("AReq"))),
    };
    let (_, answer) = cards::of(&areq.number);
    if let Some(erro) = refusal(answer) {
        return Ok(Json(erro.message("AReq")));
    }
    let authentication = judged(&areq, answer, bank.0.card_key.hash(&areq.number), now);
    let mut ares = message(&authentication);
    if authentication.is_open() {
        ares["acsURL"] = servers.url("/challenge").into();
        ares["acsChallengeMandated"] = "Y".into();
        ares["authenticationType"] = "02".into();
    }
    if authentication.status == "R" {
        ares["cardholderInfo"] = "Call the number on the back of your card.".into();
    }
    bank.0.metrics.count(
        "acquirer_authentications_total",
        &[("status", &authentication.status)],
    );
    let write = move |tx: &mut store::Tx<'_>| authentication.insert(tx);
    if bank.0.store.write(write).await? {
        return Ok(Json(ares));
    }
    let description = "Transaction ID received is not valid for the receiving component.";
    let erro = Erro::new("301", description, "threeDSServerTransID");
    Ok(Json(erro.message("AReq")))
}

fn refusal(answer: Answer) -> Option<Erro> {
    match answer {
        Answer::NotEnrolled => Some(Erro::new(
            "305",
            "Cardholder Account Number is not in a range belonging to Issuer.",
            "acctNumber",
        )),
        Answer::Error => Some(Erro::new(
            "403",
            "Transient System Failure.",
            "the access control server does not answer",
        )),
        _ => None,
    }
}

fn judged(areq: &AReq, answer: Answer, card_hmac: [u8; 32], now: i64) -> Authentication {
    // EMV: 04 is a mandate; the issuer follows it for whoever it can ask.
    let mandated = areq.text("threeDSRequestorChallengeInd") == "04";
    let (status, reason) = match answer {
        Answer::Frictionless | Answer::Attempted if mandated => ("C", None),
        Answer::Frictionless => ("Y", None),
        Answer::Attempted => ("A", None),
        Answer::NotAuthenticated => ("N", Some("01")),
        Answer::Rejected => ("R", Some("11")),
        Answer::Challenge | Answer::ChallengeFor(_) => ("C", None),
        Answer::Unavailable | Answer::Error | Answer::NotEnrolled => ("U", Some("22")),
    };
    let brand = areq.brand().facts().id;
    Authentication {
        acs_trans_id: uuid(),
        ds_trans_id: uuid(),
        server_trans_id: areq.text("threeDSServerTransID").to_owned(),
        card_hmac,
        brand: brand.to_owned(),
        last4: areq.number.last4().to_owned(),
        message_version: areq.text("messageVersion").to_owned(),
        category: areq.text("messageCategory").to_owned(),
        merchant_name: areq.text("merchantName").to_owned(),
        amount: areq.number_of("purchaseAmount"),
        currency: areq.text("purchaseCurrency").to_owned(),
        exponent: areq.number_of("purchaseExponent"),
        results_url: areq.text("threeDSServerURL").to_owned(),
        notification_url: areq.text("notificationURL").to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        cancel: None,
        challenged: status == "C",
        gives_up_after: match answer {
            Answer::ChallengeFor(seconds) => Some(seconds),
            _ => None,
        },
        session_data: None,
        eci: (status != "C").then(|| cards::eci(brand, status).to_owned()),
        cavv: matches!(status, "Y" | "A").then(new_cavv),
        acknowledged: false,
        created_at: now,
    }
}

/// A fresh authentication value: 20 bytes, as EMV has it.
pub(crate) fn new_cavv() -> String {
    STANDARD.encode(random::<20>())
}

// The ARes, less what a challenge adds.
fn message(authentication: &Authentication) -> Value {
    let mut ares = json!({
        "messageType": "ARes",
        "messageVersion": authentication.message_version,
        "threeDSServerTransID": authentication.server_trans_id,
        "acsTransID": authentication.acs_trans_id,
        "dsTransID": authentication.ds_trans_id,
        "acsReferenceNumber": "CARDSEAL_SIM_ACS_0001",
        "acsOperatorID": "CARDSEAL_SIM",
        "dsReferenceNumber": REFERENCE,
        "transStatus": authentication.status,
    });
    for (name, value) in [
        ("transStatusReason", &authentication.reason),
        ("eci", &authentication.eci),
        ("authenticationValue", &authentication.cavv),
    ] {
        if let Some(value) = value {
            ares[name] = value.as_str().into();
        }
    }
    ares
}

/// The authentication with this ACS transaction id.
pub(crate) async fn find(bank: &Bank, id: &str) -> Result<Option<Authentication>, Problem> {
    let id = id.to_owned();
    let read = move |tx: &mut store::Tx<'_>| records::find(tx, &id);
    Ok(bank.0.store.read(read).await?)
}

//! The table of codes: each is answered somewhere in these tests, and those that a card brings at both doors.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use harness::shows_a_card;
use serde_json::{Value, json};
use vault_api::Code;

use crate::vault::on_each_store;

/// A code that nothing answers is a promise, and one that no test has seen a guess.
#[test]
fn every_code_is_seen_by_a_test() {
    let (mut all, mut paths) = (String::new(), vec![]);
    paths.push(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let inside = std::fs::read_dir(path).unwrap();
            paths.extend(inside.map(|file| file.unwrap().path()));
        } else {
            all.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let unseen = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !all.contains(&format!("\"{code}\"")));
    assert_eq!(unseen.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_card_is_told_the_same_at_both_doors() {
    on_each_store(|vault| async move {
        let good = json!({"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123",
            "name": "Ada", "postal_code": "SW1A 1AA", "country": "GB", "network": "visa"});
        let session = vault.session().await;
        for (field, wrong, code) in [
            ("number", json!("4242424242424241"), "invalid_number"),
            ("number", json!("4111111111111111"), "live_card_in_test_mode"),
            ("exp_month", json!(0), "invalid_expiry"),
            ("exp_month", json!(13), "invalid_expiry"),
            ("exp_year", json!(40), "invalid_expiry"),
            ("exp_year", json!(2020), "expired_card"),
            ("cvc", json!("1234"), "invalid_cvc"),
            ("cvc", json!(""), "invalid_cvc"),
            ("name", json!(" "), "invalid_name"),
            ("name", json!("4242 4242 4242 4242"), "invalid_name"),
            ("name", json!("x".repeat(101)), "invalid_name"),
            ("postal_code", json!(""), "invalid_postal_code"),
            ("postal_code", json!("4242424242424242"), "invalid_postal_code"),
            ("postal_code", json!("<b>"), "invalid_postal_code"),
            ("country", json!("gb"), "invalid_country"),
            ("country", json!("GBR"), "invalid_country"),
            ("network", json!("mastercard"), "invalid_network"),
            ("network", json!("unknown"), "invalid_network"),
            ("network", json!(""), "invalid_network"),
        ] {
            let mut card = good.clone();
            card[field] = wrong.clone();
            let sealed = vault.tokenise(&session, &vault.seal(&session, &card)).await;
            let plain = vault.alice().post("/v1/tokens", &json!({ "card": card })).await;
            for answer in [sealed, plain] {
                assert_eq!(
                    (answer.status, answer.json["code"].as_str()),
                    (402, Some(code)),
                    "{field} {wrong}"
                );
                let id = answer.json["request_id"].as_str().unwrap();
                assert!(!shows_a_card(&answer.text.replace(id, "")));
            }
        }
        // Wrong in form, not in sense.
        for (field, wrong) in [
            ("number", json!(4_242_424_242_424_242_u64)),
            ("exp_month", json!("12")),
            ("exp_year", json!(1.5)),
            ("cvc", json!(123)),
            ("name", json!(["Ada"])),
            ("country", json!({})),
            ("extra", json!(1)),
        ] {
            let mut card: Value = good.clone();
            card[field] = wrong;
            let sealed = vault.tokenise(&session, &vault.seal(&session, &card)).await;
            let plain = vault.alice().post("/v1/tokens", &json!({ "card": card })).await;
            for answer in [sealed, plain] {
                assert_eq!(
                    (answer.status, answer.json["code"].as_str()),
                    (400, Some("invalid_request")),
                    "{field}"
                );
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_is_told_so() {
    on_each_store(|vault| async move {
        let address = vault.private_address.clone();
        let key = vault.merchants[0].restricted.expose().to_owned();
        let told = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            let head = format!(
                "POST /v1/tokens HTTP/1.1\r\nhost: vault\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"card\":"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let told = told.await.unwrap();
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        assert!(told.contains(r#""request_timeout""#), "{told}");
    })
    .await;
}

//! Stored cards: what a card brings is kept, shown as far as a key may see it, changed, and sent where an operation says.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::routing::post;
use harness::database;
use serde_json::{Value, json};
use token_vault::Error;
use token_vault::records::{self, keys::Limits};
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::vault::{Vault, on_each_store, payment};

const VISA: &str = "4242424242424242";

/// A card with everything that a buyer may give.
fn card(number: &str) -> Value {
    json!({"number": number, "exp_month": 3, "exp_year": 2031, "cvc": "123",
        "name": "Ada Lovelace", "postal_code": "SW1A 1AA", "country": "GB", "network": "visa"})
}

async fn stored(vault: &Vault, card: &Value) -> Value {
    let token = vault
        .alice()
        .post("/v1/tokens", &json!({ "card": card }))
        .await;
    assert_eq!(token.status, 200, "{}", token.text);
    let body = json!({"source": token.json["id"], "for": "storage"});
    let stored = vault.exchange(&body, "store").await;
    assert_eq!(stored.status, 200, "{}", stored.text);
    stored.json["stored_card"].clone()
}

async fn key(vault: &Vault, scopes: &[&str]) -> ApiKey {
    let key = ApiKey::random(Kind::Restricted, Mode::Test);
    let (made, merchant) = (key.clone(), vault.merchants[0].id.clone());
    let scopes = scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (now, parts) = (vault.app.clock.now(), vault.app.clone());
    vault
        .app
        .store
        .write(move |tx| {
            let limits = Limits {
                scopes: scopes.clone(),
                ..Limits::default()
            };
            let id = vault_api::ids::new_id("key");
            records::keys::create_key(
                tx,
                parts.root.macs(),
                &id,
                &made,
                Some(&merchant),
                &limits,
                now,
            )
        })
        .await
        .unwrap();
    key
}

async fn audited(vault: &Vault, object: &str) -> Vec<(String, String)> {
    let object = object.to_owned();
    vault
        .app
        .store
        .read(move |tx| {
            let sql = "select kind, outcome from audit_events where object = $1 order by at, id";
            let rows = tx.all(sql, store::params![&object])?;
            rows.iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?)))
                .collect::<Result<Vec<_>, Error>>()
        })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_listed_a_page_at_a_time() {
    on_each_store(|vault| async move {
        let mut made = vec![];
        for year in 2031..2036 {
            let mut card = card(VISA);
            card["exp_year"] = year.into();
            made.push(stored(&vault, &card).await["id"].clone());
        }
        let (mut seen, mut after) = (vec![], String::new());
        loop {
            let page = vault
                .alice()
                .get(&format!("/v1/cards?limit=2{after}"))
                .await;
            assert_eq!(page.status, 200, "{}", page.text);
            let data = page.json["data"].as_array().unwrap().clone();
            seen.extend(data.iter().map(|card| card["id"].clone()));
            if page.json["has_more"] == false {
                break;
            }
            assert_eq!(data.len(), 2);
            after = format!("&starting_after={}", data[1]["id"].as_str().unwrap());
        }
        assert_eq!(seen.len(), 5);
        assert!(made.iter().all(|id| seen.contains(id)), "each once");
        for bad in ["limit=0", "limit=101", "limit=x"] {
            let answer = vault.alice().get(&format!("/v1/cards?{bad}")).await;
            assert_eq!(
                (answer.status, &answer.json["code"]),
                (400, &json!("invalid_request"))
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expiry_and_the_network_change_and_the_number_stays() {
    on_each_store(|vault| async move {
        let id = stored(&vault, &card(VISA)).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!("/v1/cards/{id}");
        let read = vault.alice().get(&path).await.json;
        let visa = json!({"available": ["visa"], "preferred": "visa"});
        assert_eq!(read["card"]["networks"], visa);

        let changed = vault
            .alice()
            .post(&path, &json!({"exp_month": 11, "exp_year": 2033}))
            .await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!(changed.json["card"]["exp_month"], 11);
        assert_eq!(vault.alice().get(&path).await.json, changed.json);
        // One of the two leaves the other.
        let month = vault
            .alice()
            .post(&path, &json!({"exp_month": 1}))
            .await
            .json;
        assert_eq!(
            (&month["card"]["exp_month"], &month["card"]["exp_year"]),
            (&json!(1), &json!(2033))
        );
        // The choice is taken back, and made again.
        for (preferred, kept) in [("", Value::Null), ("visa", json!("visa"))] {
            let body = json!({"networks": {"preferred": preferred}});
            let answer = vault.alice().post(&path, &body).await;
            assert_eq!(
                answer.json["card"]["networks"]["preferred"], kept,
                "{}",
                answer.text
            );
        }
        for (body, status, code) in [
            (json!({}), 400, "invalid_request"),
            (json!({"exp_month": 13}), 402, "invalid_expiry"),
            (json!({"exp_year": 2020}), 402, "expired_card"),
            (json!({"exp_year": 2199}), 402, "invalid_expiry"),
            (
                json!({"networks": {"preferred": "mastercard"}}),
                402,
                "invalid_network",
            ),
            (json!({"number": VISA}), 400, "invalid_request"),
        ] {
            let answer = vault.alice().post(&path, &body).await;
            assert_eq!(
                (answer.status, &answer.json["code"]),
                (status, &json!(code)),
                "{body}"
            );
        }
        assert_eq!(
            vault.alice().get(&path).await.json["card"]["exp_year"],
            2033
        );
        let events = audited(&vault, &id).await;
        let updates = events.iter().filter(|(kind, _)| kind == "card.updated");
        assert_eq!(updates.count(), 4, "{events:?}");

        // Still the same card, and it pays with the new expiry.
        let paid = vault.exchange(&payment(&id, 100), "pay").await;
        assert_eq!(
            (paid.status, &paid.json["card"]["exp_year"]),
            (200, &json!(2033))
        );
        // The service key of payments may read cards, not change or delete them.
        let service = vault.private.bearer(vault.service_key.expose());
        let service = service.with("cardseal-merchant", &vault.merchants[0].id);
        assert_eq!(service.get(&path).await.status, 200);
        assert_eq!(
            service.post(&path, &json!({"exp_month": 2})).await.status,
            403
        );
        assert_eq!(service.delete(&path).await.status, 403);
        assert_eq!(vault.alice().delete(&path).await.status, 200);
        let gone = vault.alice().post(&path, &json!({"exp_month": 2})).await;
        assert_eq!(
            (gone.status, &gone.json["code"]),
            (404, &json!("not_found"))
        );
    })
    .await;
}

/// Visa and Cartes Bancaires.
const CO_BADGED: &str = "4000002500001001";

#[tokio::test(flavor = "multi_thread")]
async fn a_co_badged_card_keeps_the_buyers_choice() {
    on_each_store(|vault| async move {
        let networks = |preferred: Value| json!({"available": ["visa", "cartes_bancaires"], "preferred": preferred});
        let mut unchosen = card(CO_BADGED);
        unchosen.as_object_mut().unwrap().remove("network");
        let mut chosen = card(CO_BADGED);
        chosen["network"] = "cartes_bancaires".into();
        // Through the frame's door, too, and the session sees it.
        let session = vault.session().await;
        for (card, preferred) in [(&unchosen, Value::Null), (&chosen, json!("cartes_bancaires"))] {
            let token = vault.tokenise(&session, &vault.seal(&session, card)).await;
            assert_eq!(token.json["card"]["networks"], networks(preferred.clone()), "{}", token.text);
            let looked = vault.alice().post("/v1/tokens/lookup", &json!({"token": token.json["id"]})).await;
            assert_eq!(looked.json["card"], token.json["card"]);
            let kept = stored(&vault, card).await;
            assert_eq!(kept["card"]["networks"], networks(preferred));
        }
        let mut other = chosen.clone();
        other["network"] = "mastercard".into();
        let refused = vault.tokenise(&session, &vault.seal(&session, &other)).await;
        assert_eq!((refused.status, &refused.json["code"]), (402, &json!("invalid_network")));
        // The choice changes at the buyer's word, and a grant of the card has the new one.
        let id = stored(&vault, &chosen).await["id"].as_str().unwrap().to_owned();
        let body = json!({"networks": {"preferred": "visa"}});
        let changed = vault.alice().post(&format!("/v1/cards/{id}"), &body).await;
        assert_eq!(changed.json["card"]["networks"], networks(json!("visa")), "{}", changed.text);
        let paid = vault.exchange(&payment(&id, 100), "pay").await;
        assert_eq!(paid.json["card"]["networks"], networks(json!("visa")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bin_is_for_its_scope_and_never_beside_the_fingerprint() {
    on_each_store(|vault| async move {
        let stored_card = stored(&vault, &card(VISA)).await;
        let id = stored_card["id"].as_str().unwrap().to_owned();
        assert!(stored_card.get("bin").is_none());
        let path = format!("/v1/cards/{id}");
        let with = |key: ApiKey| vault.private.bearer(key.expose());
        let none = with(key(&vault, &["cards:read"]).await).get(&path).await;
        assert_eq!((none.status, none.json.get("bin")), (200, None));
        let reader = with(key(&vault, &["cards:read", "cards:bin"]).await);
        let bin = reader.get(&path).await;
        assert_eq!((bin.status, &bin.json["bin"]), (200, &json!("42424242")));
        // The command line makes no such key; one that is there all the same sees one of the two.
        let both = ["cards:read", "cards:bin", "fingerprint", "exchange"];
        let both = with(key(&vault, &both).await);
        let neither = both.get(&path).await;
        assert_eq!((neither.status, neither.json.get("bin")), (200, None));
        let both = both.with("idempotency-key", "k");
        let paid = both.post("/v1/exchange", &payment(&id, 100)).await;
        assert!(
            paid.json["fingerprint"]
                .as_str()
                .unwrap()
                .starts_with("fp1_")
        );
        assert!(!paid.text.contains("424242"), "{}", paid.text);
        let events = audited(&vault, &id).await;
        let told = events
            .iter()
            .filter(|(_, outcome)| outcome == "read with bin");
        assert_eq!(told.count(), 1, "{events:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_address_and_network_reach_the_acquirer_where_they_are_registered() {
    for database in database::fresh() {
        let seen = Arc::new(Mutex::new(vec![]));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::clone(&seen);
        let pay = move |Json(body): Json<Value>| {
            kept.lock().unwrap().push(body);
            async { Json(json!({"id": "a_1", "status": "captured"})) }
        };
        let routes = axum::Router::new().route("/pay", post(pay));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let vault = Vault::start(database, Some(&bank(address))).await;
        let id = stored(&vault, &card(VISA)).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut bare = card(VISA);
        for field in ["name", "postal_code", "country", "network"] {
            bare.as_object_mut().unwrap().remove(field);
        }
        let bare = stored(&vault, &bare).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        for (n, id) in [&id, &bare].into_iter().enumerate() {
            let paid = vault.exchange(&payment(id, 100), &format!("pay{n}")).await;
            let mut body = json!({
                "attempt": format!("att_{n}"), "grant": paid.json["grant"]["id"], "destination": "bank",
                "operation": "authorise", "amount": 100, "currency": "usd", "reference": "r",
                "body": {"number": "{{card.number}}", "name": "{{card.name}}", "zip": "{{card.postal_code}}",
                    "country": "{{card.country}}", "scheme": "{{card.network}}"}});
            body["dry_run"] = true.into();
            let shown = vault.alice().post("/v1/forward", &body).await;
            assert_eq!(shown.status, 200, "{}", shown.text);
            for secret in ["SW1A", "Ada", VISA] {
                assert!(!shown.text.contains(secret), "{}", shown.text);
            }
            body["dry_run"] = false.into();
            let sent = vault.alice().post("/v1/forward", &body).await;
            assert_eq!(
                (sent.status, &sent.json["bytes_sent"]),
                (200, &json!("all")),
                "{}",
                sent.text
            );
        }
        let seen = seen.lock().unwrap().clone();
        let of = |body: &Value| json!([body["name"], body["zip"], body["country"], body["scheme"]]);
        assert_eq!(
            of(&seen[0]),
            json!(["Ada Lovelace", "SW1A 1AA", "GB", "visa"])
        );
        assert_eq!(of(&seen[1]), json!([null, null, null, null]));
        // At rest none of it can be read.
        for table in ["stored_cards", "grants", "tokens"] {
            let rows = rows(&vault, table).await;
            assert!(!rows.is_empty());
            let all = rows.concat();
            for secret in [&b"SW1A"[..], b"Ada Love", VISA.as_bytes()] {
                assert!(!all.windows(secret.len()).any(|w| w == secret), "{table}");
            }
        }
    }
}

// Every value of a table, as bytes.
async fn rows(vault: &Vault, table: &'static str) -> Vec<Vec<u8>> {
    let sql = format!(
        "select id, sealed_name, sealed_address, sealed_number, wrapped_key, networks, network from {table}"
    );
    let read = vault.app.store.read(move |tx| {
        let mut all = vec![];
        for row in tx.all(&sql, &[])? {
            for at in 0..7 {
                all.push(match row.get::<store::Value>(at)? {
                    store::Value::Blob(bytes) => bytes,
                    store::Value::Text(text) => text.into_bytes(),
                    _ => vec![],
                });
            }
        }
        Ok::<_, store::Error>(all)
    });
    read.await.unwrap()
}

fn bank(address: std::net::SocketAddr) -> String {
    format!(
        r#"
        [[destination]]
        name = "bank"
        base_url = "http://{address}"
        local = true
        merchants = ["*"]
        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "/pay"
        placeholders = {{ "card.number" = "/number", "card.name" = "/name", "card.postal_code" = "/zip", "card.country" = "/country", "card.network" = "/scheme" }}
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/id", "/status"]
        approved = {{ pointer = "/status", values = ["captured"] }}
        "#
    )
}

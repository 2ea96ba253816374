//! Every endpoint against every kind of bad input, every kind of key, and another merchant's ids. The endpoints come from
//! the OpenAPI descriptions, so a new one without a sample here fails.

use std::sync::Arc;

use harness::database;
use harness::http::{Answer, Http, shows_a_card};
use serde_json::{Value, json};
use token_vault::Error;
use token_vault::records::{self, keys::Limits};
use vault_api::Token;
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::vault::{Vault, on_each_store, payment};

const CANARY: &str = "4242424242424242";

async fn each_vault() -> Vec<Arc<Vault>> {
    let mut all = vec![];
    for database in database::fresh() {
        let bank = crate::forwarding::destinations("127.0.0.1:9".parse().unwrap());
        all.push(Arc::new(Vault::start(database, Some(&bank)).await));
    }
    all
}

/// A body that is right in form, for each endpoint that takes one.
async fn samples(vault: &Vault) -> Vec<(&'static str, &'static str, Value)> {
    let token = vault.token(CANARY).await;
    let merchant = &vault.merchants[0];
    let session = vault.session().await;
    let card = json!({"number": CANARY, "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "A B",
        "postal_code": "12345", "country": "US", "network": "visa"});
    let grant = format!("grant_{}", &Token::random().expose()[4..]);
    let forward = json!({"attempt": "att_1", "grant": grant, "destination": "bank", "operation": "authorise",
        "amount": 1, "currency": "usd", "reference": "ref_1", "body": {"card": {"number": "{{card.number}}"}}});
    let mut exchange = payment(&token, 1);
    exchange["store"] = "now".into();
    exchange["cvc_token"] = token.clone().into();
    vec![
        (
            "public",
            "/v1/field-sessions",
            json!({"key": merchant.publishable.expose(), "session": session["session"]}),
        ),
        ("public", "/v1/tokens", vault.seal(&session, &card)),
        ("private", "/v1/tokens", json!({ "card": card })),
        ("private", "/v1/tokens/lookup", json!({ "token": token })),
        ("private", "/v1/tokens/revoke", json!({ "token": token })),
        ("private", "/v1/exchange", exchange),
        ("private", "/v1/forward", forward),
        ("private", "/v1/attempts/close", json!({"attempt": "att_1"})),
        (
            "private",
            "/v1/cards/{id}",
            json!({"exp_month": 12, "exp_year": 2041, "networks": {"preferred": "visa"}}),
        ),
        (
            "private",
            "/v1/sessions",
            json!({"key": merchant.publishable.expose(), "intent": "pi_1", "amount": 1, "currency": "usd"}),
        ),
        (
            "private",
            "/v1/keys/lookup",
            json!({"sha256": merchant.secret.sha256_hex()}),
        ),
    ]
}

/// A caller that may use the endpoint.
async fn caller(vault: &Vault, listener: &str, path: &str) -> Http {
    let session = vault.session().await["session"]
        .as_str()
        .unwrap()
        .to_owned();
    match (listener, path) {
        ("public", _) => vault.public.bearer(&session),
        (_, "/v1/sessions") => vault.private.bearer(vault.merchants[0].secret.expose()),
        (_, "/v1/keys/lookup") => vault.private.bearer(vault.service_key.expose()),
        _ => vault.alice().with("idempotency-key", "k"),
    }
}

/// Follows a reference of a description, and looks through `anyOf` with null.
fn resolve<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(target) = schema["$ref"].as_str() {
        return resolve(description, description.pointer(&target[1..]).unwrap());
    }
    match schema["anyOf"].as_array() {
        Some(any) => resolve(
            description,
            any.iter().find(|s| s["type"] != "null").unwrap(),
        ),
        None => schema,
    }
}

/// What is wrong, the body that has it, and the code it must get.
fn spoiled(
    description: &Value,
    schema: &Value,
    body: &Value,
    at: &str,
) -> Vec<(String, Value, &'static str)> {
    let schema = resolve(description, schema);
    let mut all = vec![];
    let Some(properties) = schema["properties"].as_object() else {
        return all;
    };
    let mut extra = body.clone();
    extra["extra_field"] = 1.into();
    all.push((format!("{at}: extra"), extra, "invalid_request"));
    for (name, property) in properties {
        let resolved = resolve(description, property);
        if resolved["type"].is_null() {
            continue; // any JSON may stand there
        }
        let mut wrong = body.clone();
        wrong[name] = json!([[1]]);
        all.push((format!("{at}/{name}: wrong type"), wrong, "invalid_request"));
        if schema["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|n| n == name))
        {
            let mut missing = body.clone();
            missing.as_object_mut().unwrap().remove(name);
            all.push((format!("{at}/{name}: missing"), missing, "invalid_request"));
            let mut null = body.clone();
            null[name] = Value::Null;
            all.push((format!("{at}/{name}: null"), null, "invalid_request"));
        }
        for (what, inner, code) in
            spoiled(description, property, &body[name], &format!("{at}/{name}"))
        {
            let mut whole = body.clone();
            whole[name] = inner;
            all.push((what, whole, code));
        }
    }
    all
}

// An answer but for the request's id, whose random digits may be those of a card.
fn said(answer: &Answer) -> String {
    let id = answer.json["request_id"].as_str().unwrap_or("-");
    answer.text.replace(id, "")
}

fn expect(what: &str, description: &Value, path: &str, answer: &Answer, code: &str) {
    assert_eq!(
        answer.json["code"], code,
        "{what}: {} {}",
        answer.status, answer.text
    );
    assert!(!shows_a_card(&said(answer)), "{what}: {}", answer.text);
    let documented = &description["paths"][path]["post"]["responses"][answer.status.to_string()];
    let documented = documented["description"].as_str().unwrap_or_default();
    assert!(
        documented.contains(&format!("`{code}`:")),
        "{what}: {code} is not described for {path}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_endpoint_spoiled_in_every_way() {
    for vault in each_vault().await {
        let samples = samples(&vault).await;
        for (listener, http) in [("public", &vault.public), ("private", &vault.private)] {
            let description = http.get("/openapi.json").await.json;
            for (path, methods) in description["paths"].as_object().unwrap() {
                let Some(operation) = methods.get("post") else {
                    continue;
                };
                let sample = samples.iter().find(|(l, p, _)| *l == listener && p == path);
                let (_, path, body) =
                    sample.unwrap_or_else(|| panic!("no sample for {listener} {path}"));
                let caller = caller(&vault, listener, path).await;
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let spoiled = spoiled(&description, schema, body, path);
                assert!(spoiled.len() > 1, "{path}");
                for (what, body, code) in spoiled {
                    expect(
                        &what,
                        &description,
                        path,
                        &caller.post(path, &body).await,
                        code,
                    );
                }
                let large = format!("{{\"a\":\"{}\"}}", "4".repeat(100_000));
                for (kind, text, code) in [
                    ("application/json", "", "malformed_json"),
                    ("application/json", "{", "malformed_json"),
                    ("application/json", "[]", "invalid_request"),
                    (
                        "application/json",
                        "\"4242424242424242\"",
                        "invalid_request",
                    ),
                    ("application/json", &large, "payload_too_large"),
                    ("text/plain", "{}", "unsupported_media_type"),
                    (
                        "application/x-www-form-urlencoded",
                        "a=b",
                        "unsupported_media_type",
                    ),
                ] {
                    let answer = caller.post_text(path, kind, text).await;
                    expect(
                        &format!("{path} {kind} {text:.20}"),
                        &description,
                        path,
                        &answer,
                        code,
                    );
                }
            }
        }
        assert_eq!(
            vault.alice().get("/v1/cards").await.status,
            200,
            "the vault goes on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_is_refused_wherever_it_may_not_stand() {
    for vault in each_vault().await {
        let refused = |what: &str, answer: Answer| {
            assert_eq!(
                answer.json["code"], "card_number_in_wrong_place",
                "{what}: {}",
                answer.text
            );
            assert!(!shows_a_card(&said(&answer)), "{what}");
        };
        for (listener, http) in [
            ("public", &vault.public),
            ("private", &vault.private),
            ("admin", &vault.admin),
        ] {
            let description = http.get("/openapi.json").await.json;
            for path in description["paths"].as_object().unwrap().keys() {
                for query in [
                    "a=4242424242424242",
                    "4242-4242-4242-4242=x",
                    "a=4242%204242%204242%204242",
                ] {
                    refused(path, http.get(&format!("{path}?{query}")).await);
                }
                refused(path, http.get(&format!("{path}/{CANARY}")).await);
                refused(path, http.with("x-note", CANARY).get(path).await);
                refused(
                    path,
                    http.with("idempotency-key", "order 4242 4242 4242 4242")
                        .get(path)
                        .await,
                );
                assert!(!listener.is_empty());
            }
        }
        let of = |name: &'static str| {
            let vault = Arc::clone(&vault);
            async move {
                samples(&vault)
                    .await
                    .into_iter()
                    .rev()
                    .find(|(_, path, _)| *path == name)
                    .unwrap()
                    .2
            }
        };
        for (path, field) in [
            ("/v1/exchange", "/intent"),
            ("/v1/sessions", "/intent"),
            ("/v1/forward", "/attempt"),
            ("/v1/attempts/close", "/attempt"),
        ] {
            let mut body = of(path).await;
            *body.pointer_mut(field).unwrap() = CANARY.into();
            refused(
                path,
                caller(&vault, "private", path)
                    .await
                    .post(path, &body)
                    .await,
            );
        }
        for metadata in [
            json!({"order": CANARY}),
            json!({"order": 4_242_424_242_424_242_u64}),
            json!([["4242 4242 4242 4242"]]),
        ] {
            let mut body = of("/v1/forward").await;
            body["body"]["metadata"] = metadata;
            refused("metadata", vault.alice().post("/v1/forward", &body).await);
        }
    }
}

/// What two answers differ in beyond the request id.
fn fingerprint(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut body = answer.json.clone();
    body.as_object_mut()
        .map(|fields| fields.remove("request_id"));
    let headers = answer.headers.iter();
    let headers = headers
        .filter(|(name, _)| !matches!(name.as_str(), "request-id" | "date"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (answer.status, headers.collect(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_merchants_ids_are_as_absent_as_random_ones() {
    for vault in each_vault().await {
        let token = vault.token(CANARY).await;
        let used = vault.token(CANARY).await;
        let grant = vault.grant(&used, 100).await;
        let source = vault.token(CANARY).await;
        let stored = vault
            .exchange(&json!({"source": source, "for": "storage"}), "s")
            .await;
        let card = stored.json["stored_card"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let own = vault
            .mallory()
            .post(
                "/v1/tokens",
                &json!({"card": {"number": CANARY, "exp_month": 12, "exp_year": 2040}}),
            )
            .await;
        let own = vault
            .mallory()
            .with("idempotency-key", "o")
            .post(
                "/v1/exchange",
                &json!({"source": own.json["id"], "for": "storage"}),
            )
            .await;
        let own = own.json["stored_card"]["id"].as_str().unwrap().to_owned();

        let random = Token::random().expose().to_owned();
        let random_grant = format!("grant_{}", &random[4..]);
        let random_card = vault_api::ids::new_id("card");
        let random_key = ApiKey::random(Kind::Publishable, Mode::Test)
            .expose()
            .to_owned();
        let mallory = vault.mallory().with("idempotency-key", "m");
        let forward = |grant: &str| {
            json!({"attempt": vault_api::ids::random_base62(12), "grant": grant, "destination": "bank", "operation": "authorise",
            "amount": 1, "currency": "usd", "reference": "r", "body": {"card": {"number": "{{card.number}}"}}})
        };
        let storage = |source: &str| json!({"source": source, "for": "storage"});
        let with_cvc = |token: &str| {
            let mut body = payment(&own, 1);
            body["cvc_token"] = token.into();
            body
        };
        let mut pairs: Vec<(&str, &str, Value, Value)> = vec![];
        for id in [&token, &used] {
            pairs.push((
                "mallory",
                "/v1/tokens/lookup",
                json!({"token": id}),
                json!({"token": random}),
            ));
            pairs.push((
                "mallory",
                "/v1/tokens/revoke",
                json!({"token": id}),
                json!({"token": random}),
            ));
            pairs.push((
                "mallory",
                "/v1/exchange",
                payment(id, 1),
                payment(&random, 1),
            ));
            pairs.push(("mallory", "/v1/exchange", storage(id), storage(&random)));
            pairs.push(("mallory", "/v1/exchange", with_cvc(id), with_cvc(&random)));
        }
        pairs.push((
            "mallory",
            "/v1/exchange",
            payment(&card, 1),
            payment(&random_card, 1),
        ));
        pairs.push((
            "mallory",
            "/v1/forward",
            forward(&grant),
            forward(&random_grant),
        ));
        let session =
            |key: &str| json!({"key": key, "intent": "pi", "amount": 1, "currency": "usd"});
        pairs.push((
            "secret",
            "/v1/sessions",
            session(vault.merchants[0].publishable.expose()),
            session(&random_key),
        ));
        let unlinked = vault.merchants[1].secret.sha256_hex();
        pairs.push((
            "service",
            "/v1/keys/lookup",
            json!({"sha256": unlinked}),
            json!({"sha256": "00"}),
        ));
        for (who, path, foreign, random) in pairs {
            let caller = match who {
                "mallory" => mallory.clone(),
                "secret" => vault.private.bearer(vault.merchants[1].secret.expose()),
                _ => vault.private.bearer(vault.service_key.expose()),
            };
            let (foreign, random) = (
                caller.post(path, &foreign).await,
                caller.post(path, &random).await,
            );
            assert_eq!(foreign.status, 404, "{path}: {}", foreign.text);
            assert_eq!(fingerprint(&foreign), fingerprint(&random), "{path}");
        }
        let later = json!({"exp_year": 2041});
        for (foreign, random) in [
            (
                mallory.get(&format!("/v1/cards/{card}")).await,
                mallory.get(&format!("/v1/cards/{random_card}")).await,
            ),
            (
                mallory.delete(&format!("/v1/cards/{card}")).await,
                mallory.delete(&format!("/v1/cards/{random_card}")).await,
            ),
            (
                mallory.post(&format!("/v1/cards/{card}"), &later).await,
                mallory
                    .post(&format!("/v1/cards/{random_card}"), &later)
                    .await,
            ),
        ] {
            assert_eq!(foreign.status, 404);
            assert_eq!(fingerprint(&foreign), fingerprint(&random));
        }
        let page = |id: &str| format!("/v1/cards?starting_after={id}");
        let (foreign, random) = (
            mallory.get(&page(&card)).await,
            mallory.get(&page(&random_card)).await,
        );
        assert_eq!(fingerprint(&foreign), fingerprint(&random));
        // Nothing of Alice's was touched.
        assert_eq!(
            vault.alice().get(&format!("/v1/cards/{card}")).await.status,
            200
        );
        assert_eq!(
            vault.exchange(&payment(&token, 1), "alice").await.status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_states_have_their_codes() {
    on_each_store(|vault| async move {
        let alice = vault.alice();
        let (used, revoked, late) = (
            vault.token(CANARY).await,
            vault.token(CANARY).await,
            vault.token(CANARY).await,
        );
        vault.exchange(&payment(&used, 1), "first").await;
        alice
            .post("/v1/tokens/revoke", &json!({"token": revoked}))
            .await;
        for (body, key, status, code) in [
            (payment(&used, 1), "second", 409, "token_already_used"),
            (payment(&used, 2), "first", 422, "idempotency_mismatch"),
            (payment(&revoked, 1), "r", 410, "token_revoked"),
        ] {
            let answer = vault.exchange(&body, key).await;
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                (status, Some(code)),
                "{}",
                answer.text
            );
        }
        let source = vault.token(CANARY).await;
        let stored = vault
            .exchange(&json!({"source": source, "for": "storage"}), "s")
            .await;
        let path = format!(
            "/v1/cards/{}",
            stored.json["stored_card"]["id"].as_str().unwrap()
        );
        assert_eq!(alice.delete(&path).await.status, 200);
        assert_eq!(alice.delete(&path).await.json["code"], "not_found");
        assert_eq!(alice.get(&path).await.json["code"], "not_found");
        vault.advance(15 * 60 + 1).await;
        assert_eq!(
            vault.exchange(&payment(&late, 1), "late").await.json["code"],
            "token_expired"
        );
    })
    .await;
}

/// Who may: each route of the private listener, with the kinds of key that it lets in.
const MAY: [(&str, &str, &[&str]); 14] = [
    ("get", "/v1/cards", &["sk", "rk", "svc"]),
    ("get", "/v1/cards/{id}", &["sk", "rk", "svc"]),
    ("post", "/v1/cards/{id}", &["sk", "rk"]),
    ("delete", "/v1/cards/{id}", &["sk", "rk"]),
    ("post", "/v1/tokens", &["rk"]),
    (
        "post",
        "/v1/tokens/lookup",
        &["sk", "rk", "rk without scopes", "svc"],
    ),
    (
        "post",
        "/v1/tokens/revoke",
        &["sk", "rk", "rk without scopes", "svc"],
    ),
    ("post", "/v1/exchange", &["rk", "svc"]),
    ("post", "/v1/forward", &["rk", "svc"]),
    ("post", "/v1/attempts/close", &["rk", "svc"]),
    ("post", "/v1/sessions", &["sk"]),
    ("post", "/v1/keys/lookup", &["svc", "svc without merchant"]),
    ("get", "/v1/jwks.json", EVERYBODY),
    ("get", "/openapi.json", EVERYBODY),
];

const EVERYBODY: &[&str] = &[
    "nobody",
    "nonsense",
    "pk",
    "sk",
    "rk",
    "rk without scopes",
    "svc",
    "svc without merchant",
    "svc for another",
    "live sk",
    "live rk",
];

async fn new_key(vault: &Vault, kind: Kind, mode: Mode) -> ApiKey {
    let (key, merchant, now) = (
        ApiKey::random(kind, mode),
        vault.merchants[0].id.clone(),
        vault.app.clock.now(),
    );
    let made = key.clone();
    let parts = vault.app.clone();
    vault
        .app
        .store
        .write(move |tx| {
            records::keys::create_key(
                tx,
                parts.root.macs(),
                &vault_api::ids::new_id("key"),
                &made,
                Some(&merchant),
                &Limits::default(),
                now,
            )?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_lets_in_its_own_kinds_of_key() {
    for vault in each_vault().await {
        let merchant = &vault.merchants[0];
        let bare = new_key(&vault, Kind::Restricted, Mode::Test).await;
        let live_sk = new_key(&vault, Kind::Secret, Mode::Live).await;
        let live_rk = new_key(&vault, Kind::Restricted, Mode::Live).await;
        let service = vault.private.bearer(vault.service_key.expose());
        let samples = samples(&vault).await;
        let callers = [
            ("nobody", vault.private.clone()),
            ("nonsense", vault.private.bearer("sk_test_nonsense")),
            ("pk", vault.private.bearer(merchant.publishable.expose())),
            ("sk", vault.private.bearer(merchant.secret.expose())),
            ("rk", vault.private.bearer(merchant.restricted.expose())),
            ("rk without scopes", vault.private.bearer(bare.expose())),
            ("svc", service.with("cardseal-merchant", &merchant.id)),
            ("svc without merchant", service.clone()),
            (
                "svc for another",
                service.with("cardseal-merchant", &vault.merchants[1].id),
            ),
            ("live sk", vault.private.bearer(live_sk.expose())),
            ("live rk", vault.private.bearer(live_rk.expose())),
        ];
        let description = vault.private.get("/openapi.json").await.json;
        let mut seen = 0;
        for (path, methods) in description["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                seen += 1;
                let row = MAY.iter().find(|(m, p, _)| m == method && p == path);
                let (_, _, may) = row.unwrap_or_else(|| panic!("who may {method} {path}?"));
                for (who, caller) in &callers {
                    let caller = caller.with("idempotency-key", &vault_api::ids::random_base62(9));
                    let at = path.replace("{id}", "card_none");
                    let answer = match method.as_str() {
                        "get" => caller.get(&at).await,
                        "delete" => caller.delete(&at).await,
                        _ => {
                            let sample = samples
                                .iter()
                                .find(|(l, p, _)| *l == "private" && p == path);
                            caller.post(&at, &sample.unwrap().2).await
                        }
                    };
                    let let_in = !matches!(answer.status, 401 | 403);
                    assert_eq!(
                        let_in,
                        may.contains(who),
                        "{who} {method} {path}: {}",
                        answer.text
                    );
                    if !let_in {
                        let unknown =
                            matches!(*who, "nobody" | "nonsense" | "pk" | "live sk" | "live rk");
                        let code = if unknown {
                            "unauthenticated"
                        } else {
                            "forbidden"
                        };
                        assert_eq!(answer.json["code"], code, "{who} {method} {path}");
                    }
                }
            }
        }
        assert_eq!(seen, MAY.len());
    }
}

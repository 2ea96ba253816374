//! What each call answers to an object in the wrong state: one table, which the test goes through and `docs/vault-errors.md`
//! shows. Every described call is in it, if only as one that looks at no object.

use std::sync::Arc;
use std::time::Duration;

use harness::database;
use harness::http::{Answer, Http};
use serde_json::{Value, json};
use token_vault::http::doors::Listener;
use token_vault::http::routes::describe;
use token_vault::records::{self, keys::KeyRules, keys::Limits};
use token_vault::{Error, operator, private, public};
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::forwarding::{self, body as forward};
use crate::vault::{SHOP, Vault, payment};

const CARD: &str = "4242424242424242";

/// A call, the state of what it names, and what it answers: a code, or 200 and its `status`, `bytes_sent` or the field that is true.
type State = (&'static str, &'static str, &'static str, &'static str);

/// The wrong states.
#[rustfmt::skip]
pub const STATES: &[State] = &[
    ("public", "POST /v1/field-sessions", "the key was revoked", "unauthenticated"),
    ("public", "POST /v1/field-sessions", "the key is of the other mode", "unauthenticated"),
    ("public", "POST /v1/field-sessions", "the key takes bound sessions only", "session_must_be_bound"),
    ("public", "POST /v1/field-sessions", "the bound session has expired", "session_invalid"),
    ("public", "POST /v1/field-sessions", "the bound session is another key's", "session_invalid"),
    ("public", "POST /v1/tokens", "the session has expired", "session_invalid"),
    ("public", "POST /v1/tokens", "the sealed card was sent before", "sealed_card_replayed"),
    ("public", "POST /v1/tokens", "sealed for another session", "sealed_card_invalid"),
    ("public", "POST /v1/tokens", "the sealing key is gone", "sealing_key_unknown"),
    ("public", "GET /v1/frame", "the key was revoked", "unauthenticated"),
    ("public", "GET /v1/frame", "the key is of the other mode", "unauthenticated"),
    ("public", "GET /v1/frame/check", "the key was revoked", "unauthenticated"),
    ("public", "GET /v1/frame/check", "the key is of the other mode", "unauthenticated"),
    ("private", "POST /v1/tokens/lookup", "the token has expired", "200 expired"),
    ("private", "POST /v1/tokens/lookup", "the token was exchanged", "200 exchanged"),
    ("private", "POST /v1/tokens/lookup", "the token was revoked", "200 revoked"),
    ("private", "POST /v1/tokens/lookup", "the token is another merchant's", "not_found"),
    ("private", "POST /v1/tokens/revoke", "the token has expired", "200 expired"),
    ("private", "POST /v1/tokens/revoke", "the token was exchanged", "200 exchanged"),
    ("private", "POST /v1/tokens/revoke", "the token was revoked", "200 revoked"),
    ("private", "POST /v1/tokens/revoke", "the token is another merchant's", "not_found"),
    ("private", "POST /v1/exchange", "the token was exchanged under another key", "token_already_used"),
    ("private", "POST /v1/exchange", "the key was used with another body", "idempotency_mismatch"),
    ("private", "POST /v1/exchange", "the token has expired", "token_expired"),
    ("private", "POST /v1/exchange", "the token was revoked", "token_revoked"),
    ("private", "POST /v1/exchange", "the token is bound to another payment", "binding_mismatch"),
    ("private", "POST /v1/exchange", "the token is another merchant's", "not_found"),
    ("private", "POST /v1/exchange", "the stored card was deleted", "not_found"),
    ("private", "POST /v1/exchange", "the stored card waits for an approval", "not_found"),
    ("private", "POST /v1/exchange", "the stored card is another merchant's", "not_found"),
    ("private", "POST /v1/exchange", "the cvc_token was used", "token_already_used"),
    ("private", "POST /v1/exchange", "the cvc_token has expired", "token_expired"),
    ("private", "POST /v1/exchange", "the cvc_token holds no security code", "cvc_gone"),
    ("private", "GET /v1/cards/{id}", "the card was deleted", "not_found"),
    ("private", "GET /v1/cards/{id}", "the card waits for an approval", "200 pending"),
    ("private", "GET /v1/cards/{id}", "the card is another merchant's", "not_found"),
    ("private", "POST /v1/cards/{id}", "the card was deleted", "not_found"),
    ("private", "POST /v1/cards/{id}", "the card waits for an approval", "200 pending"),
    ("private", "POST /v1/cards/{id}", "the card is another merchant's", "not_found"),
    ("private", "DELETE /v1/cards/{id}", "the card was deleted", "not_found"),
    ("private", "DELETE /v1/cards/{id}", "the card waits for an approval", "200 deleted"),
    ("private", "DELETE /v1/cards/{id}", "the card is another merchant's", "not_found"),
    ("private", "POST /v1/forward", "the grant has expired", "grant_expired"),
    ("private", "POST /v1/forward", "the grant has an open attempt", "attempt_in_flight"),
    ("private", "POST /v1/forward", "the grant's sends are used up", "grant_exhausted"),
    ("private", "POST /v1/forward", "the grant is for less", "binding_mismatch"),
    ("private", "POST /v1/forward", "the grant is for another currency", "binding_mismatch"),
    ("private", "POST /v1/forward", "the grant is another merchant's", "not_found"),
    ("private", "POST /v1/forward", "the security code was sent", "cvc_gone"),
    ("private", "POST /v1/forward", "the attempt was closed", "attempt_closed"),
    ("private", "POST /v1/forward", "the attempt was another request", "idempotency_mismatch"),
    ("private", "POST /v1/forward", "the attempt is under way", "attempt_in_flight"),
    ("private", "POST /v1/forward", "the operation is not registered", "operation_not_allowed"),
    ("private", "POST /v1/attempts/close", "the attempt is under way", "attempt_in_flight"),
    ("private", "POST /v1/attempts/close", "the attempt is done", "200 all"),
    ("private", "POST /v1/attempts/close", "the attempt was closed", "200 none"),
    ("private", "POST /v1/attempts/close", "the attempt is another merchant's", "200 none"),
    ("private", "POST /v1/sessions", "the key was revoked", "not_found"),
    ("private", "POST /v1/sessions", "the key is another merchant's", "not_found"),
    ("private", "POST /v1/sessions", "the key takes bound sessions only, and nothing is bound", "session_must_be_bound"),
    ("private", "POST /v1/keys/lookup", "the key was revoked", "not_found"),
    ("private", "POST /v1/keys/lookup", "the key is of a merchant that is not linked", "not_found"),
];

/// Calls that look at no object.
const NO_OBJECT: &[&str] = &[
    "private POST /v1/tokens",
    "private GET /v1/cards",
    "private GET /v1/jwks.json",
    "public GET /.well-known/cardseal-releases.json",
    "public GET /v1/assets/{file}",
    "public GET /v1/{file}",
    "public GET /v1/cardseal.js",
    "GET /openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
];

/// What is described, each as "listener METHOD path" with its operation.
fn described() -> Vec<(&'static str, String, Value)> {
    let tables = [
        ("public", describe(Listener::Public, &public::table())),
        ("private", describe(Listener::Private, &private::table())),
        ("admin", describe(Listener::Admin, &operator::table())),
    ];
    let mut all = vec![];
    for (listener, description) in tables {
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let call = format!("{} {path}", method.to_uppercase());
                all.push((listener, call, operation.clone()));
            }
        }
    }
    all
}

#[test]
fn every_call_has_its_states_and_every_code_is_described() {
    let described = described();
    for (listener, call, _) in &described {
        let has = STATES.iter().any(|(l, c, ..)| l == listener && c == call);
        let no_object = NO_OBJECT.contains(&call.as_str())
            || NO_OBJECT.contains(&format!("{listener} {call}").as_str());
        assert!(
            has != no_object,
            "{listener} {call}: which wrong states are there?"
        );
    }
    for (listener, call, state, code) in STATES {
        let of = described
            .iter()
            .find(|(l, c, _)| l == listener && c == call);
        let (.., operation) = of.unwrap_or_else(|| panic!("{call} is not served"));
        let told = operation["responses"]
            .to_string()
            .contains(&format!("`{code}`:"));
        assert!(
            code.starts_with("200 ") || told,
            "{call}, {state}: {code} is not described"
        );
    }
}

async fn key(vault: &Vault, kind: Kind, mode: Mode, bound: bool, revoked: bool) -> ApiKey {
    let key = ApiKey::random(kind, mode);
    let (made, merchant, now) = (
        key.clone(),
        vault.merchants[0].id.clone(),
        vault.app.clock.now(),
    );
    let parts = vault.app.clone();
    let limits = Limits {
        scopes: ["cards:write", "cards:read", "exchange", "forward"]
            .map(str::to_owned)
            .to_vec(),
        origins: vec![SHOP.to_owned()],
        rules: KeyRules {
            bound_sessions: bound,
            ..KeyRules::default()
        },
        ..Limits::default()
    };
    let write = move |tx: &mut store::Tx<'_>| {
        let (id, macs) = (vault_api::ids::new_id("key"), parts.root.macs());
        records::keys::create_key(tx, macs, &id, &made, Some(&merchant), &limits, now)?;
        if revoked {
            records::keys::revoke(tx, macs, mode, &id, now)?;
        }
        Ok::<_, Error>(())
    };
    vault.app.store.write(write).await.unwrap();
    key
}

async fn with_bank() -> Vec<Arc<Vault>> {
    let mut all = vec![];
    for database in database::fresh() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bank = forwarding::destinations(listener.local_addr().unwrap());
        let routes = axum::Router::new()
            .route("/pay", axum::routing::post(forwarding::authorise))
            .with_state(forwarding::Acquirer::default());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        all.push(Arc::new(Vault::start(database, Some(&bank)).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_state_has_its_answer() {
    for vault in with_bank().await {
        let mut wrong = vec![];
        // Moving the clock ends what others have made, so what needs it comes last.
        let (late, now): (Vec<_>, Vec<_>) = STATES
            .iter()
            .partition(|(_, _, state, _)| state.contains("expired") || state.contains("is gone"));
        for (listener, call, state, expected) in now.into_iter().chain(late) {
            let answer = ask(&vault, listener, call, state).await;
            let what = format!("{listener} {call}, {state}: {}", answer.text);
            let right = match expected.strip_prefix("200 ") {
                Some(said) => {
                    let fields = ["status", "bytes_sent"];
                    let told = fields.iter().any(|field| answer.json[field] == said);
                    answer.status == 200 && (told || answer.json[said] == true)
                }
                None => answer.json["code"] == *expected,
            };
            if !right {
                wrong.push(format!("{what} is not {expected}"));
            }
            assert!(!answer.text.contains(CARD), "{what}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

async fn ask(vault: &Arc<Vault>, listener: &str, call: &str, state: &str) -> Answer {
    let (_, path) = call.split_once(' ').unwrap();
    match (listener, path) {
        ("public", "/v1/tokens") => tokenise(vault, state).await,
        ("public", "/v1/field-sessions") => field_session(vault, state).await,
        ("public", _) => {
            let (mode, revoked) = match state {
                "the key was revoked" => (Mode::Test, true),
                _ => (Mode::Live, false),
            };
            let key = key(vault, Kind::Publishable, mode, false, revoked).await;
            let key = key.expose();
            vault
                .public
                .get(&format!("{path}?key={key}&origin={SHOP}"))
                .await
        }
        (_, "/v1/tokens/lookup" | "/v1/tokens/revoke") => {
            let token = token_in(vault, state).await;
            vault.alice().post(path, &json!({ "token": token })).await
        }
        (_, "/v1/exchange") => exchange(vault, state).await,
        (_, "/v1/cards/{id}") => {
            let at = format!("/v1/cards/{}", card_in(vault, state).await);
            match call.split_once(' ').unwrap().0 {
                "GET" => vault.alice().get(&at).await,
                "DELETE" => vault.alice().delete(&at).await,
                _ => vault.alice().post(&at, &json!({"exp_year": 2041})).await,
            }
        }
        (_, "/v1/forward") => forwarded(vault, state).await,
        (_, "/v1/attempts/close") => closed(vault, state).await,
        (_, "/v1/sessions") => {
            let (key, body) = match state {
                "the key was revoked" => {
                    let key = key(vault, Kind::Publishable, Mode::Test, false, true).await;
                    (key, json!({"amount": 1}))
                }
                "the key is another merchant's" => {
                    (vault.merchants[1].publishable.clone(), json!({"amount": 1}))
                }
                _ => (
                    key(vault, Kind::Publishable, Mode::Test, true, false).await,
                    json!({}),
                ),
            };
            session(vault, &key, body).await
        }
        (_, "/v1/keys/lookup") => {
            let key = match state {
                "the key was revoked" => key(vault, Kind::Secret, Mode::Test, false, true).await,
                _ => vault.merchants[1].secret.clone(),
            };
            let service = vault.private.bearer(vault.service_key.expose());
            service
                .post(path, &json!({"sha256": key.sha256_hex()}))
                .await
        }
        _ => panic!("{call}: how is it asked?"),
    }
}

async fn session(vault: &Vault, key: &ApiKey, mut body: Value) -> Answer {
    body["key"] = key.expose().into();
    let alice = vault.private.bearer(vault.merchants[0].secret.expose());
    alice.post("/v1/sessions", &body).await
}

async fn field_session(vault: &Vault, state: &str) -> Answer {
    let own = vault.merchants[0].publishable.clone();
    let body = match state {
        "the key was revoked" => {
            json!({"key": key(vault, Kind::Publishable, Mode::Test, false, true).await.expose()})
        }
        "the key is of the other mode" => {
            json!({"key": key(vault, Kind::Publishable, Mode::Live, false, false).await.expose()})
        }
        "the key takes bound sessions only" => {
            json!({"key": key(vault, Kind::Publishable, Mode::Test, true, false).await.expose()})
        }
        "the bound session has expired" => {
            let bound = session(vault, &own, json!({"amount": 1})).await;
            let over = bound.json["expires_at"].as_i64().unwrap() - vault.app.clock.now();
            pass(vault, over).await;
            json!({"key": own.expose(), "session": bound.json["session"]})
        }
        _ => {
            let bound = session(vault, &own, json!({"amount": 1})).await;
            let other = key(vault, Kind::Publishable, Mode::Test, false, false).await;
            json!({"key": other.expose(), "session": bound.json["session"]})
        }
    };
    vault.public.post("/v1/field-sessions", &body).await
}

// Lets seconds pass, on top of those that have.
async fn pass(vault: &Vault, seconds: i64) {
    let passed: i64 = std::fs::read_to_string(vault.folder.join("clock"))
        .unwrap()
        .parse()
        .unwrap();
    vault.advance(passed + seconds + 1).await;
}

async fn tokenise(vault: &Vault, state: &str) -> Answer {
    let session = vault.session().await;
    let card = json!({"number": CARD, "exp_month": 12, "exp_year": 2040});
    let sealed = vault.seal(&session, &card);
    match state {
        "the session has expired" => {
            let over = session["expires_at"].as_i64().unwrap() - vault.app.clock.now();
            pass(vault, over).await;
        }
        "the sealed card was sent before" => {
            assert_eq!(vault.tokenise(&session, &sealed).await.status, 200);
        }
        "sealed for another session" => {
            return vault.tokenise(&vault.session().await, &sealed).await;
        }
        _ => {
            pass(vault, 2 * 3600).await;
            return vault.tokenise(&vault.session().await, &sealed).await;
        }
    }
    vault.tokenise(&session, &sealed).await
}

async fn of_mallory(vault: &Vault) -> String {
    let card = json!({"card": {"number": CARD, "exp_month": 12, "exp_year": 2040}});
    let made = vault.mallory().post("/v1/tokens", &card).await;
    made.json["id"].as_str().unwrap().to_owned()
}

async fn token_in(vault: &Vault, state: &str) -> String {
    let token = vault.token(CARD).await;
    if state.contains("another merchant's") {
        return of_mallory(vault).await;
    }
    if state.contains("exchanged") || state.contains("was used") {
        vault.exchange(&payment(&token, 1), "first").await;
    } else if state.contains("revoked") {
        vault
            .alice()
            .post("/v1/tokens/revoke", &json!({"token": token}))
            .await;
    } else if state.contains("expired") {
        pass(vault, 15 * 60).await;
    }
    token
}

async fn card_in(vault: &Vault, state: &str) -> String {
    let (caller, source) = if state.contains("another merchant's") {
        (vault.mallory(), of_mallory(vault).await)
    } else {
        (vault.alice(), vault.token(CARD).await)
    };
    let mut body = payment(&source, 1);
    body["store"] = if state.contains("waits") {
        "on_success"
    } else {
        "now"
    }
    .into();
    let caller = caller.with("idempotency-key", "s");
    let made = caller.post("/v1/exchange", &body).await;
    let card = made.json["stored_card"]["id"].as_str().unwrap().to_owned();
    if state.contains("deleted") {
        assert_eq!(
            caller.delete(&format!("/v1/cards/{card}")).await.status,
            200
        );
    }
    card
}

async fn exchange(vault: &Vault, state: &str) -> Answer {
    if state.starts_with("the stored card") {
        let card = card_in(vault, state).await;
        return vault
            .exchange(&payment(&card, 1), &vault_api::ids::new_id("k"))
            .await;
    }
    if state.starts_with("the cvc_token") {
        let card = card_in(vault, "").await;
        let token = if state.contains("no security code") {
            let bare = json!({"card": {"number": CARD, "exp_month": 12, "exp_year": 2040}});
            let made = vault.alice().post("/v1/tokens", &bare).await;
            made.json["id"].as_str().unwrap().to_owned()
        } else {
            token_in(vault, state).await
        };
        let mut body = payment(&card, 1);
        body["cvc_token"] = token.into();
        return vault.exchange(&body, &vault_api::ids::new_id("k")).await;
    }
    if state.contains("bound") {
        let own = &vault.merchants[0].publishable;
        let bound = session(vault, own, json!({"intent": "pi_other"}))
            .await
            .json;
        let body = json!({"key": own.expose(), "session": bound["session"]});
        let bound = vault.public.post("/v1/field-sessions", &body).await.json;
        let sealed = vault.seal(
            &bound,
            &json!({"number": CARD, "exp_month": 12, "exp_year": 2040}),
        );
        let token = vault.tokenise(&bound, &sealed).await.json["id"].clone();
        return vault
            .exchange(&payment(token.as_str().unwrap(), 1), "k")
            .await;
    }
    if state.contains("another body") {
        let token = token_in(vault, "exchanged").await;
        return vault.exchange(&payment(&token, 2), "first").await;
    }
    let token = token_in(vault, state).await;
    vault.exchange(&payment(&token, 1), "second").await
}

async fn grant(vault: &Vault) -> String {
    vault.grant(&vault.token(CARD).await, 100).await
}

// A send that the bank is slow to answer, once the vault has opened it.
async fn under_way(vault: &Arc<Vault>, grant: &str, attempt: &str) {
    let (sending, body) = (vault.alice(), forward(grant, attempt, "slow"));
    tokio::spawn(async move { sending.post("/v1/forward", &body).await });
    for _ in 0..200 {
        let attempt = attempt.to_owned();
        let read = vault.app.store.read(move |tx| {
            tx.first(
                "select 1 from attempts where id = $1",
                store::params![&attempt],
            )
        });
        if read.await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the send did not begin");
}

async fn forwarded(vault: &Arc<Vault>, state: &str) -> Answer {
    let alice: Http = vault.alice();
    let (grant, attempt) = (grant(vault).await, vault_api::ids::new_id("att"));
    let mut body = forward(&grant, &attempt, "r");
    // The code goes with the first complete answer, and would be missed first.
    body["body"]["card"].as_object_mut().unwrap().remove("cvc");
    match state {
        "the grant has expired" => pass(vault, 15 * 60).await,
        "the grant has an open attempt" => {
            under_way(vault, &grant, &vault_api::ids::new_id("att")).await
        }
        "the grant's sends are used up" => {
            for _ in 0..3 {
                let mut another = body.clone();
                another["attempt"] = vault_api::ids::new_id("att").into();
                assert_eq!(alice.post("/v1/forward", &another).await.status, 200);
            }
        }
        "the grant is for less" => body["amount"] = 101.into(),
        "the grant is for another currency" => body["currency"] = "eur".into(),
        "the grant is another merchant's" => {
            return vault.mallory().post("/v1/forward", &body).await;
        }
        "the security code was sent" => {
            let whole = forward(&grant, &vault_api::ids::new_id("att"), "r");
            assert_eq!(alice.post("/v1/forward", &whole).await.status, 200);
            body = forward(&grant, &attempt, "r");
        }
        "the attempt was closed" => {
            alice
                .post("/v1/attempts/close", &json!({ "attempt": attempt }))
                .await;
        }
        "the attempt was another request" => {
            assert_eq!(alice.post("/v1/forward", &body).await.status, 200);
            body["reference"] = "other".into();
        }
        "the attempt is under way" => {
            under_way(vault, &grant, &attempt).await;
            body = forward(&grant, &attempt, "slow");
        }
        _ => body["operation"] = "nothing".into(),
    }
    alice.post("/v1/forward", &body).await
}

async fn closed(vault: &Arc<Vault>, state: &str) -> Answer {
    let (grant, attempt) = (grant(vault).await, vault_api::ids::new_id("att"));
    let close = json!({ "attempt": attempt });
    match state {
        "the attempt is under way" => under_way(vault, &grant, &attempt).await,
        "the attempt was closed" => {
            vault.alice().post("/v1/attempts/close", &close).await;
        }
        _ => {
            let done = vault
                .alice()
                .post("/v1/forward", &forward(&grant, &attempt, "r"))
                .await;
            assert_eq!(done.status, 200, "{}", done.text);
        }
    }
    let caller = match state {
        "the attempt is another merchant's" => vault.mallory(),
        _ => vault.alice(),
    };
    caller.post("/v1/attempts/close", &close).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ended_is_no_key_at_any_call() {
    for vault in with_bank().await {
        let ended = key(&vault, Kind::Restricted, Mode::Test, false, true).await;
        let caller = vault.private.bearer(ended.expose());
        let mut asked = 0;
        for (listener, call, operation) in described() {
            if listener != "private" || operation["responses"]["401"].is_null() {
                continue;
            }
            let (method, path) = call.split_once(' ').unwrap();
            let path = path.replace("{id}", "card_none");
            let answer = match method {
                "GET" => caller.get(&path).await,
                "DELETE" => caller.delete(&path).await,
                _ => caller.post(&path, &json!({})).await,
            };
            assert_eq!(answer.json["code"], "unauthenticated", "{call}");
            asked += 1;
        }
        assert!(asked > 10, "{asked}");
    }
}

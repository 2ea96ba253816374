//! Rate limits of the public listener, keys that take only bound sessions, JWKS, and no oracle.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use harness::database;
use serde_json::{Value, json};
use token_vault::Error;
use token_vault::http::doors::Doors;
use token_vault::http::limits::{LimitOptions, Limits};
use token_vault::records::keys;
use vault_api::keys::Mode;

use crate::vault::{Vault, on_each_store};

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    limits: LimitOptions,
}

/// Limits that refuse and ask for no work before.
async fn limited(args: &[&str]) -> Vec<Arc<Vault>> {
    with_limits(&[&["--challenge-above", "off"], args].concat()).await
}

pub async fn with_limits(args: &[&str]) -> Vec<Arc<Vault>> {
    let mut all = vec![];
    for database in database::fresh() {
        let args = ["test"].iter().chain(args);
        let doors = Doors {
            limits: Limits::new(Options::parse_from(args).limits),
            ..Doors::default()
        };
        all.push(Arc::new(Vault::start_with(database, None, doors).await));
    }
    all
}

pub fn card(number: &str) -> Value {
    json!({"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"})
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_sessions_are_refused_until_time_has_passed() {
    for vault in limited(&["--limit-sessions-per-address", "3/60s"]).await {
        let body = json!({"key": vault.merchants[0].publishable.expose()});
        for left in [2, 1, 0] {
            let answer = vault.public.post("/v1/field-sessions", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(
                answer.headers["ratelimit-policy"],
                "\"sessions_per_address\";q=3;w=60"
            );
            let limit = answer.headers["ratelimit"].to_str().unwrap();
            assert!(
                limit.starts_with(&format!("\"sessions_per_address\";r={left};t=")),
                "{limit}"
            );
            assert!(!answer.headers.contains_key("retry-after"));
        }
        // A key that is wrong counts too: guessing is what a limit is for.
        let wrong = json!({"key": "pk_test_wrong"});
        for body in [&body, &wrong] {
            let answer = vault.public.post("/v1/field-sessions", body).await;
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                (429, Some("rate_limited"))
            );
            let wait: i64 = answer.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=20).contains(&wait), "{wait}");
            assert!(
                answer.headers["ratelimit"]
                    .to_str()
                    .unwrap()
                    .contains("r=0")
            );
        }
        vault.advance(21).await;
        assert_eq!(
            vault.public.post("/v1/field-sessions", &body).await.status,
            200
        );
        // Other routes have no limit.
        assert_eq!(vault.public.get("/v1/nothing.js").await.status, 404);
        let figures = vault.admin.get("/metrics").await.text;
        assert!(
            figures.contains("vault_rate_limited_total{policy=\"sessions_per_address\"} 2"),
            "{figures}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokenisations_are_counted_by_session_key_and_bin() {
    for (limit, policy, told) in [
        ("--limit-tokens-per-session", "tokens_per_session", true),
        ("--limit-tokens-per-address", "tokens_per_address", true),
        ("--limit-tokens-per-key", "tokens_per_key", false),
        ("--limit-tokens-per-bin", "tokens_per_bin", false),
    ] {
        for vault in limited(&[limit, "2/60s"]).await {
            let session = vault.session().await;
            for refused in [false, false, true] {
                let sealed = vault.seal(&session, &card("4242424242424242"));
                let answer = vault.tokenise(&session, &sealed).await;
                assert_eq!(answer.status == 429, refused, "{limit}: {}", answer.text);
                // What is left of a merchant's quota is nobody's business.
                let policies = answer.headers["ratelimit-policy"].to_str().unwrap();
                assert_eq!(policies.contains(policy), told, "{limit}: {policies}");
                assert_eq!(answer.headers.contains_key("retry-after"), refused);
            }
            let sealed = vault.seal(&session, &card("5555555555554444"));
            let other_bin = vault.tokenise(&session, &sealed).await;
            assert_eq!(
                other_bin.status == 200,
                policy == "tokens_per_bin",
                "{limit}: {}",
                other_bin.text
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_take_bound_sessions_only() {
    on_each_store(|vault| async move {
        let merchant = &vault.merchants[0];
        let key = merchant.publishable.expose();
        let (hash, parts) = (merchant.publishable.sha256_hex(), vault.app.clone());
        vault
            .app
            .store
            .write(move |tx| {
                let bind =
                    "update api_keys set bound_sessions = 1, row_mac = null where sha256 = $1";
                assert_eq!(tx.execute(bind, store::params![&hash])?, 1);
                // As an operator vouches for it.
                let adopted = keys::adopt(tx, parts.root.macs(), Mode::Test)?;
                assert_eq!(adopted.len(), 1);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let plain = vault
            .public
            .post("/v1/field-sessions", &json!({"key": key}))
            .await;
        assert_eq!(
            (plain.status, plain.json["code"].as_str()),
            (403, Some("session_must_be_bound"))
        );
        let server = vault.private.bearer(merchant.secret.expose());
        let half = json!({"key": key, "amount": 500, "currency": "usd"});
        assert_eq!(
            server.post("/v1/sessions", &half).await.json["code"],
            "session_must_be_bound"
        );
        let bound = json!({"key": key, "intent": "pi_1", "amount": 500, "currency": "usd"});
        let bound = server.post("/v1/sessions", &bound).await;
        assert_eq!(bound.status, 200, "{}", bound.text);
        // The frame hands it in and gets the keys to seal to.
        let body = json!({"key": key, "session": bound.json["session"]});
        let session = vault.public.post("/v1/field-sessions", &body).await;
        assert_eq!(session.status, 200, "{}", session.text);
        assert_eq!(session.json["session"], bound.json["session"]);
        let created = vault
            .tokenise(
                &session.json,
                &vault.seal(&session.json, &card("4242424242424242")),
            )
            .await;
        assert_eq!(created.status, 200, "{}", created.text);
        // Not for another key.
        let other = vault.merchants[1].publishable.expose();
        let stolen = json!({"key": other, "session": bound.json["session"]});
        assert_eq!(
            vault.public.post("/v1/field-sessions", &stolen).await.json["code"],
            "session_invalid"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_verify_against_the_published_keys() {
    on_each_store(|vault| async move {
        let session = vault.session().await["session"]
            .as_str()
            .unwrap()
            .to_owned();
        let header = URL_SAFE_NO_PAD
            .decode(session.split('.').next().unwrap())
            .unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let jwks = vault.private.get("/v1/jwks.json").await;
        assert_eq!(jwks.status, 200, "{}", jwks.text);
        let keys = jwks.json["keys"].as_array().unwrap();
        let days: Vec<i64> = keys
            .iter()
            .map(|key| key["kid"].as_str().unwrap().parse().unwrap())
            .collect();
        let today = vault.app.clock.now() / 86_400;
        assert_eq!(days, [today - 1, today, today + 1]);
        let key = keys
            .iter()
            .find(|key| key["kid"] == header["kid"])
            .expect("published");
        let key =
            jsonwebtoken::DecodingKey::from_ed_components(key["x"].as_str().unwrap()).unwrap();
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        rules.set_audience(&["cardseal/tokens"]);
        jsonwebtoken::decode::<Value>(&session, &key, &rules).expect("verifies");
        assert!(!jwks.text.contains("\"d\""), "a private key is published");
    })
    .await;
}

/// Whether a number is already kept must not show: neither in the answer nor in the time it takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_vault_is_no_oracle() {
    let vault = limited(&[
        "--limit-tokens-per-session",
        "off",
        "--limit-tokens-per-address",
        "off",
    ])
    .await
    .remove(0);
    let (known, unknown) = ("4242424242424242", "4000056655665556");
    for _ in 0..50 {
        vault.token(known).await;
    }
    let session = vault.session().await;
    let mut took = [vec![], vec![]];
    let mut shapes = [vec![], vec![]];
    for round in 0..120 {
        let which = round % 2;
        let sealed = vault.seal(&session, &card([known, unknown][which]));
        let started = Instant::now();
        let answer = vault.tokenise(&session, &sealed).await;
        took[which].push(started.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut names: Vec<String> = answer.json.as_object().unwrap().keys().cloned().collect();
        names.extend(answer.headers.keys().map(ToString::to_string));
        shapes[which].push((names, answer.text.len()));
    }
    assert_eq!(shapes[0], shapes[1]);
    let median = |times: &mut Vec<std::time::Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let [mut a, mut b] = took;
    let ratio = median(&mut a) / median(&mut b);
    // The rounds alternate, so the machine's noise falls on both; a look-up of the number would double one side.
    assert!((0.6..=1.6).contains(&ratio), "known / unknown = {ratio}");
}

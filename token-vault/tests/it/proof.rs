//! Proof of work: asked for where a limit runs hot, good for one request, and no way around the limit itself.

use harness::http::{Answer, Http};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::limits::{card, with_limits};
use crate::vault::Vault;

const SESSIONS: &str = "/v1/field-sessions";

/// Does the work that an answer asks for, as the frame does.
fn work(asked: &Answer) -> String {
    assert_asked(asked);
    let challenge = &asked.json["challenge"];
    let salt = challenge["salt"].as_str().unwrap();
    let bits = challenge["bits"].as_u64().unwrap();
    let right = |text: &String| {
        let hash = Sha256::digest(text.as_bytes());
        u64::from_be_bytes(hash[..8].try_into().unwrap()) >> (64 - bits) == 0
    };
    let mut tries = (0..).map(|n: u64| format!("{salt}.{n}"));
    tries.find(right).unwrap()
}

fn assert_asked(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.json["code"].as_str()),
        (428, Some("proof_of_work_required")),
        "{}",
        answer.text
    );
}

fn assert_refused(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.json["code"].as_str()),
        (429, Some("rate_limited")),
        "{}",
        answer.text
    );
    assert!(answer.headers.contains_key("retry-after"));
}

fn showing(vault: &Vault, proof: &str) -> Http {
    vault.public.with("cardseal-proof", proof)
}

fn of_merchant(vault: &Vault, at: usize) -> Value {
    json!({"key": vault.merchants[at].publishable.expose()})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_asks_for_work_and_is_not_used_up_without() {
    for vault in with_limits(&[
        "--limit-sessions-per-key",
        "4/3600s",
        "--challenge-bits",
        "8",
    ])
    .await
    {
        let body = of_merchant(&vault, 0);
        for _ in 0..2 {
            assert_eq!(vault.public.post(SESSIONS, &body).await.status, 200);
        }
        // However often: without work, what all buyers of a merchant share is not taken from.
        let mut asked = vault.public.post(SESSIONS, &body).await;
        for _ in 0..6 {
            asked = vault.public.post(SESSIONS, &body).await;
            assert_asked(&asked);
        }
        let ends = asked.json["challenge"]["expires_at"].as_i64().unwrap();
        assert!((60..=120).contains(&(ends - vault.app.clock.now())));
        let proof = work(&asked);
        for wrong in [
            format!("{proof}0"),
            proof.replacen('.', "..", 1),
            format!("A{}", &proof[1..]),
            "x".to_owned(),
            String::new(),
        ] {
            let answer = showing(&vault, &wrong).post(SESSIONS, &body).await;
            assert_asked(&answer);
        }
        assert_eq!(
            showing(&vault, &proof).post(SESSIONS, &body).await.status,
            200
        );
        // Once, also with another number for the same salt.
        assert_asked(&showing(&vault, &proof).post(SESSIONS, &body).await);
        // The other merchant's key is cool, and its proofs are its own.
        let other = of_merchant(&vault, 1);
        for _ in 0..2 {
            assert_eq!(vault.public.post(SESSIONS, &other).await.status, 200);
        }
        let others = work(&vault.public.post(SESSIONS, &other).await);
        assert_asked(&showing(&vault, &others).post(SESSIONS, &body).await);
        // At the limit no work helps.
        let last = work(&vault.public.post(SESSIONS, &body).await);
        let late = work(&vault.public.post(SESSIONS, &body).await);
        assert_eq!(
            showing(&vault, &last).post(SESSIONS, &body).await.status,
            200
        );
        assert_refused(&showing(&vault, &late).post(SESSIONS, &body).await);
        let refused = vault.public.post(SESSIONS, &body).await;
        assert_refused(&refused);
        // How much a merchant sells is not told.
        let told = refused.headers["ratelimit-policy"].to_str().unwrap();
        assert!(!told.contains("key"), "{told}");
        let figures = vault.admin.get("/metrics").await.text;
        assert!(
            figures.contains("vault_challenges_total{policy=\"sessions_per_key\"}"),
            "{figures}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_address_is_counted_whatever_it_shows() {
    let limit = [
        "--limit-sessions-per-address",
        "4/3600s",
        "--challenge-bits",
        "8",
    ];
    for vault in with_limits(&limit).await {
        let body = of_merchant(&vault, 0);
        for _ in 0..2 {
            assert_eq!(vault.public.post(SESSIONS, &body).await.status, 200);
        }
        let proof = work(&vault.public.post(SESSIONS, &body).await);
        assert_eq!(
            showing(&vault, &proof).post(SESSIONS, &body).await.status,
            200
        );
        assert_refused(&vault.public.post(SESSIONS, &body).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_ends() {
    for vault in with_limits(&[
        "--limit-sessions-per-key",
        "4/86400s",
        "--challenge-bits",
        "8",
    ])
    .await
    {
        let body = of_merchant(&vault, 0);
        for _ in 0..2 {
            vault.public.post(SESSIONS, &body).await;
        }
        let proof = work(&vault.public.post(SESSIONS, &body).await);
        vault.advance(121).await;
        assert_asked(&showing(&vault, &proof).post(SESSIONS, &body).await);
        let proof = work(&vault.public.post(SESSIONS, &body).await);
        assert_eq!(
            showing(&vault, &proof).post(SESSIONS, &body).await.status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_bin_asks_for_work_on_the_same_sealed_card() {
    for vault in with_limits(&["--limit-tokens-per-bin", "4/3600s", "--challenge-bits", "8"]).await
    {
        let session = vault.session().await;
        let with = |proof: &str| {
            let bearer = session["session"].as_str().unwrap();
            showing(&vault, proof).bearer(bearer)
        };
        let seal = |number: &str| vault.seal(&session, &card(number));
        for _ in 0..2 {
            let made = vault.tokenise(&session, &seal("4242424242424242")).await;
            assert_eq!(made.status, 200, "{}", made.text);
        }
        let sealed = seal("4242424242424242");
        let asked = vault.tokenise(&session, &sealed).await;
        let proof = work(&asked);
        // Which limit is hot is not told, and another BIN is not.
        assert!(!asked.text.contains("bin") && !format!("{:?}", asked.headers).contains("bin"));
        let other = vault.tokenise(&session, &seal("5555555555554444")).await;
        assert_eq!(other.status, 200, "{}", other.text);
        let through = with(&proof).post("/v1/tokens", &sealed).await;
        assert_eq!(through.status, 200, "{}", through.text);
        // The sealed card and the proof are used up both.
        let replay = with(&work(&vault.tokenise(&session, &sealed).await))
            .post("/v1/tokens", &sealed)
            .await;
        assert_eq!(
            replay.json["code"], "sealed_card_replayed",
            "{}",
            replay.text
        );
        assert_refused(&vault.tokenise(&session, &seal("4242424242424242")).await);
    }
}

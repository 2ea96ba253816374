//! The browser's sealing, run in Node: the CFRG vectors pin it, and the `hpke` crate opens what it seals.
//!
//! `seal.js` is the file the frame ships, not a copy. The RFC's own appendix lacks these two suites; the vectors are
//! the CFRG's `test-vectors.json`, mode 0, first encryption.

mod node;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256};
use hpke::{Deserializable, Kem, OpModeR, Serializable};
use serde_json::{Value, json};
use vault_api::tokens::{SEALING_INFO, sealing_aad};

const KEY: &str = "pk_test_0000000000000000000000";
const CARD: &str = r#"{"number":"4242424242424242","exp_month":12,"exp_year":2030,"cvc":"123"}"#;

fn session(sealing: Value) -> Value {
    json!({ "session": "jwt", "jti": "fs_1", "mode": "test", "expires_at": 0, "sealing": sealing })
}

fn bytes(text: &Value) -> Vec<u8> {
    BASE64URL
        .decode(text.as_str().expect("a string"))
        .expect("base64url without padding")
}

/// Seals in Node to a fresh key of `K` and opens with the crate.
#[track_caller]
fn check_opens<K: Kem>(kem: &str) {
    let (private, public) = K::gen_keypair();
    let sealing = json!([{
        "kid": "k1", "kem": kem, "public_key": BASE64URL.encode(public.to_bytes()),
    }]);
    let sealed = node::run(
        "sealing.mjs",
        &json!({ "seal": session(sealing), "key": KEY, "plaintext": CARD }),
    );
    assert_eq!(sealed["kid"], "k1");
    let enc = K::EncappedKey::from_bytes(&bytes(&sealed["enc"])).expect("an encapsulated key");
    let open = |aad: &str| {
        hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
            &OpModeR::Base,
            &private,
            &enc,
            SEALING_INFO.as_bytes(),
            &bytes(&sealed["ct"]),
            aad.as_bytes(),
        )
    };
    let opened = open(&sealing_aad("k1", "test", KEY, "fs_1")).expect("it opens");
    assert_eq!(opened, CARD.as_bytes());
    assert!(open(&sealing_aad("k1", "live", KEY, "fs_1")).is_err());
    assert!(open(&sealing_aad("k1", "test", KEY, "fs_2")).is_err());
}

#[test]
fn the_crate_opens_what_x25519_sealed() {
    check_opens::<X25519HkdfSha256>("x25519");
}

#[test]
fn the_crate_opens_what_p256_sealed() {
    check_opens::<DhP256HkdfSha256>("p256");
}

#[test]
fn an_unknown_suite_is_passed_over_and_the_next_one_used() {
    let (_, public) = X25519HkdfSha256::gen_keypair();
    let public = BASE64URL.encode(public.to_bytes());
    let sealing = json!([
        { "kid": "future", "kem": "mlkem768", "public_key": "AAAA" },
        { "kid": "broken", "kem": "p256", "public_key": "AAAA" },
        { "kid": "good", "kem": "x25519", "public_key": public },
    ]);
    let sealed = node::run(
        "sealing.mjs",
        &json!({ "seal": session(sealing), "key": KEY, "plaintext": CARD }),
    );
    assert_eq!(sealed["kid"], "good");
    let none = node::run(
        "sealing.mjs",
        &json!({ "seal": session(json!([])), "key": KEY, "plaintext": CARD }),
    );
    assert!(none["error"].is_string());
}

#[test]
fn the_plaintext_copy_is_wiped() {
    let (_, public) = X25519HkdfSha256::gen_keypair();
    let sealing = json!([{
        "kid": "k1", "kem": "x25519", "public_key": BASE64URL.encode(public.to_bytes()),
    }]);
    let sealed = node::run(
        "sealing.mjs",
        &json!({ "seal": session(sealing), "key": KEY, "plaintext": CARD }),
    );
    assert_eq!(sealed["copy_is_wiped"], true);
}

#[test]
fn the_cfrg_vectors_hold() {
    let vectors: Value =
        serde_json::from_str(include_str!("cfrg-hpke-vectors.json")).expect("JSON");
    let vectors = vectors.as_array().expect("a list");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let sealed = node::run("sealing.mjs", &json!({ "vector": vector }));
        assert_eq!(sealed["enc"], vector["enc"], "kem {}", vector["kem_id"]);
        assert_eq!(sealed["ct"], vector["ct"], "kem {}", vector["kem_id"]);
    }
}

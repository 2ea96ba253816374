//! A canary card goes the whole way through the running programs; afterwards its digits are looked for everywhere they
//! could have been left: logs, databases, write-ahead logs, answers, and the memory of who must never have held it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::{Demo, Http};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeS, Serializable as _};
use serde_json::{Value, json};
use vault_api::tokens::{SEALING_INFO, sealing_aad};

/// Ports that no other test uses.
const PORTS: u16 = 24_200;

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_card_leaves_no_digit_behind() {
    let demo = tokio::task::spawn_blocking(|| Demo::start(PORTS))
        .await
        .expect("joins")
        .expect("the demo starts");
    let digits = canary();
    let mut answers = String::new();

    let token = tokenise(&demo, &digits, &mut answers).await;
    let paid = pay(&demo, &token, &mut answers).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    let declined = tokenise(&demo, "4000000000000002", &mut answers).await;
    assert_eq!(
        pay(&demo, &declined, &mut answers).await["error"]["code"],
        "card_declined"
    );
    // Thrown at doors that must not take it, so it passes through memory; it must not stay anywhere else.
    let misplaced = canary();
    malformed(&demo, &misplaced, &mut answers).await;
    // Webhooks and logs are written after the answer.
    tokio::time::sleep(Duration::from_millis(1500)).await;

    let book = Http::new(demo.get("acquirer_admin"))
        .get("/admin/book")
        .await;
    assert!(
        book.text.contains(&digits[12..]),
        "the acquirer did book the canary: {}",
        book.text
    );
    answers.push_str(&book.text);
    assert_eq!(found(answers.as_bytes(), &digits), None, "in an answer");
    assert_eq!(
        found(answers.as_bytes(), &misplaced),
        None,
        "echoed in an answer"
    );

    let files = files(&demo.data_dir);
    assert!(
        files
            .iter()
            .filter(|file| file.extension().is_some_and(|e| e == "db"))
            .count()
            >= 4,
        "{files:?}"
    );
    for file in &files {
        let bytes = std::fs::read(file).unwrap_or_default();
        for number in [&digits, &misplaced] {
            assert_eq!(found(&bytes, number), None, "in {}", file.display());
        }
    }
    for program in ["payments", "demo-site"] {
        let memory = memory(program, &demo.data_dir);
        assert!(
            !memory.is_empty() || cfg!(not(target_os = "linux")),
            "{program}'s memory was not readable"
        );
        assert_eq!(found(&memory, &digits), None, "in the memory of {program}");
    }
}

/// The search itself can fail: it finds the digits in each of their disguises.
#[test]
fn the_search_finds_a_planted_number() {
    let digits = canary();
    for (name, needle) in disguises(&digits) {
        let haystack = [b"before ".as_slice(), &needle, b" after"].concat();
        assert!(found(&haystack, &digits).is_some(), "{name}");
    }
    assert_eq!(found(b"4242424242424241", &digits), None);
}

/// A test number that nothing else in the tree uses.
fn canary() -> String {
    let mut body = String::from("424242");
    while body.len() < 15 {
        body.extend(
            vault_api::ids::random_base62(1)
                .bytes()
                .map(|b| char::from(b'0' + b % 10)),
        );
    }
    let check = card::luhn::check_digit(&body);
    format!("{body}{check}")
}

async fn tokenise(demo: &Demo, number: &str, answers: &mut String) -> String {
    let vault = Http::new(&demo.get("vault").replace("vault.localhost", "127.0.0.1"));
    let key = demo.get("publishable_key");
    let session = vault
        .post("/v1/field-sessions", &json!({ "key": key }))
        .await;
    answers.push_str(&session.text);
    let session = session.json;
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let (kid, jti, mode) = (
        text(&session["sealing"][0]["kid"]),
        text(&session["jti"]),
        text(&session["mode"]),
    );
    let public = URL_SAFE_NO_PAD
        .decode(text(&session["sealing"][0]["public_key"]))
        .expect("base64url");
    let card = json!({"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"});
    let aad = sealing_aad(&kid, &mode, key, &jti);
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public).expect("a key");
    let (enc, mut context) = hpke::setup_sender::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        SEALING_INFO.as_bytes(),
    )
    .expect("sets up");
    let ct = context
        .seal(card.to_string().as_bytes(), aad.as_bytes())
        .expect("seals");
    let sealed = json!({"sealed": {
        "kid": kid, "enc": URL_SAFE_NO_PAD.encode(enc.to_bytes()), "ct": URL_SAFE_NO_PAD.encode(ct)
    }});
    let created = vault
        .bearer(&text(&session["session"]))
        .post("/v1/tokens", &sealed)
        .await;
    assert_eq!(created.status, 200, "{}", created.text);
    answers.push_str(&created.text);
    text(&created.json["id"])
}

async fn pay(demo: &Demo, token: &str, answers: &mut String) -> Value {
    let form = format!(
        "amount=1999&currency=usd&confirm=true&payment_method_data[type]=card&payment_method_data[card][token]={token}"
    );
    let payments = Http::new(demo.get("payments")).bearer(demo.get("secret_key"));
    let answer = payments
        .post_text(
            "/v1/payment_intents",
            "application/x-www-form-urlencoded",
            &form,
        )
        .await;
    answers.push_str(&answer.text);
    answer.json
}

// The number where it must not be: each door refuses it without repeating it.
async fn malformed(demo: &Demo, digits: &str, answers: &mut String) {
    let payments = Http::new(demo.get("payments")).bearer(demo.get("secret_key"));
    let form = format!(
        "amount=1&currency=usd&payment_method_data[type]=card&payment_method_data[card][number]={digits}"
    );
    let refused = payments
        .post_text(
            "/v1/payment_intents",
            "application/x-www-form-urlencoded",
            &form,
        )
        .await;
    assert_eq!(
        refused.json["error"]["code"], "card_data_not_allowed",
        "{}",
        refused.text
    );
    answers.push_str(&refused.text);
    let vault = Http::new(demo.get("vault_private")).bearer(demo.get("vault_key"));
    let number = format!("{{\"card\":{{\"number\":{digits},\"exp_month\":\"{digits}\"}}}}");
    answers.push_str(
        &vault
            .post_text("/v1/tokens", "application/json", &number)
            .await
            .text,
    );
    answers.push_str(&vault.get(&format!("/v1/cards/{digits}")).await.text);
    let shop = Http::new(&demo.get("shop").replace("shop.localhost", "127.0.0.1"));
    answers.push_str(&shop.get(&format!("/checkout/{digits}")).await.text);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .expect("the data directory is there")
        .flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn found(haystack: &[u8], digits: &str) -> Option<&'static str> {
    disguises(digits)
        .into_iter()
        .find(|(_, needle)| {
            haystack
                .windows(needle.len())
                .any(|window| window == needle.as_slice())
        })
        .map(|(name, _)| name)
}

fn disguises(digits: &str) -> Vec<(&'static str, Vec<u8>)> {
    let grouped = |separator: &str| {
        let groups: Vec<_> = digits
            .as_bytes()
            .chunks(4)
            .map(|c| String::from_utf8_lossy(c).into_owned())
            .collect();
        groups.join(separator).into_bytes()
    };
    let hex: String = digits.bytes().map(|b| format!("{b:02x}")).collect();
    let base64_at = |shift: usize| {
        // The characters of a base64 text that depend on the digits alone, at each of three alignments.
        let padded = format!("{}{digits}", &"xxx"[..shift]);
        let text = STANDARD.encode(padded);
        let from = [0, 2, 3][shift];
        text.as_bytes()[from..from + 18].to_vec()
    };
    vec![
        ("plain", digits.as_bytes().to_vec()),
        ("spaced", grouped(" ")),
        ("dashed", grouped("-")),
        ("hex", hex.clone().into_bytes()),
        ("HEX", hex.to_uppercase().into_bytes()),
        ("base64", base64_at(0)),
        ("base64 + 1", base64_at(1)),
        ("base64 + 2", base64_at(2)),
        ("UTF-16", digits.bytes().flat_map(|b| [b, 0]).collect()),
        (
            "packed BCD",
            digits
                .as_bytes()
                .chunks(2)
                .map(|p| (p[0] - b'0') << 4 | (p[1] - b'0'))
                .collect(),
        ),
    ]
}

/// What a program of this demo has in memory (Linux, as the same user or root).
fn memory(program: &str, data_dir: &Path) -> Vec<u8> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let Some(pid) = pid(program, data_dir) else {
        return vec![];
    };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(mut file) = std::fs::File::open(format!("/proc/{pid}/mem")) else {
        return vec![];
    };
    let mut all = vec![];
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line
            .split_whitespace()
            .next()
            .and_then(|range| range.split_once('-'))
            .expect("a range");
        let (from, to) = (
            u64::from_str_radix(from, 16).expect("hex"),
            u64::from_str_radix(to, 16).expect("hex"),
        );
        if file.seek(SeekFrom::Start(from)).is_ok() {
            let _ = (&mut file).take(to - from).read_to_end(&mut all);
        }
    }
    all
}

fn pid(program: &str, data_dir: &Path) -> Option<String> {
    let data_dir = data_dir.to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let runs = line
                .split('\0')
                .next()
                .is_some_and(|path| path.ends_with(&format!("/{program}")));
            (runs && line.contains(&data_dir))
                .then(|| entry.file_name().to_string_lossy().into_owned())
        })
}

//! The browser's proof of work, run in Node and judged by the rule that the vault judges by: not only is each proof
//! right, no smaller number would have been.
//!
//! `post.js` is the file the frame ships, not a copy.

use std::io::Write;
use std::process::{Command, Stdio};

use vault_api::Challenge;
use vault_api::problem::is_proof;

/// Runs `tests/proof.mjs`.
#[track_caller]
fn prove(challenges: &[Challenge]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proof.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs node (20 or newer) on the PATH");
    let stdin = child.stdin.take().expect("a pipe");
    serde_json::to_writer(&stdin, challenges).expect("node reads");
    { stdin }.flush().expect("node reads");
    let output = child.wait_with_output().expect("node ends");
    assert!(output.status.success(), "node failed");
    serde_json::from_slice(&output.stdout).expect("node answers JSON")
}

/// Salts of these lengths, each with `bits` zero bits asked for.
#[track_caller]
fn check(lengths: impl Iterator<Item = usize>, bits: u8) {
    let salt = |length| (0..length).map(|n| char::from(b'A' + (n * 7 % 26) as u8));
    let challenges: Vec<_> = lengths
        .map(|length| Challenge {
            salt: salt(length).collect(),
            bits,
            expires_at: 0,
        })
        .collect();
    let proofs = prove(&challenges);
    assert_eq!(proofs.len(), challenges.len());
    for (Challenge { salt, .. }, proof) in challenges.iter().zip(proofs) {
        let first = (0..).map(|n: u64| format!("{salt}.{n}"));
        let first = first.into_iter().find(|text| is_proof(text, bits));
        assert_eq!(Some(proof), first, "{} bytes of salt", salt.len());
    }
}

#[test]
fn any_length_of_text_is_hashed_right() {
    // Past one, two and three blocks, and each place in which the text's length stops to fit into the last.
    check(0..200, 5);
}

#[test]
fn what_the_vault_asks_for_is_found() {
    // 21 bytes and a MAC of 32 in base64url, a dot between them.
    check([72].into_iter(), 14);
    check([72].into_iter(), 16);
}

//! The browser's proof of work, run in Node and judged by the rule that the vault judges by: not only is each proof
//! right, no smaller number would have been.
//!
//! `post.js` is the file the frame ships, not a copy.

mod node;

use vault_api::Challenge;
use vault_api::problem::is_proof;

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
    let proofs = node::run("proof.mjs", &serde_json::json!(challenges));
    let proofs: Vec<String> = serde_json::from_value(proofs).expect("a proof each");
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

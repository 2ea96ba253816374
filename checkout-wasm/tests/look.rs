//! The merchant's look, run in Node: `look.js` is the file the frame ships. What is refused, and what never gets past.

use std::process::Command;

use serde_json::{Value, json};

#[test]
fn nothing_but_values_of_their_kind_gets_into_the_style() {
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/look.mjs"))
        .output()
        .expect("this test needs node (20 or newer) on the PATH");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("node answers JSON");
    assert_eq!(found["wrong"], json!([]));
    // The pieces do make values: a fuzzer whose every input is refused proves nothing.
    assert!(
        found["taken"].as_u64().is_some_and(|taken| taken > 1000),
        "{found}"
    );
}

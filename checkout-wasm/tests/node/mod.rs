//! Runs a script of these tests in Node: JSON in, JSON out. Browser code is held against the Rust so.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs `tests/{script}` with `input` on its standard input, and reads what it writes.
#[track_caller]
pub fn run(script: &str, input: &Value) -> Value {
    let mut child = Command::new("node")
        .arg(format!("{}/tests/{script}", env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs node (20 or newer) on the PATH");
    let stdin = child.stdin.take().expect("a pipe");
    { stdin }
        .write_all(input.to_string().as_bytes())
        .expect("node reads");
    let output = child.wait_with_output().expect("node ends");
    assert!(
        output.status.success(),
        "{script} failed; where a package is missing, run `npm ci` in checkout-wasm/"
    );
    serde_json::from_slice(&output.stdout).expect("node answers JSON")
}

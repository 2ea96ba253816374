//! The same rules in both builds: `examples/luhn_parity.rs`, natively and as wasm in Node, optimised as they are shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the crate and the example for a target, or for this machine. Not by cargo alone: an example would bring the
/// crates that only tests need, and not all of them build for wasm.
fn build(target: Option<&str>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parity");
    let target: Vec<_> = target
        .into_iter()
        .flat_map(|name| ["--target", name])
        .collect();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "card",
            "--release",
            "--target-dir",
        ])
        .arg(&folder)
        .args(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(
        cargo.status().is_ok_and(|status| status.success()),
        "the crate does not build: rustup target add wasm32-unknown-unknown"
    );
    let built = target
        .last()
        .map_or(folder.clone(), |name| folder.join(name));
    let program = built.join("luhn_parity");
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--edition", "2024", "-O", "--extern"])
        .arg(format!(
            "card={}",
            built.join("release/libcard.rlib").display()
        ))
        .arg("-o")
        .arg(&program)
        .args(&target)
        .arg("examples/luhn_parity.rs")
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(rustc.status().is_ok_and(|status| status.success()), "rustc");
    program
}

#[test]
fn natively() {
    let output = Command::new(build(None)).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn as_wasm() {
    // A panic is a trap, which Node throws.
    let program = "
        const { readFileSync } = require('node:fs');
        WebAssembly.instantiate(readFileSync(process.argv[1]), {}).then(({ instance }) => {
            instance.exports.main(0, 0);
            process.stdout.write('done');
        });";
    let output = Command::new("node")
        .args(["--eval", program])
        .arg(build(Some("wasm32-unknown-unknown")))
        .output()
        .expect("this test needs node (20 or newer) on the PATH");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done", "{errors}");
}

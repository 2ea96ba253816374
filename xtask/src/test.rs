//! `cargo xtask test`: everything. What is missing on the machine is installed or started; what cannot be is listed as
//! `SKIPPED: install X`, and the exit code is 2.

use std::process::Command;
use std::time::Instant;

use crate::machine::{self, CHROMIUM, POSTGRES, PYTHON, SOFTHSM};
use crate::postgres::Postgres;
use crate::roots::{Hsm, Kms};
use crate::{demo, steps, workspace};

/// The test's own demo: far from the ports that people use.
const E2E_PORTS: [u16; 2] = [24_000, 24_100];

/// How everything ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it passed.
    Passed,
    /// What could run passed.
    Skipped,
}

/// Runs everything; stops at the first failure.
///
/// # Errors
/// The step that failed.
pub fn run() -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut skipped = vec![];

    steps::step("1/6", "format");
    steps::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;

    steps::step("2/6", "the card frame, as released");
    demo::frame()?;

    steps::step("3/6", "clippy, warnings denied");
    let deny = ["--", "-D", "warnings"];
    steps::run(
        workspace::cargo()
            .args(["clippy", "--workspace", "--all-targets"])
            .args(deny),
    )?;
    let for_browser = [
        "clippy",
        "--package",
        "checkout-wasm",
        "--target",
        "wasm32-unknown-unknown",
    ];
    steps::run(workspace::cargo().args(for_browser).args(deny))?;

    steps::step("4/6", "the programs");
    // The same packages as `cargo xtask demo` builds: what the tests start must not be built a second time.
    demo::build()?;

    steps::step(
        "5/6",
        "unit, integration and wall tests, on SQLite and PostgreSQL",
    );
    let postgres = match POSTGRES.get() {
        Ok(bin) => Some(Postgres::start(&bin)?),
        Err(why) => {
            skipped.push(format!("tests on PostgreSQL: {why}"));
            None
        }
    };
    let mut tests = workspace::cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    if let Some(postgres) = &postgres {
        tests.env("CARDSEAL_TEST_POSTGRES", postgres.url());
    }
    let kms = PYTHON.get().and_then(|python| Kms::start(&python));
    match &kms {
        Ok(kms) => drop(tests.envs(kms.environment())),
        Err(why) => skipped.push(format!("a root key in AWS KMS: {why:#}")),
    }
    let hsm = SOFTHSM.get().and_then(|module| Hsm::prepare(&module));
    match &hsm {
        Ok(hsm) => drop(tests.envs(hsm.environment())),
        Err(why) => skipped.push(format!("a root key in a PKCS#11 token: {why:#}")),
    }
    steps::run(&mut tests)?;
    drop((postgres, kms, hsm));

    steps::step("6/6", "browser tests in Chromium");
    match (CHROMIUM.get(), machine::on_path(&["npm"])) {
        (Ok(chromium), Some(_)) => browser(&chromium)?,
        (Err(why), _) => skipped.push(format!("browser tests: {why}")),
        (_, None) => skipped.push("browser tests: install nodejs npm".to_owned()),
    }

    steps::note(&format!("all in {:.0} s", started.elapsed().as_secs_f64()));
    for what in &skipped {
        steps::note(&format!("SKIPPED: {what}"));
    }
    Ok(if skipped.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Skipped
    })
}

// The suite starts the demo itself, twice at once, on ports of its own.
fn browser(chromium: &std::path::Path) -> anyhow::Result<()> {
    let e2e = workspace::root()?.join("e2e");
    let mut install = Command::new("npm");
    steps::run(
        install
            .args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])
            .current_dir(&e2e),
    )?;
    let xtask = workspace::built("xtask")?;
    let mut tests = Command::new("npm");
    tests
        .args(["test"])
        .current_dir(&e2e)
        .env("CARDSEAL_CHROMIUM", chromium)
        .env("CARDSEAL_XTASK", xtask)
        .env(
            "CARDSEAL_PORTS",
            E2E_PORTS.map(|port| port.to_string()).join(","),
        );
    steps::run(&mut tests)
}

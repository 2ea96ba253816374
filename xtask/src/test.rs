//! `cargo xtask test`: everything. What is missing on the machine is installed or started; what cannot be is listed as
//! `SKIPPED: install X`, and the exit code is 2.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::machine::{self, CHROMIUM, FIREFOX, POSTGRES, PYTHON, SOFTHSM, WEBKIT};
use crate::postgres::Postgres;
use crate::roots::{Hsm, Kms};
use crate::suite::{self, Failure};
use crate::{demo, frame, steps, workspace};

/// The test's own demo: far from the ports that people use.
const E2E_PORTS: [u16; 2] = [24_000, 24_100];
/// The demo of the SDKs' suites, and after them that of the other engines.
const SDK_PORTS: u16 = 24_200;

/// How everything ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it passed.
    Passed,
    /// What could run passed.
    Skipped,
    /// Something failed, and was said at the end.
    Failed,
}

/// Runs everything. Format, lints and the build stop at the first failure; after them every suite runs, whatever the ones
/// before it said, so that one run names all that is broken.
///
/// # Errors
/// A step before the suites failed.
pub fn run() -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let (mut skipped, mut ran) = (vec![], vec![]);

    steps::step("1/7", "format");
    steps::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;

    steps::step("2/7", "the card frame, as released");
    demo::frame()?;
    match frame::stale_weights()? {
        Some(stale) => anyhow::ensure!(
            stale.is_empty(),
            "run `cargo xtask frame --features`: {}",
            stale.join("; ")
        ),
        None => skipped.push(
            "what the frame weighs: install nodejs npm, or the compiler that the tables name"
                .to_owned(),
        ),
    }

    steps::step("3/7", "clippy, warnings denied");
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

    steps::step("4/7", "the programs");
    // The same packages as `cargo xtask demo` builds: what the tests start must not be built a second time.
    demo::build()?;

    steps::step(
        "5/7",
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
    ran.push(suite::run(&mut tests));
    drop((postgres, kms, hsm));

    steps::step(
        "6/7",
        "the official stripe SDKs for Node and Python, against a demo",
    );
    ran.push(sdks(&mut skipped));

    steps::step(
        "7/7",
        "browser tests in Chromium, their core in Firefox and WebKitGTK, also without WebAssembly",
    );
    match (CHROMIUM.get(), machine::on_path(&["npm"])) {
        (Ok(chromium), Some(_)) => {
            ran.push(browser(&chromium));
            ran.push(engines(&chromium, &mut skipped));
        }
        (Err(why), _) => skipped.push(format!("browser tests: {why}")),
        (_, None) => skipped.push("browser tests: install nodejs npm".to_owned()),
    }

    steps::note(&format!("all in {:.0} s", started.elapsed().as_secs_f64()));
    for what in &skipped {
        steps::note(&format!("SKIPPED: {what}"));
    }
    Ok(said(ran, !skipped.is_empty()))
}

// The last lines of a long run are those that people, and a CI that shows only an end, read.
fn said(ran: Vec<Result<Vec<String>, Failure>>, skipped: bool) -> Outcome {
    let mut outcome = if skipped {
        Outcome::Skipped
    } else {
        Outcome::Passed
    };
    for suite in ran {
        match suite {
            Ok(told) if told.is_empty() => {}
            Ok(told) => {
                steps::note("PASSED AT THE SECOND TRY ONLY:");
                told.iter().for_each(|line| steps::note(line));
            }
            Err(failure) => {
                outcome = Outcome::Failed;
                steps::note(&format!("FAILED: {}", failure.what));
                failure.told.iter().for_each(|line| steps::note(line));
            }
        }
    }
    outcome
}

// One demo for both suites; `e2e/sdk/run.js` starts it.
fn sdks(skipped: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    if machine::on_path(&["npm"]).is_none() {
        skipped.push("the official SDKs' suites: install nodejs npm".to_owned());
        return Ok(vec![]);
    }
    let sdk = workspace::root()?.join("e2e/sdk");
    steps::run(npm_ci().current_dir(sdk.join("node")))?;
    let mut suites = Command::new("node");
    suites
        .arg("run.js")
        .current_dir(&sdk)
        .env_remove("CARDSEAL_DEMO")
        .env_remove("CARDSEAL_SDK_PYTHON")
        .env("CARDSEAL_XTASK", workspace::built("xtask")?)
        .env("CARDSEAL_PORTS", SDK_PORTS.to_string());
    match PYTHON.get() {
        Ok(python) => drop(suites.env("CARDSEAL_SDK_PYTHON", python_with_stripe(&python, &sdk)?)),
        Err(why) => skipped.push(format!("the SDK suite in Python: {why}")),
    }
    suite::run(&mut suites)
}

// The interpreter of a virtual environment under target/ that holds what the suite's requirements pin.
fn python_with_stripe(python: &Path, sdk: &Path) -> anyhow::Result<PathBuf> {
    let folder = workspace::target()?.join("sdk-python");
    let inside = folder.join("bin/python");
    if !inside.exists() {
        steps::run(Command::new(python).args(["-m", "venv"]).arg(&folder))?;
    }
    let mut install = Command::new(&inside);
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .arg("-r")
        .arg(sdk.join("python/requirements.txt"));
    steps::run(&mut install)?;
    Ok(inside)
}

fn npm_ci() -> Command {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
    npm
}

// The suite starts the demo itself, twice at once, on ports of its own.
fn browser(chromium: &Path) -> Result<Vec<String>, Failure> {
    let e2e = workspace::root()?.join("e2e");
    steps::run(npm_ci().current_dir(&e2e))?;
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
    suite::run(&mut tests)
}

// The core of the browser tests in every engine; `e2e/engines/run.js` starts one demo for them.
fn engines(chromium: &Path, skipped: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    let mut programs = serde_json::Map::new();
    programs.insert("chromium".to_owned(), chromium.display().to_string().into());
    for (engine, need) in [("firefox", &FIREFOX), ("webkit", &WEBKIT)] {
        match need.get() {
            Ok(program) => {
                drop(programs.insert(engine.to_owned(), program.display().to_string().into()))
            }
            Err(why) => skipped.push(format!(
                "the core of the browser tests in {}: {why}",
                need.name
            )),
        }
    }
    let mut core = Command::new("node");
    core.arg("engines/run.js")
        .current_dir(workspace::root()?.join("e2e"))
        .env_remove("CARDSEAL_DEMOS")
        .env(
            "CARDSEAL_ENGINES",
            serde_json::Value::from(programs).to_string(),
        )
        .env("CARDSEAL_XTASK", workspace::built("xtask")?)
        .env("CARDSEAL_PORTS", SDK_PORTS.to_string());
    suite::run(&mut core)
}

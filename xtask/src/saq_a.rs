//! `cargo xtask saq-a-check URL`: opens a merchant's payment page in a browser and says what breaks SAQ A eligibility.
//! The looking and judging is done by `e2e/saq-a/`, with Playwright.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::machine::{self, CHROMIUM};
use crate::{steps, workspace};

/// `cargo xtask saq-a-check`.
#[derive(clap::Args)]
pub struct Options {
    /// The payment page, in the state that shows the card form.
    url: String,
    /// The page's scripts and frames, each with a reason: docs/saq-a.md shows the file.
    #[arg(long)]
    inventory: Option<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Looks; the exit code is 0 when nothing breaks eligibility, 1 when something does, 2 when the page could not be seen.
///
/// # Errors
/// What is missing on this machine.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let chromium = CHROMIUM.get()?;
    machine::on_path(&["npm"]).context("install nodejs npm")?;
    let e2e = browser_tests()?;
    let mut check = Command::new("node");
    check
        .arg(e2e.join("saq-a/check.js"))
        .arg(&options.url)
        .env("CARDSEAL_CHROMIUM", chromium);
    if let Some(file) = &options.inventory {
        check.arg("--inventory").arg(file);
    }
    if options.json {
        check.arg("--json");
    }
    let status = check.status().context("node could not be started")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(2)))
}

/// The folder `e2e`, its packages installed.
///
/// # Errors
/// When npm fails.
pub fn browser_tests() -> anyhow::Result<PathBuf> {
    let e2e = workspace::root()?.join("e2e");
    if !e2e.join("node_modules/@playwright/test").exists() {
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
        install.stdout(std::io::stderr());
        steps::run(install.current_dir(&e2e))?;
    }
    Ok(e2e)
}

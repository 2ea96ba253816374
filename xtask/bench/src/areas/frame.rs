//! The card frame's figures: bytes, time until it takes keys and until it is ready, keys to paint, memory; each beside a form
//! in plain JavaScript. Chromium measures (`e2e/bench/frame.js`), against a vault of its own.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::bench::Bench;
use crate::figure::Figure;

/// Where the browser's measurements are: the folder `e2e`, its packages installed.
pub const BROWSER_TESTS: &str = "CARDSEAL_BENCH_E2E";

/// Measures all figures, where there is a browser.
///
/// # Errors
/// What failed.
#[expect(
    clippy::print_stderr,
    reason = "what is skipped is said beside the table"
)]
pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os(BROWSER_TESTS) else {
        eprintln!("SKIPPED: figures of the frame: no Chromium, or no npm");
        return Ok(());
    };
    let browser = Command::new("node")
        .arg("bench/frame.js")
        .current_dir(&folder)
        // Beside it is the vault.
        .env("CARDSEAL_XTASK", bench.programs.join("xtask"))
        .stdout(Stdio::piped())
        .spawn()
        .context("node could not be started")?;
    let output = browser.wait_with_output().await?;
    ensure!(output.status.success(), "bench/frame.js failed");
    let figures: Vec<Figure> = serde_json::from_slice(&output.stdout)?;
    bench.figures.extend(figures);
    Ok(())
}

//! The built programs as processes: `cargo xtask demo` on ports and in a folder of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// A running demo. Dropping it stops every process.
pub struct Demo {
    child: Child,
    /// What it printed after `ready`.
    pub ready: Value,
    /// Where its data is.
    pub data_dir: PathBuf,
}

impl Demo {
    /// Starts `xtask demo` from the folder of the built programs and waits for its `ready` line.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(port_base: u16) -> anyhow::Result<Self> {
        let data_dir = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-demo"));
        let mut child = Command::new(built("xtask")?)
            .args(["demo", "--port-base", &port_base.to_string(), "--data-dir"])
            .arg(&data_dir)
            .stdout(Stdio::piped())
            .spawn()
            .context("xtask could not be started; build the workspace first")?;
        let stdout = child.stdout.take().context("no standard output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(json) = line?.strip_prefix("ready ") {
                return Ok(Self {
                    child,
                    ready: serde_json::from_str(json)?,
                    data_dir,
                });
            }
        }
        bail!("the demo ended before it was ready");
    }

    /// A string of the `ready` line.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test that misses a key of the contract must fail"
    )]
    pub fn get(&self, key: &str) -> &str {
        self.ready[key]
            .as_str()
            .expect("the ready line has this key")
    }

    /// Tells it to stop, as Ctrl-C does, and waits.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.stop();
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}

/// A built program of this workspace, beside the running test.
///
/// # Errors
/// When it was not built.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .context("tests run from target/<profile>/deps")?;
    let program = folder.join(name);
    if program.exists() {
        Ok(program)
    } else {
        bail!("{name} is not built; run: cargo build --workspace")
    }
}

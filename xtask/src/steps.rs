//! Steps of a long command: what is being done, the commands it runs and how long they took, and the `ready` line.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::say::say;

/// A step that may take long.
pub fn step(number: &str, what: &str) {
    say(format!("[{number}] {what}"));
}

/// A remark.
pub fn note(what: &str) {
    say(format!("      {what}"));
}

/// The one line that programs wait for, alone on standard output.
#[expect(clippy::print_stdout, reason = "the contract of `cargo xtask demo`")]
pub fn ready(json: &Value) {
    println!("ready {json}");
}

/// A command that is being timed.
pub struct Timed {
    /// The command as a user would type it.
    pub name: String,
    started: Instant,
}

impl Timed {
    /// From now on.
    pub fn start(command: &Command) -> Self {
        Self {
            name: shown(command),
            started: Instant::now(),
        }
    }

    /// Says how long it took.
    pub fn end(self) {
        let seconds = self.started.elapsed().as_secs_f64();
        note(&format!("{}: {seconds:.1} s", self.name));
    }
}

/// Runs a command whose output the user sees, and says how long it took.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let timed = Timed::start(command);
    let status = command
        .status()
        .with_context(|| format!("{} could not be started", timed.name))?;
    if !status.success() {
        bail!("{} failed ({status})", timed.name);
    }
    timed.end();
    Ok(())
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

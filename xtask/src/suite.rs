//! A suite of `cargo xtask test`: its output goes by as it comes, and what tells of its failures is kept, so that the end
//! of a long run says what broke and not only that something did.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::steps::Timed;

/// Lines kept of one suite.
const KEPT: usize = 40;
/// How Playwright heads the names of tests that failed and then passed.
const FLAKY: &str = " flaky";
/// Characters kept of a line.
const WIDTH: usize = 200;

/// A suite that failed.
#[derive(Debug)]
pub struct Failure {
    /// The command, and how it ended.
    pub what: String,
    /// What it said of its failures.
    pub told: Vec<String>,
}

impl From<anyhow::Error> for Failure {
    fn from(why: anyhow::Error) -> Self {
        Self {
            what: format!("{why:#}"),
            told: vec![],
        }
    }
}

/// Runs a suite and gives what it said of tests that passed at a second try only.
///
/// # Errors
/// It could not be started, or it failed.
pub fn run(command: &mut Command) -> Result<Vec<String>, Failure> {
    let timed = Timed::start(command);
    // Errors and results come through one pipe, in the order in which they were written.
    let (reader, writer) = std::io::pipe().context("no pipe")?;
    command
        .stdout(writer.try_clone().context("no pipe")?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("{} could not be started", timed.name))?;
    // The command holds the pipe's other end too, and the reader would wait for it.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut told = Told::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("the suite's output broke off")?;
        let mut out = std::io::stdout().lock();
        out.write_all(&line)
            .and_then(|()| out.write_all(b"\n"))
            .context("standard output is closed")?;
        told.hear(&String::from_utf8_lossy(&line));
    }
    let status = child.wait().context("the suite is lost")?;
    if status.success() {
        timed.end();
        // Programs that a suite starts may speak of errors that it wants to see.
        let at_second = told.kept.iter().position(|line| line.ends_with(FLAKY));
        return Ok(told.kept.split_off(at_second.unwrap_or(told.kept.len())));
    }
    Err(Failure {
        what: format!("{} failed ({status})", timed.name),
        told: told.kept,
    })
}

/// What a suite told of failures, in the words of cargo, Playwright, node's and Python's test runners.
#[derive(Default)]
struct Told {
    kept: Vec<String>,
    /// Lines still to come that belong to the last telling one.
    belong: usize,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let text = line.trim();
        if let Some(lines) = begins(text) {
            self.belong = lines + 1;
        } else if text.starts_with("stack backtrace:") {
            self.belong = 0;
        }
        if self.belong == 0 || text.is_empty() {
            return;
        }
        self.belong -= 1;
        let short: String = text.chars().take(WIDTH).collect();
        // Runners name a failure where it happens and again at their end.
        if (self.kept.len() < KEPT || text.ends_with(FLAKY)) && !self.kept.contains(&short) {
            self.kept.push(short);
        }
    }
}

/// How many lines after this one belong to it; none where it tells of no failure.
fn begins(text: &str) -> Option<usize> {
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    match *words.as_slice() {
        // rustc: "error[E0308]: .."; cargo: "error: test failed, .."
        [first, ..] if first.starts_with("error[") => Some(3),
        ["error:", ..] => Some(0),
        // Playwright: "  1) [desktop] › tests/..", and "  1 flaky" over the names.
        [number, project, ..] if is_numbered(number) && project.starts_with('[') => Some(9),
        [count, _] if text.ends_with(FLAKY) && count.parse::<u16>().is_ok() => Some(3),
        // node --test
        ["\u{2716}", ..] => Some(5),
        // unittest
        ["FAIL:" | "ERROR:", ..] => Some(8),
        _ if text.contains(" panicked at ") => Some(4),
        _ => None,
    }
}

// "12)", as in a list.
fn is_numbered(word: &str) -> bool {
    word.strip_suffix(')')
        .is_some_and(|number| number.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::Told;

    fn told(output: &str) -> Vec<String> {
        let mut told = Told::default();
        output.lines().for_each(|line| told.hear(line));
        told.kept
    }

    #[test]
    fn what_cargo_says_of_a_failure_is_kept_and_its_backtrace_is_not() {
        let output = "(node:7) [CODE] Warning\ntest a ... ok\n\nthread 'b' (7) panicked at src/b.rs:1:2:\nleft: 1\nright: 2\nstack backtrace:\n   0: begin_unwind\n\ntest c ... ok";
        let kept = [
            "thread 'b' (7) panicked at src/b.rs:1:2:",
            "left: 1",
            "right: 2",
        ];
        assert_eq!(told(output), kept);
    }

    #[test]
    fn what_a_browser_test_expected_is_kept_once() {
        let one =
            "  1) [desktop] \u{203a} tests/pay.spec.js:3:1 \u{203a} pays\n\n    Error: no button\n";
        let kept = [
            "1) [desktop] \u{203a} tests/pay.spec.js:3:1 \u{203a} pays",
            "Error: no button",
        ];
        assert_eq!(
            told(&format!(
                "  \u{2713}  2 [desktop] \u{203a} other\n{one}{one}"
            )),
            kept
        );
    }

    #[test]
    fn a_suite_that_passes_tells_nothing() {
        assert_eq!(
            told(
                "running 3 tests\ntest a ... ok\n  \u{2713}  1 [desktop] \u{203a} an error is shown\n"
            ),
            [""; 0]
        );
    }
}

//! What the commands tell whoever started them. On stderr: stdout is for results that programs read.

/// A line of progress.
#[expect(clippy::print_stderr, reason = "a command speaks on stderr")]
pub fn say(line: impl std::fmt::Display) {
    eprintln!("{line}");
}

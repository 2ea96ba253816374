//! `cargo xtask clock --data-dir DIR advance 61m`: moves a demo's clock.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::steps;

/// Which demo, and what to do.
#[derive(clap::Args)]
pub struct Options {
    /// The demo's data directory.
    #[arg(long)]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Move the clock forward: `90s`, `61m`, `25h`, `14d`.
    Advance {
        /// How far.
        by: String,
    },
    /// Back to real time.
    Reset,
}

/// Runs it.
///
/// # Errors
/// When the directory holds no demo or the time is not understood.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let file = options.data_dir.join("clock");
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!(
            "{} holds no demo; start one with `cargo xtask demo`",
            options.data_dir.display()
        )
    })?;
    let now: i64 = text.trim().parse().context("the clock file is malformed")?;
    let offset = match &options.command {
        Command::Advance { by } => now + seconds(by)?,
        Command::Reset => 0,
    };
    std::fs::write(&file, offset.to_string())?;
    steps::note(&format!("the demo's clock is {offset} s ahead"));
    Ok(())
}

fn seconds(text: &str) -> anyhow::Result<i64> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let Ok(number) = number.parse::<i64>() else {
        bail!("write a time like 90s, 61m, 25h or 14d")
    };
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => bail!("write a time like 90s, 61m, 25h or 14d"),
    };
    Ok(number * unit)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_as_people_write_them() {
        assert_eq!(seconds("61m").ok(), Some(3660));
        assert_eq!(seconds("14d").ok(), Some(1_209_600));
        assert!(seconds("").is_err() && seconds("m").is_err() && seconds("5").is_err());
    }
}

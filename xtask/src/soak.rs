//! `cargo xtask soak --minutes N`: the long campaigns. Each round is the vault's model test with another seed; a failure
//! names the seed that repeats its choices.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::machine::POSTGRES;
use crate::postgres::Postgres;
use crate::{steps, workspace};

/// A round: long enough for dozens of kills, short enough that the checker looks at it whole.
const ROUND: u64 = 45;

/// How long, and from which seed.
#[derive(clap::Args)]
pub struct Options {
    /// How long to go on; the round that is under way is finished.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The first round's seed (each further round adds one); from the time when left out.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs rounds until the time is over or one fails.
///
/// # Errors
/// The round that failed, with its seed.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(options.minutes * 60);
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let first = options.seed.unwrap_or(since.as_secs());
    let postgres = Postgres::start(&POSTGRES.get()?)?;
    for seed in first.. {
        steps::step(&format!("seed {seed}"), "the vault against its model");
        let mut round = workspace::cargo();
        round
            .args(["test", "--quiet", "--package", "token-vault"])
            .args(["--test", "model", "--", "--nocapture"])
            .env("CARDSEAL_TEST_POSTGRES", postgres.url())
            .env("CARDSEAL_SEED", seed.to_string())
            .env("CARDSEAL_SOAK_SECONDS", ROUND.to_string());
        steps::run(&mut round).with_context(|| {
            format!("repeat it with: cargo xtask soak --minutes 1 --seed {seed}")
        })?;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(())
}

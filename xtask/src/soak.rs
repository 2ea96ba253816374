//! `cargo xtask soak --minutes N`: the long campaigns, in turns: the vault's model test with another seed each round (a
//! failure names the seed that repeats its choices), the races of payments, every fault at each acquirer and the kills
//! on the whole stack.

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
    /// Rounds of each race of payments, on each store.
    #[arg(long, default_value_t = 1_000)]
    race_rounds: u32,
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
    steps::run(workspace::cargo().args(["build", "--workspace"]))?;
    let test = |package: &str, target: &str| {
        let mut cargo = workspace::cargo();
        cargo
            .args(["test", "--quiet", "--package", package])
            .args(["--test", target])
            .env("CARDSEAL_TEST_POSTGRES", postgres.url());
        cargo
    };
    for seed in first.. {
        steps::step(&format!("seed {seed}"), "the vault against its model");
        let mut round = test("token-vault", "model");
        round
            .args(["--", "--nocapture"])
            .env("CARDSEAL_SEED", seed.to_string())
            .env("CARDSEAL_SOAK_SECONDS", ROUND.to_string());
        steps::run(&mut round).with_context(|| {
            format!("repeat it with: cargo xtask soak --minutes 1 --seed {seed}")
        })?;
        if Instant::now() >= until {
            break;
        }
        steps::step("payments", "refunds, captures, cancels and confirms race");
        let mut races = test("payments", "it");
        races
            .args(["--", "races::"])
            .env("CARDSEAL_RACE_ROUNDS", options.race_rounds.to_string());
        steps::run(&mut races)?;
        if Instant::now() >= until {
            break;
        }
        steps::step("the stack", "every fault at each acquirer, and kills");
        steps::run(test("harness", "it").args(["--", "acquirers::", "kills::"]))?;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(())
}

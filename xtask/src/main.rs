//! `cargo xtask`: the repository's commands. This file is their table of contents; each has a module of its own.

mod bench;
mod clock;
mod demo;
mod frame;
mod machine;
mod postgres;
mod roots;
mod saq_a;
mod say;
mod soak;
mod steps;
mod suite;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The repository's commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what is missing, start every program, print `ready {json}`, serve until Ctrl-C.
    Demo(demo::Options),
    /// Everything: format, lints, walls, tests on both stores, browser tests.
    Test,
    /// The measured figures, each beside its baseline: a table, and target/bench.json.
    Bench(bench::Options),
    /// The long campaigns: kills, races and restarts against the model, round after round.
    Soak(soak::Options),
    /// Move a demo's clock.
    Clock(clock::Options),
    /// Say what breaks SAQ A eligibility on a merchant's payment page; exit 1 when something does.
    SaqACheck(saq_a::Options),
    /// Build the card frame and the loader: wasm, document, hashes, brotli, manifest.
    Frame(frame::Args),
    /// The last step of the frame's build; Trunk calls it as its post_build hook.
    FinishFrame,
}

fn main() -> ExitCode {
    // What went wrong is said in a sentence: where in this program it was noticed helps nobody.
    run().unwrap_or_else(|why| {
        say::say(format!("error: {why:#}"));
        ExitCode::FAILURE
    })
}

fn run() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Clock(options) => clock::run(&options),
        Command::SaqACheck(options) => return saq_a::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Test => {
            return Ok(match test::run()? {
                test::Outcome::Passed => ExitCode::SUCCESS,
                test::Outcome::Failed => ExitCode::FAILURE,
                // What could run passed, something could not run here.
                test::Outcome::Skipped => ExitCode::from(2),
            });
        }
        Command::Frame(args) => frame::run(&args),
        Command::FinishFrame => frame::finish_for_trunk(),
    }?;
    Ok(ExitCode::SUCCESS)
}

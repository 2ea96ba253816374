//! `cargo xtask bench`: builds the programs for release and the load generator (`xtask/bench`, a package of its own so
//! that xtask stays light), and runs it on SQLite and PostgreSQL.

use std::process::Command;

use crate::machine::{self, CHROMIUM, POSTGRES};
use crate::postgres::Postgres;
use crate::saq_a::browser_tests;
use crate::{demo, steps, workspace};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Only this store: `sqlite` or `postgres`.
    #[arg(long)]
    store: Option<String>,
    /// Only these areas (repeat for several); `xtask/bench/src/areas/` has a file for each.
    #[arg(long)]
    only: Vec<String>,
    /// Only these numbers of connections (repeat for several); 1, 16 and 64 when left out.
    #[arg(long)]
    connections: Vec<usize>,
    /// Payments when the resident memory of payments is read; 10,000 when left out.
    #[arg(long)]
    payments: Option<usize>,
}

/// What the areas run, and what runs them.
const PACKAGES: [&str; 3] = ["token-vault", "payments", "bench"];

/// Measures; the table goes to standard output, the JSON to `target/bench.json`.
///
/// # Errors
/// What failed; a figure that cannot be measured is a failure.
pub fn run(options: &Options) -> anyhow::Result<()> {
    steps::step("1/2", "the programs, for release");
    let packages = PACKAGES.iter().flat_map(|package| ["--package", package]);
    steps::run(
        workspace::cargo()
            .args(["build", "--release"])
            .args(packages),
    )?;
    let browser = match (CHROMIUM.get(), machine::on_path(&["npm"])) {
        (Ok(chromium), Some(_)) => {
            demo::frame()?;
            Some((chromium, browser_tests()?))
        }
        _ => None,
    };
    steps::step("2/2", "measuring; leave the machine alone");
    let target = workspace::target()?;
    let release = target.join("release");
    let mut bench = Command::new(release.join("bench"));
    bench
        .arg("run")
        .arg("--programs")
        .arg(&release)
        .arg("--out")
        .arg(target.join("bench.json"));
    if let Some(store) = &options.store {
        bench.args(["--store", store]);
    }
    for area in &options.only {
        bench.args(["--only", area]);
    }
    for c in &options.connections {
        bench.args(["--connections", &c.to_string()]);
    }
    if let Some(count) = options.payments {
        bench.args(["--payments", &count.to_string()]);
    }
    let postgres = match POSTGRES.get() {
        Ok(bin) => Some(Postgres::start(&bin)?),
        Err(why) => {
            steps::note(&format!("SKIPPED: figures on PostgreSQL: {why}"));
            None
        }
    };
    if let Some(postgres) = &postgres {
        bench.env("CARDSEAL_TEST_POSTGRES", postgres.url());
    }
    if let Some((chromium, e2e)) = browser {
        bench.env("CARDSEAL_CHROMIUM", chromium);
        bench.env("CARDSEAL_BENCH_E2E", e2e);
    }
    steps::run(&mut bench)?;
    steps::note(&format!(
        "written to {}",
        target.join("bench.json").display()
    ));
    Ok(())
}

//! `cargo xtask bench` builds the programs for release and runs this: every figure beside its baseline in the same run,
//! as a table and as JSON. Reading order: [`load`], [`hello`] (the baseline), [`bench`] (what areas measure with),
//! [`areas`] (one file each).

mod areas;
mod baseline;
mod bench;
mod disk;
mod figure;
mod hello;
mod load;
mod process;
mod sealing;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use harness::database;

use areas::AREAS;
use baseline::Hello;
use bench::Bench;
use figure::table;

/// What `--store` may name.
const STORES: [&str; 2] = ["sqlite", "postgres"];

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The baseline's process.
    Hello { address: SocketAddr },
    /// Measure; CARDSEAL_TEST_POSTGRES names the PostgreSQL server, without it SQLite alone is measured.
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// Where the release programs are.
    #[arg(long)]
    programs: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    out: PathBuf,
    /// Only this store.
    #[arg(long)]
    store: Option<String>,
    /// Only these areas.
    #[arg(long)]
    only: Vec<String>,
    /// Only these numbers of connections.
    #[arg(long, default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// Payments when the resident memory of payments is read.
    #[arg(long, default_value_t = 10_000)]
    payments: usize,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Hello { address } => {
            tokio::runtime::Runtime::new()?.block_on(hello::serve(address))
        }
        // One thread: the machine's other cores are for what is measured.
        Command::Run(options) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(run(options)),
    }
}

#[expect(clippy::print_stdout, reason = "the table is the answer")]
async fn run(options: Run) -> anyhow::Result<()> {
    let areas = if options.only.is_empty() {
        AREAS.map(str::to_owned).to_vec()
    } else {
        options.only
    };
    let mut bench = Bench {
        programs: options.programs,
        connections: options.connections,
        store: options.store,
        payments: options.payments,
        hello: Hello::start(std::env::var(database::POSTGRES).ok()).await?,
        figures: vec![],
    };
    let done = measure(&mut bench, &areas).await;
    // Also when something failed: what was measured until then is worth a look.
    println!("{}", table(&bench.figures));
    std::fs::write(&options.out, serde_json::to_string_pretty(&bench.figures)?)?;
    done
}

async fn measure(bench: &mut Bench, areas: &[String]) -> anyhow::Result<()> {
    if let Some(store) = &bench.store
        && !STORES.contains(&store.as_str())
    {
        bail!("there is no store {store}; there are {}", STORES.join(", "));
    }
    if bench.store.as_deref() == Some("postgres") && std::env::var(database::POSTGRES).is_err() {
        bail!(
            "{} names no server: PostgreSQL cannot be measured",
            database::POSTGRES
        );
    }
    for area in areas {
        if !AREAS.contains(&area.as_str()) {
            bail!("there is no area {area}; there are {}", AREAS.join(", "));
        }
    }
    bench.baseline().await?;
    for area in areas {
        areas::measure(area, bench).await?;
    }
    Ok(())
}

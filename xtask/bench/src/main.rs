//! `cargo xtask bench` builds the programs for release and runs this: every figure beside its baseline in the same run,
//! as a table and as JSON. Reading order: [`load`], [`hello`] (the baseline), [`vault`] (the figures).

mod baseline;
mod figure;
mod hello;
mod load;
mod process;
mod sealing;
mod vault;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use harness::database;
use store::Location;

use baseline::Hello;
use figure::{Figure, table};

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
    /// The vault's program.
    #[arg(long)]
    vault: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    out: PathBuf,
    /// Only this store.
    #[arg(long)]
    store: Option<String>,
    /// Only these numbers of connections.
    #[arg(long, default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
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
    let mut figures = vec![];
    let hello = Hello::start(std::env::var(database::POSTGRES).ok()).await?;
    for &c in &options.connections {
        let cpu = process::cpu_seconds(hello.id())?;
        let time = Duration::from_secs(2);
        let measured = load::run(hello.address, c, &Hello::request(), time).await?;
        let cpu = process::cpu_seconds(hello.id())? - cpu;
        figures.push(Figure {
            name: "hello".to_owned(),
            concurrency: Some(c),
            per_second: Some(measured.per_second),
            p50_ms: Some(measured.p50_ms),
            p99_ms: Some(measured.p99_ms),
            server_cpu_us: Some(cpu * 1e6 / measured.count.max(1) as f64),
            rss_mb: Some(process::rss_mb(hello.id())?),
            ..Figure::default()
        });
    }
    for fresh in database::fresh() {
        let store = match fresh.location {
            Location::Sqlite(_) => "sqlite",
            Location::Postgres(_) => "postgres",
        };
        if options.store.as_deref().is_none_or(|only| only == store) {
            vault::measure(
                &options.vault,
                &fresh,
                store,
                &hello,
                &options.connections,
                &mut figures,
            )
            .await?;
        }
    }
    println!("{}", table(&figures));
    std::fs::write(&options.out, serde_json::to_string_pretty(&figures)?)?;
    Ok(())
}

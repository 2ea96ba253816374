//! `cargo xtask demo`: builds what is missing, starts every program on embedded stores, prints one line `ready {json}`
//! and serves until Ctrl-C, after which every process is gone.

mod ports;
mod processes;
mod provision;
mod three_ds;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};

pub use ports::Ports;

use crate::{frame, steps, workspace};

/// What the demo is started with.
#[derive(clap::Args)]
pub struct Options {
    /// Where data, keys and logs go [default: .demo/PORT].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The first of at most ten ports.
    #[arg(long, default_value_t = 4000)]
    port_base: u16,
}

/// The programs, as packages and as binaries.
pub const PROGRAMS: [&str; 4] = ["token-vault", "payments", "acquirer-sim", "demo-site"];

static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// What did not come up, with the end of its log.
pub fn run(options: &Options) -> anyhow::Result<()> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)).context("Ctrl-C cannot be caught")?;
    let data_dir = match &options.data_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::root()?
            .join(".demo")
            .join(options.port_base.to_string()),
    };
    let ports = Ports::from_base(options.port_base)?;
    ports.check_free()?;

    steps::step("1/4", "the card frame (Leptos to WebAssembly)");
    let building = workspace::lock()?;
    let frame = frame()?;
    steps::step("2/4", "the programs");
    build()?;
    drop(building);
    steps::step("3/4", &format!("keys and data in {}", data_dir.display()));
    let demo = provision::provision(&data_dir, ports)?;
    steps::step("4/4", "starting");
    let mut processes = processes::start(&data_dir, ports, &demo, &frame)?;
    processes.wait_until_ready(&STOP)?;

    steps::ready(&demo.ready(ports, &data_dir));
    steps::note(&format!(
        "shop: {}   logs: {}   Ctrl-C stops everything",
        ports.shop(),
        data_dir.join("logs").display()
    ));
    while !STOP.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(100));
        if let Some(ended) = processes.ended() {
            bail!("{ended}");
        }
    }
    processes.stop();
    Ok(())
}

/// Builds the frame where the programs look for it.
///
/// # Errors
/// When the build fails.
pub fn frame() -> anyhow::Result<PathBuf> {
    let out = workspace::root()?.join("target/frame");
    let features = false;
    frame::run(&frame::Args {
        out: out.clone(),
        features,
    })?;
    Ok(out)
}

/// Builds the programs.
///
/// # Errors
/// When cargo fails.
pub fn build() -> anyhow::Result<()> {
    let mut cargo = workspace::cargo();
    cargo.arg("build");
    for program in PROGRAMS {
        cargo.args(["--package", program]);
    }
    steps::run(&mut cargo)
}

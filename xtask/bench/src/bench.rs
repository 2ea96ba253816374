//! What every area measures with: the built programs, the baseline, the figures so far.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::baseline::Hello;
use crate::figure::Figure;
use crate::load::{self, Measured, Requests};
use crate::{disk, process};

/// How long each load lasts.
pub const TIME: Duration = Duration::from_secs(3);

/// A run.
pub struct Bench {
    /// Where the release programs are.
    pub programs: PathBuf,
    /// Numbers of connections.
    pub connections: Vec<usize>,
    /// Only this store.
    pub store: Option<String>,
    /// Payments when resident memory is read.
    pub payments: usize,
    /// The baseline.
    pub hello: Hello,
    /// The figures so far.
    pub figures: Vec<Figure>,
}

/// What is put under load.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Its store, for the table.
    pub store: Option<&'static str>,
    /// Its process, whose processor time and memory are read.
    pub process: u32,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bench {
    /// Measures the baseline alone, for the table.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn baseline(&mut self) -> anyhow::Result<()> {
        say("the disk");
        self.figures.push(disk::sync()?);
        for c in self.connections.clone() {
            say(&format!("hello, {c} connections"));
            let cpu = process::cpu_seconds(self.hello.id())?;
            let time = Duration::from_secs(2);
            let measured = load::run(self.hello.address, c, &Hello::request(), time).await?;
            let cpu = process::cpu_seconds(self.hello.id())? - cpu;
            let rss = process::rss_mb(self.hello.id())?;
            self.figures.push(Figure {
                name: "hello".to_owned(),
                concurrency: Some(c),
                ..of(&measured, cpu, rss)
            });
        }
        Ok(())
    }

    /// Measures one load between two short ones of the baseline, so that both see the same machine.
    ///
    /// # Errors
    /// Any answer but a 200.
    pub async fn measure(
        &mut self,
        name: &str,
        server: Server,
        c: usize,
        requests: Requests,
    ) -> anyhow::Result<Measured> {
        let store = server.store.unwrap_or("no store");
        say(&format!("{name}, {store}, {c} connections"));
        let before = self.hello.per_second(c).await?;
        let cpu = process::cpu_seconds(server.process)?;
        let measured = load::run(server.address, c, &requests, TIME)
            .await
            .with_context(|| format!("{name} on {store} over {c} connections"))?;
        let cpu = process::cpu_seconds(server.process)? - cpu;
        let rss = process::rss_mb(server.process)?;
        let after = self.hello.per_second(c).await?;
        let hello = f64::midpoint(before, after);
        self.figures.push(Figure {
            name: name.to_owned(),
            store: server.store,
            concurrency: Some(c),
            ratio: Some(measured.per_second / hello),
            baseline: Some(format!("hello {hello:.0}/s")),
            ..of(&measured, cpu, rss)
        });
        Ok(measured)
    }
}

/// What is being done, for who waits; the table alone goes to standard output.
pub fn say(what: &str) {
    drop(writeln!(std::io::stderr(), "measuring: {what}"));
}

fn of(measured: &Measured, cpu: f64, rss: f64) -> Figure {
    Figure {
        per_second: Some(measured.per_second),
        p50_ms: Some(measured.p50_ms),
        p99_ms: Some(measured.p99_ms),
        server_cpu_us: Some(cpu * 1e6 / measured.count.max(1) as f64),
        rss_mb: Some(rss),
        ..Figure::default()
    }
}

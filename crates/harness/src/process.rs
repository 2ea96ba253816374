//! A built program as a process: started, waited for, killed and started again on the ports it had.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// The program has this long to become ready.
const START: Duration = Duration::from_secs(60);

/// A program and how it is called. Dropping it kills its process.
pub struct Program {
    program: PathBuf,
    arguments: Vec<String>,
    admin: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    /// A program that is ready when `admin` says so, and logs to `log`. It is not started yet.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<String>, admin: String, log: PathBuf) -> Self {
        Self {
            program,
            arguments,
            admin,
            log,
            child: None,
        }
    }

    /// Starts it, or starts it again, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let client = service::Client::new(Duration::from_secs(1), Duration::from_secs(2));
        let started = Instant::now();
        while started.elapsed() < START {
            let child = self.child.as_mut().context("not started")?;
            if let Some(status) = child.try_wait()? {
                bail!("it ended ({status}); {}", self.last_words());
            }
            let request = http::Request::get(format!("{}/readyz", self.admin));
            let answer = client.send(request.body(bytes::Bytes::new())?).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("it is not ready; {}", self.last_words());
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        format!("{}: {}", self.program.display(), lines.join("\n"))
    }

    /// `kill -9`: no handler runs, nothing is flushed.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Ports of this machine that nobody listens on now.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    // Held together until all are known, so that no two are the same.
    let free: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&free) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

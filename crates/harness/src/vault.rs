//! `token-vault` as a process: the built program, on ports and a database of its own, to be killed and started again.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use store::Location;

use crate::Http;

/// The program has this long to become ready.
const START: Duration = Duration::from_secs(30);

/// What every process of one vault shares: program, database, root key, clock, destinations.
#[derive(Clone)]
pub struct Installation {
    program: PathBuf,
    database: String,
    folder: PathBuf,
    options: Vec<String>,
}

/// A merchant and its keys.
#[derive(Debug, Clone)]
pub struct Merchant {
    /// Its id.
    pub id: String,
    /// An `rk_` with every scope that a server needs.
    pub restricted: String,
    /// A `pk_` for the origin `http://shop.localhost`.
    pub publishable: String,
}

/// A running process. Dropping it kills it.
pub struct Process {
    installation: Installation,
    ports: [u16; 3],
    child: Option<Child>,
}

impl Installation {
    /// Prepares a folder (root key, clock, an empty frame, destinations) for a program and a database.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(
        program: PathBuf,
        location: &Location,
        folder: &Path,
        destinations: &str,
    ) -> anyhow::Result<Self> {
        let frame = folder.join("frame");
        fs::create_dir_all(&frame)?;
        let manifest = json!({
            "loader": {"file": "cardseal.js", "integrity": "-"},
            "documents": {"card": {"file": "frame.html", "script_hashes": [], "style_hashes": []}},
            "assets": [],
        });
        fs::write(frame.join("manifest.json"), manifest.to_string())?;
        fs::write(frame.join("cardseal.js"), "")?;
        fs::write(frame.join("frame.html"), "")?;
        fs::write(folder.join("clock"), "0")?;
        fs::write(folder.join("destinations.toml"), destinations)?;
        let database = match location {
            Location::Sqlite(path) => format!("sqlite:{}", path.display()),
            Location::Postgres(url) => url.clone(),
        };
        Ok(Self {
            program,
            database,
            folder: folder.to_owned(),
            options: vec![],
        })
    }

    /// With more options for `serve`.
    #[must_use]
    pub fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&o| o.to_owned()));
        self
    }

    /// With the limits of the public listener off: for a measurement they would be what is measured.
    #[must_use]
    pub fn without_limits(self) -> Self {
        const LIMITS: [&str; 6] = [
            "--limit-sessions-per-address",
            "--limit-sessions-per-key",
            "--limit-tokens-per-session",
            "--limit-tokens-per-address",
            "--limit-tokens-per-key",
            "--limit-tokens-per-bin",
        ];
        let off: Vec<&str> = LIMITS.iter().flat_map(|&limit| [limit, "off"]).collect();
        self.with(&off)
    }

    /// Moves the clock of every process: seconds ahead of the system's.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        // Renamed into place: a reader never sees half a number.
        let new = self.folder.join("clock.new");
        fs::write(&new, seconds.to_string())?;
        Ok(fs::rename(new, self.folder.join("clock"))?)
    }

    /// Makes a merchant and its keys by the operator's commands.
    ///
    /// # Errors
    /// What the program said.
    pub fn merchant(&self, name: &str) -> anyhow::Result<Merchant> {
        let id = self.operator(&["merchants", "create", "--name", name], "id")?;
        let mut rk = vec!["keys", "create", "--kind", "rk", "--merchant", &id];
        for scope in ["cards:write", "cards:read", "exchange", "forward"] {
            rk.extend(["--scope", scope]);
        }
        let pk = ["keys", "create", "--kind", "pk", "--merchant", &id];
        let pk = [&pk[..], &["--origin", "http://shop.localhost"]].concat();
        Ok(Merchant {
            restricted: self.operator(&rk, "key")?,
            publishable: self.operator(&pk, "key")?,
            id,
        })
    }

    /// What `audit verify` says, against every checkpoint that was made.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify_audit(&self) -> anyhow::Result<String> {
        let checkpoints = self.folder.join("checkpoints.jsonl");
        let checkpoints = checkpoints.to_string_lossy();
        self.command(&["audit", "verify", "--checkpoints", &checkpoints])
    }

    fn operator(&self, arguments: &[&str], field: &str) -> anyhow::Result<String> {
        let answer: Value = serde_json::from_str(&self.command(arguments)?)?;
        answer[field]
            .as_str()
            .map(str::to_owned)
            .context("the answer lacks a field")
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .args(["--database", &self.database])
            .arg("--root-key-file")
            .arg(self.folder.join("root.json"))
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{told}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(told)
    }

    /// Starts a process on free ports and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&self) -> anyhow::Result<Process> {
        // Held together until all are known, so that no two are the same.
        let free = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let mut ports = [0; 3];
        for (port, listener) in ports.iter_mut().zip(&free) {
            *port = listener.local_addr()?.port();
        }
        drop(free);
        let mut process = Process {
            installation: self.clone(),
            ports,
            child: None,
        };
        process.start().await?;
        Ok(process)
    }
}

impl Process {
    /// Starts the program again, on the ports it had.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let here = &self.installation;
        let [public, private, admin] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(here.folder.join(format!("vault-{}.log", self.ports[1])))?;
        let child = Command::new(&here.program)
            .args(["serve", "--database", &here.database])
            .args(["--public", &public, "--private", &private])
            .args(["--admin", &admin])
            .arg("--root-key-file")
            .arg(here.folder.join("root.json"))
            .arg("--frame-dir")
            .arg(here.folder.join("frame"))
            .arg("--destinations")
            .arg(here.folder.join("destinations.toml"))
            .arg("--clock-file")
            .arg(here.folder.join("clock"))
            .arg("--audit-checkpoints")
            .arg(here.folder.join("checkpoints.jsonl"))
            .args(&here.options)
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
                bail!("token-vault ended ({status}); {}", self.log_tail());
            }
            let request = http::Request::get(format!("{}/readyz", self.admin()));
            let answer = client.send(request.body(bytes::Bytes::new())?).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("token-vault is not ready; {}", self.log_tail());
    }

    fn log_tail(&self) -> String {
        let name = format!("vault-{}.log", self.ports[1]);
        let log = fs::read_to_string(self.installation.folder.join(name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
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

    /// Base URL of the public listener.
    #[must_use]
    pub fn public(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Base URL of the private listener.
    #[must_use]
    pub fn private(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    /// Base URL of the admin listener.
    #[must_use]
    pub fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[2])
    }

    /// The private listener as a merchant.
    #[must_use]
    pub fn of(&self, merchant: &Merchant) -> Http {
        Http::new(&self.private()).bearer(&merchant.restricted)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

//! `token-vault` as a process: the built program, on ports and a database of its own, to be killed and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use store::Location;

use crate::Http;
use crate::process::{Program, free_ports};

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
    ports: [u16; 3],
    program: Program,
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
        Ok(Self {
            program,
            database: crate::payments::location(location),
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

    /// An `sk_` of a merchant, as its own server has it.
    ///
    /// # Errors
    /// What the program said.
    pub fn secret_key(&self, merchant: &Merchant) -> anyhow::Result<String> {
        let make = ["keys", "create", "--kind", "sk", "--merchant", &merchant.id];
        self.operator(&make, "key")
    }

    /// The `svc_` of a payments that a merchant is linked to.
    ///
    /// # Errors
    /// What the program said.
    pub fn service_key(&self, merchant: &Merchant) -> anyhow::Result<String> {
        let make = [
            "keys",
            "create",
            "--kind",
            "svc",
            "--merchant",
            &merchant.id,
        ];
        self.operator(&[&make[..], &["--scope", "fingerprint"]].concat(), "key")
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
        let ports = free_ports()?;
        let mut process = Process {
            program: self.process(ports),
            ports,
        };
        process.start().await?;
        Ok(process)
    }

    fn process(&self, ports: [u16; 3]) -> Program {
        let [public, private, admin] = ports.map(|port| format!("127.0.0.1:{port}"));
        let path = |name: &str| self.folder.join(name).display().to_string();
        let ready = format!("http://{admin}");
        let named = [
            ("--database", self.database.clone()),
            ("--public", public),
            ("--private", private),
            ("--admin", admin),
            ("--root-key-file", path("root.json")),
            ("--frame-dir", path("frame")),
            ("--destinations", path("destinations.toml")),
            ("--clock-file", path("clock")),
            ("--audit-checkpoints", path("checkpoints.jsonl")),
        ];
        let named = named
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value]);
        let arguments = std::iter::once("serve".to_owned())
            .chain(named)
            .chain(self.options.clone())
            .collect();
        let log = self.folder.join(format!("vault-{}.log", ports[1]));
        Program::new(self.program.clone(), arguments, ready, log)
    }
}

impl Process {
    /// Starts the program again, on the ports it had.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.program.start().await
    }

    /// `kill -9`: no handler runs, nothing is flushed.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.program.kill()
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.program.id()
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

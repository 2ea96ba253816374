//! Checkpoints: signed heads and counts that leave the machine. Whoever later cuts a chain's tail or computes a chain
//! anew, with the key and all, contradicts the copy that is elsewhere.
//!
//! One JSON object a line. `heads` are this process's and every other that no chain's opening event names; through
//! those the rest is covered. The signature (Ed25519, RFC 8032) covers the length-prefixed fields, see [`Checkpoint::message`].

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use service::listen::Stop;

use super::chain::{self, Head, Ledger};
use super::{AuditKey, AuditKeys, refusals, rotation};
use crate::crypto::length_prefixed;
use crate::{App, Error};

/// A checkpoint is made this often, and when the vault stops.
pub const EVERY: Duration = Duration::from_secs(30);

/// A line of the checkpoint file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Of this format.
    pub version: u8,
    /// The process that made it.
    pub process: String,
    /// Counts this process's checkpoints from 1, so that a missing line is missed.
    pub number: i64,
    /// Unix seconds.
    pub at: i64,
    /// How many events all chains held.
    pub events: i64,
    /// Where chains stood.
    pub heads: Vec<Head>,
    /// The public key, base64url.
    pub key: String,
    /// The signature, base64url.
    pub signature: String,
}

impl Checkpoint {
    fn new(
        key: &AuditKey,
        process: &str,
        number: i64,
        at: i64,
        events: i64,
        heads: Vec<Head>,
    ) -> Self {
        let mut made = Self {
            version: 1,
            process: process.to_owned(),
            number,
            at,
            events,
            heads,
            key: URL_SAFE_NO_PAD.encode(key.public()),
            signature: String::new(),
        };
        made.signature = URL_SAFE_NO_PAD.encode(key.sign(&made.message()));
        made
    }

    /// What is signed: each part preceded by its length (u32, big-endian), numbers as 8 bytes, big-endian.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let heads: Vec<Vec<u8>> = self
            .heads
            .iter()
            .map(|head| {
                length_prefixed(&[head.chain.as_bytes(), &head.seq.to_be_bytes(), &head.mac])
            })
            .collect();
        let (number, at, events) = (
            self.number.to_be_bytes(),
            self.at.to_be_bytes(),
            self.events.to_be_bytes(),
        );
        let mut parts: Vec<&[u8]> = vec![
            b"cardseal/audit-checkpoint/1",
            self.process.as_bytes(),
            &number,
            &at,
            &events,
        ];
        parts.extend(heads.iter().map(Vec::as_slice));
        length_prefixed(&parts)
    }

    /// Whether one of the keys signed it.
    #[must_use]
    pub fn is_signed_by(&self, keys: &AuditKeys) -> bool {
        URL_SAFE_NO_PAD
            .decode(&self.signature)
            .is_ok_and(|signature| keys.signed(&self.message(), &signature))
    }
}

/// Makes this process's checkpoints.
pub struct Checkpoints {
    file: Option<PathBuf>,
    made: Mutex<i64>,
}

impl Checkpoints {
    /// Appends to `file`; without one they go to the log alone.
    ///
    /// # Errors
    /// When the file cannot be appended to.
    pub fn new(file: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(file) = file {
            append(file, "").with_context(|| {
                format!("the checkpoint file {} cannot be written", file.display())
            })?;
        }
        Ok(Self {
            file: file.map(Path::to_owned),
            made: Mutex::new(0),
        })
    }

    /// Makes one now.
    ///
    /// # Errors
    /// The store's; when a chain of this process was cut; when the file cannot be written.
    pub async fn make(&self, app: &App) -> Result<Checkpoint, Error> {
        let now = app.clock.now();
        // Heads first: events that come between are counted and not yet named, never the reverse.
        let (heads, events) = app
            .store
            .read(|tx| {
                let heads = Ledger::of(tx)?.heads(tx)?;
                Ok::<_, Error>((heads, chain::count(tx)?))
            })
            .await?;
        let ledger = Ledger::of_store(&app.store)?;
        let number = self.next_number();
        let checkpoint =
            Checkpoint::new(&ledger.key(), ledger.process(), number, now, events, heads);
        let line = serde_json::to_string(&checkpoint)
            .map_err(|_| Error::Internal("a checkpoint could not be written"))?;
        tracing::info!(checkpoint = line, "audit checkpoint");
        if let Some(file) = &self.file {
            append(file, &line).map_err(|error| {
                tracing::error!(%error, path = %file.display(), "the checkpoint file cannot be written");
                Error::Internal("the checkpoint file cannot be written")
            })?;
        }
        ledger.checkpointed(&checkpoint.heads);
        Ok(checkpoint)
    }

    fn next_number(&self) -> i64 {
        let mut made = self
            .made
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *made += 1;
        *made
    }
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(file)?;
    if line.is_empty() {
        return Ok(());
    }
    // One write a line: two processes may share the file.
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

/// Makes checkpoints and writes counted refusals until `stop`. The last of both is [`finish`]'s.
pub async fn run(app: App, checkpoints: std::sync::Arc<Checkpoints>, stop: Stop) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! { _ = ticks.tick() => {}, () = stop.wait() => return }
        if let Err(error) = rotation::pick_up(&app).await {
            tracing::error!(%error, "a newer audit key could not be looked for");
        }
        refusals::write_counted(&app).await;
        make(&app, &checkpoints).await;
    }
}

/// After the last request: writes what was counted and the last checkpoint.
pub async fn finish(app: &App, checkpoints: &Checkpoints) {
    refusals::write_all(app).await;
    make(app, checkpoints).await;
}

async fn make(app: &App, checkpoints: &Checkpoints) {
    match checkpoints.make(app).await {
        Ok(_) => app
            .metrics
            .count("vault_audit_checkpoints_total", &[("result", "made")]),
        Err(error) => {
            tracing::error!(%error, "no audit checkpoint was made");
            app.metrics
                .count("vault_audit_checkpoints_total", &[("result", "failed")]);
        }
    }
}

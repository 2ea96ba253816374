//! `token-vault export ..` and `token-vault import ..`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;
use service::Clock;
use vault_api::keys::Mode;

use super::archive::PublicKey;
use super::operators::Shown;
use super::{Held, export, import};
use crate::key_commands::{Vault, duration};

pub use super::operators::{Command as Operators, run as run_operators};

/// The longest that a request stays open.
const LONGEST: i64 = 7 * 86_400;

/// A vault, and who runs the command.
#[derive(Args)]
pub struct As {
    #[command(flatten)]
    vault: Vault,
    #[command(flatten)]
    by: Shown,
}

/// `token-vault export ..`: two operators, one file.
#[derive(Subcommand)]
pub enum Export {
    /// Ask for an export of a merchant's stored cards.
    Request {
        #[command(flatten)]
        who: Box<As>,
        /// The merchant, `mer_..`.
        #[arg(long)]
        merchant: String,
        /// The receiver's public key: what `token-vault import keygen` printed there.
        #[arg(long)]
        receiver: PathBuf,
        /// How long it may be approved and run: `2h`, `24h`, `7d` at most.
        #[arg(long, default_value = "24h", value_parser = duration)]
        valid: i64,
    },
    /// Approve another operator's request.
    Approve {
        #[command(flatten)]
        who: Box<As>,
        /// The export, `exp_..`.
        #[arg(long)]
        id: String,
        /// The fingerprint as the receiver told it to you, by another way than the key came.
        #[arg(long)]
        receiver_fingerprint: String,
    },
    /// Write an approved export's file; once.
    Run {
        #[command(flatten)]
        who: Box<As>,
        /// The export, `exp_..`.
        #[arg(long)]
        id: String,
        /// The file to make, mode 0600.
        #[arg(long)]
        out: PathBuf,
    },
    /// List exports.
    List(Box<Vault>),
}

/// `token-vault import ..`
#[derive(Subcommand)]
pub enum Import {
    /// Make a key for another vault to seal an export to; prints its public half. The private half stays here, sealed.
    Keygen(Box<As>),
    /// Forget a key's private half.
    ForgetKey {
        #[command(flatten)]
        who: Box<As>,
        /// The key.
        #[arg(long)]
        fingerprint: String,
    },
    /// Import a file. A card that is here already is not made twice.
    Run {
        #[command(flatten)]
        who: Box<As>,
        /// The file that the other vault made.
        file: PathBuf,
        /// Whose cards they become, `mer_..`.
        #[arg(long)]
        merchant: String,
        /// The file to make, a JSON line for each card: its id there, its id here, what became of it and why.
        #[arg(long)]
        report: PathBuf,
    },
}

impl Held {
    /// The vault of a command.
    ///
    /// # Errors
    /// What stands in the way, for the operator.
    pub(super) async fn open(vault: &Vault, clock: &Clock) -> anyhow::Result<Self> {
        let (store, root) = vault.open(clock).await?;
        Ok(Self {
            store,
            root: root.into(),
            tenants: Default::default(),
            now: clock.now(),
        })
    }
}

impl As {
    async fn open(&self) -> anyhow::Result<(Held, crate::records::operators::Operator)> {
        let held = Held::open(&self.vault, &Clock::system()).await?;
        let by = self.by.operator(&held).await?;
        Ok((held, by))
    }
}

/// Runs an export's command; its answer.
///
/// # Errors
/// What went wrong, for the operator.
pub async fn run_export(command: Export) -> anyhow::Result<Value> {
    match command {
        Export::Request {
            who,
            merchant,
            receiver,
            valid,
        } => {
            if !(1..=LONGEST).contains(&valid) {
                bail!("--valid is 7d at most");
            }
            let (held, by) = who.open().await?;
            let receiver = public_key(&receiver, held.root.mode())?;
            export::request(&held, by, merchant, receiver, valid).await
        }
        Export::Approve {
            who,
            id,
            receiver_fingerprint,
        } => {
            let (held, by) = who.open().await?;
            export::approve(&held, by, id, receiver_fingerprint.trim()).await
        }
        Export::Run { who, id, out } => {
            let (held, by) = who.open().await?;
            export::run(&held, by, id, &out).await
        }
        Export::List(vault) => export::list(&Held::open(&vault, &Clock::system()).await?).await,
    }
}

/// Runs an import's command; its answer.
///
/// # Errors
/// What went wrong, for the operator.
pub async fn run_import(command: Import) -> anyhow::Result<Value> {
    match command {
        Import::Keygen(who) => {
            let (held, by) = who.open().await?;
            import::new_key(&held, by).await
        }
        Import::ForgetKey { who, fingerprint } => {
            let (held, by) = who.open().await?;
            import::forget_key(&held, by, fingerprint).await
        }
        Import::Run {
            who,
            file,
            merchant,
            report,
        } => {
            let (held, by) = who.open().await?;
            import::run(&held, by, &file, merchant, &report).await
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    cardseal_import_key: u8,
    mode: Mode,
    kem: String,
    public_key: String,
    fingerprint: String,
}

fn public_key(file: &Path, here: Mode) -> anyhow::Result<PublicKey> {
    let at = || format!("the receiver's key {}", file.display());
    let text = std::fs::read_to_string(file).with_context(at)?;
    let key: KeyFile = serde_json::from_str(&text).with_context(at)?;
    if key.cardseal_import_key != 1 || key.kem != "x25519" {
        bail!("{} is of a form that this vault does not know", at());
    }
    if key.mode != here {
        bail!(
            "the receiver's key is of {} mode, and this vault's root is of {here} mode: test and live never share a card",
            key.mode
        );
    }
    let public = super::operators::unhex(&key.public_key).map(PublicKey);
    public
        .filter(|public| public.fingerprint() == key.fingerprint)
        .with_context(|| format!("{} was changed: key and fingerprint do not agree", at()))
}

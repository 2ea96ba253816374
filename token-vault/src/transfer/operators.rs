//! Who an operator is: somebody who knows a secret of which the vault keeps a hash. The secret is made where its owner
//! sits; whoever adds the owner learns the hash alone, so nobody can approve in another's name.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use service::Clock;
use sha2::{Digest as _, Sha256};
use vault_api::keys::hex;
use zeroize::Zeroizing;

use super::Held;
use crate::Error;
use crate::audit::{self, Act, Actor};
use crate::key_commands::Vault;
use crate::records::operators::{self, Operator};

const PREFIX: &str = "opsecret_";

/// `token-vault operators ..`
#[derive(Subcommand)]
pub enum Command {
    /// Make a secret for yourself; give its `sha256` to whoever adds you, and the file to nobody.
    NewSecret {
        /// The file to make, mode 0600.
        #[arg(long)]
        out: PathBuf,
    },
    /// Add an operator. The first of a vault is added by nobody, every other by one who is there.
    Add {
        #[command(flatten)]
        vault: Box<Vault>,
        #[command(flatten)]
        by: Shown,
        /// What people call them.
        #[arg(long)]
        name: String,
        /// The `sha256` that they got from `operators new-secret`.
        #[arg(long)]
        sha256: String,
    },
    /// List operators.
    List(Box<Vault>),
    /// End an operator.
    End {
        #[command(flatten)]
        vault: Box<Vault>,
        #[command(flatten)]
        by: Shown,
        /// `op_..`
        #[arg(long)]
        id: String,
    },
}

/// The secret of the operator who runs a command: never on the command line.
#[derive(Args)]
pub struct Shown {
    /// The file that holds your operator's secret.
    #[arg(long, env = "TOKEN_VAULT_OPERATOR_FILE")]
    operator_file: Option<PathBuf>,
}

impl Shown {
    /// Who runs the command.
    ///
    /// # Errors
    /// When the secret is missing, open to others, or nobody's.
    pub async fn operator(&self, held: &Held) -> anyhow::Result<Operator> {
        let file = self.operator_file.as_deref().context(
            "say who you are: --operator-file FILE (made by `token-vault operators new-secret`)",
        )?;
        let hash = hash_of(file)?;
        let (root, mode) = (held.root.clone(), held.mode());
        let found = held
            .store
            .read(move |tx| operators::by_secret(tx, root.macs(), mode, &hash))
            .await?;
        found.context("this secret is no operator's of this vault and mode, or one who was ended")
    }
}

fn hash_of(file: &Path) -> anyhow::Result<[u8; 32]> {
    let at = || format!("the operator's secret {}", file.display());
    service::files::only_ours(file).with_context(at)?;
    let text = Zeroizing::new(std::fs::read_to_string(file).with_context(at)?);
    ensure!(
        text.trim().starts_with(PREFIX),
        "{} holds no operator's secret",
        file.display()
    );
    Ok(Sha256::digest(text.trim().as_bytes()).into())
}

/// A new file that only its owner can read.
///
/// # Errors
/// When there is such a file already, or the disk's.
pub fn new_file(path: &Path) -> anyhow::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))
}

/// What the audit names.
#[must_use]
pub fn actor(operator: &Operator, merchant: &str) -> Actor {
    Actor {
        id: operator.id.clone(),
        ..crate::admin::operator(merchant)
    }
}

/// Runs a command; its answer.
///
/// # Errors
/// What went wrong, for the operator.
pub async fn run(command: Command) -> anyhow::Result<Value> {
    let clock = Clock::system();
    match command {
        Command::NewSecret { out } => {
            let secret = Zeroizing::new(format!("{PREFIX}{}", vault_api::ids::random_base62(43)));
            let mut file = new_file(&out)?;
            writeln!(file, "{}", *secret)?;
            file.sync_all()?;
            Ok(json!({ "sha256": hex(&Sha256::digest(secret.as_bytes())), "file": out }))
        }
        Command::Add {
            vault,
            by,
            name,
            sha256,
        } => add(&Held::open(&vault, &clock).await?, &by, name, &sha256).await,
        Command::List(vault) => list(&Held::open(&vault, &clock).await?).await,
        Command::End { vault, by, id } => end(&Held::open(&vault, &clock).await?, &by, id).await,
    }
}

async fn active(held: &Held) -> anyhow::Result<usize> {
    let (root, mode) = (held.root.clone(), held.mode());
    let all = held
        .store
        .read(move |tx| operators::all(tx, root.macs(), mode))
        .await?;
    Ok(all.iter().filter(|(_, _, ended)| ended.is_none()).count())
}

async fn add(held: &Held, by: &Shown, name: String, sha256: &str) -> anyhow::Result<Value> {
    let hash = unhex(sha256).context("--sha256 is 64 hex digits, from `operators new-secret`")?;
    let by = match active(held).await? {
        0 => Operator {
            id: "operator".to_owned(),
            name: String::new(),
        },
        _ => by.operator(held).await?,
    };
    let operator = Operator {
        id: vault_api::ids::new_id("op"),
        name,
    };
    let answer = json!({ "id": operator.id, "name": operator.name, "added_by": by.id });
    let parts = held.clone();
    let added = held
        .store
        .write(move |tx| {
            let (macs, mode) = (parts.root.macs(), parts.mode());
            let added = operators::insert(tx, macs, mode, &operator, &hash, parts.now)?;
            if added {
                let (actor, id) = (actor(&by, ""), &operator.id);
                audit::record(tx, &actor, Act::AddOperator, id, &operator.name, parts.now)?;
            }
            Ok::<_, Error>(added)
        })
        .await?;
    ensure!(added, "there is an operator of this name or secret already");
    Ok(answer)
}

async fn list(held: &Held) -> anyhow::Result<Value> {
    let (root, mode) = (held.root.clone(), held.mode());
    let all = held
        .store
        .read(move |tx| operators::all(tx, root.macs(), mode))
        .await?;
    let all = all.into_iter().map(|(operator, created, ended)| {
        json!({ "id": operator.id, "name": operator.name, "created_at": created, "ended_at": ended })
    });
    Ok(all.collect())
}

async fn end(held: &Held, by: &Shown, id: String) -> anyhow::Result<Value> {
    let by = by.operator(held).await?;
    let (parts, answer) = (held.clone(), json!({ "id": id, "ended": true }));
    let ended = held
        .store
        .write(move |tx| {
            let ended = operators::end(tx, parts.root.macs(), parts.mode(), &id, parts.now)?;
            if ended {
                audit::record(
                    tx,
                    &actor(&by, ""),
                    Act::EndOperator,
                    &id,
                    "ended",
                    parts.now,
                )?;
            }
            Ok::<_, Error>(ended)
        })
        .await?;
    if !ended {
        bail!("there is no such operator, or they were ended before");
    }
    Ok(answer)
}

/// 32 bytes of hex.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

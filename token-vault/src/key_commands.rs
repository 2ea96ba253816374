//! `token-vault keys ..` beyond `create`: API keys (`list`, `roll`, `revoke`), encryption keys (`rotate`,
//! `inventory`), and the options that name root keys.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use service::Clock;
use store::Store;
use tokio::signal::unix::{SignalKind, signal};
use vault_api::keys::Mode;

use crate::admin::{self, Database};
use crate::audit::{self, Act, AuditKey, Ledger};
use crate::crypto::root::{Root, RootSpec, Roots};
use crate::{App, Error, inventory, records, rotation};

/// Which root keys there are.
#[derive(Args)]
pub(crate) struct RootOptions {
    /// A root key: `file:PATH`, `aws-kms:KEY_ARN[?endpoint=URL]` or
    /// `pkcs11:MODULE?token=LABEL&key=LABEL&pin-file=PATH` (repeat for several). The first wraps a new database's
    /// keys; `keys rotate root` chooses another.
    #[arg(long = "root", env = "TOKEN_VAULT_ROOT")]
    roots: Vec<RootSpec>,
    /// Short for `--root file:PATH`; the file is made (mode 0600) when missing.
    #[arg(long, env = "TOKEN_VAULT_ROOT_KEY_FILE")]
    root_key_file: Option<PathBuf>,
    /// More root keys, one a line; read again on SIGHUP, and when a key needs a root that is not held.
    #[arg(long, env = "TOKEN_VAULT_ROOTS_FILE")]
    roots_file: Option<PathBuf>,
}

impl RootOptions {
    /// Opens the roots; a local file that is missing is made.
    ///
    /// # Errors
    /// What stands in the way, for the operator.
    pub async fn open(&self, mode: Mode, store: &Store, now: i64) -> anyhow::Result<Root> {
        let named = self.named();
        if named.is_empty() && self.roots_file.is_none() {
            bail!("name the root key: --root-key-file PATH, --root SPEC or --roots-file FILE");
        }
        Root::open(Roots::new(named, self.roots_file.clone()), mode, store, now).await
    }

    // For commands: where the database has a root, a mistyped path must not make another.
    async fn open_known(&self, mode: Mode, store: &Store, now: i64) -> anyhow::Result<Root> {
        let known = store
            .read(move |tx| records::roots::active(tx, mode))
            .await?;
        if known.is_some() {
            return self.open_existing(mode, store, now).await;
        }
        self.open(mode, store, now).await
    }

    /// Opens the roots; makes no file.
    ///
    /// # Errors
    /// What stands in the way, for the operator.
    pub(crate) async fn open_existing(
        &self,
        mode: Mode,
        store: &Store,
        now: i64,
    ) -> anyhow::Result<Root> {
        for spec in self.named() {
            if let RootSpec::File(path) = &spec
                && !path.exists()
            {
                bail!("there is no root key file {}", path.display());
            }
        }
        self.open(mode, store, now).await
    }

    fn named(&self) -> Vec<RootSpec> {
        let file = self.root_key_file.iter().cloned().map(RootSpec::File);
        file.chain(self.roots.iter().cloned()).collect()
    }
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// List API keys; no secret is shown, none is kept.
    List(Database),
    /// Replace an API key: prints the new one, the old one works until the overlap is over.
    Roll {
        #[command(flatten)]
        vault: Vault,
        /// The key to replace, `key_..`.
        #[arg(long)]
        id: String,
        /// How long both work: `90s`, `30m`, `24h`, `7d`.
        #[arg(long, default_value = "24h", value_parser = duration)]
        overlap: i64,
    },
    /// End an API key now.
    Revoke {
        #[command(flatten)]
        vault: Vault,
        /// The key, `key_..`.
        #[arg(long)]
        id: String,
    },
    /// Vouch for API keys that were made before their rows carried a MAC. Look at `keys list` first.
    Adopt(Vault),
    /// Rotate encryption keys, or the audit key, while the vault serves.
    #[command(subcommand)]
    Rotate(Rotate),
    /// The crypto architecture that is running (PCI DSS 3.6.1.1).
    Inventory {
        #[command(flatten)]
        database: Database,
        /// Test or live.
        #[arg(long, env = "TOKEN_VAULT_MODE", default_value = "test", value_parser = admin::mode)]
        mode: Mode,
        /// As JSON, which is the only form there is.
        #[arg(long)]
        json: bool,
    },
}

/// What to rotate.
#[derive(Subcommand)]
pub(crate) enum Rotate {
    /// A merchant's tenant key: a new generation seals, record keys are wrapped again, the old key is destroyed.
    Tenant {
        #[command(flatten)]
        vault: Vault,
        /// The merchant, `mer_..`.
        #[arg(long)]
        merchant: String,
    },
    /// The root: tenant keys and the service's secrets are wrapped again by another.
    Root {
        #[command(flatten)]
        vault: Vault,
        /// The new root; servers must have been given it too (roots file, or a second `--root`).
        #[arg(long)]
        to: RootSpec,
    },
    /// The audit key: new chains are under the new one, former ones still verify.
    Audit(Vault),
}

/// The vault that a command works on. Its root is needed by whatever is audited: it guards the audit key.
#[derive(Args)]
pub(crate) struct Vault {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) roots: RootOptions,
    /// Test or live.
    #[arg(long, env = "TOKEN_VAULT_MODE", default_value = "test", value_parser = admin::mode)]
    pub(crate) mode: Mode,
}

pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let split = text.len() - text.chars().last().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let number: i64 = number.parse().unwrap_or(-1);
    match number.checked_mul(seconds) {
        Some(all) if number >= 0 && seconds > 0 => Ok(all),
        _ => Err("write a number and s, m, h or d, as in 24h".to_owned()),
    }
}

/// Runs a command.
///
/// # Errors
/// What went wrong, for the operator.
pub(crate) async fn run(command: Keys) -> anyhow::Result<()> {
    let clock = Clock::system();
    match command {
        Keys::List(database) => {
            let keys = admin::open(&database)?.read(records::keys::all).await?;
            admin::print(&serde_json::to_value(keys)?)
        }
        Keys::Roll { vault, id, overlap } => roll(&vault, id, &clock, overlap).await,
        Keys::Revoke { vault, id } => revoke(&vault, id, &clock).await,
        Keys::Adopt(vault) => adopt(&vault, &clock).await,
        Keys::Inventory { database, mode, .. } => {
            let store = admin::open(&database)?;
            admin::print(&inventory::of(&store, mode, clock.now()).await?)
        }
        Keys::Rotate(Rotate::Tenant { vault, merchant }) => {
            let (store, root) = vault.open(&clock).await?;
            let actor = admin::operator(&merchant);
            let done = rotation::tenant(&store, &root, &clock, &merchant, &actor).await?;
            admin::print(&serde_json::to_value(done)?)
        }
        Keys::Rotate(Rotate::Root { vault, to }) => {
            let (store, root) = vault.open(&clock).await?;
            let to = to.open(vault.mode).await?;
            if vault.roots.roots_file.is_some() && root.provider(to.id()).is_none() {
                bail!(
                    "add the new root as a line of the roots file first, so that running servers can unwrap what it wraps"
                );
            }
            let actor = admin::operator("");
            let done = rotation::root(&store, &root, &clock, to.as_ref(), &actor).await?;
            admin::print(&serde_json::to_value(done)?)
        }
        Keys::Rotate(Rotate::Audit(vault)) => {
            let (store, root) = vault.open(&clock).await?;
            let actor = admin::operator("");
            let done = audit::rotation::rotate(&store, &root, &clock, &actor).await?;
            admin::print(&serde_json::to_value(done)?)
        }
    }
}

impl Vault {
    /// Opens store and root. What is done in the store can be audited: its events are a chain of this command's.
    pub(crate) async fn open(&self, clock: &Clock) -> anyhow::Result<(Store, Root)> {
        let store = admin::open(&self.database)?;
        let root = self
            .roots
            .open_known(self.mode, &store, clock.now())
            .await?;
        Ledger::attach(&store, AuditKey::of(&root), &vault_api::ids::new_id("cli"))?;
        Ok((store, root))
    }
}

async fn roll(vault: &Vault, old: String, clock: &Clock, overlap: i64) -> anyhow::Result<()> {
    let (store, root) = vault.open(clock).await?;
    let (id, now, mode) = (vault_api::ids::new_id("key"), clock.now(), vault.mode);
    let (ends_at, ids) = (now + overlap, (old.clone(), id.clone()));
    let key = store
        .write(move |tx| {
            let (old, id) = (&ids.0, &ids.1);
            let key = records::keys::roll(tx, root.macs(), mode, (old, id), ends_at, now)?;
            if key.is_some() {
                audit::record(tx, &admin::operator(""), Act::RollKey, old, id, now)?;
            }
            Ok::<_, Error>(key)
        })
        .await?
        .context("there is no such key of this mode, or it has ended; see `keys list`")?;
    admin::print(&json!({
        "id": id, "key": key.expose(), "replaces": old, "old_works_until": ends_at
    }))
}

async fn revoke(vault: &Vault, id: String, clock: &Clock) -> anyhow::Result<()> {
    let (store, root) = vault.open(clock).await?;
    let (answer, now, mode) = (
        json!({ "id": id, "revoked": true }),
        clock.now(),
        vault.mode,
    );
    let revoked = store
        .write(move |tx| {
            let revoked = records::keys::revoke(tx, root.macs(), mode, &id, now)?;
            if revoked {
                let actor = admin::operator("");
                audit::record(tx, &actor, Act::RevokeKey, &id, "revoked", now)?;
            }
            Ok::<_, Error>(revoked)
        })
        .await?;
    if !revoked {
        bail!("there is no such key of this mode, or it has ended; see `keys list`");
    }
    admin::print(&answer)
}

async fn adopt(vault: &Vault, clock: &Clock) -> anyhow::Result<()> {
    let (store, root) = vault.open(clock).await?;
    let (now, mode) = (clock.now(), vault.mode);
    let adopted = store
        .write(move |tx| {
            let adopted = records::keys::adopt(tx, root.macs(), mode)?;
            for id in &adopted {
                let actor = admin::operator("");
                audit::record(tx, &actor, Act::AdoptKey, id, "adopted", now)?;
            }
            Ok::<_, Error>(adopted)
        })
        .await?;
    admin::print(&json!({ "adopted": adopted }))
}

/// Reads the roots file again whenever the process gets SIGHUP.
pub(crate) async fn reload_roots_on_hangup(app: App) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be listened to; the roots file is read when a key needs it");
        return;
    };
    while hangup.recv().await.is_some() {
        match app.root.reload().await {
            Ok(()) => tracing::info!("the roots were opened again"),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the roots stay as they are")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("24h"), Ok(86_400));
        assert_eq!(duration("0s"), Ok(0));
        for wrong in ["", "24", "h", "-1h", "1w", "9223372036854775807d", "1é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}

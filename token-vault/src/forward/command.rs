//! `token-vault destinations ..`: what the operator registers, and the secrets it names. A secret is read from
//! standard input or a file, never from the command line, and no command shows one.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use service::Clock;
use store::{Store, Tx};
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use super::destinations::check_entries;
use super::registration::DestinationFile;
use super::secrets;
use crate::Error;
use crate::admin::{self, Database, operator};
use crate::audit::{self, Act};
use crate::crypto::root::Root;
use crate::key_commands::Vault;
use crate::records::destinations as rows;

/// `token-vault destinations ..`
#[derive(Subcommand)]
pub enum Command {
    /// Register the destinations of a file, each in place of the one of its name.
    Add(Box<OfFile>),
    /// List what is registered.
    List(Place),
    /// Remove a destination.
    Remove(Box<Named>),
    /// Check a file without registering anything. Certificates and keys in files are read too.
    Check {
        /// The file.
        file: PathBuf,
        /// Test or live.
        #[arg(long, env = "TOKEN_VAULT_MODE", default_value = "test", value_parser = mode)]
        mode: Mode,
    },
    /// Secrets that destinations name: `set`, `list`, `remove`.
    #[command(subcommand)]
    Secret(Secret),
}

/// `token-vault destinations secret ..`
#[derive(Subcommand)]
pub enum Secret {
    /// Keep a secret, sealed; it is read from standard input, or from --file.
    Set(Box<SetSecret>),
    /// List the names.
    List(Place),
    /// Remove a secret.
    Remove(Box<Named>),
}

/// Where to look.
#[derive(Args)]
pub struct Place {
    #[command(flatten)]
    database: Database,
    /// Test or live.
    #[arg(long, env = "TOKEN_VAULT_MODE", default_value = "test", value_parser = mode)]
    mode: Mode,
}

/// Where, and a file.
#[derive(Args)]
pub struct OfFile {
    #[command(flatten)]
    vault: Vault,
    /// The file, as `serve --destinations` takes it.
    file: PathBuf,
}

/// Where, and a name.
#[derive(Args)]
pub struct Named {
    #[command(flatten)]
    vault: Vault,
    /// The name.
    name: String,
}

/// A secret to keep.
#[derive(Args)]
pub struct SetSecret {
    #[command(flatten)]
    named: Named,
    /// Read it from here instead of standard input.
    #[arg(long)]
    file: Option<PathBuf>,
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_name(text).ok_or_else(|| "test or live".to_owned())
}

/// Runs a command; what it answers.
///
/// # Errors
/// What went wrong, for the operator.
pub async fn run(command: Command) -> anyhow::Result<Value> {
    match command {
        Command::Add(options) => add(&options.vault, &options.file).await,
        Command::List(here) => list(&here).await,
        Command::Remove(named) => {
            let (mode, (store, _)) = (named.vault.mode.as_str(), open(&named.vault).await?);
            let remove = move |tx: &mut Tx<'_>, name: &str, _| rows::remove(tx, mode, name);
            act(&store, Act::RemoveDestination, named.name, remove).await
        }
        Command::Check { file, mode } => {
            let entries = check_entries(&file, mode.is_live())?;
            Ok(json!({ "destinations": entries.iter().map(shown).collect::<Vec<_>>() }))
        }
        Command::Secret(Secret::Set(options)) => set_secret(*options).await,
        Command::Secret(Secret::List(here)) => {
            let store = admin::open(&here.database)?;
            let registered = registered(&store, here.mode).await?;
            let names: Vec<_> = registered.secrets.into_iter().map(|(n, _)| n).collect();
            Ok(json!({ "secrets": names }))
        }
        Command::Secret(Secret::Remove(named)) => {
            let (mode, (store, _)) = (named.vault.mode.as_str(), open(&named.vault).await?);
            let remove = move |tx: &mut Tx<'_>, name: &str, _| rows::remove_secret(tx, mode, name);
            act(&store, Act::RemoveSecret, named.name, remove).await
        }
    }
}

async fn add(vault: &Vault, file: &Path) -> anyhow::Result<Value> {
    let mut entries = check_entries(file, vault.mode.is_live())?;
    let beside = file.parent().unwrap_or(Path::new("."));
    let mut texts = vec![];
    for entry in &mut entries {
        if let Some(header) = entry.plain_credentials().first() {
            bail!(
                "destination {}: header {header} stands in the clear; write {{ secret = \"name\" }} and set it with: token-vault destinations secret set name",
                entry.name
            );
        }
        entry.resolve_files(beside)?;
        texts.push((entry.name.clone(), serde_json::to_string(entry)?));
    }
    let (store, root) = open(vault).await?;
    let known = registered(&store, vault.mode).await?;
    let missing: Vec<_> = entries
        .iter()
        .flat_map(DestinationFile::secret_names)
        .filter(|name| !known.secrets.iter().any(|(known, _)| known == name))
        .collect();
    let (mode, now) = (vault.mode.as_str(), Clock::system().now());
    store
        .write(move |tx| {
            for (name, text) in &texts {
                rows::put(tx, root.macs(), mode, (name, text), now)?;
                let actor = operator("");
                audit::record(tx, &actor, Act::AddDestination, name, "added", now)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    let mut answer = json!({ "added": entries.iter().map(shown).collect::<Vec<_>>() });
    if !missing.is_empty() {
        answer["secrets_to_set"] = json!(missing);
    }
    Ok(answer)
}

async fn list(here: &Place) -> anyhow::Result<Value> {
    let store = admin::open(&here.database)?;
    let registered = registered(&store, here.mode).await?;
    let mut listed = vec![];
    for registered in &registered.entries {
        let named = || format!("destination {}", registered.name);
        let entry: DestinationFile = serde_json::from_str(&registered.json).with_context(named)?;
        listed.push(shown(&entry));
    }
    Ok(json!({ "destinations": listed }))
}

async fn set_secret(options: SetSecret) -> anyhow::Result<Value> {
    let Named { vault, name } = options.named;
    if !secrets::is_name(&name) {
        bail!("a secret's name has 1 to 64 letters, digits, _, - and .");
    }
    let mut value = Zeroizing::new(String::new());
    match &options.file {
        Some(file) => std::fs::File::open(file)
            .and_then(|mut file| file.read_to_string(&mut value))
            .with_context(|| format!("{} cannot be read", file.display()))?,
        None => std::io::stdin()
            .read_to_string(&mut value)
            .context("standard input cannot be read as text")?,
    };
    let value = Zeroizing::new(value.trim_end_matches(['\r', '\n']).to_owned());
    if value.is_empty() || value.len() > secrets::LONGEST {
        bail!(
            "a secret has 1 to {} bytes; write it to standard input or name a --file",
            secrets::LONGEST
        );
    }
    let (store, root) = open(&vault).await?;
    let sealed = secrets::seal(&root, &name, &value);
    let mode = vault.mode.as_str();
    let put = move |tx: &mut Tx<'_>, name: &str, now| {
        rows::put_secret(tx, mode, name, &sealed, now).map(|()| true)
    };
    act(&store, Act::SetSecret, name, put).await
}

// One change and its event.
async fn act<F>(store: &Store, act: Act, name: String, change: F) -> anyhow::Result<Value>
where
    F: Fn(&mut Tx<'_>, &str, i64) -> Result<bool, Error> + Send + 'static,
{
    let now = Clock::system().now();
    let answer = json!({ "name": name, "done": what(act) });
    let done = store
        .write(move |tx| {
            let done = change(tx, &name, now)?;
            if done {
                audit::record(tx, &operator(""), act, &name, what(act), now)?;
            }
            Ok::<_, Error>(done)
        })
        .await?;
    if !done {
        bail!("there is none of that name");
    }
    Ok(answer)
}

fn what(act: Act) -> &'static str {
    if act == Act::SetSecret {
        "set"
    } else {
        "removed"
    }
}

fn shown(entry: &DestinationFile) -> Value {
    json!({
        "name": entry.name,
        "base_url": entry.base_url(),
        "operations": entry.operation_names(),
        "secrets": entry.secret_names(),
    })
}

async fn registered(store: &Store, mode: Mode) -> anyhow::Result<rows::Registered> {
    let mode = mode.as_str();
    Ok(store.read(move |tx| rows::all(tx, mode)).await?)
}

async fn open(vault: &Vault) -> anyhow::Result<(Store, Root)> {
    vault.open(&Clock::system()).await
}

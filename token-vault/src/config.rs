//! The command line with a file beneath it: `--config vault.toml` holds the same options by their long names. A flag wins
//! over the environment, the environment over the file.
//!
//! ```toml
//! database = "postgres://vault:secret@db.internal/vault"   # a file of mode 0600 may hold it, the command line may not
//! mode = "live"
//! public = "0.0.0.0:443"
//! limit-tokens-per-session = "30/60s"
//! trusted-proxy = ["10.0.0.1"]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::builder::OsStr;
use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _};

use crate::admin::Cli;

/// The environment's name for the file.
pub const CONFIG: &str = "TOKEN_VAULT_CONFIG";

/// Reads command line, environment and file.
///
/// # Errors
/// A file that is malformed or names an option that does not exist; a secret on the command line. Wrong flags end the
/// process as clap does it.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Cli> {
    let args: Vec<OsString> = args.into_iter().collect();
    refuse_secrets(&args)?;
    let mut command = Cli::command();
    if let Some(path) = file(&args) {
        command = with_file(command, &path)?;
    }
    let matches = command.try_get_matches_from(args);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    Ok(parsed.unwrap_or_else(|error| error.exit()))
}

// Every user of a machine can read the command lines of its processes.
fn refuse_secrets(args: &[OsString]) -> anyhow::Result<()> {
    for arg in args.iter().filter_map(|arg| arg.to_str()) {
        let authority = arg
            .split_once("://")
            .map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
        let password = authority
            .and_then(|authority| authority.rsplit_once('@'))
            .is_some_and(|(user, _)| user.contains(':'));
        if password || arg.contains("password=") {
            bail!(
                "a password stands on the command line, where every user of this machine can read it; put it into \
                 TOKEN_VAULT_DATABASE or the file of --config (mode 0600)"
            );
        }
    }
    Ok(())
}

fn file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--config") => return args.next().map(PathBuf::from),
            Some(text) if text.starts_with("--config=") => return Some(text[9..].into()),
            _ => {}
        }
    }
    std::env::var_os(CONFIG).map(PathBuf::from)
}

/// The values of a file, by option.
fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--config {} cannot be read", path.display()))?;
    // Errors of the parser quote the line, which may hold a secret.
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].lines().count().max(1));
        anyhow::anyhow!("--config {}: line {line} is not TOML", path.display())
    })?;
    let mut values = BTreeMap::new();
    for (name, value) in table {
        let name = name.replace('_', "-");
        let items = match value {
            toml::Value::Array(items) => items,
            one => vec![one],
        };
        let items = items.into_iter().map(|item| match item {
            toml::Value::String(text) => Ok(text),
            toml::Value::Integer(number) => Ok(number.to_string()),
            toml::Value::Boolean(on) => Ok(on.to_string()),
            _ => bail!(
                "--config {}: {name} is neither text, number, true nor false",
                path.display()
            ),
        });
        values.insert(name.clone(), items.collect::<anyhow::Result<_>>()?);
    }
    Ok(values)
}

// What the file says becomes the options' default values, which flag and environment override.
fn with_file(command: Command, path: &Path) -> anyhow::Result<Command> {
    let values = read(path)?;
    let mut used = BTreeSet::new();
    let command = with_values(command, &values, &mut used);
    match values.keys().find(|name| !used.contains(*name)) {
        Some(unknown) => bail!("--config {}: there is no option {unknown}", path.display()),
        None => Ok(command),
    }
}

fn with_values(
    mut command: Command,
    values: &BTreeMap<String, Vec<String>>,
    used: &mut BTreeSet<String>,
) -> Command {
    let mut set = vec![];
    for arg in command.get_arguments() {
        let found = arg.get_long().and_then(|long| values.get_key_value(long));
        if let Some((name, items)) = found.filter(|(name, _)| *name != "config") {
            used.insert(name.clone());
            set.push((arg.get_id().clone(), items.clone()));
        }
    }
    for (id, items) in set {
        command = command.mut_arg(id, |arg| {
            let flag = matches!(arg.get_action(), ArgAction::SetTrue);
            let arg = arg
                .required(false)
                .default_values(items.into_iter().map(OsStr::from));
            if flag { arg.num_args(0) } else { arg }
        });
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| with_values(sub, values, used));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_on_the_command_line_is_refused() {
        for (arg, refused) in [
            ("postgres://vault:secret@db/vault", true),
            ("--database=postgres://vault:secret@db/vault", true),
            ("host=db password=secret", true),
            ("postgres://vault@db/vault", false),
            ("--otlp-endpoint=http://127.0.0.1:4318", false),
            ("sqlite:/var/lib/vault.db", false),
        ] {
            assert_eq!(refuse_secrets(&[arg.into()]).is_err(), refused, "{arg}");
        }
    }

    #[test]
    fn the_file_is_beneath_flags_and_its_names_are_checked() {
        let path = std::env::temp_dir().join(vault_api::ids::new_id("config"));
        let text = "database = \"sqlite:/tmp/a.db\"\nname = \"From the file\"\nlimit_tokens_per_session = \"5/60s\"\n";
        std::fs::write(&path, text).expect("written");
        let command = with_file(Cli::command(), &path).expect("all known");
        let of = |args: &[&str]| {
            let matches = command.clone().try_get_matches_from(args).expect("parses");
            let (_, matches) = matches.subcommand().expect("merchants");
            let (_, matches) = matches.subcommand().expect("create");
            matches.get_one::<String>("name").cloned()
        };
        let from_file = of(&["token-vault", "merchants", "create"]);
        assert_eq!(from_file.as_deref(), Some("From the file"));
        let flag = of(&["token-vault", "merchants", "create", "--name", "Flag"]);
        assert_eq!(flag.as_deref(), Some("Flag"));

        for (text, says) in [
            ("nonsense = 1", "no option nonsense"),
            ("a = [[1]]", "neither text"),
            ("database = \"secret", "line 1 is not TOML"),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = with_file(Cli::command(), &path)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
        std::fs::remove_file(path).expect("removed");
    }
}

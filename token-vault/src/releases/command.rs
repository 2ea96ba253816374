//! `token-vault releases ..`: make the key, sign a build, keep it for the pages that name it, and verify what is served.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Clock, files};

use super::{FILE, PrivateKey, PublicKey, Statement, check};

/// `token-vault releases ..`
#[derive(Subcommand)]
pub enum Releases {
    /// Make a release key; prints its public half. Keep the file off the vault's machine.
    Keygen {
        /// The new file, PKCS#8 in PEM.
        #[arg(long)]
        out: PathBuf,
    },
    /// Sign a build: writes `release.jws` into its folder.
    Sign {
        /// What `cargo xtask frame` built.
        #[arg(long)]
        frame_dir: PathBuf,
        /// The release key's file.
        #[arg(long)]
        key: PathBuf,
    },
    /// Copy a signed build into the archive, from which `serve` goes on serving it when a newer one has come.
    Archive {
        /// The build.
        #[arg(long)]
        frame_dir: PathBuf,
        /// The archive; the build becomes a folder in it, named by its version.
        #[arg(long)]
        archive: PathBuf,
        /// The public half of the key that signed it.
        #[arg(long = "release-key", required = true, allow_hyphen_values = true)]
        keys: Vec<PublicKey>,
    },
    /// Verify a build, or what a vault publishes; prints every file with its digest.
    Verify {
        /// A public key that may have signed it (repeat for several).
        #[arg(long = "release-key", required = true, allow_hyphen_values = true)]
        keys: Vec<PublicKey>,
        /// A build's folder: its bytes are checked, too.
        #[arg(long, conflicts_with = "published")]
        frame_dir: Option<PathBuf>,
        /// What `/.well-known/cardseal-releases.json` of a vault answered; `-` reads standard input.
        #[arg(long, required_unless_present = "frame_dir")]
        published: Option<PathBuf>,
    },
}

/// What a vault publishes: the statements of what it serves, the current build's first.
#[derive(Debug, Default, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Published {
    /// JWS, compact.
    pub releases: Vec<String>,
}

/// Runs a command; what it answers is printed.
///
/// # Errors
/// What went wrong, for the operator.
pub fn run(command: Releases) -> anyhow::Result<Value> {
    match command {
        Releases::Keygen { out } => keygen(&out),
        Releases::Sign { frame_dir, key } => sign(&frame_dir, &key),
        Releases::Archive {
            frame_dir,
            archive,
            keys,
        } => keep(&frame_dir, &archive, &keys),
        Releases::Verify {
            keys,
            frame_dir,
            published,
        } => match (frame_dir, published) {
            (Some(folder), _) => Ok(json!([check(&folder, &keys)?])),
            (None, Some(file)) => verify(&file, &keys),
            (None, None) => bail!("give --frame-dir or --published"),
        },
    }
}

fn keygen(out: &Path) -> anyhow::Result<Value> {
    let key = PrivateKey::generate();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out);
    let mut file = file.with_context(|| format!("creating {}", out.display()))?;
    file.write_all(key.pem().as_bytes())?;
    file.sync_all()?;
    let public = key.public()?;
    Ok(json!({ "release_key": public.to_string(), "kid": public.id() }))
}

fn sign(folder: &Path, key: &Path) -> anyhow::Result<Value> {
    files::only_ours(key)?;
    let pem = zeroize::Zeroizing::new(std::fs::read_to_string(key)?);
    let key = PrivateKey::parse(&pem).with_context(|| key.display().to_string())?;
    let statement = Statement::of(folder, Clock::system().now())?;
    // Renamed into place: a vault that starts meanwhile sees the old one or the new one.
    let (new, place) = (folder.join("release.jws.new"), folder.join(FILE));
    std::fs::write(&new, statement.sign(&key)? + "\n")?;
    std::fs::rename(&new, place)?;
    Ok(
        json!({ "version": statement.version, "files": statement.files.len(), "kid": key.public()?.id() }),
    )
}

fn keep(folder: &Path, archive: &Path, keys: &[PublicKey]) -> anyhow::Result<Value> {
    let statement = check(folder, keys)?;
    let version = statement.version;
    let named = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
    ensure!(
        version.starts_with(|c: char| c.is_ascii_alphanumeric()) && version.chars().all(named),
        "the build's version names no folder"
    );
    let place = archive.join(&version);
    if place.exists() {
        let there = check(&place, keys)?.files;
        ensure!(
            there == statement.files,
            "{} holds another build of this version",
            place.display()
        );
        return Ok(json!({ "version": version, "archived": "before" }));
    }
    let new = archive.join(format!(".{version}.new"));
    if new.exists() {
        std::fs::remove_dir_all(&new)?;
    }
    copy(folder, &new)?;
    check(&new, keys).context("the copy")?;
    std::fs::rename(&new, &place)?;
    Ok(json!({ "version": version, "archived": "now" }))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

fn verify(file: &Path, keys: &[PublicKey]) -> anyhow::Result<Value> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file)?;
    }
    let published: Published = serde_json::from_str(&text)
        .context("not what /.well-known/cardseal-releases.json answers")?;
    ensure!(
        !published.releases.is_empty(),
        "this vault publishes no signed release"
    );
    let statements: Result<Vec<_>, _> = published
        .releases
        .iter()
        .map(|jws| Statement::verify(jws, keys))
        .collect();
    Ok(json!(statements?))
}

//! Where things are: the workspace, its target folder, its built programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The workspace's root.
///
/// # Errors
/// When xtask was moved out of it.
pub fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map(Path::to_owned)
        .context("xtask stands inside the workspace")
}

/// Cargo's target folder, wherever its configuration puts it: xtask itself runs from there.
///
/// # Errors
/// When the running program cannot be found.
pub fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent);
    folder
        .map(Path::to_owned)
        .context("xtask runs from target/<profile>")
}

/// Cargo, as it was called, in the workspace.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if let Ok(root) = root() {
        cargo.current_dir(root);
    }
    cargo
}

/// A built program.
///
/// # Errors
/// When it was not built.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let program = target()?.join("debug").join(name);
    if program.exists() {
        Ok(program)
    } else {
        bail!("{name} is not built at {}", program.display())
    }
}

/// Holds the workspace's build to one command at a time: two that start together would write the same files.
/// Dropping it lets the next one in.
///
/// # Errors
/// When the lock's file cannot be made.
pub fn lock() -> anyhow::Result<std::fs::File> {
    let path = target()?.join("xtask.lock");
    let file = std::fs::File::create(&path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    if file.try_lock().is_err() {
        crate::say::say("waiting for another cargo xtask that is building here");
        file.lock()?;
    }
    Ok(file)
}

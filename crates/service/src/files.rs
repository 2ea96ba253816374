//! Files with secrets: nobody but their owner may read or write them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Checks that a file is its owner's alone.
///
/// # Errors
/// That it is open to others, and the command that mends it; or that it cannot be looked at.
pub fn only_ours(path: &Path) -> anyhow::Result<()> {
    let meta =
        std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mode = meta.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{} has mode {mode:o}: others may read it; run: chmod 600 {0}",
        path.display()
    );
    Ok(())
}

//! The fingerprint of everything that a frame is made from. It stands in the manifest; a build with the same one
//! would give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::manifest::integrity;
use super::tools::{Npm, rustc_version};

const FILES: [&str; 4] = [
    "Trunk.toml",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
];
const FOLDERS: [&str; 5] = [
    "checkout-wasm",
    "crates/card",
    "crates/pan",
    "xtask/src/frame",
    "xtask/wasm-bindgen",
];
const IGNORED: [&str; 2] = ["node_modules", "tests"];

/// Hashes path and content of every input, which optional tools there are, and the compiler.
pub fn fingerprint(root: &Path, tools: &Npm) -> Result<String> {
    let mut files: Vec<PathBuf> = FILES.iter().map(|file| root.join(file)).collect();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let name = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .to_string_lossy()
            .into_owned();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.update([u8::from(tools.is_complete())]);
    hash.update(rustc_version()?);
    Ok(integrity("sha256", &hash.finalize()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !IGNORED.iter().any(|ignored| name == *ignored) {
                collect(&entry.path(), files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

//! The frame's build without Trunk: the steps that `Trunk.toml` and `checkout-wasm/index.html` describe.
//!
//! cargo builds the wasm, the `wasm-bindgen` of this workspace makes the glue, [`description`] renders the HTML as
//! Trunk would, and [`finish`] (which Trunk calls too, as its hook) makes what the vault serves. A build whose inputs
//! have not changed is not repeated.

mod description;
mod document;
mod features;
mod finish;
mod glue;
mod inputs;
mod manifest;
mod scripts;
mod tools;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::say::say;
use crate::workspace;
use description::Description;

/// `cargo xtask frame`.
#[derive(clap::Args)]
pub struct Args {
    /// Where the vault shall find document, assets, loader and manifest.
    #[arg(long, default_value = "target/frame")]
    pub out: PathBuf,
    /// Write what each part and feature weighs into README.md and docs/figures.md.
    #[arg(long)]
    pub features: bool,
}

/// The name of wasm and glue between the steps.
const NAME: &str = "checkout-wasm";

/// Builds the frame, or says that it is there already.
///
/// # Errors
/// A step failed, or the frame is over its budget.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root()?;
    let out = root.join(&args.out);
    build(&root, &out)?;
    if args.features {
        weights::write(&root, &out)?;
    }
    Ok(())
}

/// Says which lines of the tables that `cargo xtask frame --features` writes are not true any more; none to judge where npm
/// is missing.
///
/// # Errors
/// There is no frame, or a part of it has no name.
pub fn stale_weights() -> Result<Option<Vec<String>>> {
    let root = workspace::root()?;
    weights::stale(&root, &root.join("target/frame"))
}

fn build(root: &Path, out: &Path) -> Result<()> {
    let tools = tools::Npm::install(root)?;
    let inputs = inputs::fingerprint(root, &tools)?;
    if manifest::inputs_of(out).as_deref() == Some(&inputs) {
        say(format!("frame: {} is up to date", out.display()));
        return Ok(());
    }
    let description = Description::read(root)?;
    tools::add_wasm_target()?;
    let wasm = tools::cargo_build(root, &description)?;
    let tools_dir = tools::build_wasm_tools(root)?;

    let stage = root.join("target/frame-stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).context("clearing the stage")?;
    }
    fs::create_dir_all(&stage)?;
    tools::wasm_bindgen(&tools_dir, &wasm, &stage, NAME)?;
    let html = description.render(&format!("{NAME}.js"), &format!("{NAME}_bg.wasm"))?;
    fs::write(stage.join("index.html"), html)?;

    finish::finish(root, &stage, &tools_dir, &tools, &inputs)?;
    replace(&stage, out)
}

/// Trunk's `post_build` hook: finishes `$TRUNK_STAGING_DIR` in place.
///
/// # Errors
/// Not called by Trunk, a step failed, or the frame is over its budget.
pub fn finish_for_trunk() -> Result<()> {
    let root = workspace::root()?;
    let stage = std::env::var_os("TRUNK_STAGING_DIR")
        .context("TRUNK_STAGING_DIR is not set: this is Trunk's hook, call `cargo xtask frame`")?;
    let tools = tools::Npm::install(&root)?;
    let tools_dir = tools::build_wasm_tools(&root)?;
    let inputs = inputs::fingerprint(&root, &tools)?;
    finish::finish(&root, Path::new(&stage), &tools_dir, &tools, &inputs)
}

/// Puts the finished directory in place: a vault that starts meanwhile sees the old one or the new one.
fn replace(stage: &Path, out: &Path) -> Result<()> {
    let old = out.with_extension("old");
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent)?;
    }
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    if out.exists() {
        fs::rename(out, &old).context("moving the old frame away")?;
    }
    fs::rename(stage, out).context("moving the frame into place")?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    say(format!("frame: {}", out.display()));
    Ok(())
}

//! The programs that the build calls: cargo, rustup, our wasm tools, and from npm, where there is one, wasm-opt and
//! esbuild. Without npm the frame works all the same and is some kB larger.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::description::Description;
use crate::say::say;

const TARGET: &str = "wasm32-unknown-unknown";

/// What wasm-bindgen's output uses; wasm-opt must be told once names and sections are stripped.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The build-only packages of `checkout-wasm/package.json`.
pub struct Npm {
    bin: Option<PathBuf>,
}

impl Npm {
    /// Installs them where npm is, once per lock file.
    pub fn install(root: &Path) -> Result<Self> {
        let folder = root.join("checkout-wasm");
        let bin = folder.join("node_modules/.bin");
        let lock =
            fs::read(folder.join("package-lock.json")).context("reading package-lock.json")?;
        let installed = folder.join("node_modules/.cardseal-lock");
        if fs::read(&installed).is_ok_and(|done| done == lock) {
            return Ok(Self { bin: Some(bin) });
        }
        if !succeeds(Command::new("npm").arg("--version")) {
            say("frame: no npm, so neither wasm-opt nor esbuild: the frame will be some kB larger");
            return Ok(Self { bin: None });
        }
        say("frame: npm ci (wasm-opt and esbuild)");
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ])
        .current_dir(&folder)
        .stdout(Stdio::null());
        if !npm.status().is_ok_and(|status| status.success()) {
            say("frame: npm ci failed (offline?), going on without wasm-opt and esbuild");
            return Ok(Self { bin: None });
        }
        fs::write(installed, lock)?;
        Ok(Self { bin: Some(bin) })
    }

    /// Whether the output is fully optimised, so that the budget binds.
    pub fn is_complete(&self) -> bool {
        self.bin.is_some()
    }

    /// `wasm-opt` in place; names stay.
    pub fn optimise(&self, wasm: &Path) -> Result<()> {
        let Some(bin) = &self.bin else {
            return Ok(());
        };
        say("frame: wasm-opt");
        run(Command::new(bin.join("wasm-opt"))
            .args(["-g", "-Oz", "--converge", "-tnh", "--gufa", "-Oz"])
            .args(WASM_FEATURES)
            .args([wasm.as_os_str(), OsStr::new("-o"), wasm.as_os_str()]))
    }

    /// Minifies `source`, `js` or `css`; gives it back as it is where esbuild is missing.
    pub fn minify(&self, loader: &str, source: &str) -> Result<String> {
        let Some(bin) = &self.bin else {
            return Ok(source.to_owned());
        };
        let mut command = Command::new(bin.join("esbuild"));
        command
            .arg(format!("--loader={loader}"))
            .args(["--minify", "--log-level=warning"]);
        command.args([
            "--charset=utf8",
            "--legal-comments=none",
            "--target=es2022,safari16",
        ]);
        if loader == "js" {
            command.arg("--format=esm");
        }
        pipe(&mut command, source)
    }
}

/// The compiler: another one makes other bytes.
pub fn rustc_version() -> Result<String> {
    output(Command::new("rustc").arg("--version"))
}

/// Adds the wasm target where it is missing.
pub fn add_wasm_target() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(TARGET)
        .is_dir()
    {
        return Ok(());
    }
    say(format!("frame: rustup target add {TARGET}"));
    run(Command::new("rustup").args(["target", "add", TARGET]))
        .context("the frame needs the wasm target of the standard library")
}

/// Builds the frame's wasm as described, with the arguments that Trunk gives.
pub fn cargo_build(root: &Path, description: &Description) -> Result<PathBuf> {
    say("frame: cargo build (wasm; a minute or two the first time)");
    let mut command = cargo();
    command
        .args([
            "build",
            "--target",
            TARGET,
            "--profile",
            &description.profile,
        ])
        .args(["--bin", &description.bin, "--manifest-path"])
        .arg(&description.manifest);
    if description.locked {
        command.arg("--locked");
    }
    run(command.current_dir(root))?;
    Ok(target_directory(root)
        .join(TARGET)
        .join(&description.profile)
        .join(format!("{}.wasm", description.bin)))
}

/// Builds `wasm-bindgen` and `wasm-trim` and puts them into `target/tools/bin`, for `PATH`.
pub fn build_wasm_tools(root: &Path) -> Result<PathBuf> {
    say("frame: cargo build (wasm-bindgen, wasm-trim)");
    run(cargo()
        .args(["build", "--package", "wasm-bindgen-shim"])
        .current_dir(root))?;
    let bin = root.join("target/tools/bin");
    fs::create_dir_all(&bin)?;
    for tool in ["wasm-bindgen", "wasm-trim"] {
        let name = format!("{tool}{}", std::env::consts::EXE_SUFFIX);
        let built = target_directory(root).join("debug").join(&name);
        // Not in place: the old one may be running, and a new file is swapped in whole.
        let new = bin.join(format!("{name}.new"));
        fs::copy(&built, &new).with_context(|| format!("copying {}", built.display()))?;
        fs::rename(new, bin.join(name))?;
    }
    Ok(bin)
}

/// `wasm-bindgen`, with the arguments that Trunk gives.
pub fn wasm_bindgen(tools: &Path, wasm: &Path, out: &Path, name: &str) -> Result<()> {
    run(Command::new(tools.join("wasm-bindgen"))
        .arg("--target=web")
        .arg(format!("--out-dir={}", out.display()))
        .arg(format!("--out-name={name}"))
        .arg(wasm)
        .arg("--no-typescript"))
}

/// `wasm-trim`: gives the lines `import|export OLD NEW`.
pub fn wasm_trim(tools: &Path, wasm: &Path, out: &Path) -> Result<String> {
    output(Command::new(tools.join("wasm-trim")).args([wasm, out]))
}

/// Layout and markup of each document: the package's own program, built for this machine, writes them from the
/// components of the wasm.
pub fn markup(root: &Path, package: &str) -> Result<Vec<(String, String)>> {
    say("frame: cargo run (the form's markup)");
    let lines = output(
        cargo()
            .args(["run", "--quiet", "--package", package])
            .current_dir(root),
    )?;
    let pairs = lines.lines().map(|line| {
        let (layout, markup) = line.split_once('\t').context("not layout, tab, markup")?;
        Ok((layout.to_owned(), markup.to_owned()))
    });
    pairs.collect()
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo says about this package when it runs us is not about the one being built.
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    String::from_utf8(output.stdout).context("output is not UTF-8")
}

fn pipe(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let Some(mut stdin) = child.stdin.take() else {
        bail!("no stdin");
    };
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command:?} failed");
    if let Ok(written) = writer.join() {
        written?;
    }
    String::from_utf8(output.stdout).context("output is not UTF-8")
}

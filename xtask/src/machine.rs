//! What tests need besides Rust, Node, git and a C linker: found on the machine first, else installed from Debian's
//! packages when we are root, else listed as skipped.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::steps;

/// A program that tests need.
pub struct Need {
    /// What people call it.
    pub name: &'static str,
    /// Debian's packages that bring it.
    pub packages: &'static [&'static str],
    /// Where it may be; the last part may be looked up on PATH.
    pub find: fn() -> Option<PathBuf>,
}

/// A browser.
pub const CHROMIUM: Need = Need {
    name: "Chromium",
    packages: &["chromium"],
    find: || on_path(&["chromium", "chromium-browser", "google-chrome"]),
};

/// Another engine.
pub const FIREFOX: Need = Need {
    name: "Firefox",
    packages: &["firefox-esr"],
    find: || on_path(&["firefox-esr", "firefox"]),
};

/// A third: WebKitGTK's MiniBrowser, with its driver and a display to show it on.
pub const WEBKIT: Need = Need {
    name: "WebKitGTK",
    packages: &["webkit2gtk-driver", "xvfb"],
    find: webkit,
};

/// The folder of PostgreSQL's server programs.
pub const POSTGRES: Need = Need {
    name: "PostgreSQL",
    packages: &["postgresql"],
    find: postgres,
};

/// A Python that can make virtual environments: Debian leaves `ensurepip` out of its python3.
pub const PYTHON: Need = Need {
    name: "Python with venv",
    packages: &["python3", "python3-venv"],
    find: python,
};

/// SoftHSM2's PKCS#11 module.
pub const SOFTHSM: Need = Need {
    name: "SoftHSM2",
    packages: &["softhsm2"],
    find: softhsm,
};

impl Need {
    /// The program; installed when it is missing and we are root.
    ///
    /// # Errors
    /// `install X` when it is missing and cannot be installed here.
    pub fn get(&self) -> anyhow::Result<PathBuf> {
        if let Some(found) = (self.find)() {
            return Ok(found);
        }
        if !is_root() {
            bail!("install {}", self.packages.join(" "));
        }
        steps::note(&format!(
            "{} is missing: installing {}",
            self.name,
            self.packages.join(" ")
        ));
        apt_get(&["update", "-qq"])?;
        let install = [
            &["install", "-y", "-qq", "--no-install-recommends"],
            self.packages,
        ]
        .concat();
        apt_get(&install)?;
        match (self.find)() {
            Some(found) => Ok(found),
            None => bail!("install {} (its packages did not bring it)", self.name),
        }
    }
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    // Output goes to standard error: standard output belongs to test results.
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::io::stderr());
    steps::run(&mut command)
}

/// The first of these programs that is on PATH.
#[must_use]
pub fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    })
}

fn postgres() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    versions
        .into_iter()
        .rev()
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

// Debian's python3 comes without what makes a virtual environment.
fn python() -> Option<PathBuf> {
    let python = on_path(&["python3"])?;
    let mut asked = Command::new(&python);
    let asked = asked.args(["-c", "import venv, ensurepip"]).output();
    asked.is_ok_and(|o| o.status.success()).then_some(python)
}

// MiniBrowser is not on PATH: it stands beside WebKit's processes.
fn webkit() -> Option<PathBuf> {
    on_path(&["WebKitWebDriver"])?;
    on_path(&["xvfb-run"])?;
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/libexec",
    ];
    folders
        .iter()
        .flat_map(|folder| {
            ["webkit2gtk-4.1", "webkit2gtk-4.0"].map(|version| PathBuf::from(folder).join(version))
        })
        .map(|folder| folder.join("MiniBrowser"))
        .find(|program| program.is_file())
}

fn softhsm() -> Option<PathBuf> {
    on_path(&["softhsm2-util"])?;
    let folders = [
        "/usr/lib/softhsm",
        "/usr/lib/x86_64-linux-gnu/softhsm",
        "/usr/lib/aarch64-linux-gnu/softhsm",
        "/usr/lib64/softhsm",
        "/usr/lib64",
        "/usr/local/lib/softhsm",
        "/opt/homebrew/lib/softhsm",
    ];
    folders
        .iter()
        .map(|folder| PathBuf::from(folder).join("libsofthsm2.so"))
        .find(|module| module.is_file())
}

/// Whether we are root.
#[must_use]
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

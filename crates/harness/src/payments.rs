//! `payments` and `acquirer-sim` as processes, each on ports and a database of its own.

use std::fs;
use std::path::{Path, PathBuf};

use store::Location;

use crate::process::{Program, free_ports};

/// A running service and where it listens.
pub struct Service {
    /// Its process.
    pub program: Program,
    /// Where it takes requests.
    pub url: String,
    /// Its admin listener.
    pub admin: String,
}

/// What payments needs to be told.
pub struct Payments<'a> {
    /// The built program.
    pub program: PathBuf,
    /// Its database.
    pub location: &'a Location,
    /// A folder for its keys, files and log.
    pub folder: &'a Path,
    /// The vault's private listener.
    pub vault: &'a str,
    /// The `svc_` key.
    pub service_key: &'a str,
    /// `acquirers.toml`; an `api_key_file` in it may be `acquirer.key`.
    pub acquirers: &'a str,
    /// Holds for `acquirer.key`.
    pub acquirer_key: &'a str,
    /// More options for `serve`.
    pub options: &'a [&'a str],
}

impl Payments<'_> {
    /// Starts it on free ports.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&self) -> anyhow::Result<Service> {
        let file = |name: &str| self.folder.join(name);
        fs::create_dir_all(self.folder)?;
        fs::write(file("service.key"), self.service_key)?;
        fs::write(file("acquirer.key"), self.acquirer_key)?;
        fs::write(file("acquirers.toml"), self.acquirers)?;
        let path = |name: &str| file(name).display().to_string();
        let [listen, admin] = free_ports()?.map(|port: u16| format!("127.0.0.1:{port}"));
        let named = [
            ("--database", location(self.location)),
            ("--listen", listen.clone()),
            ("--admin", admin.clone()),
            ("--vault-url", self.vault.to_owned()),
            ("--service-key-file", path("service.key")),
            ("--seal-key-file", path("seal.key")),
            ("--acquirers", path("acquirers.toml")),
        ];
        let options = self.options.iter().map(|&option| option.to_owned());
        let arguments = serve(named).chain(options).collect();
        running(
            self.program.clone(),
            arguments,
            &listen,
            &admin,
            file("payments.log"),
        )
        .await
    }
}

/// Starts the bank's side on free ports, with a key of its JSON acquirer, and its database in `folder`.
///
/// # Errors
/// When it does not become ready.
pub async fn acquirer_sim(program: PathBuf, folder: &Path, key: &str) -> anyhow::Result<Service> {
    fs::create_dir_all(folder)?;
    let file = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("bank.key"), key)?;
    let [listen, admin] = free_ports()?.map(|port: u16| format!("127.0.0.1:{port}"));
    let named = [
        ("--database", format!("sqlite:{}", file("bank.db"))),
        ("--listen", listen.clone()),
        ("--admin", admin.clone()),
        ("--api-key-file", file("bank.key")),
    ];
    let arguments = serve(named).collect();
    running(program, arguments, &listen, &admin, folder.join("bank.log")).await
}

async fn running(
    program: PathBuf,
    arguments: Vec<String>,
    listen: &str,
    admin: &str,
    log: PathBuf,
) -> anyhow::Result<Service> {
    let (url, admin) = (format!("http://{listen}"), format!("http://{admin}"));
    let mut program = Program::new(program, arguments, admin.clone(), log);
    program.start().await?;
    Ok(Service {
        program,
        url,
        admin,
    })
}

fn serve<const N: usize>(named: [(&str, String); N]) -> impl Iterator<Item = String> {
    let named = named
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value]);
    std::iter::once("serve".to_owned()).chain(named.collect::<Vec<_>>())
}

/// A location as `--database` takes it.
#[must_use]
pub fn location(location: &Location) -> String {
    match location {
        Location::Sqlite(path) => format!("sqlite:{}", path.display()),
        Location::Postgres(url) => url.clone(),
    }
}

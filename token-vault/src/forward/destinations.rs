//! Where cards may be sent: destinations and operations that the operator registered, never a merchant. They come
//! from a file (`serve --destinations FILE`) and from the database (`token-vault destinations add FILE`); a running
//! vault sees a change of the database within seconds.
//!
//! ```toml
//! [[destination]]
//! name = "northbank"
//! base_url = "https://api.northbank.example"   # exact host: no wildcard, no IP address
//! merchants = ["*"]
//! connect_ms = 2000                            # to connect, TLS included
//! read_ms = 8000                               # without a byte of the answer
//! total_ms = 10000                             # for everything
//! ca = "northbank-ca.pem"                      # in place of the public roots
//! client_cert = "us.pem"
//! client_key = { secret = "northbank_client_key" }              # or a path
//! headers = { authorization = { secret = "northbank_key", prefix = "Bearer " } }   # or { file = ".." }, or text
//!
//! [[destination.operation]]
//! name = "authorise"
//! kind = "authorise"                           # authenticate, verify
//! method = "POST"
//! path = "/json/v1/payments"
//! body = "json"                                # form, xml (with root and sequence)
//! placeholders = { "card.number" = "/card/number", "card.cvc" = "/card/cvc" }
//! fixed = { "/card/type" = "plain" }           # the operator's own constants
//! amount = "/amount"
//! amount_format = "minor"                      # decimal: "19.99"
//! currency = "/currency"
//! currency_format = "lower"                    # upper
//! reference = "/reference"
//! idempotency_header = "idempotency-key"       # takes the attempt id
//! response = ["/id", "/status"]
//! approved = { pointer = "/status", values = ["captured", "authorised"] }
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::bail;
use store::Store;
use vault_api::Code;
use zeroize::Zeroizing;

use super::operation::Operation;
use super::registration::{Destination, DestinationFile, File, Sources};
use super::secrets;
use crate::Error;
use crate::crypto::root::Root;
use crate::records::destinations::{self as records, Registered};

type All = HashMap<String, Arc<Destination>>;

/// All that are registered.
#[derive(Default)]
pub struct Destinations {
    from_file: Vec<DestinationFile>,
    beside: PathBuf,
    live: bool,
    current: RwLock<Arc<All>>,
    seen: Mutex<Option<Registered>>,
}

/// A destination and one of its operations.
#[derive(Clone)]
pub struct Target {
    /// The destination.
    pub destination: Arc<Destination>,
    /// The operation.
    pub operation: Arc<Operation>,
}

impl Target {
    /// Host, and port where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let destination = &self.destination;
        let standard = if destination.tls.is_some() { 443 } else { 80 };
        match destination.port {
            port if port == standard => destination.host.clone(),
            port => format!("{}:{port}", destination.host),
        }
    }

    /// Scheme and authority.
    #[must_use]
    pub fn base_url(&self) -> String {
        let tls = self.destination.tls.is_some();
        let scheme = if tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

impl Destinations {
    /// Reads a file. Entries that name secrets of the database come alive with [`Self::refresh`].
    ///
    /// # Errors
    /// Which entry is wrong, and how.
    pub fn read(path: &Path, live: bool) -> anyhow::Result<Self> {
        let file = File::read(path)?;
        let mut new = Self {
            from_file: file.destination,
            beside: path.parent().unwrap_or(Path::new(".")).to_owned(),
            live,
            ..Self::default()
        };
        let (all, problems) = new.compile(&[], &BTreeMap::new());
        for (entry, problem) in problems {
            if entry.secret_names().is_empty() {
                return Err(problem);
            }
        }
        new.current = RwLock::new(Arc::new(all));
        Ok(new)
    }

    /// Reads what the database has. What is wrong there is left out and answered: one entry must not stop the rest.
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(&self, store: &Store, root: &Root) -> Result<Vec<String>, Error> {
        let mode = root.mode().as_str();
        let rows = store.read(move |tx| records::all(tx, mode)).await?;
        if self.seen().as_ref() == Some(&rows) {
            return Ok(vec![]);
        }
        let mut problems = vec![];
        let mut opened = BTreeMap::new();
        for (name, sealed) in &rows.secrets {
            match secrets::open(root, name, sealed) {
                Ok(secret) => {
                    opened.insert(name.clone(), secret);
                }
                Err(_) => problems.push(format!("secret {name} does not open under this root")),
            }
        }
        let mut entries = vec![];
        for entry in &rows.entries {
            let name = &entry.name;
            if !entry.is_registered(root.macs(), mode) {
                problems.push(format!(
                    "destination {name} is not as the operator registered it; run `destinations add` again"
                ));
                continue;
            }
            match serde_json::from_str::<DestinationFile>(&entry.json) {
                Ok(entry) => entries.push(entry),
                Err(_) => problems.push(format!("destination {name} cannot be read")),
            }
        }
        let (all, wrong) = self.compile(&entries, &opened);
        problems.extend(wrong.into_iter().map(|(_, error)| format!("{error:#}")));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        *self.seen() = Some(rows);
        Ok(problems)
    }

    /// Name, host and port of each, for a check that they resolve.
    #[must_use]
    pub fn hosts(&self) -> Vec<(String, String, u16)> {
        let all = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let host =
            |(name, to): (&String, &Arc<Destination>)| (name.clone(), to.host.clone(), to.port);
        all.iter().map(host).collect()
    }

    /// The operation, if it is registered for this merchant. One that is not is as absent as one that is nobody's.
    ///
    /// # Errors
    /// `operation_not_allowed`.
    pub fn target(
        &self,
        merchant: &str,
        destination: &str,
        operation: &str,
    ) -> Result<Target, Error> {
        let all = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let destination = all.get(destination).ok_or(Code::OperationNotAllowed)?;
        let for_merchant = destination
            .merchants
            .iter()
            .any(|m| m == "*" || m == merchant);
        let operation = destination
            .operations
            .get(operation)
            .filter(|_| for_merchant);
        let operation = operation.ok_or(Code::OperationNotAllowed)?;
        Ok(Target {
            destination: destination.clone(),
            operation: operation.clone(),
        })
    }

    // The file's entries stand before the database's of the same name.
    fn compile(
        &self,
        from_database: &[DestinationFile],
        secrets: &BTreeMap<String, Zeroizing<String>>,
    ) -> (All, Vec<(DestinationFile, anyhow::Error)>) {
        let (mut all, mut problems) = (All::new(), vec![]);
        let here = Path::new(".");
        let of_file = self.from_file.iter().map(|e| (e, self.beside.as_path()));
        let entries = of_file.chain(from_database.iter().map(|e| (e, here)));
        for (entry, beside) in entries {
            let sources = Sources {
                beside,
                live: self.live,
                secrets: Some(secrets),
            };
            if all.contains_key(&entry.name) {
                let name = &entry.name;
                let both = anyhow::anyhow!(
                    "destination {name} is in --destinations and in the database; the file's stands"
                );
                problems.push((entry.clone(), both));
                continue;
            }
            match entry.compile(&sources) {
                Ok(destination) => {
                    all.insert(entry.name.clone(), Arc::new(destination));
                }
                Err(error) => problems.push((entry.clone(), error)),
            }
        }
        (all, problems)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Registered>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None registered yet, for a vault of this mode.
    #[must_use]
    pub fn none(live: bool) -> Self {
        Self {
            live,
            ..Self::default()
        }
    }

    /// Refuses to go on when an entry of the file does not work, now that the secrets are known.
    ///
    /// # Errors
    /// Which one.
    pub fn check_file(&self) -> anyhow::Result<()> {
        let all = self.current.read().unwrap_or_else(PoisonError::into_inner);
        for entry in &self.from_file {
            if !all.contains_key(&entry.name) {
                bail!(
                    "destination {} of --destinations does not work: a secret that it names is not set, or the log says why",
                    entry.name
                );
            }
        }
        Ok(())
    }
}

/// Reads a file's entries and checks all of them that can be checked without the secrets of the database.
///
/// # Errors
/// Which entry is wrong, and how.
pub fn check_entries(path: &Path, live: bool) -> anyhow::Result<Vec<DestinationFile>> {
    let file = File::read(path)?;
    let sources = Sources {
        beside: path.parent().unwrap_or(Path::new(".")),
        live,
        secrets: None,
    };
    for entry in &file.destination {
        entry.compile(&sources)?;
    }
    Ok(file.destination)
}

//! A destination as the operator writes it, and what the vault makes of it. The head of [`super::destinations`] has
//! an example.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{HeaderName, HeaderValue, Uri, header};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::operation::{Operation, OperationFile};
use super::tls;

/// The longest a send may take, whatever is registered.
const LONGEST: u64 = 5 * 60 * 1000;

/// Headers that the vault writes itself.
const OWN_HEADERS: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::UPGRADE,
];

/// A destination, checked, with its secrets read.
pub struct Destination {
    /// TLS, unless it stands on this machine in test mode and speaks plain HTTP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The exact host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it may stand on this machine (test mode only).
    pub local: bool,
    /// Time to connect, TLS included.
    pub connect: Duration,
    /// Time without a byte of the answer.
    pub read: Duration,
    /// Time for everything.
    pub total: Duration,
    /// Fixed headers.
    pub headers: Vec<Header>,
    pub(super) merchants: Vec<String>,
    pub(super) operations: HashMap<String, Arc<Operation>>,
}

/// A fixed header of a destination.
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// Its value; never answered when it has a secret.
    pub value: HeaderValue,
    /// What may be shown of the value.
    pub shown: String,
}

/// The file: a list of destinations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Each with its operations.
    #[serde(default)]
    pub destination: Vec<DestinationFile>,
}

/// One destination of the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationFile {
    /// What calls name it by.
    pub name: String,
    base_url: String,
    #[serde(default)]
    local: bool,
    merchants: Vec<String>,
    #[serde(default = "default_connect")]
    connect_ms: u64,
    #[serde(default = "default_read")]
    read_ms: u64,
    #[serde(default = "default_total")]
    total_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_cert: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, HeaderFile>,
    operation: Vec<OperationFile>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum HeaderFile {
    Plain(String),
    Secret(SecretHeader),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretHeader {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(default)]
    prefix: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Secret {
    Path(PathBuf),
    Named(NamedSecret),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedSecret {
    secret: String,
}

fn default_connect() -> u64 {
    2_000
}

fn default_read() -> u64 {
    20_000
}

fn default_total() -> u64 {
    20_000
}

/// Where files and secrets of an entry are found.
pub struct Sources<'a> {
    /// The folder that relative paths start from.
    pub beside: &'a Path,
    /// Live mode has stricter rules.
    pub live: bool,
    /// Secrets by name, from the database; none when an entry is checked without them.
    pub secrets: Option<&'a BTreeMap<String, Zeroizing<String>>>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// Why it cannot be read; TOML's errors name the line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let file: Self =
            toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))?;
        let mut names: Vec<_> = file.destination.iter().map(|d| d.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("destination {} is registered twice", twice[0]);
        }
        Ok(file)
    }
}

impl DestinationFile {
    /// The names of the secrets it wants from the database.
    #[must_use]
    pub fn secret_names(&self) -> Vec<&str> {
        let headers = self.headers.values().filter_map(|header| match header {
            HeaderFile::Secret(SecretHeader { secret, .. }) => secret.as_deref(),
            HeaderFile::Plain(_) => None,
        });
        let key = self.client_key.iter().filter_map(|key| match key {
            Secret::Named(named) => Some(named.secret.as_str()),
            Secret::Path(_) => None,
        });
        headers.chain(key).collect()
    }

    /// The names of its operations.
    #[must_use]
    pub fn operation_names(&self) -> Vec<&str> {
        self.operation.iter().map(|o| o.name.as_str()).collect()
    }

    /// The headers with a credential that stands in the file itself.
    #[must_use]
    pub fn plain_credentials(&self) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(name, value)| is_credential(name) && matches!(value, HeaderFile::Plain(_)))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Its URL.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Takes certificates into the entry and makes paths of secret files absolute, so that it may be kept in the
    /// database. A secret is never taken in.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn resolve_files(&mut self, beside: &Path) -> anyhow::Result<()> {
        for pem in [&mut self.client_cert, &mut self.ca].into_iter().flatten() {
            *pem = tls::pem(pem, beside)?;
        }
        let absolute = |path: &Path| std::path::absolute(beside.join(path));
        if let Some(Secret::Path(path)) = &mut self.client_key {
            *path = absolute(path)?;
        }
        for header in self.headers.values_mut() {
            if let HeaderFile::Secret(SecretHeader {
                file: Some(file), ..
            }) = header
            {
                *file = absolute(file)?;
            }
        }
        Ok(())
    }

    /// Checks everything and reads the secrets.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn compile(&self, sources: &Sources<'_>) -> anyhow::Result<Destination> {
        self.compile_inner(sources)
            .with_context(|| format!("destination {}", self.name))
    }

    fn compile_inner(&self, sources: &Sources<'_>) -> anyhow::Result<Destination> {
        let name_fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(name_fits) {
            bail!("a name has 1 to 64 letters, digits, _, - and .");
        }
        let (https, host, port) = self.address(sources.live)?;
        for ms in [self.connect_ms, self.read_ms, self.total_ms] {
            if !(1..=LONGEST).contains(&ms) {
                bail!("connect_ms, read_ms and total_ms are 1 to {LONGEST}");
            }
        }
        let tls = self.tls(https, sources)?;
        let headers = self.headers.iter().map(|(name, value)| {
            header(name, value, sources).with_context(|| format!("header {name}"))
        });
        let mut operations = HashMap::new();
        for entry in &self.operation {
            let operation =
                Operation::parse(entry).with_context(|| format!("operation {}", entry.name))?;
            if operations
                .insert(entry.name.clone(), Arc::new(operation))
                .is_some()
            {
                bail!("operation {} is registered twice", entry.name);
            }
        }
        Ok(Destination {
            tls,
            host,
            port,
            local: self.local,
            connect: Duration::from_millis(self.connect_ms),
            read: Duration::from_millis(self.read_ms),
            total: Duration::from_millis(self.total_ms),
            headers: headers.collect::<anyhow::Result<_>>()?,
            merchants: self.merchants.clone(),
            operations,
        })
    }

    fn address(&self, live: bool) -> anyhow::Result<(bool, String, u16)> {
        let uri: Uri = self.base_url.parse().context("base_url is not a URL")?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if self.local => false,
            _ => bail!("base_url must be https (http only with local = true)"),
        };
        let host = uri.host().context("base_url names no host")?;
        if self.local && live {
            bail!("local = true is for test mode");
        }
        let exact = host.contains('.')
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        // A last label of digits makes resolvers read an address: 2130706433, 0x7f.1, 127.1.
        let last = host.rsplit('.').find(|label| !label.is_empty());
        let numeric = last.is_none_or(|label| label.starts_with(|c: char| c.is_ascii_digit()));
        if !self.local && (!exact || numeric) {
            bail!("base_url must name an exact host, not an address or a wildcard");
        }
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            bail!("base_url must have no user; put credentials into headers");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            bail!("base_url must have no path; put it into the operation");
        }
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok((https, host.to_ascii_lowercase(), port))
    }

    fn tls(
        &self,
        https: bool,
        sources: &Sources<'_>,
    ) -> anyhow::Result<Option<Arc<rustls::ClientConfig>>> {
        let any = self.ca.is_some() || self.client_cert.is_some() || self.client_key.is_some();
        if !https {
            if any {
                bail!("ca, client_cert and client_key go with https");
            }
            return Ok(None);
        }
        let client = match (&self.client_cert, &self.client_key) {
            // Without the secrets there is no key to try it with.
            (Some(cert), Some(Secret::Named(_))) if sources.secrets.is_none() => {
                tls::pem(cert, sources.beside)?;
                None
            }
            (Some(cert), Some(key)) => {
                let key = match key {
                    Secret::Path(path) => read_secret(&sources.beside.join(path))?,
                    Secret::Named(named) => find_secret(&named.secret, sources)?,
                };
                Some((tls::pem(cert, sources.beside)?, key))
            }
            (None, None) => None,
            _ => bail!("client_cert and client_key go together"),
        };
        let ca = self
            .ca
            .as_deref()
            .map(|ca| tls::pem(ca, sources.beside))
            .transpose()?;
        tls::config(ca.as_deref(), client).map(Some)
    }
}

fn header(name: &str, value: &HeaderFile, sources: &Sources<'_>) -> anyhow::Result<Header> {
    let name: HeaderName = name.parse()?;
    if OWN_HEADERS.contains(&name) {
        bail!("the vault writes this header itself");
    }
    let (text, shown) = match value {
        HeaderFile::Plain(text) if is_credential(name.as_str()) => {
            (Zeroizing::new(text.clone()), "***".to_owned())
        }
        HeaderFile::Plain(text) => (Zeroizing::new(text.clone()), text.clone()),
        HeaderFile::Secret(SecretHeader {
            file,
            secret,
            prefix,
        }) => {
            let secret = match (file, secret) {
                (Some(file), None) => read_secret(&sources.beside.join(file))?,
                (None, Some(secret)) => find_secret(secret, sources)?,
                _ => bail!("write {{ file = \"..\" }} or {{ secret = \"..\" }}"),
            };
            let text = Zeroizing::new(format!("{prefix}{}", secret.trim()));
            (text, format!("{prefix}***"))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .ok()
        .context("its value has characters that headers cannot have")?;
    value.set_sensitive(true);
    Ok(Header { name, value, shown })
}

/// Whether a header of this name carries a credential, so that its value is not shown even when it stands in the file.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "auth",
        "cookie",
        "key",
        "pass",
        "secret",
        "signature",
        "token",
    ]
    .iter()
    .any(|word| name.contains(word))
}

fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .with_context(|| format!("the secret {} cannot be read", path.display()))
}

fn find_secret(name: &str, sources: &Sources<'_>) -> anyhow::Result<Zeroizing<String>> {
    let Some(secrets) = sources.secrets else {
        return Ok(Zeroizing::new("unknown".to_owned()));
    };
    secrets.get(name).cloned().with_context(|| {
        format!("there is no secret {name}; run: token-vault destinations secret set {name}")
    })
}

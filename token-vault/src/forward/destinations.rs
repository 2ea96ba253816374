//! Where cards may be sent: destinations and operations that the operator registered from a file, never a merchant.
//!
//! ```toml
//! [[destination]]
//! name = "northbank"
//! base_url = "https://api.northbank.example"   # exact host: no wildcard, no IP address
//! merchants = ["*"]
//! connect_ms = 2000
//! total_ms = 10000
//! headers = { authorization = { file = "northbank.key", prefix = "Bearer " } }
//!
//! [[destination.operation]]
//! name = "authorise"
//! kind = "authorise"
//! method = "POST"
//! path = "/json/v1/payments"
//! placeholders = { "card.number" = "/card/number", "card.cvc" = "/card/cvc" }
//! amount = "/amount"
//! currency = "/currency"
//! reference = "/reference"
//! response = ["/id", "/status"]
//! approved = { pointer = "/status", values = ["captured", "authorised"] }
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use vault_api::Code;
use vault_api::forward::Answer;
use zeroize::Zeroizing;

use crate::Error;
use crate::records::grants::Send;

/// All that are registered.
#[derive(Default)]
pub struct Destinations(HashMap<String, Arc<Destination>>);

/// A destination.
pub struct Destination {
    /// `http` or `https`.
    pub tls: bool,
    /// The exact host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it may stand on this machine (test mode only).
    pub local: bool,
    /// Time to connect, TLS included.
    pub connect: Duration,
    /// Time for everything.
    pub total: Duration,
    /// Fixed headers; a secret among them was read from its file and is never answered.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    merchants: Vec<String>,
    operations: HashMap<String, Arc<Operation>>,
}

/// One thing that may be asked of a destination.
pub struct Operation {
    /// HTTP method.
    pub method: Method,
    /// Path.
    pub path: String,
    /// What kind of send it is.
    pub kind: Send,
    /// The one place of each placeholder, as a JSON pointer (RFC 6901).
    pub placeholders: BTreeMap<String, String>,
    /// Where the vault writes amount, currency and reference.
    pub amount: String,
    /// Where the currency goes.
    pub currency: String,
    /// Where our reference goes.
    pub reference: String,
    /// Which fields of the answer come back.
    pub response: Vec<String>,
    approved: Option<Approved>,
}

/// A destination and one of its operations.
#[derive(Clone)]
pub struct Target {
    /// The destination.
    pub destination: Arc<Destination>,
    /// The operation.
    pub operation: Arc<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    destination: Vec<DestinationFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationFile {
    name: String,
    base_url: String,
    #[serde(default)]
    local: bool,
    merchants: Vec<String>,
    #[serde(default = "default_connect")]
    connect_ms: u64,
    #[serde(default = "default_total")]
    total_ms: u64,
    #[serde(default)]
    headers: BTreeMap<String, HeaderFile>,
    operation: Vec<OperationFile>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderFile {
    Plain(String),
    Secret {
        file: PathBuf,
        #[serde(default)]
        prefix: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationFile {
    name: String,
    kind: Kind,
    method: String,
    path: String,
    placeholders: BTreeMap<String, String>,
    amount: String,
    currency: String,
    reference: String,
    response: Vec<String>,
    approved: Option<Approved>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Authorise,
    Authenticate,
    Verify,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approved {
    pointer: String,
    values: Vec<String>,
}

fn default_connect() -> u64 {
    2_000
}

fn default_total() -> u64 {
    20_000
}

/// The placeholders there are.
pub const PLACEHOLDERS: [&str; 6] = [
    "card.number",
    "card.exp_month",
    "card.exp_year",
    "card.exp_year2",
    "card.cvc",
    "card.name",
];

impl Destinations {
    /// Reads a file.
    ///
    /// # Errors
    /// Which entry is wrong, and how.
    pub fn read(path: &Path, live: bool) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let file: File =
            toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))?;
        let beside = path.parent().unwrap_or(Path::new("."));
        let mut all = HashMap::new();
        for entry in file.destination {
            let name = entry.name.clone();
            let destination = Destination::parse(entry, beside, live)
                .with_context(|| format!("destination {name}"))?;
            if all.insert(name.clone(), Arc::new(destination)).is_some() {
                bail!("destination {name} is registered twice");
            }
        }
        Ok(Self(all))
    }

    /// Name, host and port of each, for a check that they resolve.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &str, u16)> {
        let all = self.0.iter();
        all.map(|(name, destination)| (name.as_str(), destination.host.as_str(), destination.port))
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
        let destination = self.0.get(destination).ok_or(Code::OperationNotAllowed)?;
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
}

impl Destination {
    fn parse(entry: DestinationFile, beside: &Path, live: bool) -> anyhow::Result<Self> {
        let uri: Uri = entry.base_url.parse().context("base_url is not a URL")?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if entry.local => false,
            _ => bail!("base_url must be https (http only with local = true)"),
        };
        let host = uri
            .host()
            .context("base_url names no host")?
            .to_ascii_lowercase();
        if entry.local && live {
            bail!("local = true is for test mode");
        }
        if !entry.local
            && (host.parse::<std::net::IpAddr>().is_ok() || host.contains(['*', '[', ']']))
        {
            bail!("base_url must name an exact host, not an address or a wildcard");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            bail!("base_url must have no path; put it into the operation");
        }
        let headers = entry
            .headers
            .into_iter()
            .map(|(name, value)| header(&name, value, beside));
        let operations = entry
            .operation
            .into_iter()
            .map(|o| Ok((o.name.clone(), Arc::new(Operation::parse(o)?))));
        Ok(Self {
            tls,
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host,
            local: entry.local,
            connect: Duration::from_millis(entry.connect_ms),
            total: Duration::from_millis(entry.total_ms),
            headers: headers.collect::<anyhow::Result<_>>()?,
            merchants: entry.merchants,
            operations: operations.collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Operation {
    fn parse(entry: OperationFile) -> anyhow::Result<Self> {
        for name in entry.placeholders.keys() {
            if !PLACEHOLDERS.contains(&name.as_str()) {
                bail!(
                    "operation {}: there is no placeholder {name}; there are {}",
                    entry.name,
                    PLACEHOLDERS.join(", ")
                );
            }
        }
        let typed = [&entry.amount, &entry.currency, &entry.reference];
        let pointers = entry
            .placeholders
            .values()
            .chain(typed)
            .chain(&entry.response);
        for pointer in pointers {
            if !pointer.starts_with('/') {
                bail!("operation {}: {pointer} is no JSON pointer", entry.name);
            }
        }
        if !entry.path.starts_with('/') {
            bail!("operation {}: the path must start with /", entry.name);
        }
        Ok(Self {
            method: entry.method.parse().context("method")?,
            path: entry.path,
            kind: match entry.kind {
                Kind::Authorise => Send::Authorise,
                Kind::Authenticate => Send::Authenticate,
                Kind::Verify => Send::Verify,
            },
            placeholders: entry.placeholders,
            amount: entry.amount,
            currency: entry.currency,
            reference: entry.reference,
            response: entry.response,
            approved: entry.approved,
        })
    }

    /// Whether an answer approves, by the operation's rule.
    #[must_use]
    pub fn approves(&self, answer: Option<&Answer>) -> bool {
        let (Some(rule), Some(answer)) = (&self.approved, answer) else {
            return false;
        };
        let value = answer
            .body
            .pointer(&rule.pointer)
            .and_then(|value| value.as_str());
        (200..300).contains(&answer.status)
            && value.is_some_and(|value| rule.values.iter().any(|v| v == value))
    }
}

fn header(
    name: &str,
    value: HeaderFile,
    beside: &Path,
) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let text = match value {
        HeaderFile::Plain(text) => Zeroizing::new(text),
        HeaderFile::Secret { file, prefix } => {
            let path = beside.join(file);
            let secret = std::fs::read_to_string(&path).with_context(|| {
                format!(
                    "the secret of header {name}: {} cannot be read",
                    path.display()
                )
            })?;
            Zeroizing::new(format!("{prefix}{}", secret.trim()))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .context("a header value has characters that headers cannot have")?;
    value.set_sensitive(true);
    Ok((name.parse()?, value))
}

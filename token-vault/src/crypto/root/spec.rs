//! How an operator names root keys: `--root SPEC` (repeatable), `--root-key-file PATH`, `--roots-file FILE`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use vault_api::keys::Mode;

use super::{Provider, aws_kms, local, pkcs11};

/// `file:PATH`, `aws-kms:KEY_ARN[?endpoint=URL]` or `pkcs11:MODULE?token=LABEL&key=LABEL&pin-file=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSpec {
    /// A local file; made when missing.
    File(PathBuf),
    /// A key of AWS KMS.
    AwsKms {
        /// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
        arn: String,
        /// Another endpoint than AWS's, for a VPC endpoint or a test.
        endpoint: Option<String>,
    },
    /// A key in a PKCS#11 token.
    Pkcs11 {
        /// The module, a shared library.
        module: PathBuf,
        /// The token's label.
        token: String,
        /// The key's label.
        key: String,
        /// Where the user PIN stands.
        pin_file: PathBuf,
    },
}

impl FromStr for RootSpec {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        match kind {
            "file" if !rest.is_empty() => Ok(Self::File(PathBuf::from(rest))),
            "aws-kms" => {
                let [endpoint] = parameters(query, ["endpoint"])?;
                Ok(Self::AwsKms {
                    arn: name.to_owned(),
                    endpoint,
                })
            }
            "pkcs11" => {
                let [token, key, pin_file] = parameters(query, ["token", "key", "pin-file"])?;
                Ok(Self::Pkcs11 {
                    module: PathBuf::from(name),
                    token: token.context("pkcs11: name the token, ?token=LABEL")?,
                    key: key.context("pkcs11: name the key, &key=LABEL")?,
                    pin_file: pin_file
                        .context("pkcs11: name the PIN's file, &pin-file=PATH")?
                        .into(),
                })
            }
            _ => bail!(
                "a root is file:PATH, aws-kms:KEY_ARN[?endpoint=URL] or pkcs11:MODULE?token=LABEL&key=LABEL&pin-file=PATH"
            ),
        }
    }
}

// The values of `names` in `a=b&c=d`; no other name may stand there. Values are taken as they are.
fn parameters<const N: usize>(
    query: &str,
    names: [&str; N],
) -> anyhow::Result<[Option<String>; N]> {
    let mut values = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(at) = names.iter().position(|known| *known == name) else {
            bail!(
                "a root has no parameter {name}; there are {}",
                names.join(", ")
            );
        };
        values[at] = Some(value.to_owned());
    }
    Ok(values)
}

impl fmt::Display for RootSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::AwsKms { arn, .. } => write!(f, "aws-kms:{arn}"),
            Self::Pkcs11 {
                module, token, key, ..
            } => {
                write!(f, "pkcs11:{}?token={token}&key={key}", module.display())
            }
        }
    }
}

impl RootSpec {
    /// Opens the root; a local file is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be reached, or is for the other mode.
    pub async fn open(&self, mode: Mode) -> anyhow::Result<Arc<dyn Provider>> {
        let opened: anyhow::Result<Arc<dyn Provider>> = match self {
            Self::File(path) => {
                local::LocalFile::open_or_create(path, mode).map(|root| Arc::new(root) as _)
            }
            Self::AwsKms { arn, endpoint } => {
                let root = aws_kms::KmsKey::open(arn, endpoint.as_deref(), mode).await;
                root.map(|root| Arc::new(root) as _)
            }
            Self::Pkcs11 {
                module,
                token,
                key,
                pin_file,
            } => {
                let root = pkcs11::TokenKey::open(module, token, key, pin_file, mode).await;
                root.map(|root| Arc::new(root) as _)
            }
        };
        opened.with_context(|| format!("the root {self} cannot be used"))
    }
}

/// All roots that a process was given.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    named: Vec<RootSpec>,
    file: Option<PathBuf>,
}

impl Roots {
    /// These, and those in a file that is read again while running.
    #[must_use]
    pub fn new(named: Vec<RootSpec>, file: Option<PathBuf>) -> Self {
        Self { named, file }
    }

    /// One local file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self::new(vec![RootSpec::File(path.to_owned())], None)
    }

    /// Opens all of them. The first wraps when the database has no keys yet.
    ///
    /// # Errors
    /// As [`RootSpec::open`], or when the roots file cannot be read.
    pub async fn open(&self, mode: Mode) -> anyhow::Result<Vec<Arc<dyn Provider>>> {
        let mut opened: Vec<Arc<dyn Provider>> = vec![];
        for spec in self.named.iter().chain(&self.in_file()?) {
            let root = spec.open(mode).await?;
            if !opened.iter().any(|other| other.id() == root.id()) {
                opened.push(root);
            }
        }
        Ok(opened)
    }

    // One spec a line; `#` starts a comment.
    fn in_file(&self) -> anyhow::Result<Vec<RootSpec>> {
        let Some(path) = &self.file else {
            return Ok(vec![]);
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the roots file {} cannot be read", path.display()))?;
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(RootSpec::from_str)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_and_shown_without_the_pin_file() {
        let hsm = "pkcs11:/usr/lib/hsm.so?token=vault&key=root-live&pin-file=/run/pin";
        let spec: RootSpec = hsm.parse().expect("a spec");
        assert_eq!(
            spec.to_string(),
            "pkcs11:/usr/lib/hsm.so?token=vault&key=root-live"
        );
        let kms: RootSpec = "aws-kms:arn:aws:kms:eu-west-1:1:key/a?endpoint=http://127.0.0.1:1"
            .parse()
            .expect("a spec");
        let RootSpec::AwsKms { arn, endpoint } = kms else {
            panic!("a KMS key");
        };
        assert_eq!(arn, "arn:aws:kms:eu-west-1:1:key/a");
        assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:1"));
        for wrong in [
            "",
            "root.json",
            "file:",
            "s3:bucket",
            "pkcs11:/m.so?token=a&key=b",
            "aws-kms:arn?region=a",
        ] {
            assert!(wrong.parse::<RootSpec>().is_err(), "{wrong}");
        }
    }
}

//! TLS of a listener: certificate and key from PEM files, TLS 1.2 and 1.3 by rustls, client certificates where they are
//! asked for. New connections use new files as soon as they are there: within seconds, or at once on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use sha2::{Digest as _, Sha256};

use crate::listen::Stop;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where a listener's certificate is, and which clients' certificates it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain, leaf first (PEM).
    pub certificate: PathBuf,
    /// The leaf's private key (PEM: PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Who signs client certificates (PEM); none: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub require_client: bool,
}

/// A listener's TLS; cheap to clone, all clones see a reload.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    current: RwLock<Arc<ServerConfig>>,
}

/// The SHA-256 of the certificate that a client showed, lower-case hex; an extension of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate(pub String);

impl ClientCertificate {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let hash = Sha256::digest(certificate);
        Self(hash.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The fingerprint of the first certificate in a PEM file.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::of(leaf(path)?.as_ref()))
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn read(files: Files) -> anyhow::Result<Self> {
        let current = RwLock::new(Arc::new(config(&files)?));
        Ok(Self(Arc::new(Inner { files, current })))
    }

    /// What a new connection uses.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(
            &self
                .0
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Reads the files again; what was there stays in use when they are wrong.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn reload(&self) -> anyhow::Result<()> {
        let new = Arc::new(config(&self.0.files)?);
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Reloads whenever a file changes or SIGHUP comes, until `stop`.
    ///
    /// # Errors
    /// When the signal handler cannot be installed.
    pub fn keep_fresh(&self, stop: Stop) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hang_up = signal(SignalKind::hangup())?;
        let tls = self.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK);
            let mut seen = tls.changed_at();
            loop {
                let told = tokio::select! {
                    _ = ticks.tick() => false,
                    _ = hang_up.recv() => true,
                    () = stop.wait() => return,
                };
                let now = tls.changed_at();
                if !told && now == seen {
                    continue;
                }
                let path = tls.0.files.certificate.display().to_string();
                match tls.reload() {
                    Ok(()) => {
                        seen = now;
                        tracing::info!(path, "certificate reloaded");
                    }
                    // Half-written files are read again at the next look, so `seen` stays.
                    Err(error) => {
                        tracing::error!(
                            path,
                            error = format!("{error:#}"),
                            "certificate not reloaded; the former one stays in use"
                        );
                    }
                }
            }
        });
        Ok(())
    }

    fn changed_at(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = &self.0.files;
        [
            Some(&files.certificate),
            Some(&files.key),
            files.client_ca.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(|path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        })
        .collect()
    }
}

fn config(files: &Files) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match &files.client_ca {
        None if files.require_client => {
            bail!("a client certificate is required, but no file says who signs them")
        }
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in chain(path)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if files.require_client {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("{} holds no private key (PEM)", files.key.display()))?;
    let mut config = builder
        .with_single_cert(chain(&files.certificate)?, key)
        .with_context(|| {
            format!(
                "the key {} does not go with the certificate {}",
                files.key.display(),
                files.certificate.display()
            )
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("{} cannot be read as PEM", path.display()))?;
    if certificates.is_empty() {
        bail!("{} holds no certificate (PEM)", path.display());
    }
    Ok(certificates)
}

fn leaf(path: &Path) -> anyhow::Result<CertificateDer<'static>> {
    Ok(chain(path)?.remove(0))
}

/// From when until when the first certificate of a PEM file is valid, Unix seconds.
///
/// # Errors
/// When there is none, or it is malformed.
pub fn validity(path: &Path) -> anyhow::Result<(i64, i64)> {
    let leaf = leaf(path)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf.as_ref())
        .with_context(|| format!("{} holds a malformed certificate", path.display()))?;
    let validity = parsed.validity();
    Ok((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}

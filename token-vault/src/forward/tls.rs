//! TLS to a destination: 1.2 and up by rustls, the public roots or a private CA, a client certificate where it wants
//! one. No session is resumed, so there is no 0-RTT either.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

const PEM: &str = "-----BEGIN";

/// The text of a PEM that is given in place or as a path.
///
/// # Errors
/// When the file cannot be read.
pub fn pem(given: &str, beside: &Path) -> anyhow::Result<String> {
    if given.trim_start().starts_with(PEM) {
        return Ok(given.to_owned());
    }
    let path = beside.join(given);
    std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The configuration of a destination.
///
/// # Errors
/// What is wrong with its certificates.
pub fn config(
    ca: Option<&str>,
    client: Option<(String, Zeroizing<String>)>,
) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        // A private CA stands in place of the public ones, not beside them.
        Some(ca) => {
            for certificate in certificates(ca).context("ca")? {
                roots.add(certificate).context("ca")?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match client {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .ok()
                .context("client_key holds no private key in PEM")?;
            builder
                .with_client_auth_cert(certificates(&chain).context("client_cert")?, key)
                .context("client_cert and client_key do not fit")?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

fn certificates(pem: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .ok()
        .context("not PEM")?;
    if certificates.is_empty() {
        bail!("no certificate in it");
    }
    Ok(certificates)
}

//! What the merchant sets: addresses and keys. Secrets come from files and have no Debug.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use zeroize::Zeroizing;

/// Addresses and keys of the shop.
pub struct Settings {
    /// The shop's address in a browser.
    pub public_url: String,
    /// The vault's public origin.
    pub vault_url: String,
    /// The payment API.
    pub payments_url: String,
    /// `pk_..`
    pub publishable_key: String,
    /// Another `pk_..`, with card rules: the gallery shows them.
    pub gallery_key: Option<String>,
    /// `sk_..`
    pub secret_key: Secret,
    /// `whsec_..`; more than one while it is being rolled.
    pub webhook_secrets: Vec<Secret>,
}

impl Settings {
    // Both addresses and the key end up in a header or in HTML, so they hold nothing but what they should.
    pub(crate) fn parsed(mut self) -> anyhow::Result<Self> {
        for url in [
            &mut self.public_url,
            &mut self.vault_url,
            &mut self.payments_url,
        ] {
            *url = url.trim_end_matches('/').to_owned();
            let parsed: http::Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
            let is_origin = matches!(parsed.scheme_str(), Some("http" | "https"))
                && parsed
                    .authority()
                    .is_some_and(|a| !a.as_str().contains('@'))
                && parsed.path_and_query().is_none_or(|path| path == "/");
            ensure!(is_origin, "{url} is not of the form http(s)://HOST[:PORT]");
        }
        for key in [Some(&self.publishable_key), self.gallery_key.as_ref()] {
            let is_key = key.is_none_or(|key| {
                key.starts_with("pk_")
                    && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            });
            ensure!(is_key, "the publishable key does not begin with pk_");
        }
        Ok(self)
    }

    /// Whether the shop is served over TLS, so that its cookie may be `Secure`.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// A secret: no Debug, no Display, wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the secret from the text of its file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.trim().to_owned())))
    }

    /// The file's one secret.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn one_from_file(file: &Path, prefix: &str) -> anyhow::Result<Self> {
        let mut all = Self::all_from_file(file, prefix)?;
        match all.pop() {
            Some(secret) if all.is_empty() => Ok(secret),
            _ => bail!("{} holds more than one secret", file.display()),
        }
    }

    /// The file's secrets, one a line.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn all_from_file(file: &Path, prefix: &str) -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(file);
        let text = Zeroizing::new(text.with_context(|| format!("cannot read {}", file.display()))?);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.clone().map(Self::new).collect();
        let all_fit = lines.clone().all(|line| line.starts_with(prefix));
        ensure!(
            !secrets.is_empty() && all_fit,
            "{} does not hold a secret that begins with {prefix}",
            file.display()
        );
        Ok(secrets)
    }

    /// The secret's text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

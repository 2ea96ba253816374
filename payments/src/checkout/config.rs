//! The checkout file: where the hosted page is, and how it looks for each merchant.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::app::Owner;

/// `checkout.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    /// The origin at which browsers reach this API: the page is at `/c/pay/{id}` below it. It must be registered for the
    /// publishable keys.
    pub public_url: String,
    /// The vault's public origin, which serves the card form.
    pub vault_url: String,
    #[serde(default, rename = "merchant")]
    merchants: Vec<Merchant>,
}

/// A merchant's page, in one mode.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// `mer_..`
    pub id: String,
    #[serde(default)]
    pub livemode: bool,
    /// `pk_..` of that merchant and mode.
    pub publishable_key: String,
    /// What buyers know it by.
    pub name: String,
    /// `#rrggbb`, behind white text.
    #[serde(default = "default_accent")]
    pub accent: String,
}

fn default_accent() -> String {
    "#1f4d3a".into()
}

impl Checkout {
    /// Reads and checks the file. What it holds ends up in HTML and headers.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("the checkout file {}", path.display());
        let text = std::fs::read_to_string(path).with_context(at)?;
        let mut file: Self = toml::from_str(&text).with_context(at)?;
        for url in [&mut file.public_url, &mut file.vault_url] {
            *url = url.trim_end_matches('/').to_owned();
            ensure!(
                is_origin(url),
                "{url} is not of the form http(s)://HOST[:PORT]"
            );
        }
        for merchant in &file.merchants {
            let (id, key) = (&merchant.id, &merchant.publishable_key);
            ensure!(id.starts_with("mer_"), "{id} is no merchant's id");
            let prefix = if merchant.livemode {
                "pk_live_"
            } else {
                "pk_test_"
            };
            let letters = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            ensure!(
                key.starts_with(prefix) && letters,
                "merchant {id}: the publishable key must begin with {prefix}"
            );
            let accent = merchant.accent.strip_prefix('#').unwrap_or_default();
            let hex = accent.len() == 6 && accent.bytes().all(|b| b.is_ascii_hexdigit());
            ensure!(hex, "merchant {id}: accent must be #rrggbb");
        }
        Ok(file)
    }

    /// Every publishable key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.merchants.iter().map(|m| m.publishable_key.as_str())
    }

    /// How the page looks for this merchant; None when it has none.
    pub fn merchant(&self, owner: &Owner) -> Option<&Merchant> {
        self.merchants
            .iter()
            .find(|merchant| merchant.id == owner.merchant && merchant.livemode == owner.livemode)
    }
}

/// `scheme://host[:port]` and nothing else.
fn is_origin(url: &str) -> bool {
    let Ok(parsed) = url.parse::<http::Uri>() else {
        return false;
    };
    matches!(parsed.scheme_str(), Some("http" | "https"))
        && parsed
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@'))
        && parsed.path_and_query().is_none_or(|path| path == "/")
}

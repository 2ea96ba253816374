//! `three_d_secure.toml`: the directory server, and what it is told of the merchant.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use service::Client;

use super::exemptions::Exemptions;
use crate::config::secret_from_file;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The destination that the vault's operator registered for the directory server.
    destination: String,
    /// Its operation that asks for versions and 3DS Method (kind `authenticate`).
    #[serde(default = "versioning")]
    versioning: String,
    /// Its operation that sends the AReq (kind `authenticate`).
    #[serde(default = "authenticate")]
    authenticate: String,
    /// Where browsers and the directory server reach payments.
    public_url: String,
    /// Holds the key that the directory server presents with a result (RReq).
    results_key_file: PathBuf,
    requestor_id: String,
    requestor_name: String,
    requestor_url: String,
    acquirer_bin: String,
    acquirer_merchant_id: String,
    /// Merchant category code.
    mcc: String,
    /// ISO 3166-1 numeric.
    merchant_country: String,
    /// Exemptions that are asked for; none without it.
    exemptions: Option<Exemptions>,
    #[serde(default = "connect_ms")]
    connect_ms: u64,
    #[serde(default = "total_ms")]
    total_ms: u64,
}

fn versioning() -> String {
    "versioning".into()
}

fn authenticate() -> String {
    "authenticate".into()
}

fn connect_ms() -> u64 {
    2_000
}

fn total_ms() -> u64 {
    15_000
}

/// The 3DS Server's set-up.
pub struct ThreeDs {
    pub destination: String,
    pub versioning: String,
    pub authenticate: String,
    /// Without a slash at the end.
    pub public_url: String,
    /// What a result is presented with.
    pub results_key: String,
    pub requestor_id: String,
    pub requestor_name: String,
    pub requestor_url: String,
    pub acquirer_bin: String,
    pub acquirer_merchant_id: String,
    pub mcc: String,
    pub merchant_country: String,
    pub exemptions: Option<Exemptions>,
    /// For sends by the vault, on this directory server's time limits.
    pub client: Client,
    /// How long one may take, seconds, rounded up.
    pub total_s: i64,
}

impl ThreeDs {
    /// Reads the file. Paths in it are relative to its folder.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("the 3-D Secure file {}", path.display());
        let text = std::fs::read_to_string(path).with_context(at)?;
        let file: File = toml::from_str(&text).with_context(at)?;
        let digits = |text: &str, from: usize, to: usize| {
            (from..=to).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        ensure!(
            digits(&file.acquirer_bin, 6, 11)
                && digits(&file.mcc, 4, 4)
                && digits(&file.merchant_country, 3, 3),
            "{}: acquirer_bin has 6 to 11 digits, mcc 4, merchant_country 3",
            at()
        );
        for (name, text) in [
            ("requestor_id", &file.requestor_id),
            ("acquirer_merchant_id", &file.acquirer_merchant_id),
            ("requestor_name", &file.requestor_name),
        ] {
            ensure!(
                (1..=35).contains(&text.chars().count()),
                "{}: {name} has 1 to 35 characters",
                at()
            );
        }
        for url in [&file.public_url, &file.requestor_url] {
            let http = url.starts_with("https://") || url.starts_with("http://");
            ensure!(
                http,
                "{}: public_url and requestor_url are http(s) URLs",
                at()
            );
        }
        if let Some(exemptions) = &file.exemptions {
            exemptions.check().with_context(at)?;
        }
        let key = match path.parent() {
            Some(folder) => folder.join(&file.results_key_file),
            None => file.results_key_file,
        };
        let (connect, total) = (
            Duration::from_millis(file.connect_ms),
            Duration::from_millis(file.total_ms),
        );
        Ok(Self {
            destination: file.destination,
            versioning: file.versioning,
            authenticate: file.authenticate,
            public_url: file.public_url.trim_end_matches('/').to_owned(),
            results_key: secret_from_file(&key)?,
            requestor_id: file.requestor_id,
            requestor_name: file.requestor_name,
            requestor_url: file.requestor_url,
            acquirer_bin: file.acquirer_bin,
            acquirer_merchant_id: file.acquirer_merchant_id,
            mcc: file.mcc,
            merchant_country: file.merchant_country,
            exemptions: file.exemptions,
            client: Client::new(connect, total),
            total_s: i64::try_from(file.total_ms / 1000).unwrap_or(60) + 1,
        })
    }

    /// A page of an authentication.
    pub fn url(&self, id: &str, part: &str) -> String {
        format!("{}/3ds/{id}{part}", self.public_url)
    }
}

//! The acquirers file: who can be asked to charge a card, in the order of preference.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// `acquirers.toml`: a list `[[acquirer]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcquirersFile {
    #[serde(alias = "acquirers")]
    acquirer: Vec<AcquirerConfig>,
}

/// One acquirer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcquirerConfig {
    /// Our name for it; it is remembered with each payment, so it may not change.
    pub name: String,
    /// The connector.
    pub dialect: Dialect,
    /// The destination that the vault's operator registered for it.
    pub destination: String,
    /// Where inquiry, capture, void and refund go, without the card and past the vault.
    pub base_url: String,
    /// Holds the key for those calls.
    pub api_key_file: PathBuf,
    /// Time to connect, milliseconds.
    #[serde(default = "default_connect_ms")]
    pub connect_ms: u64,
    /// Time for a whole call, milliseconds.
    #[serde(default = "default_total_ms")]
    pub total_ms: u64,
    /// A payment that the acquirer does not know this long after it was sent was not made, seconds.
    #[serde(default = "default_settle_after_s")]
    pub settle_after_s: i64,
    /// Sends under way at once, and as many direct calls; more go to the next acquirer, or wait for the resolver.
    #[serde(default = "default_max_in_flight")]
    pub max_in_flight: usize,
    /// How long an open breaker keeps payments away, milliseconds.
    #[serde(default = "default_breaker_open_ms")]
    pub breaker_open_ms: i64,
    /// How long it holds an authorisation that is not captured; afterwards it is asked whether it still does.
    #[serde(default = "default_authorisation_days")]
    pub authorisation_days: i64,
    /// Whether it takes reversals by our reference.
    #[serde(default = "default_reversal")]
    pub reversal: bool,
    /// What a capture costs the merchant.
    #[serde(default)]
    pub fees: Fees,
}

/// The fee of a capture: a part of its amount, and an amount per capture, in the currency that it is settled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fees {
    /// Hundredths of a percent.
    pub basis_points: u16,
    /// On top of them where the amount was converted.
    pub conversion_basis_points: u16,
    /// Smallest currency units, by currency.
    pub fixed: std::collections::BTreeMap<String, u32>,
    /// For a chargeback, smallest currency units, by currency; not given back.
    pub dispute: std::collections::BTreeMap<String, u32>,
}

impl Fees {
    /// What a chargeback costs.
    pub fn of_dispute(&self, currency: &str) -> i64 {
        i64::from(self.dispute.get(currency).copied().unwrap_or(0))
    }

    /// The fee, rounded half up; never more than the amount.
    pub fn of(&self, amount: i64, currency: &str, converted: bool) -> i64 {
        let on_top = if converted {
            self.conversion_basis_points
        } else {
            0
        };
        let basis_points = i64::from(self.basis_points) + i64::from(on_top);
        let part = (amount * basis_points + 5_000).div_euclid(10_000);
        let fixed = self.fixed.get(currency).copied().unwrap_or(0);
        (part + i64::from(fixed)).min(amount)
    }
}

/// The connectors there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `connectors::json`.
    Json,
    /// `connectors::form`.
    Form,
    /// `connectors::xml`.
    Xml,
}

fn default_connect_ms() -> u64 {
    2_000
}

fn default_total_ms() -> u64 {
    20_000
}

fn default_max_in_flight() -> usize {
    64
}

fn default_breaker_open_ms() -> i64 {
    10_000
}

fn default_authorisation_days() -> i64 {
    7
}

fn default_reversal() -> bool {
    true
}

fn default_settle_after_s() -> i64 {
    120
}

/// Reads the acquirers file. Paths in it are relative to its folder.
pub fn acquirers(path: &Path) -> anyhow::Result<Vec<AcquirerConfig>> {
    let at = || format!("the acquirers file {}", path.display());
    let text = std::fs::read_to_string(path).with_context(at)?;
    let file: AcquirersFile = toml::from_str(&text).with_context(at)?;
    ensure!(
        !file.acquirer.is_empty(),
        "{} names no acquirer",
        path.display()
    );
    let mut acquirers = file.acquirer;
    for acquirer in &mut acquirers {
        let http =
            acquirer.base_url.starts_with("http://") || acquirer.base_url.starts_with("https://");
        ensure!(
            http,
            "acquirer {}: base_url must be an http(s) URL",
            acquirer.name
        );
        ensure!(
            acquirer.max_in_flight > 0,
            "acquirer {}: max_in_flight is 0, so it could never be asked",
            acquirer.name
        );
        ensure!(
            acquirer.settle_after_s >= 0,
            "acquirer {}: settle_after_s is negative",
            acquirer.name
        );
        ensure!(
            acquirer.authorisation_days > 0,
            "acquirer {}: authorisation_days must be 1 or more",
            acquirer.name
        );
        acquirer.base_url = acquirer.base_url.trim_end_matches('/').to_owned();
        if let Some(folder) = path.parent() {
            acquirer.api_key_file = folder.join(&acquirer.api_key_file);
        }
    }
    let mut names: Vec<_> = acquirers.iter().map(|a| a.name.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    ensure!(names.len() == count, "two acquirers have the same name");
    Ok(acquirers)
}

/// A secret that stands alone in a file.
pub fn secret_from_file(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the secret file {}", path.display()))?;
    let secret = text.trim();
    let printable = !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic());
    ensure!(
        printable,
        "{} must hold one line of printable ASCII",
        path.display()
    );
    Ok(secret.to_owned())
}

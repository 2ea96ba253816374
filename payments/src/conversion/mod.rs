//! Presentment and settlement currency: a merchant whose balance is kept in one currency is paid in it whatever the
//! buyer pays in. The rate comes from the operator's rates file ([`rates`]); it is fixed before anything is sent, with
//! the attempt, the capture or the refund, so that an outcome that is learned later needs no rate. Without a rate, or
//! with one that is too old, nothing is sent.

mod decimal;
mod rates;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use card::currency::minor_units;
use serde::{Deserialize, Serialize};

pub use decimal::Decimal;

use crate::app::{Owner, Shared};
use crate::currency::KNOWN;
use crate::error::{Error, Refusal};
use rates::Watched;

const DAY_S: i64 = 24 * 60 * 60;

/// A rate that is applied: from a payment's currency to that of the merchant's balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The settlement currency.
    pub currency: String,
    /// Units of it for one unit of the payment's currency (not of its smallest unit).
    pub rate: Decimal,
    /// Whose rate it is, and of which day.
    pub source: String,
}

impl Rate {
    /// `amount` of `from` in the settlement currency, smallest units, rounded half to even.
    pub fn convert(&self, amount: i64, from: &str) -> Result<i64, Error> {
        let converted = self
            .rate
            .times(amount, minor_units(from), minor_units(&self.currency));
        converted.ok_or(Error::Internal("an amount that no conversion can hold"))
    }
}

/// `conversion.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rates: PathBuf,
    #[serde(default = "default_max_age_days")]
    max_age_days: i64,
    #[serde(default, rename = "merchant")]
    merchants: Vec<Merchant>,
}

/// A merchant, in one mode.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Merchant {
    id: String,
    #[serde(default)]
    livemode: bool,
    settlement_currency: String,
}

// Reference rates come on working days: four days pass over a weekend with a holiday.
fn default_max_age_days() -> i64 {
    4
}

/// Who is paid in which currency, and the rates.
#[derive(Debug)]
pub struct Conversions {
    rates: Watched,
    max_age_days: i64,
    merchants: Vec<Merchant>,
}

impl Conversions {
    /// Reads `conversion.toml` and the rates file it names; a path in it is relative to its folder.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("the conversion file {}", path.display());
        let text = std::fs::read_to_string(path).with_context(at)?;
        let file: File = toml::from_str(&text).with_context(at)?;
        ensure!(file.max_age_days >= 0, "max_age_days is negative");
        for merchant in &file.merchants {
            let Merchant {
                id,
                settlement_currency: currency,
                ..
            } = merchant;
            ensure!(id.starts_with("mer_"), "{id} is no merchant's id");
            let known = KNOWN
                .split_ascii_whitespace()
                .any(|known| known == currency);
            ensure!(
                known,
                "merchant {id}: {currency} is no currency in small letters"
            );
            let same = |other: &&Merchant| other.id == *id && other.livemode == merchant.livemode;
            ensure!(
                file.merchants.iter().filter(same).count() == 1,
                "merchant {id} is there twice"
            );
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        Ok(Self {
            rates: Watched::open(folder.join(file.rates))?,
            max_age_days: file.max_age_days,
            merchants: file.merchants,
        })
    }

    fn settlement_currency(&self, owner: &Owner) -> Option<&str> {
        self.merchants
            .iter()
            .find(|merchant| merchant.id == owner.merchant && merchant.livemode == owner.livemode)
            .map(|merchant| merchant.settlement_currency.as_str())
    }

    fn rate(&self, from: &str, to: &str) -> Result<Rate, Error> {
        let rates = self.rates.newest();
        let rate = rates
            .between(from, to)
            .ok_or(Error::NoRate("there is no exchange rate for it"))?;
        Ok(Rate {
            currency: to.to_owned(),
            rate,
            source: rates.source.clone(),
        })
    }

    /// Whether the rates are as new as they have to be.
    pub fn are_fresh(&self, now: i64) -> bool {
        now.div_euclid(DAY_S) - self.rates.newest().day <= self.max_age_days
    }

    /// Each settlement currency has a rate.
    pub fn check(&self, now: i64) -> anyhow::Result<()> {
        ensure!(
            self.are_fresh(now),
            "the exchange rates are older than {} days; put newer ones into the rates file",
            self.max_age_days
        );
        let rates = self.rates.newest();
        for merchant in &self.merchants {
            let currency = &merchant.settlement_currency;
            ensure!(
                rates.between(currency, currency).is_some(),
                "the rates file has no rate of {currency}, in which {} is paid",
                merchant.id
            );
        }
        Ok(())
    }
}

/// The rate at which `amount` of `from` would be settled to the owner now, refused when it is too old; None when it is
/// settled as it is paid.
pub fn quote(app: &Shared, owner: &Owner, amount: i64, from: &str) -> Result<Option<Rate>, Error> {
    let Some(rate) = newest(app, owner, from)? else {
        return Ok(None);
    };
    fresh(app)?;
    if rate.convert(amount, from)? == 0 {
        let message = format!(
            "The amount must convert to at least the smallest unit of {}.",
            rate.currency
        );
        return Err(Refusal::new("amount_too_small", message)
            .param("amount")
            .into());
    }
    Ok(Some(rate))
}

/// The newest rate, whatever its age: for what was let through a moment ago.
pub fn newest(app: &Shared, owner: &Owner, from: &str) -> Result<Option<Rate>, Error> {
    let Some(conversions) = &app.conversions else {
        return Ok(None);
    };
    match conversions.settlement_currency(owner) {
        Some(to) if to != from => conversions.rate(from, to).map(Some),
        _ => Ok(None),
    }
}

/// The rate between a payment's currency and the one that it was settled in, now.
pub fn again(app: &Shared, from: &str, to: &str) -> Result<Rate, Error> {
    let conversions = app.conversions.as_ref();
    let conversions = conversions.ok_or(Error::NoRate("no exchange rates are set up"))?;
    fresh(app)?;
    conversions.rate(from, to)
}

fn fresh(app: &Shared) -> Result<(), Error> {
    match &app.conversions {
        Some(conversions) if !conversions.are_fresh(app.clock.now()) => {
            Err(Error::NoRate("the exchange rates are too old"))
        }
        _ => Ok(()),
    }
}

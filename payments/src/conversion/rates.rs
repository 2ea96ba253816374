//! The rates file: what the operator's source said, of which day. It is read again when it changes, so that a new day's
//! rates need no restart; one that cannot be read leaves the old ones in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use card::calendar::day_of;
use serde::Deserialize;

use super::decimal::Decimal;
use crate::currency::KNOWN;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: String,
    as_of: String,
    base: String,
    rates: BTreeMap<String, String>,
}

/// The rates of one day.
#[derive(Debug)]
pub struct Rates {
    /// Who says so, and of which day: `ECB 2026-11-20`.
    pub source: String,
    /// Days since 1970-01-01.
    pub day: i64,
    base: String,
    /// Units of each currency for one of the base.
    units: BTreeMap<String, Decimal>,
}

impl Rates {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        let known = |code: &str| KNOWN.split_ascii_whitespace().any(|known| known == code);
        ensure!(
            known(&file.base),
            "base must be a currency in small letters"
        );
        let source = file.source.trim();
        ensure!(!source.is_empty(), "source must say whose rates these are");
        let day = day_of(&file.as_of).context("as_of must be a date, 2026-11-20")?;
        let mut units = BTreeMap::new();
        for (currency, rate) in file.rates {
            ensure!(
                known(&currency),
                "{currency} is no currency in small letters"
            );
            let rate = Decimal::parse(&rate).with_context(|| {
                format!("the rate of {currency} is no decimal of up to 12 digits")
            })?;
            units.insert(currency, rate);
        }
        ensure!(
            !units.contains_key(&file.base),
            "the base has no rate of its own"
        );
        Ok(Self {
            source: format!("{source} {}", file.as_of),
            day,
            base: file.base,
            units,
        })
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("the rates file {}", path.display());
        let text = std::fs::read_to_string(path).with_context(at)?;
        Self::parse(&text).with_context(at)
    }

    /// Units of `to` for one of `from`; None when the file does not say.
    pub fn between(&self, from: &str, to: &str) -> Option<Decimal> {
        let one = Decimal::parse("1");
        let units = |currency: &str| {
            let own = || self.units.get(currency).copied();
            if currency == self.base { one } else { own() }
        };
        let (from, to) = (units(from)?, units(to)?);
        // What the file says itself is not rounded.
        if Some(from) == one {
            Some(to)
        } else {
            to.divided(from)
        }
    }
}

/// The newest rates there are.
#[derive(Debug)]
pub struct Watched {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked: Instant,
    /// Of the file that was read last, well or badly.
    stamp: Option<(SystemTime, u64)>,
    rates: Arc<Rates>,
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.modified().ok()?, found.len()))
}

impl Watched {
    /// Reads the file for the first time.
    pub fn open(file: PathBuf) -> anyhow::Result<Self> {
        let stamp = stamp(&file);
        let rates = Arc::new(Rates::read(&file)?);
        let state = State {
            looked: Instant::now(),
            stamp,
            rates,
        };
        Ok(Self {
            file,
            state: Mutex::new(state),
        })
    }

    pub fn newest(&self) -> Arc<Rates> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            let stamp = stamp(&self.file);
            if stamp != state.stamp {
                state.stamp = stamp;
                match Rates::read(&self.file) {
                    Ok(rates) => {
                        tracing::info!(source = rates.source, "new exchange rates");
                        state.rates = Arc::new(rates);
                    }
                    Err(error) => {
                        let why = format!("{error:#}");
                        tracing::warn!(
                            why,
                            "the rates file cannot be read; the rates before it stay in use"
                        );
                    }
                }
            }
        }
        state.rates.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "source = \"ECB\"\nas_of = \"2026-11-20\"\nbase = \"eur\"\n[rates]\nusd = \"1.0834\"\n\
                        gbp = \"0.8500\"\njpy = \"163.50\"\nkwd = \"0.3334\"\n";

    #[test]
    fn rates_cross_through_the_base() {
        let rates = Rates::parse(FILE).expect("rates");
        assert_eq!(
            (rates.source.as_str(), rates.day),
            ("ECB 2026-11-20", 20_777)
        );
        for (from, to, wanted) in [
            ("eur", "usd", "1.0834"),
            ("usd", "eur", "0.92302012"),
            ("usd", "gbp", "0.7845671"),
            ("gbp", "usd", "1.2745882"),
            ("jpy", "usd", "0.0066262997"),
            ("kwd", "jpy", "490.40192"),
        ] {
            let rate = rates.between(from, to).map(|rate| rate.to_string());
            assert_eq!(rate.as_deref(), Some(wanted), "{from} to {to}");
        }
        assert!(rates.between("usd", "sek").is_none() && rates.between("sek", "eur").is_none());
    }

    #[test]
    fn a_wrong_file_is_refused() {
        for (old, new) in [
            ("\"1.0834\"", "1.0834"),
            ("\"1.0834\"", "\"1,0834\""),
            ("\"1.0834\"", "\"0\""),
            ("2026-11-20", "20.11.2026"),
            ("\"ECB\"", "\" \""),
            ("usd =", "xyz ="),
            ("usd =", "eur ="),
            ("base = \"eur\"", "base = \"EUR\""),
            ("base", "colour"),
        ] {
            let text = FILE.replacen(old, new, 1);
            assert!(text != FILE && Rates::parse(&text).is_err(), "{text}");
        }
    }
}

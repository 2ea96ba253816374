//! `routing.toml`: rules in order; the first that fits says which acquirers are used, with which weights. Without a
//! rule that fits, the acquirers file's own order stands.
//!
//! ```toml
//! default_region = "DE"
//! [regions]
//! mer_123 = "US"
//!
//! [[rule]]
//! name = "euro cards"
//! currency = ["eur"]
//! brand = ["visa", "mastercard"]
//! amount_to = 50000
//! use = [{ acquirer = "northbank", weight = 70 }, { acquirer = "southbank", weight = 30 }]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Candidate, Facts, Plan, State};

/// The file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Country of merchants that are not listed.
    default_region: Option<String>,
    /// Merchants' countries.
    regions: BTreeMap<String, String>,
    rule: Vec<Rule>,
}

/// A rule. What is absent fits everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    method: Option<Vec<String>>,
    brand: Option<Vec<String>>,
    currency: Option<Vec<String>>,
    region: Option<Vec<String>>,
    risk: Option<Vec<String>>,
    merchant: Option<Vec<String>>,
    /// Smallest units, both included.
    amount_from: Option<i64>,
    amount_to: Option<i64>,
    #[serde(rename = "use")]
    routes: Vec<Weighted>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighted {
    acquirer: String,
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

impl Rules {
    /// Reads the file; `acquirers` are the names that may be used.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_file(path: &Path, acquirers: &[&str]) -> anyhow::Result<Self> {
        let at = || format!("the routing file {}", path.display());
        let text = std::fs::read_to_string(path).with_context(at)?;
        let rules: Self = toml::from_str(&text).with_context(at)?;
        for rule in &rules.rule {
            ensure!(
                !rule.routes.is_empty(),
                "rule {}: it uses no acquirer",
                rule.name
            );
            for route in &rule.routes {
                ensure!(
                    acquirers.contains(&route.acquirer.as_str()),
                    "rule {}: there is no acquirer {} in the acquirers file",
                    rule.name,
                    route.acquirer
                );
            }
        }
        Ok(rules)
    }

    /// The merchant's country.
    pub fn region_of(&self, merchant: &str) -> Option<String> {
        let own = self.regions.get(merchant);
        own.or(self.default_region.as_ref()).cloned()
    }

    /// The order. `success` is an acquirer's recent share of calls that it answered.
    pub fn plan(&self, facts: &Facts, all: &[&str], success: impl Fn(&str) -> f64) -> Plan {
        let mut passed_over = Vec::new();
        for rule in &self.rule {
            match rule.misfit(facts) {
                Some(why) => passed_over.push((rule.name.clone(), why)),
                None => {
                    let routes = rule.routes.iter();
                    let weighted = routes.map(|route| {
                        let effective = f64::from(route.weight) * success(&route.acquirer);
                        (route.acquirer.as_str(), route.weight, effective)
                    });
                    let mut candidates = spread(weighted.collect(), &facts.seed);
                    // Who is not named stands behind, for when nobody named can be had.
                    for name in all {
                        if !candidates.iter().any(|one| one.acquirer == *name) {
                            candidates.push(candidate(name, 0, 0.0));
                        }
                    }
                    return Plan {
                        rule: Some(rule.name.clone()),
                        passed_over,
                        candidates,
                    };
                }
            }
        }
        Plan {
            rule: None,
            passed_over,
            candidates: all
                .iter()
                .map(|name| candidate(name, 1, success(name)))
                .collect(),
        }
    }
}

fn candidate(name: &str, weight: u32, effective: f64) -> Candidate {
    Candidate {
        acquirer: name.to_owned(),
        weight,
        effective,
        state: State::Available,
    }
}

/// A weighted order without replacement: the same for the same seed and weights.
fn spread(mut weighted: Vec<(&str, u32, f64)>, seed: &str) -> Vec<Candidate> {
    let digest = Sha256::digest(seed);
    let mut order = Vec::new();
    let mut draws = digest.chunks_exact(4);
    while !weighted.is_empty() {
        let total: f64 = weighted.iter().map(|(_, _, effective)| effective).sum();
        let bytes = draws.next().unwrap_or(&[0; 4]);
        let draw: u32 = bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
        let mut at = f64::from(draw) / (f64::from(u32::MAX) + 1.0) * total;
        let found = weighted.iter().position(|(_, _, effective)| {
            at -= effective;
            at < 0.0
        });
        let (name, weight, effective) = weighted.remove(found.unwrap_or(0));
        order.push(candidate(name, weight, effective));
    }
    order
}

impl Rule {
    /// What of the facts does not fit.
    fn misfit(&self, facts: &Facts) -> Option<&'static str> {
        let of = [
            ("method", among(&self.method, Some(&facts.method))),
            ("brand", among(&self.brand, facts.brand.as_deref())),
            ("currency", among(&self.currency, Some(&facts.currency))),
            ("region", among(&self.region, facts.region.as_deref())),
            ("risk", among(&self.risk, Some(&facts.risk))),
            ("merchant", among(&self.merchant, Some(&facts.merchant))),
            (
                "amount_from",
                self.amount_from.is_none_or(|from| facts.amount >= from),
            ),
            (
                "amount_to",
                self.amount_to.is_none_or(|to| facts.amount <= to),
            ),
        ];
        of.into_iter()
            .find_map(|(name, fits)| (!fits).then_some(name))
    }
}

/// Whether a condition is met: the value is one of the list, or there is no list.
pub fn among(list: &Option<Vec<String>>, value: Option<&str>) -> bool {
    list.as_ref().is_none_or(|list| {
        value.is_some_and(|value| list.iter().any(|one| one.eq_ignore_ascii_case(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 3] = ["north", "south", "west"];

    fn rules(text: &str) -> Rules {
        toml::from_str(text).expect("rules")
    }

    fn facts(currency: &str, amount: i64, seed: &str) -> Facts {
        Facts {
            currency: currency.into(),
            amount,
            method: "card".into(),
            brand: Some("visa".into()),
            region: Some("DE".into()),
            risk: "normal".into(),
            seed: seed.into(),
            ..Facts::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_says_the_order() {
        let rules = rules(
            r#"
            [[rule]]
            name = "large euros"
            currency = ["eur"]
            amount_from = 10000
            use = [{ acquirer = "west" }]
            [[rule]]
            name = "risky"
            risk = ["elevated"]
            use = [{ acquirer = "south" }]
            [[rule]]
            name = "German cards"
            region = ["DE", "AT"]
            brand = ["visa"]
            use = [{ acquirer = "south" }]
            "#,
        );
        let of = |facts: &Facts| {
            let plan = rules.plan(facts, &ALL, |_| 1.0);
            let order: Vec<_> = plan.candidates.iter().map(|c| c.acquirer.clone()).collect();
            (plan.rule, order.join(" "))
        };
        let named = |name: &str, order: &str| (Some(name.to_owned()), order.to_owned());
        assert_eq!(
            of(&facts("eur", 10_000, "a")),
            named("large euros", "west north south")
        );
        assert_eq!(
            of(&facts("eur", 9_999, "a")),
            named("German cards", "south north west")
        );
        let risky = Facts {
            risk: "elevated".into(),
            ..facts("usd", 1, "a")
        };
        assert_eq!(of(&risky), named("risky", "south north west"));
        let elsewhere = Facts {
            region: None,
            ..facts("usd", 1, "a")
        };
        assert_eq!(of(&elsewhere), (None, "north south west".to_owned()));
        let plan = rules.plan(&elsewhere, &ALL, |_| 1.0);
        let why: Vec<_> = plan.passed_over.iter().map(|(_, why)| *why).collect();
        assert_eq!(why, ["currency", "risk", "region"]);
    }

    #[test]
    fn weights_spread_payments_and_follow_success() {
        let rules = rules(
            r#"
            [[rule]]
            name = "both"
            use = [{ acquirer = "north", weight = 70 }, { acquirer = "south", weight = 30 }]
            "#,
        );
        let share = |success: &dyn Fn(&str) -> f64| {
            let firsts = (0..2000).map(|n| {
                let plan = rules.plan(&facts("usd", 1, &format!("cnf_{n}")), &ALL, success);
                plan.candidates[0].acquirer.clone()
            });
            firsts.filter(|name| name == "north").count()
        };
        let even = share(&|_| 1.0);
        assert!((1300..1500).contains(&even), "{even}");
        // North answers a tenth of its calls: 7 against 30.
        let browned = share(&|name| if name == "north" { 0.1 } else { 1.0 });
        assert!((300..460).contains(&browned), "{browned}");
        let again = rules.plan(&facts("usd", 1, "cnf_7"), &ALL, |_| 1.0);
        let first = rules.plan(&facts("usd", 1, "cnf_7"), &ALL, |_| 1.0);
        assert_eq!(again.candidates[0].acquirer, first.candidates[0].acquirer);
    }
}

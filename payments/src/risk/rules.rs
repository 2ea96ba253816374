//! `risk.toml`: rules in order; the first that fits decides. What no rule fits is let through. Without the file, the
//! rules of `defaults.toml` stand.
//!
//! ```toml
//! [browser_payments]       # confirmations from browsers, per address; more are answered 429
//! limit = 10
//! minutes = 15
//!
//! [[rule]]
//! name = "ten cards from one address"
//! action = "block"         # allow, review, block
//! velocity = { by = "address", counts = "cards", over = 10, minutes = 60 }
//!
//! [[rule]]
//! name = "large and the code is wrong"
//! action = "review"
//! currency = ["eur"]
//! amount_from = 20000
//! postal_code = ["fail"]   # judged after the issuer's answer, like cvc and address_line1
//! ```

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::Facts;
use super::velocity::Counted;
use crate::app::Owner;
use crate::routing::rules::among;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Confirmations from browsers, per address; without it they are not limited.
    pub browser_payments: Option<Quota>,
    #[serde(default)]
    pub rule: Vec<Rule>,
}

/// So many in so long.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub limit: i64,
    pub minutes: i64,
}

/// A rule. What is absent fits everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    pub action: Action,
    mode: Option<Mode>,
    merchant: Option<Vec<String>>,
    brand: Option<Vec<String>>,
    currency: Option<Vec<String>>,
    /// Smallest units, both included; only beside `currency`.
    amount_from: Option<i64>,
    amount_to: Option<i64>,
    /// `normal`, `elevated`, `highest`.
    risk: Option<Vec<String>>,
    pub velocity: Option<Velocity>,
    /// `pass`, `fail`, `unavailable`, `unchecked`: what the issuer says.
    cvc: Option<Vec<String>>,
    address_line1: Option<Vec<String>>,
    postal_code: Option<Vec<String>>,
}

/// What a rule that fits does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Let through, and no later rule is asked.
    Allow,
    /// Let through, and a person looks at it.
    Review,
    /// Declined.
    Block,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Review => "review",
            Self::Block => "block",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Test,
    Live,
}

/// More than so many in so long, this payment among them. What was blocked does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velocity {
    pub by: By,
    #[serde(default)]
    pub counts: Counts,
    pub over: i64,
    pub minutes: i64,
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Card,
    Address,
    Session,
}

impl By {
    pub const ALL: [Self; 3] = [Self::Card, Self::Address, Self::Session];

    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Address => "address",
            Self::Session => "session",
        }
    }
}

/// What counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Payments, however they ended.
    #[default]
    Payments,
    /// Different cards.
    Cards,
    /// Payments that the issuer declined.
    Declines,
}

/// What the issuer said, in Stripe's words.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    pub cvc: Option<&'static str>,
    pub line1: Option<&'static str>,
    pub postal_code: Option<&'static str>,
}

const RISKS: [&str; 3] = ["normal", "elevated", "highest"];
const CHECKS: [&str; 4] = ["pass", "fail", "unavailable", "unchecked"];

/// A rule looks back no further.
const MOST_MINUTES: i64 = 31 * 24 * 60;

impl Default for Rules {
    #[expect(clippy::expect_used, reason = "a test reads the built-in rules")]
    fn default() -> Self {
        Self::parse(include_str!("defaults.toml")).expect("the built-in rules are in order")
    }
}

impl Rules {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, and in which rule.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("the risk file {}", path.display());
        let text = std::fs::read_to_string(path).with_context(at)?;
        Self::parse(&text).with_context(at)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let rules: Self = toml::from_str(text)?;
        if let Some(Quota { limit, minutes }) = rules.browser_payments {
            let fits = limit > 0 && (1..=MOST_MINUTES).contains(&minutes);
            ensure!(
                fits,
                "browser_payments: limit is 1 or more, minutes 1 to {MOST_MINUTES}"
            );
        }
        let mut names = Vec::new();
        for rule in &rules.rule {
            let name = rule.name.as_str();
            rule.check().with_context(|| format!("rule {name}"))?;
            ensure!(!names.contains(&name), "two rules are called {name}");
            names.push(name);
        }
        Ok(rules)
    }

    /// The first rule that fits before anything is sent.
    pub fn before(&self, facts: &Facts, level: &str, counted: &Counted) -> Option<&Rule> {
        let mut early = self.rule.iter().filter(|rule| !rule.is_of_the_answer());
        early.find(|rule| {
            rule.concerns(&facts.owner, &facts.brand, facts.amount, &facts.currency)
                && among(&rule.risk, Some(level))
                && rule
                    .velocity
                    .is_none_or(|velocity| counted.is_over(velocity))
        })
    }

    /// The first rule that fits the issuer's answer.
    pub fn after(
        &self,
        owner: &Owner,
        brand: &str,
        amount: i64,
        currency: &str,
        checks: &Checks,
    ) -> Option<&Rule> {
        let mut late = self.rule.iter().filter(|rule| rule.is_of_the_answer());
        late.find(|rule| {
            rule.concerns(owner, brand, amount, currency)
                && among(&rule.cvc, checks.cvc)
                && among(&rule.address_line1, checks.line1)
                && among(&rule.postal_code, checks.postal_code)
        })
    }

    /// The velocity rules that a payment may fall under.
    pub fn velocities(&self, facts: &Facts) -> impl Iterator<Item = Velocity> {
        let concerned = self.rule.iter().filter(|rule| {
            rule.concerns(&facts.owner, &facts.brand, facts.amount, &facts.currency)
        });
        concerned.filter_map(|rule| rule.velocity)
    }

    /// How long a payment counts by something, minutes; None when no rule asks.
    pub fn kept_minutes(&self, by: By) -> Option<i64> {
        let all = self.rule.iter().filter_map(|rule| rule.velocity);
        all.filter(|velocity| velocity.by == by)
            .map(|velocity| velocity.minutes)
            .max()
    }
}

impl Rule {
    /// Whether it asks for what only the issuer's answer tells.
    fn is_of_the_answer(&self) -> bool {
        self.cvc.is_some() || self.address_line1.is_some() || self.postal_code.is_some()
    }

    fn concerns(&self, owner: &Owner, brand: &str, amount: i64, currency: &str) -> bool {
        self.mode
            .is_none_or(|mode| (mode == Mode::Live) == owner.livemode)
            && among(&self.merchant, Some(&owner.merchant))
            && among(&self.brand, Some(brand))
            && among(&self.currency, Some(currency))
            && self.amount_from.is_none_or(|from| amount >= from)
            && self.amount_to.is_none_or(|to| amount <= to)
    }

    fn check(&self) -> anyhow::Result<()> {
        let amounts = self.amount_from.is_some() || self.amount_to.is_some();
        ensure!(
            !amounts || self.currency.is_some(),
            "an amount says nothing without its currency"
        );
        let words = |list: &Option<Vec<String>>, known: &[&str]| {
            let mut words = list.iter().flatten();
            words.all(|word| known.contains(&word.as_str()))
        };
        ensure!(
            words(&self.risk, &RISKS),
            "risk is one of {}",
            RISKS.join(", ")
        );
        for list in [&self.cvc, &self.address_line1, &self.postal_code] {
            ensure!(
                words(list, &CHECKS),
                "a check is one of {}",
                CHECKS.join(", ")
            );
        }
        let early = self.risk.is_some() || self.velocity.is_some();
        ensure!(
            !(early && self.is_of_the_answer()),
            "risk and velocity are judged before the answer, cvc, address_line1 and postal_code after it: make two rules"
        );
        if let Some(velocity) = self.velocity {
            ensure!(velocity.over >= 0, "velocity: over is negative");
            let window = (1..=MOST_MINUTES).contains(&velocity.minutes);
            ensure!(window, "velocity: minutes is 1 to {MOST_MINUTES}");
            let own = velocity.by == By::Card && velocity.counts == Counts::Cards;
            ensure!(!own, "velocity: the cards of one card are always one");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: fn() -> Owner = || Owner {
        merchant: "mer_one".into(),
        livemode: true,
    };

    // Each of the sixteen pairs, for three rules that a cautious merchant would write.
    #[test]
    fn the_matrix_of_security_code_and_postal_code() {
        let rules = Rules::parse(
            r#"
            [[rule]]
            name = "both wrong"
            action = "block"
            cvc = ["fail"]
            postal_code = ["fail"]
            [[rule]]
            name = "one wrong"
            action = "review"
            cvc = ["fail"]
            [[rule]]
            name = "postal code"
            action = "review"
            postal_code = ["fail"]
            "#,
        )
        .expect("rules");
        for cvc in CHECKS {
            for postal_code in CHECKS {
                let checks = Checks {
                    cvc: Some(cvc),
                    line1: None,
                    postal_code: Some(postal_code),
                };
                let fits = rules.after(&OWNER(), "visa", 100, "usd", &checks);
                let expected = match (cvc, postal_code) {
                    ("fail", "fail") => Some(Action::Block),
                    ("fail", _) | (_, "fail") => Some(Action::Review),
                    _ => None,
                };
                assert_eq!(
                    fits.map(|rule| rule.action),
                    expected,
                    "{cvc} {postal_code}"
                );
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let rule = |more: &str| format!("[[rule]]\nname = \"r\"\naction = \"block\"\n{more}");
        for (text, expected) in [
            (
                rule("amount_from = 5"),
                "an amount says nothing without its currency",
            ),
            (rule("risk = [\"high\"]"), "risk is one of"),
            (rule("cvc = [\"wrong\"]"), "a check is one of"),
            (
                rule("risk = [\"normal\"]\ncvc = [\"fail\"]"),
                "make two rules",
            ),
            (
                rule("velocity = { by = \"card\", over = 1, minutes = 0 }"),
                "minutes is 1 to",
            ),
            (
                rule("velocity = { by = \"card\", over = -1, minutes = 1 }"),
                "over is negative",
            ),
            (
                rule("velocity = { by = \"card\", counts = \"cards\", over = 1, minutes = 1 }"),
                "always one",
            ),
            (
                rule("velocity = { by = \"planet\", over = 1, minutes = 1 }"),
                "planet",
            ),
            (rule("") + &rule(""), "two rules are called r"),
            (rule("colour = 1"), "colour"),
            (
                "browser_payments = { limit = 0, minutes = 15 }".to_owned(),
                "limit is 1 or more",
            ),
        ] {
            let error = Rules::parse(&text).expect_err(&text);
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_built_in_rules_are_in_order() {
        let rules = Rules::default();
        assert!(rules.browser_payments.is_some());
        let checks = |cvc| Checks {
            cvc: Some(cvc),
            line1: None,
            postal_code: None,
        };
        let action = |cvc| {
            let rule = rules.after(&OWNER(), "visa", 100, "usd", &checks(cvc));
            rule.map(|rule| rule.action)
        };
        assert_eq!(
            (action("fail"), action("unchecked")),
            (Some(Action::Block), None)
        );
    }
}

//! Which acquirer is asked. [`rules`] say the order, [`switches`] what an operator has taken out, [`health`] who is in
//! trouble, [`limits`] whether a card may be tried again at all. [`explain`] says why.
//!
//! The order depends on the facts and on the confirmation's id alone: whoever resumes a confirmation goes on in the
//! same order, and captures, voids and refunds ask nobody here: they go to the payment's own acquirer.

pub mod explain;
pub mod health;
pub mod limits;
pub mod rules;
pub mod switches;

use serde_json::{Value, json};
use store::Tx;

use crate::app::App;
use crate::attempts::Attempt;
use crate::connectors::Acquirer;
use crate::error::Error;
use crate::intents::Intent;
use crate::payment_methods::PaymentMethod;

/// What a route is chosen by.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub merchant: String,
    /// `card`.
    pub method: String,
    /// As the vault names it.
    pub brand: Option<String>,
    pub amount: i64,
    pub currency: String,
    /// ISO 3166-1 alpha-2 of the card when it is known, else of the merchant.
    pub region: Option<String>,
    /// `normal`, `elevated` or `highest`.
    pub risk: String,
    /// Spreads payments over weights; the confirmation's id.
    pub seed: String,
}

/// A route that could be taken, in its place of the order.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub acquirer: String,
    pub weight: u32,
    /// The weight after its recent success was taken into account.
    pub effective: f64,
    pub state: State,
}

/// Whether a route can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Available,
    /// An operator took it out.
    Disabled,
    /// It failed too often: its breaker is open.
    BreakerOpen,
    /// As many calls as it may have are under way.
    Full,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Disabled => "disabled",
            Self::BreakerOpen => "breaker_open",
            Self::Full => "bulkhead_full",
        }
    }
}

/// The order, and why.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The rule that matched; None: the acquirers file's own order.
    pub rule: Option<String>,
    /// Every rule before it, and what did not fit.
    pub passed_over: Vec<(String, &'static str)>,
    pub candidates: Vec<Candidate>,
}

impl Plan {
    /// The first that can be taken and was not tried. When no other is left, a breaker is no reason not to try.
    pub fn next(&self, tried: &[String]) -> Option<&str> {
        let untried = |one: &&Candidate| !tried.contains(&one.acquirer);
        let of = |state: State| {
            let mut left = self.candidates.iter().filter(untried);
            left.find(|one| one.state == state)
        };
        let last_resort = || {
            tried
                .is_empty()
                .then(|| of(State::BreakerOpen).or_else(|| of(State::Full)))
                .flatten()
        };
        of(State::Available)
            .or_else(last_resort)
            .map(|one| one.acquirer.as_str())
    }

    /// As JSON, for the explanation.
    pub fn object(&self) -> Value {
        let passed: Vec<Value> = self
            .passed_over
            .iter()
            .map(|(rule, why)| json!({ "rule": rule, "why": why }))
            .collect();
        let candidates: Vec<Value> = self
            .candidates
            .iter()
            .map(|one| {
                json!({
                    "acquirer": one.acquirer, "weight": one.weight,
                    "effective_weight": (one.effective * 100.0).round() / 100.0, "state": one.state.name(),
                })
            })
            .collect();
        json!({
            "object": "routing.explanation",
            "rule": self.rule,
            "passed_over": passed,
            "candidates": candidates,
            "chosen": self.next(&[]),
        })
    }
}

/// The order for these facts, as things stand.
pub fn plan(app: &App, facts: &Facts) -> Plan {
    let names: Vec<&str> = app.acquirers.iter().map(Acquirer::name).collect();
    let mut plan = app.routes.rules.plan(facts, &names, |name| {
        app.acquirer(name)
            .map_or(1.0, |acquirer| acquirer.health.success())
    });
    let now_ms = app.clock.now_ms();
    for one in &mut plan.candidates {
        one.state = match app.acquirer(&one.acquirer) {
            _ if app.routes.switches.is_disabled(&one.acquirer) => State::Disabled,
            Ok(acquirer) if acquirer.health.is_open(now_ms) => State::BreakerOpen,
            Ok(acquirer) if acquirer.health.is_full() => State::Full,
            _ => State::Available,
        };
    }
    plan
}

/// What a confirmation's route is chosen by.
pub fn facts(app: &App, intent: &Intent, method: &PaymentMethod, confirmation: &str) -> Facts {
    Facts {
        merchant: intent.owner.merchant.clone(),
        method: "card".into(),
        brand: method.card.as_ref().map(|card| card.brand.clone()),
        amount: intent.amount,
        currency: intent.currency.clone(),
        region: app.routes.rules.region_of(&intent.owner.merchant),
        risk: "normal".into(),
        seed: confirmation.to_owned(),
    }
}

/// The first acquirer of a confirmation.
pub fn first<'a>(app: &'a App, facts: &Facts) -> Result<&'a Acquirer, Error> {
    let plan = plan(app, facts);
    match plan.next(&[]) {
        Some(name) => app.acquirer(name),
        None => Err(Error::NoRoute),
    }
}

/// The next acquirer after what was tried, if there is one.
pub async fn next<'a>(
    app: &'a App,
    attempt: &Attempt,
    tried: &[String],
) -> Result<Option<&'a Acquirer>, Error> {
    let (owner, intent, method) = (
        attempt.owner.clone(),
        attempt.intent.clone(),
        attempt.payment_method.clone(),
    );
    let read = move |tx: &mut Tx<'_>| {
        let found = PaymentMethod::find(tx, &owner, &method)?;
        let method = found.ok_or(Error::Internal("an attempt's payment method is gone"))?;
        Ok::<_, Error>((Intent::load(tx, &owner, &intent)?, method))
    };
    let (intent, method) = app.store.read(read).await?;
    let mut facts = facts(app, &intent, &method, &attempt.confirmation);
    if let Some(risk) = &attempt.carried.risk {
        facts.risk = risk.level().into();
    }
    let plan = plan(app, &facts);
    plan.next(tried).map(|name| app.acquirer(name)).transpose()
}

/// What routing knows beside the acquirers themselves.
pub struct Routes {
    pub rules: rules::Rules,
    pub switches: switches::Switches,
}

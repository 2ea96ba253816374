//! Fraud rules. [`rules`] say what is let through, looked at by a person or blocked; [`velocity`] counts what they ask
//! for; [`address`] says from where a buyer pays, and how often a browser there may; [`reviews`] are what a person
//! looks at.
//!
//! A payment is judged twice: before anything is sent, in the transaction that takes the intent ([`before`]), and by
//! what the issuer says of security code and address, in [`crate::outcome::settle`] ([`after`]). What is blocked then
//! was approved, so it is reversed, and repeated until the acquirer has acknowledged it ([`crate::late`]).

pub mod address;
pub mod reviews;
pub mod rules;
pub mod velocity;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Tx;
use vault_api::tokens::TestRisk;

use crate::app::{Owner, Shared};
use crate::connectors::{Class, Decline, Facts as Said, Payment, Verdict, avs};
use crate::error::Error;

pub use rules::{Action, Rules};

/// A score from here on is an elevated risk, and from there on the highest, as Stripe's scale has it (0 to 100).
const ELEVATED: u8 = 65;
const HIGHEST: u8 = 75;

/// The decline of a payment that a rule blocks: the buyer is told nothing of rules.
pub const BLOCKED: Decline = Decline {
    code: "card_declined",
    decline_code: "fraudulent",
    message: "Your card was declined.",
    class: Class::Hard,
    advice: "do_not_try_again",
};

/// What a payment is judged by, before anything is sent.
#[derive(Debug, Clone)]
pub struct Facts {
    pub owner: Owner,
    pub confirmation: String,
    pub amount: i64,
    pub currency: String,
    /// As the vault names it.
    pub brand: String,
    /// The vault's fingerprint of the card, or its stored card.
    pub card: Option<String>,
    /// From where the buyer pays, if anybody knows.
    pub address: Option<String>,
    /// What the buyer's tries are counted by.
    pub session: String,
    /// What a test number stands for.
    pub test: Option<TestRisk>,
}

/// What the rules said of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// 0 to 100. A test number's own; else how near the payment is to the nearest velocity limit, below 65.
    pub score: u8,
    pub action: Action,
    /// The rule that fitted; without one a payment is let through.
    pub rule: Option<String>,
    /// The issuer had approved it.
    #[serde(default)]
    pub after_approval: bool,
    /// The card's scheme: address letters mean different things.
    brand: String,
}

impl Assessment {
    /// `normal`, `elevated` or `highest`.
    pub fn level(&self) -> &'static str {
        level(self.score)
    }

    pub fn blocks(&self) -> bool {
        self.action == Action::Block
    }

    /// Stripe's `outcome.reason`: the level, where that is what decided, else the rule.
    fn reason(&self) -> &'static str {
        match (self.action, self.level()) {
            (Action::Block, "highest") => "highest_risk_level",
            (Action::Review, "elevated") => "elevated_risk_level",
            _ => "rule",
        }
    }
}

fn level(score: u8) -> &'static str {
    match score {
        HIGHEST.. => "highest",
        ELEVATED.. => "elevated",
        _ => "normal",
    }
}

/// Judges a payment before anything is sent, and counts it if it is let through.
pub fn before(
    tx: &mut Tx<'_>,
    rules: &Rules,
    facts: &Facts,
    now_ms: i64,
) -> Result<Assessment, Error> {
    let counted = velocity::Counted::of(tx, rules, facts, now_ms)?;
    let score = match facts.test {
        Some(TestRisk::Highest) => HIGHEST,
        Some(TestRisk::Elevated) => ELEVATED,
        None => counted.nearness(rules, facts, ELEVATED - 1),
    };
    let rule = rules.before(facts, level(score), &counted);
    let assessment = Assessment {
        score,
        action: rule.map_or(Action::Allow, |rule| rule.action),
        rule: rule.map(|rule| rule.name.clone()),
        after_approval: false,
        brand: facts.brand.clone(),
    };
    if !assessment.blocks() {
        counted.add(tx, rules, facts, now_ms)?;
    }
    Ok(assessment)
}

/// Judges an approved payment by what the issuer said of security code and address. None: it stays as it was judged.
pub fn after(
    rules: &Rules,
    owner: &Owner,
    judged: &Assessment,
    payment: &Payment,
    (amount, currency): (i64, &str),
) -> Option<Assessment> {
    // A rule that lets a payment through by name is the last word.
    if judged.rule.is_some() && judged.action == Action::Allow {
        return None;
    }
    let said = &payment.facts;
    let brand = Some(judged.brand.as_str());
    let (line1, postal_code) = avs::checks(brand, said.avs_result.as_deref());
    let checks = rules::Checks {
        cvc: avs::cvc(said.cvc_result.as_deref()),
        line1,
        postal_code,
    };
    let rule = rules.after(owner, &judged.brand, amount, currency, &checks)?;
    (rule.action != Action::Allow).then(|| Assessment {
        action: rule.action,
        rule: Some(rule.name.clone()),
        after_approval: true,
        ..judged.clone()
    })
}

/// The decline that stands for an answer which nobody gave: the card was not sent.
pub fn refused() -> Payment {
    Payment {
        id: None,
        reference: None,
        amount: None,
        currency: None,
        verdict: Verdict::Declined(BLOCKED),
        facts: Said::default(),
    }
}

/// Counts a judgement.
pub fn note(app: &Shared, assessment: &Assessment) {
    let labels = [
        ("action", assessment.action.name()),
        ("level", assessment.level()),
    ];
    app.metrics.count("payments_risk_total", &labels);
}

/// Stripe's `outcome` of a charge that the rules have judged, where they decide what it says.
pub fn outcome(assessment: &Assessment) -> Option<Value> {
    let (kind, status, message) = match assessment.action {
        Action::Block if assessment.after_approval => (
            "blocked",
            "reversed_after_approval",
            "A rule blocked this payment after the bank had approved it; the approval is reversed.",
        ),
        Action::Block => (
            "blocked",
            "not_sent_to_network",
            "A rule blocked this payment; nothing was sent to the bank.",
        ),
        Action::Review => (
            "manual_review",
            "approved_by_network",
            "A rule placed this payment in the review queue.",
        ),
        Action::Allow => return None,
    };
    Some(json!({
        "advice_code": null,
        "network_advice_code": null,
        "network_decline_code": null,
        "network_status": status,
        "reason": assessment.reason(),
        "seller_message": message,
        "type": kind,
    }))
}

//! One thing that may be asked of a destination: where the vault writes what, and what comes back.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use http::uri::PathAndQuery;
use http::{HeaderName, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vault_api::forward::Answer;

use super::answer;
use super::body::{Format, Shape};
use super::template;
use crate::records::grants::Send;

/// The placeholders there are.
pub const PLACEHOLDERS: [&str; 17] = [
    "card.number",
    "card.exp_month",
    "card.exp_year",
    "card.exp_year2",
    "card.expiry.MM/YY",
    "card.expiry.MMYY",
    "card.expiry.YYMM",
    "card.expiry.YYYY-MM",
    "card.cvc",
    "card.name",
    "card.postal_code",
    "card.country",
    "card.network",
    "three_d_secure.eci",
    "three_d_secure.cavv",
    "three_d_secure.ds_transaction_id",
    "three_d_secure.version",
];

/// An operation, checked.
pub struct Operation {
    /// HTTP method.
    pub method: Method,
    /// Path, with its query if it has one.
    pub path: PathAndQuery,
    /// What kind of send it is.
    pub kind: Send,
    /// What the body is written in.
    pub format: Format,
    /// Its root and order, when that is XML.
    pub shape: Shape,
    /// What answers are read as, whatever they say they are.
    pub answer: Option<Format>,
    /// The one place of each placeholder, as a JSON pointer (RFC 6901).
    pub placeholders: BTreeMap<String, String>,
    /// What the operator writes into every body, by pointer.
    pub fixed: BTreeMap<String, Value>,
    /// Where the vault writes the amount.
    pub amount: Option<String>,
    /// How the amount is written.
    pub amount_format: AmountFormat,
    /// Where the currency goes.
    pub currency: Option<String>,
    /// How the currency is written.
    pub currency_format: CurrencyFormat,
    /// Where our reference goes.
    pub reference: Option<String>,
    /// A header that takes the attempt's id, for acquirers that know idempotency keys.
    pub idempotency_header: Option<HeaderName>,
    /// Which fields of the answer come back.
    pub response: Vec<String>,
    approved: Option<Approved>,
}

/// How an amount is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountFormat {
    /// An integer of the smallest unit.
    #[default]
    Minor,
    /// A decimal string with the currency's decimals.
    Decimal,
}

/// How a currency is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrencyFormat {
    /// `usd`.
    #[default]
    Lower,
    /// `USD`.
    Upper,
}

/// An operation as the operator writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationFile {
    pub(super) name: String,
    kind: Kind,
    method: String,
    path: String,
    #[serde(default)]
    body: Format,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sequence: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Format>,
    placeholders: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fixed: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(default)]
    amount_format: AmountFormat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(default)]
    currency_format: CurrencyFormat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_header: Option<String>,
    response: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approved: Option<Approved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Authorise,
    Authenticate,
    Verify,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approved {
    pointer: String,
    values: Vec<String>,
}

impl Operation {
    /// Checks what the operator wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(entry: &OperationFile) -> anyhow::Result<Self> {
        check_names(entry)?;
        check_pointers(entry)?;
        let method: Method = entry.method.parse().context("method")?;
        if ![Method::POST, Method::PUT, Method::PATCH].contains(&method) {
            bail!("method: a card travels in a body: POST, PUT or PATCH");
        }
        let header = entry.idempotency_header.as_deref().map(str::parse);
        let operation = Self {
            method,
            path: path(&entry.path)?,
            kind: match entry.kind {
                Kind::Authorise => Send::Authorise,
                Kind::Authenticate => Send::Authenticate,
                Kind::Verify => Send::Verify,
            },
            format: entry.body,
            shape: Shape {
                root: entry.root.clone().unwrap_or_default(),
                sequence: entry.sequence.clone(),
            },
            answer: entry.answer,
            placeholders: entry.placeholders.clone(),
            fixed: entry.fixed.clone(),
            amount: entry.amount.clone(),
            amount_format: entry.amount_format,
            currency: entry.currency.clone(),
            currency_format: entry.currency_format,
            reference: entry.reference.clone(),
            idempotency_header: header.transpose().context("idempotency_header")?,
            response: entry.response.clone(),
            approved: entry.approved.clone(),
        };
        if template::trial(&operation).is_err() {
            bail!(
                "what is registered cannot be written as {:?}: two places contradict each other, or a name is none there",
                operation.format
            );
        }
        Ok(operation)
    }

    /// Whether an answer approves, by the operation's rule.
    #[must_use]
    pub fn approves(&self, answer: Option<&Answer>) -> bool {
        let (Some(rule), Some(answer)) = (&self.approved, answer) else {
            return false;
        };
        let value = answer
            .body
            .pointer(&rule.pointer)
            .and_then(|value| value.as_str());
        (200..300).contains(&answer.status)
            && value.is_some_and(|value| rule.values.iter().any(|v| v == value))
    }
}

fn path(text: &str) -> anyhow::Result<PathAndQuery> {
    let path: PathAndQuery = text.parse().context("path")?;
    if !text.starts_with('/') || text.contains('#') {
        bail!("path: {text} must start with / and have no fragment");
    }
    Ok(path)
}

fn check_names(entry: &OperationFile) -> anyhow::Result<()> {
    for name in entry.placeholders.keys() {
        if !PLACEHOLDERS.contains(&name.as_str()) {
            bail!(
                "there is no placeholder {name}; there are {}",
                PLACEHOLDERS.join(", ")
            );
        }
    }
    let has_all = entry.amount.is_some() && entry.currency.is_some() && entry.reference.is_some();
    if entry.kind == Kind::Authorise && !has_all {
        bail!("an operation of kind authorise needs amount, currency and reference");
    }
    if (entry.body == Format::Xml) != entry.root.is_some() {
        bail!("root names the root element of body = \"xml\", and of nothing else");
    }
    if entry.body != Format::Xml && !entry.sequence.is_empty() {
        bail!("sequence orders the elements of body = \"xml\", and of nothing else");
    }
    Ok(())
}

// Places that the vault writes to must not overlap, or one would overwrite the other; places that come back must not
// be those of a CVV, an expiry or a holder.
fn check_pointers(entry: &OperationFile) -> anyhow::Result<()> {
    let typed = [&entry.amount, &entry.currency, &entry.reference];
    let written: Vec<&String> = entry
        .placeholders
        .values()
        .chain(typed.into_iter().flatten())
        .chain(entry.fixed.keys())
        .collect();
    for pointer in written.iter().copied().chain(&entry.response) {
        if !pointer.starts_with('/') {
            bail!("{pointer} is no JSON pointer; it starts with /");
        }
    }
    for (i, one) in written.iter().enumerate() {
        for other in &written[i + 1..] {
            if covers(one, other) || covers(other, one) {
                bail!(
                    "two things are registered at {one} and {other}: one would overwrite the other"
                );
            }
        }
    }
    if let Some(pointer) = entry.response.iter().find(|p| answer::is_withheld(p)) {
        bail!(
            "response: {pointer} names a security code, an expiry or a holder: those never come back"
        );
    }
    if let Some(rule) = &entry.approved
        && !entry.response.iter().any(|p| covers(p, &rule.pointer))
    {
        bail!("approved: {} is not among response", rule.pointer);
    }
    Ok(())
}

/// Whether `inner` is `outer` or lies inside it.
fn covers(outer: &str, inner: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

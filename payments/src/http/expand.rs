//! `expand[]`: ids in an answer replaced by the objects they name.

use serde_json::Value;
use store::Tx;

use super::params::Params;
use crate::app::{Owner, Shared};
use crate::balance;
use crate::charges::Charge;
use crate::customers::Customer;
use crate::disputes::Dispute;
use crate::error::{Error, Refusal};
use crate::intents::Intent;
use crate::payment_methods::PaymentMethod;
use crate::refunds;
use crate::risk::reviews::Review;
use crate::setup_intents::SetupIntent;

const MAX_PATHS: usize = 20;
const MAX_DEPTH: usize = 4;

/// What can be expanded: an object's fields, each with the object that its id names. A field that stays null here is among
/// them where Stripe's clients ask for it.
const EXPANDABLE: &[(&str, &[(&str, &str)])] = &[
    (
        "payment_intent",
        &[
            ("application", ""),
            ("customer", "customer"),
            ("latest_charge", "charge"),
            ("on_behalf_of", ""),
            ("payment_method", "payment_method"),
            ("review", "review"),
        ],
    ),
    (
        "setup_intent",
        &[
            ("application", ""),
            ("customer", "customer"),
            ("latest_attempt", ""),
            ("mandate", ""),
            ("on_behalf_of", ""),
            ("payment_method", "payment_method"),
        ],
    ),
    (
        "charge",
        &[
            ("application", ""),
            ("balance_transaction", "balance_transaction"),
            ("customer", "customer"),
            ("failure_balance_transaction", "balance_transaction"),
            ("on_behalf_of", ""),
            ("payment_intent", "payment_intent"),
            ("payment_method", "payment_method"),
            ("review", "review"),
        ],
    ),
    (
        "refund",
        &[
            ("balance_transaction", "balance_transaction"),
            ("charge", "charge"),
            ("failure_balance_transaction", "balance_transaction"),
            ("payment_intent", "payment_intent"),
        ],
    ),
    (
        "dispute",
        &[
            ("balance_transactions", "balance_transaction"),
            ("charge", "charge"),
            ("payment_intent", "payment_intent"),
        ],
    ),
    (
        "review",
        &[("charge", "charge"), ("payment_intent", "payment_intent")],
    ),
    // Of several kinds: nothing of it can be expanded in turn.
    ("balance_transaction", &[("source", "")]),
    ("payment_method", &[("customer", "customer")]),
    (
        "customer",
        &[
            ("default_source", ""),
            ("invoice_settings", "invoice_settings"),
        ],
    ),
    (
        "invoice_settings",
        &[("default_payment_method", "payment_method")],
    ),
    (
        "checkout.session",
        &[
            ("customer", "customer"),
            ("invoice", ""),
            ("line_items", ""),
            ("payment_intent", "payment_intent"),
            ("setup_intent", "setup_intent"),
            ("subscription", ""),
        ],
    ),
];

// The object that a field of an object of this kind names.
fn named(kind: &str, field: &str) -> Result<&'static str, Error> {
    let fields = EXPANDABLE.iter().find(|(name, _)| *name == kind);
    let found = fields.and_then(|(_, fields)| fields.iter().find(|(name, _)| *name == field));
    found.map(|(_, kind)| *kind).ok_or_else(not_expandable)
}

/// The paths to expand.
#[derive(Debug, Clone, Default)]
pub struct Expand(Vec<Vec<String>>);

impl Expand {
    /// Takes `expand[]`.
    pub fn parse(params: &mut Params) -> Result<Self, Error> {
        let paths = params.list("expand", 200)?.unwrap_or_default();
        let paths: Vec<Vec<String>> = paths
            .iter()
            .map(|path| path.split('.').map(str::to_owned).collect())
            .collect();
        if paths.len() > MAX_PATHS || paths.iter().any(|path| path.len() > MAX_DEPTH) {
            return Err(
                Refusal::plain("At most 20 properties, 4 levels deep, can be expanded.")
                    .param("expand")
                    .into(),
            );
        }
        Ok(Self(paths))
    }

    /// Refuses what an object of this kind does not have: before anything is done for which it is the answer.
    pub fn check(&self, kind: &'static str) -> Result<(), Error> {
        self.0.iter().try_for_each(|path| {
            let mut names = path.iter();
            names
                .try_fold(kind, |kind, name| named(kind, name))
                .map(drop)
        })
    }

    /// Takes a path of one name that is the caller's own to fill in; whether it was asked for.
    pub fn takes(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|path| path.as_slice() != [name]);
        self.0.len() < before
    }

    /// Expands what was asked for in `object`.
    pub fn apply(
        &self,
        tx: &mut Tx<'_>,
        app: &Shared,
        owner: &Owner,
        mut object: Value,
    ) -> Result<Value, Error> {
        for path in &self.0 {
            let kind = object["object"].as_str().unwrap_or_default().to_owned();
            walk(tx, app, owner, &mut object, &kind, path)?;
        }
        Ok(object)
    }
}

fn walk(
    tx: &mut Tx<'_>,
    app: &Shared,
    owner: &Owner,
    at: &mut Value,
    kind: &str,
    path: &[String],
) -> Result<(), Error> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    if kind == "list" && name == "data" {
        for item in at["data"].as_array_mut().into_iter().flatten() {
            let kind = item["object"].as_str().unwrap_or_default().to_owned();
            walk(tx, app, owner, item, &kind, rest)?;
        }
        return Ok(());
    }
    let kind = named(kind, name)?;
    let inner = &mut at[name.as_str()];
    if let Value::String(id) = inner
        && let Some(found) = load(tx, app, owner, id)?
    {
        *inner = found;
    }
    match inner {
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| walk(tx, app, owner, item, kind, rest)),
        Value::Object(_) => walk(tx, app, owner, inner, kind, rest),
        _ => Ok(()),
    }
}

fn load(tx: &mut Tx<'_>, app: &Shared, owner: &Owner, id: &str) -> Result<Option<Value>, Error> {
    let prefix = id.split('_').next().unwrap_or_default();
    Ok(match prefix {
        "pi" => Intent::find(tx, owner, id)?.map(|intent| intent.object(&app.seal)),
        "ch" => Charge::find(tx, owner, id)?.map(|charge| charge.object()),
        "cus" => Customer::find(tx, owner, id)?.map(|customer| customer.object()),
        "seti" => SetupIntent::find(tx, owner, id)?.map(|intent| intent.object(&app.seal)),
        "prv" => Review::find(tx, owner, id)?.map(|review| review.object()),
        "re" => refunds::find(tx, owner, id)?.map(|refund| refund.object()),
        "txn" => balance::find(tx, owner, id, app.clock.now())?,
        "dp" => match Dispute::find(tx, owner, id)? {
            Some(dispute) => Some(dispute.object(tx, app.clock.now())?),
            None => None,
        },
        "pm" => PaymentMethod::find(tx, owner, id)?.map(|method| method.object()),
        _ => None,
    })
}

fn not_expandable() -> Error {
    let message = "This property cannot be expanded. You may want to try expanding another one.";
    Refusal::plain(message).param("expand").into()
}

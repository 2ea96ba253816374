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
            walk(tx, app, owner, &mut object, path)?;
        }
        Ok(object)
    }
}

fn walk(
    tx: &mut Tx<'_>,
    app: &Shared,
    owner: &Owner,
    at: &mut Value,
    path: &[String],
) -> Result<(), Error> {
    if let Value::Array(items) = at {
        return items
            .iter_mut()
            .try_for_each(|item| walk(tx, app, owner, item, path));
    }
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    let inner = at.get_mut(name).ok_or_else(not_expandable)?;
    if let Value::String(id) = inner {
        let found = load(tx, app, owner, id)?;
        *inner = found.ok_or_else(not_expandable)?;
    } else if rest.is_empty() && !inner.is_null() && !inner.is_object() {
        return Err(not_expandable());
    }
    if inner.is_null() {
        Ok(())
    } else {
        walk(tx, app, owner, inner, rest)
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

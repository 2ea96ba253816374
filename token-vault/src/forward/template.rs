//! Bodies are trees. Placeholders are filled in at their registered path and nowhere else; text is never replaced.

use serde_json::Value;
use vault_api::Code;
use vault_api::forward::Forward;
use zeroize::Zeroizing;

use super::destinations::Operation;
use crate::Error;
use pan::CardData;

const CVC: &str = "{{card.cvc}}";

/// Refuses a body with a placeholder anywhere but at its registered path, with anything that reads like one, or with
/// a card number in the clear.
///
/// # Errors
/// `placeholder_not_allowed`, `card_number_in_wrong_place`, `invalid_request`.
pub fn check(body: &Value, operation: &Operation) -> Result<(), Error> {
    if !body.is_object() {
        return Err(Code::InvalidRequest.into());
    }
    walk(body, &mut String::new(), &mut |pointer, text| {
        if let Some(name) = text
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
        {
            let here = operation
                .placeholders
                .get(name)
                .is_some_and(|registered| registered == pointer);
            return if here {
                Ok(())
            } else {
                Err(Code::PlaceholderNotAllowed.into())
            };
        }
        if text.contains("{{") || text.contains("}}") {
            return Err(Code::PlaceholderNotAllowed.into());
        }
        // Our own reference is a typed field and not in the body, so nothing legitimate is refused here.
        if card::filter::holds_card_number(text) {
            return Err(Code::CardNumberInWrongPlace.into());
        }
        Ok(())
    })
}

/// Whether the body asks for the CVV.
#[must_use]
pub fn wants_cvc(body: &Value) -> bool {
    let mut wants = false;
    let _ = walk(body, &mut String::new(), &mut |_, text| {
        wants |= text == CVC;
        Ok(())
    });
    wants
}

/// The bytes to send: the tree with the card, amount, currency and reference in their places.
///
/// # Errors
/// When a registered place is not there to write to.
pub fn fill(
    body: &Forward,
    operation: &Operation,
    card: &CardData,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut tree = body.body.clone();
    put(&mut tree, &operation.amount, Value::from(body.amount))?;
    put(
        &mut tree,
        &operation.currency,
        Value::from(body.currency.as_str()),
    )?;
    put(
        &mut tree,
        &operation.reference,
        Value::from(body.reference.as_str()),
    )?;
    for (name, pointer) in &operation.placeholders {
        let Some(leaf) = tree.pointer_mut(pointer) else {
            continue;
        };
        if leaf.as_str() == Some(&format!("{{{{{name}}}}}")) {
            *leaf = value_of(name, card);
        }
    }
    let bytes = serde_json::to_vec(&tree).map(Zeroizing::new);
    wipe(&mut tree);
    bytes.map_err(|_| Error::Internal("a body could not be written"))
}

/// The fields of an answer that may come back, in their places; PAN-shaped runs in them masked.
#[must_use]
pub fn allowed(answer: &Value, operation: &Operation) -> Value {
    let mut out = Value::Object(serde_json::Map::new());
    for pointer in &operation.response {
        if let Some(value) = answer.pointer(pointer) {
            // A place that cannot be written to is left out.
            let _ = put(&mut out, pointer, masked(value));
        }
    }
    out
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where the card is put into the acquirer's request"
)]
fn value_of(name: &str, card: &CardData) -> Value {
    let year = card.expiry.year();
    match name {
        "card.number" => Value::from(card.number.expose()),
        "card.exp_month" => Value::from(format!("{:02}", card.expiry.month())),
        "card.exp_year" => Value::from(year.to_string()),
        "card.exp_year2" => Value::from(format!("{:02}", year % 100)),
        "card.cvc" => card
            .cvc
            .as_ref()
            .map_or(Value::Null, |cvc| Value::from(cvc.expose())),
        "card.name" => card
            .name
            .as_ref()
            .map_or(Value::Null, |name| Value::from(name.expose())),
        _ => Value::Null,
    }
}

// Writes at a pointer, making objects on the way.
fn put(tree: &mut Value, pointer: &str, value: Value) -> Result<(), Error> {
    let mut at = tree;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        let object = match at {
            Value::Object(object) => object,
            Value::Null => {
                *at = Value::Object(serde_json::Map::new());
                at.as_object_mut().ok_or(Code::InvalidRequest)?
            }
            _ => return Err(Code::InvalidRequest.into()),
        };
        at = object.entry(key).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(card::filter::mask(text)),
        Value::Number(number) if card::filter::holds_card_number(&number.to_string()) => {
            Value::from(card::filter::mask(&number.to_string()))
        }
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(k, v)| (card::filter::mask(k), masked(v)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn walk(
    value: &Value,
    at: &mut String,
    see: &mut dyn FnMut(&str, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    match value {
        Value::String(text) => see(at, text),
        Value::Number(number) => see(at, &number.to_string()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| step(at, &i.to_string(), item, see)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| {
            // A placeholder must not stand in a name either; no place is registered for one there.
            see("", name)?;
            step(at, name, item, see)
        }),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn step(
    at: &mut String,
    name: &str,
    item: &Value,
    see: &mut dyn FnMut(&str, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let length = at.len();
    at.push('/');
    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
    walk(item, at, see)?;
    at.truncate(length);
    Ok(())
}

// The tree held the card: its strings are wiped before they are freed.
fn wipe(value: &mut Value) {
    use zeroize::Zeroize as _;
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}

//! Bodies are trees. Placeholders are filled in at their registered path and nowhere else; text is never replaced.

use serde_json::{Map, Value};
use vault_api::forward::{Forward, ThreeDSecure};
use vault_api::{Code, Grant};
use zeroize::{Zeroize as _, Zeroizing};

use super::body::Format;
use super::operation::{AmountFormat, CurrencyFormat, Operation};
use crate::Error;
use pan::CardData;

const CVC: &str = "{{card.cvc}}";

/// The largest request that is sent.
const MAX_REQUEST: usize = 256 * 1024;

/// The card that a body is filled with.
#[derive(Clone, Copy)]
pub enum Filling<'a> {
    /// The card itself.
    Card(&'a CardData),
    /// Stars in its place: what may be shown.
    Masked {
        /// The last four digits.
        last4: &'a str,
    },
}

/// Refuses a body with a placeholder anywhere but at its registered path, with anything that reads like one, or with
/// a card number in the clear.
///
/// # Errors
/// `placeholder_not_allowed`, `card_number_in_wrong_place`, `invalid_request`.
pub fn check(body: &Value, operation: &Operation) -> Result<(), Error> {
    if !body.is_object() {
        return Err(Code::InvalidRequest.into());
    }
    let xml = operation.format == Format::Xml;
    walk(body, &mut String::new(), &mut |place, text| {
        if let Some(name) = text
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
        {
            let here = operation
                .placeholders
                .get(name)
                .is_some_and(|registered| Place::Leaf(registered) == place);
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
        // A namespace of the caller's could give the operator's names another meaning.
        if xml && place == Place::Name && text.to_ascii_lowercase().starts_with("@xmlns") {
            return Err(Code::InvalidRequest.into());
        }
        Ok(())
    })
}

/// Refuses 3-D Secure values that are none: they are typed so that no free text reaches an acquirer through them.
///
/// # Errors
/// `invalid_request`.
pub fn check_three_d_secure(values: &ThreeDSecure) -> Result<(), Error> {
    let all = |text: &str, fits: fn(u8) -> bool| text.bytes().all(fits);
    let eci = values
        .eci
        .as_deref()
        .is_none_or(|v| matches!(v.len(), 1 | 2) && all(v, |b| b.is_ascii_digit()));
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
    let cavv = values
        .cavv
        .as_deref()
        .is_none_or(|v| (24..=64).contains(&v.len()) && all(v, base64));
    let ds = values.ds_transaction_id.as_deref().is_none_or(|v| {
        let dashes = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        v.len() == 36
            && v.bytes().enumerate().all(|(at, b)| {
                if dashes(at) {
                    b == b'-'
                } else {
                    b.is_ascii_hexdigit()
                }
            })
    });
    let version = values.version.as_deref().is_none_or(|v| {
        let numbers: Vec<_> = v.split('.').collect();
        numbers.len() == 3
            && numbers
                .iter()
                .all(|n| matches!(n.len(), 1 | 2) && all(n, |b| b.is_ascii_digit()))
    });
    if eci && cavv && ds && version {
        Ok(())
    } else {
        Err(Code::InvalidRequest.into())
    }
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

/// The bytes to send: the tree with the card, amount, currency, reference and 3-D Secure values in their places.
///
/// # Errors
/// When a registered place is not there to write to, or the tree cannot be written in the operation's format.
pub fn build(
    call: &Forward,
    operation: &Operation,
    filling: Filling<'_>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut tree = call.body.clone();
    let written = write_typed(&mut tree, call, operation).and_then(|()| {
        fill(&mut tree, operation, filling)?;
        operation.format.write(&tree, &operation.shape)
    });
    wipe(&mut tree);
    let bytes = written?;
    if bytes.len() > MAX_REQUEST {
        return Err(Code::PayloadTooLarge.into());
    }
    Ok(bytes)
}

/// Builds a body with everything in it that the operation registers.
///
/// # Errors
/// When that is not possible, so that the operator learns it and not the first buyer.
pub fn trial(operation: &Operation) -> Result<(), Error> {
    let mut body = Value::Object(Map::new());
    for (name, pointer) in &operation.placeholders {
        put(&mut body, pointer, Value::from(format!("{{{{{name}}}}}")))?;
    }
    let has = |name: &str| {
        let name = format!("three_d_secure.{name}");
        let text = "x".to_owned();
        operation.placeholders.contains_key(&name).then_some(text)
    };
    let call = Forward {
        attempt: "att_trial".to_owned(),
        grant: Grant::random(),
        destination: "trial".to_owned(),
        operation: "trial".to_owned(),
        amount: 100,
        currency: "usd".to_owned(),
        reference: "trial".to_owned(),
        body,
        three_d_secure: Some(ThreeDSecure {
            eci: has("eci"),
            cavv: has("cavv"),
            ds_transaction_id: has("ds_transaction_id"),
            version: has("version"),
        }),
        dry_run: true,
    };
    check(&call.body, operation)?;
    build(&call, operation, Filling::Masked { last4: "4242" }).map(|_| ())
}

// What the operator and the call's typed fields say stands over whatever the caller's tree has there.
fn write_typed(tree: &mut Value, call: &Forward, operation: &Operation) -> Result<(), Error> {
    for (pointer, value) in &operation.fixed {
        put(tree, pointer, value.clone())?;
    }
    let amount = match operation.amount_format {
        AmountFormat::Minor => Value::from(call.amount),
        AmountFormat::Decimal => Value::from(card::currency::decimal(call.amount, &call.currency)),
    };
    let currency = match operation.currency_format {
        CurrencyFormat::Lower => call.currency.clone(),
        CurrencyFormat::Upper => call.currency.to_ascii_uppercase(),
    };
    let reference = Value::from(call.reference.as_str());
    for (pointer, value) in [
        (&operation.amount, amount),
        (&operation.currency, Value::from(currency)),
        (&operation.reference, reference),
    ] {
        if let Some(pointer) = pointer {
            put(tree, pointer, value)?;
        }
    }
    let given = call.three_d_secure.clone().unwrap_or_default();
    for (name, value) in [
        ("three_d_secure.eci", given.eci),
        ("three_d_secure.cavv", given.cavv),
        ("three_d_secure.ds_transaction_id", given.ds_transaction_id),
        ("three_d_secure.version", given.version),
    ] {
        let Some(pointer) = operation.placeholders.get(name) else {
            // To leave it out silently would send an authenticated payment as one that is not.
            if value.is_some() {
                return Err(Code::InvalidRequest.into());
            }
            continue;
        };
        match value {
            Some(value) => put(tree, pointer, Value::from(value))?,
            None if is_placeholder(tree.pointer(pointer), name) => {
                return Err(Code::InvalidRequest.into());
            }
            None => {}
        }
    }
    Ok(())
}

fn fill(tree: &mut Value, operation: &Operation, filling: Filling<'_>) -> Result<(), Error> {
    for (name, pointer) in &operation.placeholders {
        if is_placeholder(tree.pointer(pointer), name)
            && let Some(leaf) = tree.pointer_mut(pointer)
        {
            *leaf = match filling {
                Filling::Card(card) => value_of(name, card)?,
                Filling::Masked { last4 } => Value::from(stars(name, last4)),
            };
        }
    }
    Ok(())
}

fn is_placeholder(leaf: Option<&Value>, name: &str) -> bool {
    leaf.and_then(Value::as_str)
        .and_then(|text| text.strip_prefix("{{")?.strip_suffix("}}"))
        == Some(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where the card is put into the acquirer's request"
)]
fn value_of(name: &str, card: &CardData) -> Result<Value, Error> {
    let (year, month) = (card.expiry.year(), card.expiry.month());
    let year2 = year % 100;
    Ok(match name {
        "card.number" => Value::from(card.number.expose()),
        "card.exp_month" => Value::from(format!("{month:02}")),
        "card.exp_year" => Value::from(year.to_string()),
        "card.exp_year2" => Value::from(format!("{year2:02}")),
        "card.expiry.MM/YY" => Value::from(format!("{month:02}/{year2:02}")),
        "card.expiry.MMYY" => Value::from(format!("{month:02}{year2:02}")),
        "card.expiry.YYMM" => Value::from(format!("{year2:02}{month:02}")),
        "card.expiry.YYYY-MM" => Value::from(format!("{year}-{month:02}")),
        "card.cvc" => card
            .cvc
            .as_ref()
            .map_or(Value::Null, |cvc| Value::from(cvc.expose())),
        "card.name" => card
            .name
            .as_ref()
            .map_or(Value::Null, |name| Value::from(name.expose())),
        "card.postal_code" => card
            .postal_code
            .as_ref()
            .map_or(Value::Null, |code| Value::from(code.expose())),
        "card.country" => card
            .country
            .map_or(Value::Null, |country| Value::from(country.as_str())),
        // No choice is no choice: the vault makes none for the buyer.
        "card.network" => card
            .network
            .map_or(Value::Null, |network| Value::from(network.facts().id)),
        _ => return Err(Error::Internal("a placeholder has no value")),
    })
}

fn stars(name: &str, last4: &str) -> String {
    match name {
        "card.number" => format!("************{last4}"),
        "card.exp_month" | "card.exp_year2" => "**".to_owned(),
        "card.exp_year" | "card.expiry.MMYY" | "card.expiry.YYMM" => "****".to_owned(),
        "card.expiry.MM/YY" => "**/**".to_owned(),
        "card.expiry.YYYY-MM" => "****-**".to_owned(),
        _ => "***".to_owned(),
    }
}

/// Writes at a pointer, making objects on the way.
///
/// # Errors
/// `invalid_request` when something else stands in the way.
pub fn put(tree: &mut Value, pointer: &str, value: Value) -> Result<(), Error> {
    let mut at = tree;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = match at {
            Value::Object(object) => object.entry(key).or_insert(Value::Null),
            Value::Array(items) => key
                .parse::<usize>()
                .ok()
                .and_then(|i| items.get_mut(i))
                .ok_or(Code::InvalidRequest)?,
            _ => return Err(Code::InvalidRequest.into()),
        };
    }
    *at = value;
    Ok(())
}

/// Where a text of a body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// It is the name of a field; no placeholder is registered for one.
    Name,
    /// It is the leaf at this pointer.
    Leaf(&'a str),
}

type See<'a> = dyn FnMut(Place<'_>, &str) -> Result<(), Error> + 'a;

fn walk(value: &Value, at: &mut String, see: &mut See<'_>) -> Result<(), Error> {
    match value {
        Value::String(text) => see(Place::Leaf(at), text),
        Value::Number(number) => see(Place::Leaf(at), &number.to_string()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| step(at, &i.to_string(), item, see)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| {
            see(Place::Name, name)?;
            step(at, name, item, see)
        }),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn step(at: &mut String, name: &str, item: &Value, see: &mut See<'_>) -> Result<(), Error> {
    let length = at.len();
    at.push('/');
    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
    walk(item, at, see)?;
    at.truncate(length);
    Ok(())
}

// The tree held the card: its strings are wiped before they are freed.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}

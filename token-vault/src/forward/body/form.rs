//! `application/x-www-form-urlencoded` with bracket paths: `{"card":{"number":"4242"},"a":[1]}` is
//! `a[0]=1&card[number]=4242`, percent-encoded. Null is left out.
//!
//! A key is one step of a path, so a key with a bracket in it would be two: it is refused. Every other byte of keys
//! and values is percent-encoded and cannot end its field.

use form_urlencoded::byte_serialize;
use serde_json::{Map, Value};
use vault_api::Code;
use zeroize::Zeroizing;

use super::{MAX_DEPTH, leaf};
use crate::Error;

/// The most fields of an answer that are read.
const MAX_FIELDS: usize = 1_000;

/// Serialises a tree.
///
/// # Errors
/// `invalid_request` for an empty key or one with brackets.
pub fn write(tree: &Value) -> Result<Zeroizing<Vec<u8>>, Error> {
    let Value::Object(fields) = tree else {
        return Err(Code::InvalidRequest.into());
    };
    let mut out = Zeroizing::new(Vec::new());
    for (key, value) in fields {
        field(step(key)?, value, &mut out)?;
    }
    Ok(out)
}

fn field(path: &str, value: &Value, out: &mut Zeroizing<Vec<u8>>) -> Result<(), Error> {
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                field(&format!("{path}[{i}]"), item, out)?;
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                field(&format!("{path}[{}]", step(key)?), item, out)?;
            }
        }
        _ => {
            let Some(text) = leaf(value) else {
                return Ok(());
            };
            if !out.is_empty() {
                out.push(b'&');
            }
            let name = byte_serialize(path.as_bytes());
            name.for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.push(b'=');
            let text = byte_serialize(text.as_bytes());
            text.for_each(|part| out.extend_from_slice(part.as_bytes()));
        }
    }
    Ok(())
}

fn step(key: &str) -> Result<&str, Error> {
    if key.is_empty() || key.contains(['[', ']']) || key.chars().any(char::is_control) {
        return Err(Code::InvalidRequest.into());
    }
    Ok(key)
}

/// Parses an answer. Bracket paths become objects; of a field that comes twice the last one stands.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Value> {
    // A page of HTML or text is no form, and every text parses as one: an answer has at least one `name=`.
    std::str::from_utf8(bytes).ok().filter(|text| {
        let name = text.split(['=', '&']).next().unwrap_or("");
        text.contains('=') && !name.is_empty() && !name.contains(['<', '{', ' ', '\n'])
    })?;
    let mut tree = Map::new();
    for (i, (name, value)) in form_urlencoded::parse(bytes).enumerate() {
        if i == MAX_FIELDS {
            return None;
        }
        put(&mut tree, &name, Value::from(value.into_owned()))?;
    }
    Some(Value::Object(tree))
}

// None when two fields contradict each other: `a=1&a[b]=2`.
fn put(tree: &mut Map<String, Value>, name: &str, value: Value) -> Option<()> {
    let (first, rest) = name.split_once('[').unwrap_or((name, ""));
    let inner = rest.strip_suffix(']').unwrap_or(rest);
    let steps: Vec<&str> = match rest {
        "" => vec![],
        _ => inner.split("][").collect(),
    };
    if steps.len() > MAX_DEPTH {
        return None;
    }
    let mut at = tree.entry(first).or_insert(Value::Null);
    for key in steps {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut()?.entry(key).or_insert(Value::Null);
    }
    if at.is_object() {
        return None;
    }
    *at = value;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn text(tree: &Value) -> Option<String> {
        let bytes = write(tree).ok()?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    #[test]
    fn nesting_becomes_brackets() {
        let tree =
            json!({"amount": 5, "card": {"number": "42 42"}, "items": [{"id": "a"}, true, null]});
        let expected = "amount=5&card%5Bnumber%5D=42+42&items%5B0%5D%5Bid%5D=a&items%5B1%5D=true";
        assert_eq!(text(&tree).as_deref(), Some(expected));
    }

    #[test]
    fn a_value_cannot_open_another_field() {
        let tree = json!({"note": "x&card[number]=1%26a=b\r\nc: d"});
        let expected = "note=x%26card%5Bnumber%5D%3D1%2526a%3Db%0D%0Ac%3A+d";
        assert_eq!(text(&tree).as_deref(), Some(expected));
    }

    #[test]
    fn a_key_with_brackets_is_refused() {
        for tree in [
            json!({"a[b]": 1}),
            json!({"a": {"b][c": 1}}),
            json!({"a": {"]": 1}}),
            json!({"": 1}),
            json!({"a": {"": 1}}),
            json!([1]),
        ] {
            assert!(write(&tree).is_err(), "{tree}");
        }
    }

    #[test]
    fn answers_become_trees() {
        let answer = read(b"RESULT=0&card%5Blast4%5D=4242&msg=a+b").expect("a form");
        assert_eq!(
            answer,
            json!({"RESULT": "0", "card": {"last4": "4242"}, "msg": "a b"})
        );
        for no_form in [
            &b"<html><a href='x?a=b'>"[..],
            b"hello",
            b"",
            b"{\"a\":\"b=c\"}",
            b"a=1&a[b]=2",
            b"a[b]=1&a=2",
            b"\xff=1",
        ] {
            assert!(read(no_form).is_none(), "{no_form:?}");
        }
    }

    proptest! {
        #[test]
        fn one_leaf_is_one_field(key in "[^\\[\\]\\p{Cc}]{1,12}", value in "\\PC{0,40}") {
            let body = write(&json!({"a": {key.clone(): value.clone()}})).expect("a fit key");
            let fields: Vec<_> = form_urlencoded::parse(&body).collect();
            prop_assert_eq!(fields, vec![(format!("a[{key}]").into(), value.into())]);
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}

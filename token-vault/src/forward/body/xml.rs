//! XML. The tree's top is the content of one root element that the operation names.
//!
//! | in the tree | in the document |
//! |---|---|
//! | `"name": "text"` (number, bool) | `<name>text</name>` |
//! | `"name": {..}` | `<name>..</name>` |
//! | `"name": [a, b]` | `<name>a</name><name>b</name>` |
//! | `"@name": "text"` | an attribute of the element around it |
//! | `"#text": "text"` | the text of an element that has attributes too |
//! | `"name": null` | nothing |
//!
//! Schemas often fix the order of elements and a JSON object has none: an operation lists it as `sequence`; elements
//! that are not listed follow by name. Names are checked, text is escaped, namespaces are the operation's alone
//! (`fixed`), and nothing here writes a DOCTYPE, an entity, a comment or a processing instruction. `xml_tree` reads answers
//! by the same table.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use vault_api::Code;
use zeroize::Zeroizing;

use super::leaf;
use crate::Error;

/// What an operation says of its XML.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The root element's name.
    pub root: String,
    /// Pointers of elements in the order the schema wants, `/order/amount`; array indices are left out.
    pub sequence: Vec<String>,
}

/// Serialises a tree.
///
/// # Errors
/// `invalid_request` for what XML cannot hold: a bad name, a control character, text beside elements.
pub fn write(tree: &Value, shape: &Shape) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut out = Zeroizing::new(String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#));
    element(&shape.root, tree, &mut String::new(), shape, &mut out)?;
    Ok(Zeroizing::new(out.as_bytes().to_vec()))
}

fn element(
    name: &str,
    value: &Value,
    at: &mut String,
    shape: &Shape,
    out: &mut Zeroizing<String>,
) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Code::InvalidRequest.into());
    }
    match value {
        Value::Null => Ok(()),
        // An array in an array has no name for its inner elements.
        Value::Array(_) => Err(Code::InvalidRequest.into()),
        Value::Object(fields) => {
            let _ = write!(out, "<{name}");
            let attributes = fields.iter().filter_map(|(key, value)| {
                let value = leaf(value).ok_or(Code::InvalidRequest);
                key.strip_prefix('@').map(|key| (key, value))
            });
            for (key, text) in attributes {
                if !is_name(key) {
                    return Err(Code::InvalidRequest.into());
                }
                let _ = write!(out, " {key}=\"");
                escape(&text?, out)?;
                out.push('"');
            }
            out.push('>');
            content(fields, at, shape, out)?;
            let _ = write!(out, "</{name}>");
            Ok(())
        }
        _ => {
            let _ = write!(out, "<{name}>");
            escape(&leaf(value).unwrap_or_default(), out)?;
            let _ = write!(out, "</{name}>");
            Ok(())
        }
    }
}

fn content(
    fields: &Map<String, Value>,
    at: &mut String,
    shape: &Shape,
    out: &mut Zeroizing<String>,
) -> Result<(), Error> {
    let mut children: Vec<_> = fields
        .iter()
        .filter(|(key, _)| !key.starts_with(['@', '#']))
        .collect();
    for key in fields.keys().filter(|key| key.starts_with('#')) {
        if key != "#text" || !children.is_empty() {
            return Err(Code::InvalidRequest.into());
        }
        let text = leaf(&fields[key]).ok_or(Code::InvalidRequest)?;
        escape(&text, out)?;
    }
    let place = |key: &str| {
        let pointer = format!("{at}/{key}");
        let found = shape.sequence.iter().position(|listed| *listed == pointer);
        found.unwrap_or(usize::MAX)
    };
    children.sort_by_key(|(key, _)| place(key));
    for (key, value) in children {
        let length = at.len();
        let _ = write!(at, "/{key}");
        match value {
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| element(key, item, at, shape, out))?,
            _ => element(key, value, at, shape, out)?,
        }
        at.truncate(length);
    }
    Ok(())
}

/// Whether `name` can name an element or attribute: ASCII, at most one namespace prefix, nothing reserved.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let mut bytes = part.bytes();
        bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    name.len() <= 64
        && match name.split_once(':') {
            Some((prefix, local)) => part(prefix) && part(local),
            None => part(name),
        }
}

// Everything that could end a text or an attribute, as references; what XML 1.0 has no place for is refused.
fn escape(text: &str, out: &mut Zeroizing<String>) -> Result<(), Error> {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\u{fffe}' | '\u{ffff}' => return Err(Code::InvalidRequest.into()),
            c if c.is_control() => return Err(Code::InvalidRequest.into()),
            c => out.push(c),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn shape(sequence: &[&str]) -> Shape {
        Shape {
            root: "Payment".into(),
            sequence: sequence.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    fn text(tree: &Value, sequence: &[&str]) -> Option<String> {
        let bytes = write(tree, &shape(sequence)).ok()?;
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        text.strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?>"#)
            .map(str::to_owned)
    }

    #[test]
    fn a_tree_becomes_elements_in_the_schema_s_order() {
        let tree = json!({"@version": "1", "card": {"number": "42", "exp": null}, "amount": {"@currency": "USD", "#text": 5}, "item": ["a", {"b": true}]});
        let expected = r#"<Payment version="1"><card><number>42</number></card><amount currency="USD">5</amount><item>a</item><item><b>true</b></item></Payment>"#;
        assert_eq!(
            text(&tree, &["/card", "/amount"]).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn markup_stays_text() {
        let tree = json!({"note": "</note><card>&x;]]>\"'\n", "@a": "\"><x y='"});
        let expected = "<Payment a=\"&quot;&gt;&lt;x y=&apos;\"><note>&lt;/note&gt;&lt;card&gt;&amp;x;]]&gt;&quot;&apos;&#10;</note></Payment>";
        assert_eq!(text(&tree, &[]).as_deref(), Some(expected));
    }

    #[test]
    fn names_that_are_markup_and_characters_that_are_not_xml_are_refused() {
        for tree in [
            json!({"a b": 1}),
            json!({"a><b": 1}),
            json!({"!--": 1}),
            json!({"?xml": 1}),
            json!({"": 1}),
            json!({"@": 1}),
            json!({"@a=\"1\" b": 1}),
            json!({"a:b:c": 1}),
            json!({"a": "\u{0}"}),
            json!({"a": "\u{ffff}"}),
            json!({"@a": {"b": 1}}),
            json!({"#cdata": "x"}),
            json!({"#text": "x", "a": 1}),
            json!({"a": [[1]]}),
        ] {
            assert!(write(&tree, &shape(&[])).is_err(), "{tree}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in "\\PC{0,60}", attribute in "\\PC{0,60}") {
            let tree = json!({"@a": attribute, "b": {"c": value.trim()}});
            let bytes = write(&tree, &shape(&[])).expect("a fit tree");
            prop_assert_eq!(xml_tree::read(&bytes), Some(tree));
        }
    }
}

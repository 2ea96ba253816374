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
//! (`fixed`), and nothing here writes a DOCTYPE, an entity, a comment or a processing instruction. An answer that has
//! a DOCTYPE, or an entity that XML itself does not define, is not read.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};
use vault_api::Code;
use zeroize::Zeroizing;

use super::{MAX_DEPTH, leaf};
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

/// Parses an answer: the content of its root element, by the table above. Names lose their namespace prefix.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut open: Vec<(String, Node)> = vec![];
    let mut root = None;
    loop {
        let event = reader.read_event().ok()?;
        match event {
            Event::Start(start) if root.is_none() && open.len() < MAX_DEPTH => {
                open.push((name_of(&start)?, Node::start(&start)?));
            }
            Event::Empty(start) if root.is_none() && open.len() < MAX_DEPTH => {
                let (name, node) = (name_of(&start)?, Node::start(&start)?);
                close(name, node, &mut open, &mut root);
            }
            Event::End(_) => {
                let (name, node) = open.pop()?;
                close(name, node, &mut open, &mut root);
            }
            Event::Text(text) => match open.last_mut() {
                Some((_, node)) => node.text.push_str(&text.xml10_content().ok()?),
                None if text.iter().all(u8::is_ascii_whitespace) => {}
                None => return None,
            },
            Event::CData(text) => open
                .last_mut()?
                .1
                .text
                .push_str(&text.xml10_content().ok()?),
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref().ok()? {
                    Some(c) => c,
                    None => predefined(&reference.decode().ok()?)?,
                };
                open.last_mut()?.1.text.push(c);
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return if open.is_empty() { root } else { None },
            // A DOCTYPE (entities), a second root, or too deep.
            Event::Start(_) | Event::Empty(_) | Event::DocType(_) => return None,
        }
    }
}

#[derive(Default)]
struct Node {
    fields: Map<String, Value>,
    text: String,
}

impl Node {
    fn start(start: &BytesStart<'_>) -> Option<Self> {
        let mut node = Self::default();
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let key = std::str::from_utf8(attribute.key.local_name().into_inner())
                .ok()?
                .to_owned();
            let raw = std::str::from_utf8(&attribute.value).ok()?;
            let value = quick_xml::escape::unescape(raw).ok()?;
            node.fields
                .insert(format!("@{key}"), Value::from(value.into_owned()));
        }
        Some(node)
    }

    fn value(mut self) -> Value {
        let text = self.text.trim();
        if self.fields.is_empty() {
            return Value::from(text);
        }
        if !text.is_empty() {
            self.fields.insert("#text".to_owned(), Value::from(text));
        }
        Value::Object(self.fields)
    }
}

fn name_of(start: &BytesStart<'_>) -> Option<String> {
    let name = start.local_name().into_inner().to_vec();
    String::from_utf8(name).ok()
}

fn close(name: String, node: Node, open: &mut [(String, Node)], root: &mut Option<Value>) {
    let value = node.value();
    let Some((_, parent)) = open.last_mut() else {
        *root = Some(value);
        return;
    };
    match parent.fields.get_mut(&name) {
        None => {
            parent.fields.insert(name, value);
        }
        // No element's value is an array, so an array here is a list of elements of one name.
        Some(Value::Array(items)) => items.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
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

    #[test]
    fn answers_become_trees() {
        let answer = br#"<?xml version="1.0"?><s:Reply xmlns:s="urn:x" ok="a&amp;b"><!-- c --><s:code>00</s:code><m lang="en">Fish &amp; &#x43;hips</m><i/><i>2</i><![CDATA[ ]]></s:Reply>"#;
        let expected = json!({"@s": "urn:x", "@ok": "a&b", "code": "00", "m": {"@lang": "en", "#text": "Fish & Chips"}, "i": ["", "2"]});
        assert_eq!(read(answer), Some(expected));
    }

    #[test]
    fn entities_and_broken_documents_are_not_read() {
        for text in [
            r#"<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>"#,
            r#"<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>"#,
            "<a>&x;</a>",
            "<a b='&x;'/>",
            "<a><b></a>",
            "<a></a><b></b>",
            "<a>",
            "text",
            "",
            "<a></a>text",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
        assert_eq!(read(deep.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in "\\PC{0,60}", attribute in "\\PC{0,60}") {
            let tree = json!({"@a": attribute, "b": {"c": value.trim()}});
            let bytes = write(&tree, &shape(&[])).expect("a fit tree");
            prop_assert_eq!(read(&bytes), Some(tree));
        }

        #[test]
        fn reading_never_panics(text in "[<>&;!/a-c\"'= \\[\\]\\-?]{0,60}") {
            let _ = read(text.as_bytes());
        }
    }
}

//! XML documents as JSON trees: how an acquirer's answer reads, whether the vault passes it on or payments asked for it.
//!
//! | in the document | in the tree |
//! |---|---|
//! | the root element | the tree's top is its content |
//! | `<name>text</name>` | `"name": "text"` |
//! | `<name>..</name>` | `"name": {..}` |
//! | `<name>a</name><name>b</name>` | `"name": ["a", "b"]` |
//! | an attribute | `"@name": "text"` of the element around it |
//! | the text of an element that has attributes too | `"#text": "text"` |
//!
//! A DOCTYPE, or an entity that XML itself does not define, makes a document unreadable: nothing is fetched or expanded.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// How deep elements may stand in each other.
pub const MAX_DEPTH: usize = 32;

/// Reads a document: the content of its root element, by the table above; none for what is no document or nests deeper than [`MAX_DEPTH`]. Names lose their namespace prefix.
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
        fn reading_never_panics(text in "[<>&;!/a-c\"'= \\[\\]\\-?]{0,60}") {
            let _ = read(text.as_bytes());
        }
    }
}

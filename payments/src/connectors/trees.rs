//! Answers as trees, the same ones that the vault answers a forward with: a form's fields as they are (bracket paths
//! do not occur here), a document as the content of its root element.
//!
//! In a document's tree `"@name"` is an attribute, `"#text"` the text of an element that has attributes too, several
//! elements of one name are an array. A DOCTYPE or an entity that XML does not define makes it unreadable.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// How deep an answer may be.
const MAX_DEPTH: usize = 32;

/// Reads `name=value&..`.
pub fn form(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    let name = text.split(['=', '&']).next().unwrap_or_default();
    if !text.contains('=') || name.is_empty() || name.contains(['<', '{', ' ', '\n']) {
        return None;
    }
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        // A field that comes twice makes the answer none: which one counts?
        if fields
            .insert(name.into_owned(), Value::from(value.into_owned()))
            .is_some()
        {
            return None;
        }
    }
    Some(Value::Object(fields))
}

/// Reads a document.
pub fn xml(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, Node)> = vec![];
    let mut root = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if root.is_none() && open.len() < MAX_DEPTH => {
                open.push((name_of(&start)?, Node::start(&start)?));
            }
            Event::Empty(start) if root.is_none() && open.len() < MAX_DEPTH => {
                close(name_of(&start)?, Node::start(&start)?, &mut open, &mut root);
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
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref().ok()? {
                    Some(c) => c,
                    None => predefined(&reference.decode().ok()?)?,
                };
                open.last_mut()?.1.text.push(c);
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return if open.is_empty() { root } else { None },
            _ => return None,
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
            let key = attribute.key.local_name().into_inner().to_vec();
            let raw = std::str::from_utf8(&attribute.value).ok()?;
            let value = quick_xml::escape::unescape(raw).ok()?.into_owned();
            let key = format!("@{}", String::from_utf8(key).ok()?);
            node.fields.insert(key, Value::from(value));
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
    String::from_utf8(start.local_name().into_inner().to_vec()).ok()
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
    use serde_json::json;

    #[test]
    fn a_document_is_read_as_the_vault_reads_it() {
        let text =
            br#"<?xml version="1.0"?><r v="1"><a id="x">t</a><b/><c>1</c><c>&lt;2&#33;</c></r>"#;
        assert_eq!(
            xml(text),
            Some(json!({"@v": "1", "a": {"@id": "x", "#text": "t"}, "b": "", "c": ["1", "<2!"]}))
        );
        for bad in [
            &b"<!DOCTYPE a><a/>"[..],
            b"<a>",
            b"<a/><b/>",
            b"<a>&x;</a>",
            b"",
            b"{}",
            b"\xff",
        ] {
            assert_eq!(xml(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_form_that_says_things_twice_says_nothing() {
        assert_eq!(form(b"A=1&B=x+y"), Some(json!({"A": "1", "B": "x y"})));
        for bad in [
            &b"A=1&A=1"[..],
            b"",
            b"<a href='x=y'>",
            b"hello",
            b"{\"a\":\"=\"}",
        ] {
            assert_eq!(form(bad), None);
        }
    }
}

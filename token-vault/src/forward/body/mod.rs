//! Bodies as trees: what is sent is serialised from one, what is answered is parsed into one. Three formats, one file
//! each: JSON (here), [`form`] and [`xml`].

mod form;
mod xml;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vault_api::Code;
use zeroize::Zeroizing;

use crate::Error;
pub use xml::Shape;

/// How deep a tree may be, in and out: nothing an acquirer speaks comes near it.
const MAX_DEPTH: usize = 32;

/// What a body is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `application/json`.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, nesting as bracket paths: `card[number]=..`.
    Form,
    /// `application/xml`; see [`Shape`] for how a tree becomes elements.
    Xml,
}

impl Format {
    /// The media type that is sent.
    #[must_use]
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Xml => "application/xml; charset=utf-8",
        })
    }

    /// The format a `Content-Type` names.
    #[must_use]
    pub fn of_content_type(value: &str) -> Option<Self> {
        let kind = value.split(';').next().unwrap_or("").trim();
        let kind = kind.to_ascii_lowercase();
        match kind.as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/xml" | "text/xml" => Some(Self::Xml),
            _ if kind.ends_with("+json") => Some(Self::Json),
            _ if kind.ends_with("+xml") => Some(Self::Xml),
            _ => None,
        }
    }

    /// Serialises a tree.
    ///
    /// # Errors
    /// `invalid_request` when the tree has something this format cannot hold, or that would change its structure.
    pub fn write(self, tree: &Value, shape: &Shape) -> Result<Zeroizing<Vec<u8>>, Error> {
        if depth(tree) > MAX_DEPTH {
            return Err(Code::InvalidRequest.into());
        }
        match self {
            Self::Json => serde_json::to_vec(tree)
                .map(Zeroizing::new)
                .map_err(|_| Error::Internal("a body could not be written")),
            Self::Form => form::write(tree),
            Self::Xml => xml::write(tree, shape),
        }
    }

    /// Parses an answer; none when it is not what it says. The text goes no further.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Option<Value> {
        match self {
            Self::Json => serde_json::from_slice(bytes).ok(),
            Self::Form => form::read(bytes),
            Self::Xml => xml_tree::read(bytes),
        }
    }
}

fn depth(tree: &Value) -> usize {
    match tree {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

// The text of a leaf; none for null, which has no place in a form or an element.
fn leaf(value: &Value) -> Option<Zeroizing<String>> {
    match value {
        Value::String(text) => Some(Zeroizing::new(text.clone())),
        Value::Number(number) => Some(Zeroizing::new(number.to_string())),
        Value::Bool(flag) => Some(Zeroizing::new(flag.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for (text, format) in [
            ("application/json; charset=utf-8", Some(Format::Json)),
            ("Application/Problem+JSON", Some(Format::Json)),
            ("text/xml", Some(Format::Xml)),
            ("application/soap+xml", Some(Format::Xml)),
            ("application/x-www-form-urlencoded", Some(Format::Form)),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(Format::of_content_type(text), format, "{text}");
        }
    }

    #[test]
    fn a_tree_too_deep_is_refused() {
        let mut tree = Value::from(1);
        for _ in 0..=MAX_DEPTH {
            tree = Value::Array(vec![tree]);
        }
        for format in [Format::Json, Format::Form, Format::Xml] {
            assert!(format.write(&tree, &Shape::default()).is_err());
        }
        let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Format::Json.read(text.as_bytes()).is_none());
    }
}

//! Parameters taken from the tree one by one, each of one type; what is left over is unknown and refused.

use std::collections::BTreeMap;

use super::form::Node;
use crate::error::{Error, Refusal};

/// Metadata as Stripe has it.
pub type Metadata = BTreeMap<String, String>;

/// The parameters of one call, or one hash within them.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// `payment_method_data[card]` for the parts of that hash; empty at the top.
    path: String,
    parts: BTreeMap<String, Node>,
}

impl Params {
    pub fn new(parts: BTreeMap<String, Node>) -> Self {
        Self {
            path: String::new(),
            parts,
        }
    }

    /// The full name of a parameter, as errors name it.
    pub fn name_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}[{name}]", self.path)
        }
    }

    /// A text, when it is there; an empty one is refused.
    pub fn text(&mut self, name: &str, most: usize) -> Result<Option<String>, Error> {
        match self.clearable(name, most)? {
            Some(None) => {
                let message = format!(
                    "You passed an empty string for '{}', which cannot be unset.",
                    self.name_of(name)
                );
                Err(Refusal::new("parameter_invalid_empty", message)
                    .param(self.name_of(name))
                    .into())
            }
            other => Ok(other.flatten()),
        }
    }

    /// A text that an empty one unsets: `Some(None)`.
    pub fn clearable(&mut self, name: &str, most: usize) -> Result<Option<Option<String>>, Error> {
        match self.parts.remove(name) {
            None => Ok(None),
            Some(Node::Text(text)) if text.is_empty() => Ok(Some(None)),
            Some(Node::Text(text)) if text.chars().count() <= most => Ok(Some(Some(text))),
            Some(Node::Text(_)) => {
                let message = format!(
                    "'{}' may be at most {most} characters long.",
                    self.name_of(name)
                );
                Err(Refusal::new("parameter_invalid_string_too_long", message)
                    .param(self.name_of(name))
                    .into())
            }
            Some(Node::Parts(_)) => {
                Err(self.wrong_type(name, "parameter_invalid_string", "a string"))
            }
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &str, most: usize) -> Result<String, Error> {
        self.text(name, most)?.ok_or_else(|| self.missing(name))
    }

    /// The error for a parameter that must be there.
    pub fn missing(&self, name: &str) -> Error {
        let name = self.name_of(name);
        Refusal::new(
            "parameter_missing",
            format!("Missing required param: {name}."),
        )
        .param(name)
        .into()
    }

    /// One of the words of an enumeration.
    pub fn one_of(
        &mut self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, Error> {
        let Some(text) = self.text(name, 100)? else {
            return Ok(None);
        };
        let known = words.iter().find(|word| **word == text);
        known.copied().map(Some).ok_or_else(|| {
            let message = format!(
                "Invalid {}: must be one of {}.",
                self.name_of(name),
                words.join(", ")
            );
            Refusal::plain(message).param(self.name_of(name)).into()
        })
    }

    /// A whole number. No point, no exponent, no sign but `-`.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name, usize::MAX)? else {
            return Ok(None);
        };
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number = whole.then(|| text.parse().ok()).flatten();
        number
            .map(Some)
            .ok_or_else(|| self.wrong_type(name, "parameter_invalid_integer", "an integer"))
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Error> {
        Ok(match self.one_of(name, &["true", "false"])? {
            Some("true") => Some(true),
            Some(_) => Some(false),
            None => None,
        })
    }

    /// Whether the parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.parts.contains_key(name)
    }

    /// Whether the parameter is there and is an empty text.
    pub fn is_empty(&self, name: &str) -> bool {
        matches!(self.parts.get(name), Some(Node::Text(text)) if text.is_empty())
    }

    /// Whether the parameter is there and is a hash.
    pub fn is_hash(&self, name: &str) -> bool {
        matches!(self.parts.get(name), Some(Node::Parts(_)))
    }

    /// A hash.
    pub fn hash(&mut self, name: &str) -> Result<Option<Self>, Error> {
        match self.parts.remove(name) {
            None => Ok(None),
            Some(Node::Parts(parts)) => Ok(Some(Self {
                path: self.name_of(name),
                parts,
            })),
            Some(Node::Text(_)) => Err(self.wrong_type(name, "parameter_invalid_hash", "a hash")),
        }
    }

    /// A list of hashes.
    pub fn hashes(&mut self, name: &str) -> Result<Option<Vec<Self>>, Error> {
        self.items(name, |list, place| {
            list.hash(place)?.ok_or_else(|| list.missing(place))
        })
    }

    /// A list of texts.
    pub fn list(&mut self, name: &str, most: usize) -> Result<Option<Vec<String>>, Error> {
        self.items(name, |list, place| list.required(place, most))
    }

    fn items<T>(
        &mut self,
        name: &str,
        take: impl Fn(&mut Self, &str) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let no_list = self.wrong_type(name, "parameter_invalid_array", "an array");
        if self.has(name) && !self.is_hash(name) {
            return Err(no_list);
        }
        let Some(mut list) = self.hash(name)? else {
            return Ok(None);
        };
        let places = list.parts.keys().map(|key| key.parse::<usize>());
        let Ok(mut places) = places.collect::<Result<Vec<_>, _>>() else {
            return Err(no_list);
        };
        places.sort_unstable();
        let items = places
            .iter()
            .map(|place| take(&mut list, &place.to_string()));
        items.collect::<Result<_, _>>().map(Some)
    }

    /// Metadata to merge: a value, or None to remove the key.
    pub fn metadata(&mut self) -> Result<BTreeMap<String, Option<String>>, Error> {
        if self.parts.get("metadata") == Some(&Node::Text(String::new())) {
            // Stripe: an empty string clears all; the caller sees a key that no metadata can have.
            self.parts.remove("metadata");
            return Ok(BTreeMap::from([(String::new(), None)]));
        }
        let Some(mut hash) = self.hash("metadata")? else {
            return Ok(BTreeMap::new());
        };
        let keys: Vec<String> = hash.parts.keys().cloned().collect();
        if keys.len() > MOST_KEYS {
            return Err(too_many_keys(self.name_of("metadata")));
        }
        let mut out = BTreeMap::new();
        for key in keys {
            if key.chars().count() > 40 {
                let refusal = Refusal::plain("Metadata keys may be at most 40 characters long.");
                return Err(refusal.param(self.name_of("metadata")).into());
            }
            let value = hash.clearable(&key, 500)?.flatten();
            out.insert(key, value);
        }
        Ok(out)
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<(), Error> {
        match self.parts.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name = self.name_of(name);
                let message = format!("Received unknown parameter: {name}");
                Err(Refusal::new("parameter_unknown", message)
                    .param(name)
                    .into())
            }
        }
    }

    fn wrong_type(&self, name: &str, code: &'static str, wanted: &str) -> Error {
        let name = self.name_of(name);
        Refusal::new(code, format!("Invalid {name}: must be {wanted}."))
            .param(name)
            .into()
    }
}

/// Merges a metadata update into what is there; at most 50 keys.
pub fn merge_metadata(
    into: &mut Metadata,
    update: BTreeMap<String, Option<String>>,
) -> Result<(), Error> {
    for (key, value) in update {
        match value {
            Some(value) => drop(into.insert(key, value)),
            None if key.is_empty() => into.clear(),
            None => drop(into.remove(&key)),
        }
    }
    if into.len() > MOST_KEYS {
        return Err(too_many_keys("metadata".into()));
    }
    Ok(())
}

const MOST_KEYS: usize = 50;

fn too_many_keys(name: String) -> Error {
    let refusal = Refusal::plain("Metadata may have at most 50 keys.");
    refusal.param(name).into()
}

/// JSON of our own that a column holds.
pub fn from_column<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "a JSON column does not hold what the code expects");
        Error::Internal("a JSON column is not readable")
    })
}

#[cfg(test)]
mod tests {
    use super::super::form::decode;
    use super::*;

    fn params(body: &str) -> Params {
        Params::new(decode(body.as_bytes()).expect("decoded"))
    }

    fn code(error: &Error) -> String {
        error.body()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn integers_are_whole_and_in_range() {
        assert_eq!(
            params("amount=100").integer("amount").expect("an integer"),
            Some(100)
        );
        assert_eq!(
            params("amount=-5").integer("amount").expect("an integer"),
            Some(-5)
        );
        for bad in [
            "1.5",
            "1e3",
            "abc",
            "0x10",
            "+5",
            " 5",
            "--5",
            "99999999999999999999",
            "-",
        ] {
            let error = params(&format!("amount={}", bad.replace('+', "%2B"))).integer("amount");
            assert_eq!(
                code(&error.expect_err("refused")),
                "parameter_invalid_integer",
                "{bad}"
            );
        }
        assert_eq!(
            code(&params("amount=").integer("amount").expect_err("empty")),
            "parameter_invalid_empty"
        );
    }

    #[test]
    fn what_nobody_takes_is_unknown() {
        let mut call = params("a=1&b[c]=2");
        call.text("a", 10).expect("taken");
        let mut hash = call.hash("b").expect("a hash").expect("there");
        call.finish().expect("all taken");
        assert_eq!(hash.integer("d").expect("absent"), None);
        let error = hash.finish().expect_err("left over");
        assert_eq!(error.body()["error"]["param"], "b[c]");
    }

    #[test]
    fn metadata_merges_and_unsets() {
        let mut there = Metadata::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        merge_metadata(
            &mut there,
            params("metadata[a]=&metadata[c]=3")
                .metadata()
                .expect("metadata"),
        )
        .expect("merged");
        assert_eq!(
            there,
            Metadata::from([("b".into(), "2".into()), ("c".into(), "3".into())])
        );
        merge_metadata(
            &mut there,
            params("metadata=").metadata().expect("metadata"),
        )
        .expect("merged");
        assert!(there.is_empty());
    }
}

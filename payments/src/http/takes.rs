//! What a route takes, as the route table writes it. Each call is held against it before its handler runs, and the OpenAPI
//! description is made of it.
//!
//! A word is a parameter: its name, what it holds, `?` when an empty text unsets it, `!` when it is needed.
//!
//! | written | what it holds |
//! |---|---|
//! | `name`, `name:500` | a text of at most 100 characters, of at most 500 |
//! | `name:a\|b` | one of these words |
//! | `name:int`, `name:1..100` | a whole number, one within these bounds |
//! | `name:bool`, `name:time` | `true` or `false`; Unix seconds, or a range of them |
//! | `name:amount`, `name:currency` | what [`crate::currency`] takes |
//! | `name:metadata` | at most 50 texts of at most 500 characters |
//! | `name[]`, `name[]:500` | a list of texts |
//! | `name{..}`, `name[]{..}` | a hash of such words, a list of such hashes |

use serde_json::{Map, Value, json};

use super::params::Params;
use crate::currency;
use crate::error::{Error, Refusal};

/// A parameter of a route.
#[derive(Debug)]
pub struct Param {
    name: &'static str,
    kind: Kind,
    is_list: bool,
    /// An empty text unsets it.
    clears: bool,
    needed: bool,
}

#[derive(Debug)]
enum Kind {
    Text(usize),
    Words(Vec<&'static str>),
    Whole(i64, i64),
    Flag,
    Time,
    Amount,
    Currency,
    Metadata,
    Parts(Vec<Param>),
}

/// The length of a text of which nothing is said: an id's, and more.
const SHORT: usize = 100;
const TIMES: &[&str] = &["gt", "gte", "lt", "lte"];

/// Reads the table's words. It is the program's own text: what cannot be read is a fault of ours, which every start shows.
pub fn read(words: &'static str) -> Vec<Param> {
    let mut rest = words;
    let params = params(&mut rest);
    assert!(rest.is_empty(), "a }} too much: {rest}");
    params
}

fn params(rest: &mut &'static str) -> Vec<Param> {
    let mut params = Vec::new();
    loop {
        *rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('}') {
            return params;
        }
        params.push(param(rest));
    }
}

fn param(rest: &mut &'static str) -> Param {
    let name = until(rest, |c| !c.is_ascii_alphanumeric() && c != '_');
    assert!(!name.is_empty(), "a parameter without a name: {rest}");
    let is_list = eat(rest, "[]");
    let kind = if eat(rest, "{") {
        let parts = params(rest);
        assert!(eat(rest, "}"), "a }} is missing after {name}");
        Kind::Parts(parts)
    } else if eat(rest, ":") {
        Kind::read(until(rest, |c| c.is_whitespace() || "?!}".contains(c)))
    } else {
        Kind::Text(SHORT)
    };
    Param {
        name,
        kind,
        is_list,
        clears: eat(rest, "?"),
        needed: eat(rest, "!"),
    }
}

fn until(rest: &mut &'static str, end: impl Fn(char) -> bool) -> &'static str {
    let (word, after) = rest.split_at(rest.find(end).unwrap_or(rest.len()));
    *rest = after;
    word
}

fn eat(rest: &mut &'static str, sign: &str) -> bool {
    let after = rest.strip_prefix(sign);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

impl Kind {
    fn read(word: &'static str) -> Self {
        let bounds = word.split_once("..");
        let bounds = bounds.and_then(|(from, to)| from.parse().ok().zip(to.parse().ok()));
        match word {
            "int" => Self::Whole(i64::MIN, i64::MAX),
            "bool" => Self::Flag,
            "time" => Self::Time,
            "amount" => Self::Amount,
            "currency" => Self::Currency,
            "metadata" => Self::Metadata,
            _ => match (bounds, word.parse()) {
                (Some((from, to)), _) => Self::Whole(from, to),
                (None, Ok(most)) => Self::Text(most),
                (None, Err(_)) => Self::Words(word.split('|').collect()),
            },
        }
    }
}

/// Refuses parameters that are not as `takes` describes them.
pub fn check(takes: &[Param], mut params: Params) -> Result<(), Error> {
    for param in takes {
        param.check(&mut params)?;
    }
    params.finish()
}

impl Param {
    fn check(&self, params: &mut Params) -> Result<(), Error> {
        let name = self.name;
        if !params.has(name) {
            return if self.needed {
                Err(params.missing(name))
            } else {
                Ok(())
            };
        }
        if self.clears && params.is_empty(name) {
            return params.clearable(name, 0).map(drop);
        }
        match &self.kind {
            Kind::Text(most) if self.is_list => params.list(name, *most).map(drop),
            Kind::Text(most) => params.text(name, *most).map(drop),
            Kind::Words(words) => params.one_of(name, words).map(drop),
            Kind::Whole(from, to) => within(params, name, *from..=*to),
            Kind::Flag => params.boolean(name).map(drop),
            Kind::Time if params.is_hash(name) => each(params.hash(name)?, |range| {
                TIMES
                    .iter()
                    .try_for_each(|edge| range.integer(edge).map(drop))
            }),
            Kind::Time => params.integer(name).map(drop),
            Kind::Amount => currency::amount(params, name).map(drop),
            Kind::Currency => currency::currency(params).map(drop),
            Kind::Metadata => params.metadata().map(drop),
            Kind::Parts(parts) if self.is_list => {
                let hashes = params.hashes(name)?.unwrap_or_default();
                hashes.into_iter().try_for_each(|hash| check(parts, hash))
            }
            Kind::Parts(parts) => each(params.hash(name)?, |hash| {
                parts.iter().try_for_each(|part| part.check(hash))
            }),
        }
    }

    /// Its name, whether it is needed, and its schema.
    pub fn described(&self) -> (&'static str, bool, Value) {
        (self.name, self.needed, self.schema())
    }

    fn schema(&self) -> Value {
        let one = match &self.kind {
            Kind::Text(most) => {
                json!({ "type": "string", "minLength": i32::from(!self.clears), "maxLength": most })
            }
            Kind::Words(words) => json!({ "type": "string", "enum": words }),
            Kind::Whole(i64::MIN, _) => json!({ "type": "integer" }),
            Kind::Whole(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
            Kind::Flag => json!({ "type": "boolean" }),
            Kind::Time => {
                json!({ "anyOf": [{ "type": "integer" }, { "type": "object", "additionalProperties": false,
                "properties": TIMES.iter().map(|edge| ((*edge).to_owned(), json!({ "type": "integer" }))).collect::<Map<_, _>>() }] })
            }
            Kind::Amount => {
                json!({ "type": "integer", "minimum": 1, "maximum": currency::LARGEST })
            }
            Kind::Currency => json!({ "type": "string", "pattern": "^[A-Za-z]{3}$" }),
            Kind::Metadata => {
                json!({ "type": "object", "maxProperties": 50, "propertyNames": { "maxLength": 40 },
                "additionalProperties": { "type": "string", "maxLength": 500 } })
            }
            Kind::Parts(parts) => object(parts),
        };
        if self.is_list {
            json!({ "type": "array", "items": one })
        } else {
            one
        }
    }
}

/// The schema of a hash of parameters.
pub fn object(takes: &[Param]) -> Value {
    let all = takes.iter().map(Param::described);
    let (mut properties, mut needed) = (Map::new(), Vec::new());
    for (name, is_needed, schema) in all {
        properties.insert(name.to_owned(), schema);
        needed.extend(is_needed.then_some(name));
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": needed })
}

fn each(
    hash: Option<Params>,
    check: impl FnOnce(&mut Params) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut hash = hash.unwrap_or_default();
    check(&mut hash)?;
    hash.finish()
}

fn within(
    params: &mut Params,
    name: &str,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<(), Error> {
    let number = params.integer(name)?;
    if number.is_none_or(|number| bounds.contains(&number)) {
        return Ok(());
    }
    let name = params.name_of(name);
    let message = format!(
        "Invalid {name}: must be {} to {}.",
        bounds.start(),
        bounds.end()
    );
    Err(Refusal::new("parameter_invalid_integer", message)
        .param(name)
        .into())
}

#[cfg(test)]
mod tests {
    use super::super::form::decode;
    use super::*;

    const TAKES: &str =
        "id! note:5? kind:a|b many:1..3 lines[]{price{unit:int!}! name} types[] when:time";

    fn judged(body: &str) -> Result<(), String> {
        let params = Params::new(decode(body.as_bytes()).expect("decoded"));
        let judged = check(&read(TAKES), params);
        judged.map_err(|error| {
            let error = &error.body()["error"];
            let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", word("code"), word("param"))
        })
    }

    #[test]
    fn what_is_as_described_passes() {
        for body in [
            "id=1",
            "id=1&note=&kind=b&many=3&types[]=x&when=5",
            "id=1&lines[0][price][unit]=5&lines[1][price][unit]=6&lines[1][name]=x&when[gte]=1",
        ] {
            assert_eq!(judged(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_is_not_is_named() {
        for (body, wanted) in [
            ("note=x", "parameter_missing id"),
            ("id=", "parameter_invalid_empty id"),
            ("id=1&x=1", "parameter_unknown x"),
            ("id=1&note=123456", "parameter_invalid_string_too_long note"),
            ("id=1&kind=c", " kind"),
            ("id=1&many=4", "parameter_invalid_integer many"),
            ("id=1&lines[0][name]=x", "parameter_missing lines[0][price]"),
            (
                "id=1&lines[0][price][unit]=x",
                "parameter_invalid_integer lines[0][price][unit]",
            ),
            (
                "id=1&lines[0][price][unit]=1&lines[0][x]=1",
                "parameter_unknown lines[0][x]",
            ),
            ("id=1&types=x", "parameter_invalid_array types"),
            ("id=1&when[at]=1", "parameter_unknown when[at]"),
        ] {
            assert_eq!(judged(body), Err(wanted.to_owned()), "{body}");
        }
    }

    #[test]
    fn the_schema_says_the_same() {
        let schema = object(&read("id! note:5? many:1..3 lines[]{name}"));
        assert_eq!(
            schema,
            json!({ "type": "object", "additionalProperties": false, "required": ["id"], "properties": {
                "id": { "type": "string", "minLength": 1, "maxLength": 100 },
                "note": { "type": "string", "minLength": 0, "maxLength": 5 },
                "many": { "type": "integer", "minimum": 1, "maximum": 3 },
                "lines": { "type": "array", "items": { "type": "object", "additionalProperties": false, "required": [],
                    "properties": { "name": { "type": "string", "minLength": 1, "maxLength": 100 } } } },
            } })
        );
    }
}

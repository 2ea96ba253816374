//! Stripe's search query language: `status:'succeeded' AND metadata['order']:'6735'`, `amount>1000`, `-currency:'eur'`.
//! Clauses are joined by AND or by OR, not by both. What is not understood is refused, with its place and never its text.

use super::conditions::Condition;
use crate::error::{Error, Refusal};

const MAX_CLAUSES: usize = 10;
/// Substrings are matched from three characters on.
const SHORTEST_PART: usize = 3;

/// What a resource can be searched by.
pub struct Fields {
    /// Names and columns of texts.
    pub texts: &'static [(&'static str, &'static str)],
    /// Names and expressions of whole numbers.
    pub numbers: &'static [(&'static str, &'static str)],
    /// The table; its column `details` holds the metadata.
    pub table: &'static str,
}

/// A query that was understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    clauses: Vec<Clause>,
    any: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Clause {
    negated: bool,
    field: Field,
    op: Op,
    value: Value,
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Text(&'static str),
    Number(&'static str),
    Metadata(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Is,
    Holds,
    Compare(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Number(i64),
    Null,
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str, fields: &Fields) -> Result<Self, Error> {
        let mut reader = Reader { text, at: 0 };
        let mut clauses = Vec::new();
        let (mut and, mut or) = (false, false);
        loop {
            clauses.push(reader.clause(fields)?);
            if clauses.len() > MAX_CLAUSES {
                return Err(reader.refuse("it may have at most 10 clauses"));
            }
            reader.spaces();
            if reader.rest().is_empty() {
                break;
            }
            if reader.word("OR") {
                or = true;
            } else {
                // Clauses side by side are joined by AND.
                reader.word("AND");
                and = true;
            }
            if and && or {
                return Err(reader.refuse("AND and OR cannot be mixed in one query"));
            }
        }
        Ok(Self { clauses, any: or })
    }

    /// Its condition, in the words of the database.
    pub fn condition(&self, fields: &Fields, postgres: bool) -> Condition {
        let parts = self.clauses.iter().map(|clause| {
            let condition = clause.condition(fields, postgres);
            if clause.negated {
                condition.not()
            } else {
                condition
            }
        });
        if self.any {
            Condition::any(parts)
        } else {
            Condition::all(parts)
        }
    }
}

impl Clause {
    fn condition(&self, fields: &Fields, postgres: bool) -> Condition {
        let (column, key) = match &self.field {
            Field::Text(column) | Field::Number(column) => ((*column).to_owned(), None),
            Field::Metadata(key) => (metadata(fields.table, postgres), Some(key)),
        };
        let mut values: Vec<store::Value> = key.into_iter().map(store::Value::from).collect();
        let sql = match (&self.value, self.op) {
            (Value::Null, _) => format!("{column} is null"),
            (Value::Number(number), op) => {
                values.push((*number).into());
                let op = if let Op::Compare(op) = op { op } else { "=" };
                format!("{column} {op} {{}}")
            }
            (Value::Text(text), Op::Holds) => {
                let part = text.replace('\\', "\\\\").replace('%', "\\%");
                let part = part.replace('_', "\\_");
                values.push(format!("%{part}%").into());
                format!("lower({column}) like lower({{}}) escape '\\'")
            }
            (Value::Text(text), _) => {
                values.push(text.into());
                format!("lower({column}) = lower({{}})")
            }
        };
        Condition::new(sql, &values)
    }
}

fn metadata(table: &str, postgres: bool) -> String {
    if postgres {
        "(details::jsonb -> 'metadata' ->> {}::text)".to_owned()
    } else {
        format!(
            "(select m.value from json_each({table}.details -> 'metadata') m where m.key = {{}})"
        )
    }
}

/// Reads a query from left to right.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn takes(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    // A keyword, in any case, that ends where a word ends.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let found = rest
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
            && rest[word.len()..].starts_with(char::is_whitespace);
        if found {
            self.at += word.len();
        }
        found
    }

    fn clause(&mut self, fields: &Fields) -> Result<Clause, Error> {
        self.spaces();
        let negated = self.takes("-");
        let field = self.field(fields)?;
        let op = self.op()?;
        let value = self.value()?;
        let fits = match (&field, op, &value) {
            (Field::Number(_), Op::Is | Op::Compare(_), Value::Number(_))
            | (Field::Text(_) | Field::Metadata(_), Op::Is, Value::Text(_) | Value::Null) => true,
            (Field::Metadata(_), Op::Holds, Value::Text(part)) => {
                if part.chars().count() < SHORTEST_PART {
                    return Err(self.refuse("~ needs at least 3 characters"));
                }
                true
            }
            _ => false,
        };
        if !fits {
            let why = match field {
                Field::Number(_) => "this field takes :, >, <, >=, <= and a whole number",
                Field::Text(_) => "this field takes : and a quoted text, or null",
                Field::Metadata(_) => "metadata takes : or ~ and a quoted text, or null",
            };
            return Err(self.refuse(why));
        }
        Ok(Clause {
            negated,
            field,
            op,
            value,
        })
    }

    fn field(&mut self, fields: &Fields) -> Result<Field, Error> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = &rest[..end.unwrap_or(rest.len())];
        if name == "metadata" {
            self.at += name.len();
            if !self.takes("[") {
                return Err(self.refuse("metadata needs a key: metadata['key']"));
            }
            let key = self.quoted()?;
            if !self.takes("]") {
                return Err(self.refuse("a ] is missing"));
            }
            return Ok(Field::Metadata(key));
        }
        let of = |list: &[(&str, &'static str)]| {
            let found = list.iter().find(|(known, _)| *known == name);
            found.map(|(_, column)| *column)
        };
        let field = of(fields.texts)
            .map(Field::Text)
            .or_else(|| of(fields.numbers).map(Field::Number));
        let field = field.ok_or_else(|| {
            let names = fields.texts.iter().chain(fields.numbers);
            let mut names: Vec<_> = names.map(|(name, _)| *name).chain(["metadata"]).collect();
            names.sort_unstable();
            self.refuse(&format!(
                "this is not a field that can be searched; there are {}",
                names.join(", ")
            ))
        })?;
        self.at += name.len();
        Ok(field)
    }

    fn op(&mut self) -> Result<Op, Error> {
        for (text, op) in [
            (":", Op::Is),
            ("~", Op::Holds),
            (">=", Op::Compare(">=")),
            ("<=", Op::Compare("<=")),
            (">", Op::Compare(">")),
            ("<", Op::Compare("<")),
        ] {
            if self.takes(text) {
                return Ok(op);
            }
        }
        Err(self.refuse("one of :, ~, >, <, >=, <= is missing"))
    }

    fn value(&mut self) -> Result<Value, Error> {
        let rest = self.rest();
        if rest.starts_with(['\'', '"']) {
            return self.quoted().map(Value::Text);
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let bare = &rest[..end];
        let value = if bare == "null" {
            Value::Null
        } else if let Ok(number) = bare.parse() {
            Value::Number(number)
        } else {
            return Err(self.refuse("a value is a quoted text, a whole number or null"));
        };
        self.at += end;
        Ok(value)
    }

    // A text in single or double quotes; a backslash keeps the character after it.
    fn quoted(&mut self) -> Result<String, Error> {
        let mut chars = self.rest().char_indices();
        let quote = match chars.next() {
            Some((_, quote @ ('\'' | '"'))) => quote,
            _ => return Err(self.refuse("a quoted text is missing")),
        };
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, kept)| kept)),
                _ => text.push(c),
            }
        }
        Err(self.refuse("a quote is not closed"))
    }

    fn refuse(&self, why: &str) -> Error {
        let place = self.text[..self.at].chars().count() + 1;
        let message = format!("Invalid query at character {place}: {why}.");
        Refusal::plain(message).param("query").into()
    }
}

/// Takes `query`.
pub fn take(params: &mut super::params::Params, fields: &Fields) -> Result<Query, Error> {
    let text = params.required("query", 2_000)?;
    Query::parse(&text, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields = Fields {
        texts: &[("status", "status")],
        numbers: &[("amount", "amount")],
        table: "payment_intents",
    };

    fn sql(query: &str) -> String {
        let query = Query::parse(query, &FIELDS).expect("understood");
        query.condition(&FIELDS, true).place(&mut Vec::new())
    }

    #[test]
    fn queries_become_conditions() {
        for (query, wanted) in [
            ("status:'succeeded'", "(lower(status) = lower($1))"),
            (
                "status:\"x\" AND amount>=10",
                "(lower(status) = lower($1) and amount >= $2)",
            ),
            ("amount<5 or amount>9", "(amount < $1 or amount > $2)"),
            (
                "status:'a' amount:5",
                "(lower(status) = lower($1) and amount = $2)",
            ),
            ("-status:null", "(not coalesce(status is null, 1 = 0))"),
            (
                "metadata['order id']:'o\\'1'",
                "(lower((details::jsonb -> 'metadata' ->> $1::text)) = lower($2))",
            ),
        ] {
            assert_eq!(sql(query), wanted, "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_at_its_place() {
        for (query, place, why) in [
            ("", 1, "not a field"),
            ("colour:'red'", 1, "amount, metadata, status"),
            ("status:'a' AND amount:1 OR amount:2", 27, "cannot be mixed"),
            ("status:succeeded", 8, "quoted text"),
            ("status>'a'", 11, "takes :"),
            ("amount:'5'", 11, "whole number"),
            ("amount:1.5", 8, "whole number"),
            ("status:'a", 8, "not closed"),
            ("metadata:'a'", 9, "needs a key"),
            ("metadata['a'~'b'", 13, "]"),
            ("metadata['a']~'bc'", 19, "3 characters"),
            ("status", 7, "missing"),
            ("status:'a' AND", 12, "not a field"),
            ("amount:1 4242424242424242", 10, "not a field"),
        ] {
            let error = Query::parse(query, &FIELDS).expect_err(query).body();
            let message = error["error"]["message"].as_str().expect("a message");
            assert!(
                message.starts_with(&format!("Invalid query at character {place}:"))
                    && message.contains(why),
                "{query}: {message}"
            );
            assert!(!message.contains("4242"));
        }
        let many = ["amount:1"; 11].join(" ");
        assert!(Query::parse(&many, &FIELDS).is_err());
    }
}

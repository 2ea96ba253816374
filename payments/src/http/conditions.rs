//! Conditions of SQL, put together from parts: what lists and searches filter by.

use store::params;

/// A condition of SQL that rows must meet.
#[derive(Debug, Clone)]
pub struct Condition {
    /// With `{}` in the place of each value.
    sql: String,
    values: Vec<store::Value>,
}

impl Condition {
    /// Any; `sql` has `{}` in the place of each value.
    pub fn new(sql: impl Into<String>, values: &[store::Value]) -> Self {
        Self {
            sql: sql.into(),
            values: values.to_vec(),
        }
    }

    /// A column (or an expression) has this value.
    pub fn equal(column: &str, value: &str) -> Self {
        Self::new(format!("{column} = {{}}"), params![value])
    }

    /// At least one of these.
    pub fn any(of: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(of, " or ", "1 = 0")
    }

    /// Each of these.
    pub fn all(of: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(of, " and ", "1 = 1")
    }

    /// Not this one; a row of which it cannot be said is not.
    pub fn not(self) -> Self {
        Self {
            sql: format!("not coalesce({}, 1 = 0)", self.sql),
            values: self.values,
        }
    }

    fn joined(of: impl IntoIterator<Item = Self>, word: &str, none: &str) -> Self {
        let mut parts = Vec::new();
        let mut values = Vec::new();
        for one in of {
            parts.push(one.sql);
            values.extend(one.values);
        }
        let sql = if parts.is_empty() {
            none.to_owned()
        } else {
            format!("({})", parts.join(word))
        };
        Self { sql, values }
    }

    /// The SQL with its numbered places, after the values that are there already.
    pub fn place(&self, values: &mut Vec<store::Value>) -> String {
        let mut parts = self.sql.split("{}");
        let mut sql = parts.next().unwrap_or_default().to_owned();
        for (part, value) in parts.zip(&self.values) {
            values.push(value.clone());
            sql.push_str(&format!("${}{part}", values.len()));
        }
        sql
    }
}

//! Rows whose columns decide what may be done with a card, or who may do it (tokens, grants, stored cards, attempts, API
//! keys, exports), carry a MAC over all of them, rewritten in the statement that changes them and checked whenever the row is used. A value that was swapped
//! or edited by SQL gives an error, never another card.
//!
//! A step reads the row (locked on PostgreSQL), checks it, computes the MAC of what the row will be, and updates it
//! where the MAC is still the one it read: one conditional statement, as before. Sealed columns are not covered: the
//! envelope binds them to the row's id, kind, merchant, mode and end.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use store::{Row, Tx, Value};
use subtle::ConstantTimeEq as _;

use super::tokens::Owner;
use super::{EMPTY, SEALED, sealed};
use crate::Error;
use crate::crypto::envelope::SealedCard;
use crate::crypto::{CannotOpen, Key, Source};

const VERSION: u8 = 1;

/// The keys of row MACs: one per merchant and table, derived.
pub struct RowMacs(Source);

impl RowMacs {
    /// From the secret that wraps nothing else.
    #[must_use]
    pub fn new(secret: &Key) -> Self {
        Self(Source::new(&secret[..]))
    }

    // `version || HMAC-SHA-256` over table, column names and values, each with its length and type.
    fn of(&self, table: &Table, values: &[Value]) -> Vec<u8> {
        let merchant = match values.get(1) {
            Some(Value::Text(merchant)) => merchant.as_bytes(),
            _ => b"",
        };
        let key = self.0.derive(&[table.name.as_bytes(), merchant]);
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("any key");
        for (column, value) in table.all_columns().zip(values) {
            let late = table.later.contains(&column);
            if late && matches!(value, Value::Null) {
                continue;
            }
            update(&mut mac, column.as_bytes());
            match value {
                Value::Null => mac.update(b"n"),
                Value::Int(n) => {
                    mac.update(b"i");
                    mac.update(&n.to_be_bytes());
                }
                Value::Text(text) => {
                    mac.update(b"t");
                    update(&mut mac, text.as_bytes());
                }
                Value::Blob(bytes) => {
                    mac.update(b"b");
                    update(&mut mac, bytes);
                }
            }
        }
        [&[VERSION][..], &mac.finalize().into_bytes()].concat()
    }
}

fn update(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

/// A table whose rows carry a MAC, and the columns that it covers: first `id`, `merchant`, `mode`.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The covered columns.
    pub columns: &'static [&'static str],
    /// Covered columns that came later: they count where they hold something, so that rows from before them, and rows
    /// that do not use them, keep the MAC they have. Nothing can be put there or taken away unseen.
    pub later: &'static [&'static str],
    /// Whether its rows hold a sealed card.
    pub sealed: bool,
    /// What is asked of it most.
    pub sql: Sql,
}

/// Statements of a table, put together once.
pub struct Sql {
    selected: OnceLock<String>,
    inserts: OnceLock<String>,
    finds: OnceLock<String>,
}

impl Sql {
    /// None yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default is not const")]
    pub const fn new() -> Self {
        Self {
            selected: OnceLock::new(),
            inserts: OnceLock::new(),
            finds: OnceLock::new(),
        }
    }
}

/// A row that was read and whose MAC was right.
pub struct StateRow {
    table: &'static Table,
    values: Vec<Value>,
    mac: Vec<u8>,
    /// The card; none once it was emptied.
    pub sealed: Option<SealedCard>,
}

/// How a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// To look at it.
    Look,
    /// To change it: on PostgreSQL the row is locked, on SQLite the one writer is lock enough.
    Change,
}

impl Table {
    /// Adds a row; columns that `state` does not name are null.
    ///
    /// # Errors
    /// The store's.
    pub fn insert(
        &'static self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        state: &[(&'static str, Value)],
        sealed: Option<&SealedCard>,
    ) -> Result<(), Error> {
        let mut values = self.with_mac(macs, state)?;
        values.extend([
            Value::from(sealed.map(|sealed| &sealed.key_id)),
            Value::from(sealed.map(|sealed| &sealed.wrapped_key)),
            Value::from(sealed.map(|sealed| &sealed.number)),
            Value::from(sealed.and_then(|sealed| sealed.name.as_ref())),
            Value::from(sealed.and_then(|sealed| sealed.address.as_ref())),
        ]);
        tx.execute(self.insertion(values.len()), &values)?;
        Ok(())
    }

    /// Adds a row of a table that holds no cards; false when it is there.
    ///
    /// # Errors
    /// The store's.
    pub fn insert_new(
        &'static self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        state: &[(&'static str, Value)],
    ) -> Result<bool, Error> {
        Ok(self.insert_row(tx, macs, state)?.is_some())
    }

    /// [`Table::insert_new`] that gives the row, to be changed without reading it again; none when it is there.
    ///
    /// # Errors
    /// The store's.
    pub fn insert_row(
        &'static self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        state: &[(&'static str, Value)],
    ) -> Result<Option<StateRow>, Error> {
        let mut values = self.with_mac(macs, state)?;
        let sql = format!("{} on conflict do nothing", self.insertion(values.len()));
        if tx.execute(&sql, &values)? == 0 {
            return Ok(None);
        }
        let Some(Value::Blob(mac)) = values.pop() else {
            return Err(Error::Internal("a row without its MAC"));
        };
        Ok(Some(StateRow {
            table: self,
            values,
            mac,
            sealed: None,
        }))
    }

    fn with_mac(
        &self,
        macs: &RowMacs,
        state: &[(&'static str, Value)],
    ) -> Result<Vec<Value>, Error> {
        let mut values = vec![Value::Null; self.all_columns().count()];
        for (column, value) in state {
            values[self.position(column)?] = value.clone();
        }
        values.push(Value::from(macs.of(self, &values)));
        Ok(values)
    }

    fn insertion(&self, many: usize) -> &str {
        self.sql.inserts.get_or_init(|| {
            let places: Vec<String> = (1..=many).map(|n| format!("${n}")).collect();
            let (columns, places) = (self.selected(), places.join(", "));
            format!("insert into {} ({columns}) values ({places})", self.name)
        })
    }

    /// The owner's row with this id.
    ///
    /// # Errors
    /// The store's, or [`CannotOpen`] when the MAC is not the row's.
    pub fn find(
        &'static self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        owner: Owner<'_>,
        id: &str,
        read: Read,
    ) -> Result<Option<StateRow>, Error> {
        let found = self.sql.finds.get_or_init(|| {
            let (columns, name) = (self.selected(), self.name);
            format!("select {columns} from {name} where id = $1 and merchant = $2 and mode = $3")
        });
        let owned = store::params![id, owner.merchant, owner.mode];
        let row = if read == Read::Change && tx.is_postgres() {
            tx.first(&format!("{found} for update"), owned)?
        } else {
            tx.first(found, owned)?
        };
        row.map(|row| self.checked(macs, &row)).transpose()
    }

    /// What a query must select for [`Table::checked`].
    #[must_use]
    pub fn selected(&self) -> &str {
        self.sql.selected.get_or_init(|| {
            let columns: Vec<&str> = self.all_columns().collect();
            let sealed = if self.sealed {
                format!(", {SEALED}")
            } else {
                String::new()
            };
            format!("{}, row_mac{sealed}", columns.join(", "))
        })
    }

    /// The covered columns, the later ones last.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().chain(self.later).copied()
    }

    /// A row of such a query, once its MAC was checked.
    ///
    /// # Errors
    /// [`CannotOpen`] when the MAC is missing or not the row's.
    pub fn checked(&'static self, macs: &RowMacs, row: &Row) -> Result<StateRow, Error> {
        let many = self.all_columns().count();
        let values = (0..many)
            .map(|i| row.get(i))
            .collect::<Result<Vec<Value>, _>>()?;
        let mac = row.get::<Option<Vec<u8>>>(many)?.unwrap_or_default();
        if !self.is_mac(macs, &values, &mac) {
            return Err(CannotOpen.into());
        }
        Ok(StateRow {
            table: self,
            values,
            mac,
            sealed: if self.sealed {
                sealed(row, many + 1)?
            } else {
                None
            },
        })
    }

    /// The MAC that a row of such a query should have.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn mac(&self, macs: &RowMacs, row: &Row) -> Result<Vec<u8>, Error> {
        let values = (0..self.all_columns().count())
            .map(|i| row.get(i))
            .collect::<Result<Vec<Value>, _>>()?;
        Ok(self.mac_of(macs, &values))
    }

    /// The MAC of these values of its columns.
    #[must_use]
    pub fn mac_of(&self, macs: &RowMacs, values: &[Value]) -> Vec<u8> {
        macs.of(self, values)
    }

    /// Whether `mac` is the MAC of these values; compared in constant time.
    #[must_use]
    pub fn is_mac(&self, macs: &RowMacs, values: &[Value], mac: &[u8]) -> bool {
        bool::from(mac.ct_eq(&macs.of(self, values)))
    }

    fn position(&self, column: &str) -> Result<usize, Error> {
        let at = self.all_columns().position(|known| known == column);
        at.ok_or(Error::Internal("a row MAC does not cover this column"))
    }
}

impl StateRow {
    /// A covered column.
    ///
    /// # Errors
    /// When the column is of another type.
    pub fn get<T: store::value::FromValue>(&self, column: &str) -> Result<T, Error> {
        let at = self.table.position(column)?;
        T::from_value(&self.values[at]).ok_or(store::Error::Column(at).into())
    }

    /// Changes covered columns and the MAC in one statement, and empties the card if asked; false when somebody else
    /// changed the row since it was read.
    ///
    /// # Errors
    /// The store's.
    pub fn change(
        &mut self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        changes: &[(&'static str, Value)],
        empty: bool,
    ) -> Result<bool, Error> {
        let Some(mut changed) = self.changed(tx, macs, changes, empty)? else {
            return Ok(false);
        };
        if !empty {
            changed.sealed = self.sealed.take();
        }
        *self = changed;
        Ok(true)
    }

    /// The same for a row that an earlier transaction left so, and whose last change this is.
    ///
    /// # Errors
    /// The store's.
    pub fn change_last(
        &self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        changes: &[(&'static str, Value)],
    ) -> Result<bool, Error> {
        Ok(self.changed(tx, macs, changes, false)?.is_some())
    }

    // What the row is then, but for the card.
    fn changed(
        &self,
        tx: &mut Tx<'_>,
        macs: &RowMacs,
        changes: &[(&'static str, Value)],
        empty: bool,
    ) -> Result<Option<Self>, Error> {
        let mut values = self.values.clone();
        let mut params = vec![self.values[0].clone(), Value::from(&self.mac)];
        let mut sets = String::new();
        for (column, value) in changes {
            values[self.table.position(column)?] = value.clone();
            params.push(value.clone());
            sets += &format!("{column} = ${}, ", params.len());
        }
        let mac = macs.of(self.table, &values);
        params.push(Value::from(&mac));
        let emptied = if empty {
            format!("{EMPTY}, ")
        } else {
            String::new()
        };
        let row_mac = params.len();
        // Ids are unique by themselves, but a primary key may begin with the merchant.
        let mut owner = String::new();
        if self.table.position("merchant").is_ok() && self.values[1] != Value::Null {
            params.push(self.values[1].clone());
            owner = format!(" and merchant = ${}", params.len());
        }
        let sql = format!(
            "update {} set {sets}{emptied}row_mac = ${row_mac} where id = $1 and row_mac = $2{owner}",
            self.table.name,
        );
        let changed = tx.execute(&sql, &params)? == 1;
        Ok(changed.then_some(Self {
            table: self.table,
            values,
            mac,
            sealed: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    static TABLE: Table = Table {
        name: "t",
        columns: &["id", "merchant", "mode", "a", "b"],
        later: &["c", "d"],
        sealed: false,
        sql: Sql::new(),
    };

    fn of(macs: &RowMacs, values: [&str; 5]) -> Vec<u8> {
        macs.of(&TABLE, &values.map(Value::from))
    }

    #[test]
    fn a_later_column_counts_when_it_holds_something() {
        let macs = RowMacs::new(&Zeroizing::new([1; 32]));
        let with = |c: Value, d: Value| {
            let first = ["i", "m", "test", "a", "b"].map(Value::from);
            macs.of(&TABLE, &[&first[..], &[c, d]].concat())
        };
        let none = with(Value::Null, Value::Null);
        assert_eq!(none, of(&macs, ["i", "m", "test", "a", "b"]));
        let all = [
            none,
            with(Value::from("x"), Value::Null),
            with(Value::Null, Value::from("x")),
            with(Value::from("x"), Value::from("x")),
            with(Value::from(""), Value::Null),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| other != one), "{i}");
        }
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let macs = RowMacs::new(&Zeroizing::new([1; 32]));
        let here = of(&macs, ["i", "m", "test", "ab", "c"]);
        assert_eq!(here, of(&macs, ["i", "m", "test", "ab", "c"]));
        for other in [
            ["i", "m", "test", "a", "bc"],
            ["i", "m", "test", "c", "ab"],
            ["j", "m", "test", "ab", "c"],
            ["i", "n", "test", "ab", "c"],
            ["i", "m", "live", "ab", "c"],
        ] {
            assert_ne!(here, of(&macs, other));
        }
        let other_key = RowMacs::new(&Zeroizing::new([2; 32]));
        assert_ne!(here, of(&other_key, ["i", "m", "test", "ab", "c"]));
        let null = [
            Value::from("i"),
            Value::from("m"),
            Value::from("test"),
            Value::Null,
            Value::from("c"),
        ];
        assert_ne!(
            macs.of(&TABLE, &null),
            of(&macs, ["i", "m", "test", "", "c"])
        );
    }
}

//! A transaction: statements against whichever database is there.

use std::any::Any;
use std::collections::HashMap;

use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::lane::Lane;
use crate::{Error, Row, Value};

/// A transaction, or a reading connection.
pub struct Tx<'a> {
    connection: Connection<'a>,
    lane: &'a Lane,
    /// Whether there may be something to roll back: a statement that changes rows, or an error of the database's.
    touched: bool,
}

enum Connection<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres {
        client: &'a mut postgres::Client,
        prepared: &'a mut Prepared,
    },
}

/// Prepared statements of one PostgreSQL connection, by their text.
pub(crate) type Prepared = HashMap<String, postgres::Statement>;

impl<'a> Tx<'a> {
    pub(crate) fn sqlite(connection: &'a rusqlite::Connection, lane: &'a Lane) -> Self {
        Self {
            connection: Connection::Sqlite(connection),
            lane,
            touched: false,
        }
    }

    pub(crate) fn postgres(
        client: &'a mut postgres::Client,
        prepared: &'a mut Prepared,
        lane: &'a Lane,
    ) -> Self {
        Self {
            connection: Connection::Postgres { client, prepared },
            lane,
            touched: false,
        }
    }

    /// Names the writer connection this transaction runs on (SQLite has one, PostgreSQL several): no two transactions
    /// of a lane run at once. None on a connection that only reads.
    #[must_use]
    pub fn lane(&self) -> Option<u32> {
        self.lane.number
    }

    /// What [`crate::Store::set_context`] gave, if it is of this type. It outlives the statements of the transaction.
    #[must_use]
    pub fn context<T: Any>(&self) -> Option<&'a T> {
        self.lane.context.get()?.downcast_ref()
    }

    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.touched = true;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(&sqlite_sql(sql))?;
                Ok(statement.execute(rusqlite::params_from_iter(params))? as u64)
            }
            Connection::Postgres { client, prepared } => {
                let statement = prepare(client, prepared, sql)?;
                let params: Vec<&(dyn postgres::types::ToSql + Sync)> =
                    params.iter().map(|p| p as _).collect();
                Ok(client.execute(&statement, &params)?)
            }
        }
    }

    /// All rows of a query (or of a statement with RETURNING).
    ///
    /// # Errors
    /// The database's.
    pub fn all(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Error> {
        let rows = match &mut self.connection {
            Connection::Sqlite(connection) => sqlite_rows(connection, sql, params),
            Connection::Postgres { client, prepared } => {
                postgres_rows(client, prepared, sql, params)
            }
        };
        self.touched |= rows.is_err() || !sql.trim_start().starts_with("select");
        rows
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub fn first(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>, Error> {
        Ok(self.all(sql, params)?.into_iter().next())
    }

    /// Whether there may be something to roll back.
    pub(crate) fn touched(&self) -> bool {
        self.touched
    }

    /// Several statements without parameters, for migrations.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Connection::Postgres { client, .. } => Ok(client.batch_execute(sql)?),
        }
    }

    /// What ends a selection of rows to lease, so that two workers take different ones; on SQLite the single writer is
    /// the lock.
    #[must_use]
    pub fn skip_locked(&self) -> &'static str {
        if self.is_postgres() {
            "for update skip locked"
        } else {
            ""
        }
    }

    /// Whether this is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres { .. })
    }
}

// `$1` is a named parameter to SQLite, numbered by appearance; `?1` is numbered by its number.
fn sqlite_sql(sql: &str) -> String {
    sql.replace('$', "?")
}

fn sqlite_rows(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, Error> {
    let mut statement = connection.prepare_cached(&sqlite_sql(sql))?;
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(params))?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|i| Ok(sqlite_value(row.get_ref(i)?)));
        out.push(Row(values.collect::<Result<_, rusqlite::Error>>()?));
    }
    Ok(out)
}

fn sqlite_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Real(n) => Value::Int(n as i64),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn prepare(
    client: &mut postgres::Client,
    prepared: &mut Prepared,
    sql: &str,
) -> Result<postgres::Statement, Error> {
    if let Some(statement) = prepared.get(sql) {
        return Ok(statement.clone());
    }
    let statement = client.prepare(sql)?;
    prepared.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}

fn postgres_rows(
    client: &mut postgres::Client,
    prepared: &mut Prepared,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, Error> {
    let statement = prepare(client, prepared, sql)?;
    let params: Vec<&(dyn postgres::types::ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    let rows = client.query(&statement, &params)?;
    rows.iter().map(postgres_row).collect()
}

fn postgres_row(row: &postgres::Row) -> Result<Row, Error> {
    use postgres::types::Type;
    let value = |i: usize, column: &postgres::Column| {
        Ok(match *column.type_() {
            Type::INT8 => row
                .try_get::<_, Option<i64>>(i)?
                .map_or(Value::Null, Value::Int),
            Type::INT4 => row
                .try_get::<_, Option<i32>>(i)?
                .map_or(Value::Null, |n| Value::Int(n.into())),
            Type::BOOL => row
                .try_get::<_, Option<bool>>(i)?
                .map_or(Value::Null, |b| Value::Int(b.into())),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => row
                .try_get::<_, Option<String>>(i)?
                .map_or(Value::Null, Value::Text),
            Type::BYTEA => row
                .try_get::<_, Option<Vec<u8>>>(i)?
                .map_or(Value::Null, Value::Blob),
            _ => return Err(Error::Column(i)),
        })
    };
    row.columns()
        .iter()
        .enumerate()
        .map(|(i, column)| value(i, column))
        .collect::<Result<_, _>>()
        .map(Row)
}

impl postgres::types::ToSql for Value {
    fn to_sql(
        &self,
        ty: &postgres::types::Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> Result<postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        use postgres::types::Type;
        match self {
            Self::Null => Ok(postgres::types::IsNull::Yes),
            Self::Int(n) if *ty == Type::INT4 => i32::try_from(*n)?.to_sql(ty, out),
            Self::Int(n) if *ty == Type::BOOL => (*n != 0).to_sql(ty, out),
            Self::Int(n) if *ty == Type::INT8 => n.to_sql(ty, out),
            Self::Text(text) if <&str as postgres::types::ToSql>::accepts(ty) => {
                text.to_sql(ty, out)
            }
            Self::Blob(bytes) if *ty == Type::BYTEA => bytes.to_sql(ty, out),
            _ => {
                Err(format!("a parameter is not of the type {ty} that the statement wants").into())
            }
        }
    }

    fn accepts(_: &postgres::types::Type) -> bool {
        true
    }

    postgres::types::to_sql_checked!();
}

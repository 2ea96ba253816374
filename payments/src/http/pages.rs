//! Lists: newest first, `limit`, `starting_after`, `ending_before`, as Stripe pages them.

use axum::Json;
use serde_json::{Value, json};
use store::{Row, Tx, params};

use super::call::Call;
use super::conditions::Condition;
use super::expand::Expand;
use super::params::Params;
use crate::app::{App, Owner, Shared};
use crate::error::{Error, Refusal};

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    limit: i64,
    cursor: Option<Cursor>,
    created: Created,
}

/// The range of `created`, in milliseconds: from, and before.
#[derive(Debug, Clone, Copy)]
struct Created {
    from: i64,
    before: i64,
}

impl Created {
    const ALL: Self = Self {
        from: 0,
        before: i64::MAX,
    };
}

#[derive(Debug, Clone)]
enum Cursor {
    /// With the parameter that named it.
    After(&'static str, String),
    Before(String),
}

/// A table that can be listed: it has the columns id, merchant, livemode and created_ms.
pub struct Listed {
    pub table: &'static str,
    pub columns: &'static str,
}

impl Listed {
    /// The merchant's row with this id: another merchant's is missing like a random one.
    pub fn row(&self, tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Row>, Error> {
        let Self { table, columns } = self;
        let sql = format!(
            "select {columns} from {table} where id = $1 and merchant = $2 and livemode = $3"
        );
        Ok(tx.first(&sql, params![id, &owner.merchant, owner.livemode])?)
    }

    /// Nobody else changes the merchant's row until the transaction ends: what is read after this is not overwritten blindly.
    pub fn lock(&self, tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<(), Error> {
        let table = self.table;
        let sql = format!(
            "update {table} set created_ms = created_ms where id = $1 and merchant = $2 and livemode = $3"
        );
        tx.execute(&sql, params![id, &owner.merchant, owner.livemode])?;
        Ok(())
    }
}

impl Page {
    /// Takes the paging parameters.
    pub fn parse(params: &mut Params) -> Result<Self, Error> {
        let limit = limit(params)?;
        let cursor = match (
            params.text("starting_after", 100)?,
            params.text("ending_before", 100)?,
        ) {
            (None, None) => None,
            (Some(id), None) => Some(Cursor::After("starting_after", id)),
            (None, Some(id)) => Some(Cursor::Before(id)),
            (Some(_), Some(_)) => {
                let message = "Received both starting_after and ending_before parameters. Please pass in only one.";
                return Err(Refusal::plain(message).into());
            }
        };
        Ok(Self {
            limit,
            cursor,
            created: Created::ALL,
        })
    }

    /// Takes the paging parameters of a search: `limit`, and the `next_page` of the answer before as `page`.
    pub fn of_search(params: &mut Params) -> Result<Self, Error> {
        let after = params.text("page", 100)?;
        let limit = limit(params)?;
        Ok(Self {
            limit,
            cursor: after.map(|id| Cursor::After("page", id)),
            created: Created::ALL,
        })
    }

    /// Takes the paging parameters and `created`: a time, or a hash of `gt`, `gte`, `lt`, `lte`, in Unix seconds.
    pub fn with_created(params: &mut Params) -> Result<Self, Error> {
        let mut page = Self::parse(params)?;
        let created = &mut page.created;
        if !params.is_hash("created") {
            if let Some(at) = params.integer("created")? {
                *created = Created {
                    from: millis(at),
                    before: millis(at.saturating_add(1)),
                };
            }
            return Ok(page);
        }
        let Some(mut range) = params.hash("created")? else {
            return Ok(page);
        };
        for (name, from, add) in [
            ("gte", true, 0),
            ("gt", true, 1),
            ("lt", false, 0),
            ("lte", false, 1),
        ] {
            let Some(at) = range.integer(name)? else {
                continue;
            };
            let at = millis(at.saturating_add(add));
            if from {
                created.from = created.from.max(at);
            } else {
                created.before = created.before.min(at);
            }
        }
        range.finish()?;
        Ok(page)
    }

    /// The rows of the page, newest first, and whether there are more beyond it. `filters` are columns and the
    /// values that they must have.
    pub fn select(
        &self,
        tx: &mut Tx<'_>,
        listed: &Listed,
        owner: &Owner,
        filters: &[(&'static str, &str)],
    ) -> Result<(Vec<Row>, bool), Error> {
        let conditions: Vec<_> = filters
            .iter()
            .map(|(column, value)| Condition::equal(column, value))
            .collect();
        self.select_where(tx, listed, owner, &conditions)
    }

    /// The same, for rows that meet all `conditions`.
    pub fn select_where(
        &self,
        tx: &mut Tx<'_>,
        listed: &Listed,
        owner: &Owner,
        conditions: &[Condition],
    ) -> Result<(Vec<Row>, bool), Error> {
        let Listed { table, columns } = listed;
        let (beyond, order, param, id) = match &self.cursor {
            None => (">=", "desc", "", None),
            Some(Cursor::After(name, id)) => ("<", "desc", *name, Some(id)),
            Some(Cursor::Before(id)) => (">", "asc", "ending_before", Some(id)),
        };
        // Without a cursor every row is beyond the beginning of time.
        let (at_ms, at_id) = match id {
            None => (0i64, String::new()),
            Some(id) => {
                let sql = format!(
                    "select created_ms from {table} where id = $1 and merchant = $2 and livemode = $3"
                );
                let row = tx.first(&sql, params![id, &owner.merchant, owner.livemode])?;
                let row =
                    row.ok_or_else(|| Refusal::no_such("object to page from").param(param))?;
                (row.get(0)?, id.clone())
            }
        };
        let mut values = params![
            &owner.merchant,
            owner.livemode,
            at_ms,
            at_id,
            self.limit + 1,
            self.created.from,
            self.created.before
        ]
        .to_vec();
        let mut also = String::new();
        for condition in conditions {
            also.push_str(" and ");
            also.push_str(&condition.place(&mut values));
        }
        let sql = format!(
            "select {columns} from {table} where merchant = $1 and livemode = $2 and (created_ms, id) {beyond} ($3, $4)
             and created_ms >= $6 and created_ms < $7 {also} order by created_ms {order}, id {order} limit $5"
        );
        let mut rows = tx.all(&sql, &values)?;
        let more = rows.len() as i64 > self.limit;
        rows.truncate(self.limit as usize);
        if order == "asc" {
            rows.reverse();
        }
        Ok((rows, more))
    }
}

/// Takes `limit`.
pub fn limit(params: &mut Params) -> Result<i64, Error> {
    let limit = params.integer("limit")?.unwrap_or(10);
    if (1..=100).contains(&limit) {
        return Ok(limit);
    }
    let message = "Invalid limit: must be between 1 and 100.";
    Err(Refusal::new("parameter_invalid_integer", message)
        .param("limit")
        .into())
}

fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

/// Stripe's list object.
pub fn list(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

/// A route that lists a table: paging, `created`, `expand[]`, and parameters that name the value of a column.
pub struct ListRoute {
    pub url: &'static str,
    pub table: &'static Listed,
    /// Parameters and the columns that they filter by.
    pub filters: &'static [(&'static str, &'static str)],
    /// A row as the API answers it.
    pub object: fn(&Row, &Shared) -> Result<Value, Error>,
}

impl ListRoute {
    /// Answers a call.
    pub async fn answer(&'static self, mut call: Call) -> Result<Json<Value>, Error> {
        let page = Page::with_created(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        let mut conditions = Vec::new();
        for (name, column) in self.filters {
            let wanted = call.params.text(name, 512)?;
            conditions.extend(wanted.map(|value| Condition::equal(column, &value)));
        }
        call.params.finish()?;
        self.page(call.app, call.owner, page, expand, conditions)
            .await
    }

    /// The page of the rows that meet `conditions`.
    pub async fn page(
        &'static self,
        app: App,
        owner: Owner,
        page: Page,
        expand: Expand,
        conditions: Vec<Condition>,
    ) -> Result<Json<Value>, Error> {
        let shared = app.clone();
        let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            let (rows, more) = page.select_where(tx, self.table, &owner, &conditions)?;
            let data = rows.iter().map(|row| (self.object)(row, &shared));
            let list = list(self.url, data.collect::<Result<_, Error>>()?, more);
            expand.apply(tx, &shared, &owner, list)
        };
        app.store.read(read).await.map(Json)
    }
}

//! Lists: newest first, `limit`, `starting_after`, `ending_before`, as Stripe pages them.

use serde_json::{Value, json};
use store::{Row, Tx, params};

use super::params::Params;
use crate::app::Owner;
use crate::error::{Error, Refusal};

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    limit: i64,
    cursor: Option<Cursor>,
}

#[derive(Debug, Clone)]
enum Cursor {
    After(String),
    Before(String),
}

/// A table that can be listed: it has the columns id, merchant, livemode and created_ms.
pub struct Listed {
    pub table: &'static str,
    pub columns: &'static str,
}

impl Page {
    /// Takes the paging parameters.
    pub fn parse(params: &mut Params) -> Result<Self, Error> {
        let limit = params.integer("limit")?.unwrap_or(10);
        if !(1..=100).contains(&limit) {
            let message = "Invalid limit: must be between 1 and 100.";
            return Err(Refusal::new("parameter_invalid_integer", message)
                .param("limit")
                .into());
        }
        let cursor = match (
            params.text("starting_after", 100)?,
            params.text("ending_before", 100)?,
        ) {
            (None, None) => None,
            (Some(id), None) => Some(Cursor::After(id)),
            (None, Some(id)) => Some(Cursor::Before(id)),
            (Some(_), Some(_)) => {
                let message = "Received both starting_after and ending_before parameters. Please pass in only one.";
                return Err(Refusal::plain(message).into());
            }
        };
        Ok(Self { limit, cursor })
    }

    /// The rows of the page, newest first, and whether there are more beyond it. `filter` is a column and the value it
    /// must have.
    pub fn select(
        &self,
        tx: &mut Tx<'_>,
        listed: &Listed,
        owner: &Owner,
        filter: Option<(&'static str, &str)>,
    ) -> Result<(Vec<Row>, bool), Error> {
        let Listed { table, columns } = listed;
        let (beyond, order, param, id) = match &self.cursor {
            None => (">=", "desc", "", None),
            Some(Cursor::After(id)) => ("<", "desc", "starting_after", Some(id)),
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
        let column = filter.map_or("merchant", |(column, _)| column);
        let value = filter.map_or(owner.merchant.as_str(), |(_, value)| value);
        let sql = format!(
            "select {columns} from {table} where merchant = $1 and livemode = $2 and {column} = $3
             and (created_ms, id) {beyond} ($4, $5) order by created_ms {order}, id {order} limit $6"
        );
        let values = params![
            &owner.merchant,
            owner.livemode,
            value,
            at_ms,
            at_id,
            self.limit + 1
        ];
        let mut rows = tx.all(&sql, values)?;
        let more = rows.len() as i64 > self.limit;
        rows.truncate(self.limit as usize);
        if order == "asc" {
            rows.reverse();
        }
        Ok((rows, more))
    }
}

/// Stripe's list object.
pub fn list(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

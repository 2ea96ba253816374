//! `GET /v1/payment_intents/search`: Stripe's query language over what an intent is and what its metadata say. Unlike
//! Stripe's, it sees what was written a moment ago.

use axum::Json;
use serde_json::{Value, json};
use store::Tx;

use super::{Intent, LISTED};
use crate::error::Error;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::pages::Page;
use crate::http::search_query::{self, Fields};

const FIELDS: Fields = Fields {
    texts: &[
        ("currency", "currency"),
        ("customer", "customer"),
        ("status", "status"),
    ],
    numbers: &[("amount", "amount"), ("created", "(created_ms / 1000)")],
    table: LISTED.table,
};

/// The route.
pub async fn intents(mut call: Call) -> Result<Json<Value>, Error> {
    let query = search_query::take(&mut call.params, &FIELDS)?;
    let page = Page::of_search(&mut call.params)?;
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner) = (call.app.clone(), call.owner);
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let condition = query.condition(&FIELDS, tx.is_postgres());
        let (rows, more) = page.select_where(tx, &LISTED, &owner, &[condition])?;
        let intents: Vec<Intent> = rows
            .iter()
            .map(Intent::from_row)
            .collect::<Result<_, Error>>()?;
        let next = intents.last().filter(|_| more).map(|last| last.id.clone());
        let data: Vec<Value> = intents.iter().map(|i| i.object(&app.seal)).collect();
        let result = json!({
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "has_more": more,
            "next_page": next,
            "data": data,
        });
        expand.apply(tx, &app, &owner, result)
    };
    call.app.store.read(read).await.map(Json)
}

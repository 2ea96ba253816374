//! Reading intents: one, or a list.

use axum::Json;
use axum::extract::Path;
use serde_json::Value;
use store::Tx;

use super::{Intent, LISTED};
use crate::error::Error;
use crate::http::browser::reduce;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::pages::{self, Page};

/// `GET /v1/payment_intents/{id}`
pub async fn one(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner, browser) = (call.app, call.owner, call.browser);
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let intent = Intent::load(tx, &owner, &id)?;
        expand.apply(tx, &shared.seal, &owner, intent.object(&shared.seal))
    };
    let object = app.store.read(read).await?;
    Ok(Json(if browser { reduce(object) } else { object }))
}

/// `GET /v1/payment_intents`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let (page, expand) = (
        Page::with_created(&mut call.params)?,
        Expand::parse(&mut call.params)?,
    );
    let customer = call.params.text("customer", 100)?;
    call.params.finish()?;
    let (app, owner) = (call.app, call.owner);
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let customer = customer.as_deref().map(|id| ("customer", id));
        let filters: Vec<_> = customer.into_iter().collect();
        let (rows, more) = page.select(tx, &LISTED, &owner, &filters)?;
        let data = rows
            .iter()
            .map(|row| Ok(Intent::from_row(row)?.object(&shared.seal)));
        let list = pages::list(
            "/v1/payment_intents",
            data.collect::<Result<_, Error>>()?,
            more,
        );
        expand.apply(tx, &shared.seal, &owner, list)
    };
    app.store.read(read).await.map(Json)
}

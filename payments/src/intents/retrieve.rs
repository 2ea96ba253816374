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
use crate::http::pages::ListRoute;

/// `GET /v1/payment_intents/{id}`
pub async fn one(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner, browser) = (call.app, call.owner, call.browser);
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let intent = Intent::load(tx, &owner, &id)?;
        expand.apply(tx, &shared, &owner, intent.object(&shared.seal))
    };
    let object = app.store.read(read).await?;
    Ok(Json(if browser { reduce(object) } else { object }))
}

/// `GET /v1/payment_intents`
pub async fn list(call: Call) -> Result<Json<Value>, Error> {
    LIST.answer(call).await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/payment_intents",
    table: &LISTED,
    filters: &[("customer", "customer")],
    object: |row, app| Ok(Intent::from_row(row)?.object(&app.seal)),
};

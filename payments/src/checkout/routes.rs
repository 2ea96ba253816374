//! The API of Checkout Sessions besides creating one.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Tx, params};

use super::{LISTED, Session, answer, lifecycle};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{self, ListRoute};
use crate::http::params::merge_metadata;

/// `GET /v1/checkout/sessions/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    answer(&call.app, call.owner, id, expand).await.map(Json)
}

/// `POST /v1/checkout/sessions/{id}`: its metadata.
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "upd", |mut call, _| async move {
        let metadata = call.params.metadata()?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let (app, owner) = (call.app, call.owner);
        let (write_owner, write_id) = (owner.clone(), id.clone());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            LISTED.lock(tx, &write_owner, &write_id)?;
            let mut session = Session::load(tx, &write_owner, &write_id)?;
            merge_metadata(&mut session.details.metadata, metadata.clone())?;
            tx.execute(
                "update checkout_sessions set details = $2 where id = $1",
                params![&session.id, json!(session.details).to_string()],
            )?;
            Ok(())
        };
        app.store.write(write).await?;
        answer(&app, owner, id, expand).await
    })
    .await
}

/// `POST /v1/checkout/sessions/{id}/expire`
pub async fn expire(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "exp", |mut call, _| async move {
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let (app, owner, origin) = (call.app, call.owner, call.origin);
        let (shared, write_owner, write_id) = (app.clone(), owner.clone(), id.clone());
        let now_ms = app.clock.now_ms();
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let session = Session::load(tx, &write_owner, &write_id)?;
            if session.status != "open" {
                let message = format!(
                    "Only Checkout Sessions with a status in [\"open\"] can be expired. This one has a status of {}.",
                    session.status
                );
                return Err(Refusal::plain(message).into());
            }
            if lifecycle::expire(tx, &shared, &session, &origin, now_ms)? {
                return Ok(());
            }
            let message = "This Checkout Session cannot be expired: its payment is under way.";
            Err(Refusal::plain(message).into())
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

/// `GET /v1/checkout/sessions/{id}/line_items`
pub async fn line_items(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let limit = pages::limit(&mut call.params)?;
    let after = call.params.text("starting_after", 100)?;
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| Session::load(tx, &owner, &id);
    let mut list = call.app.store.read(read).await?.line_items();
    let mut data = match list["data"].take() {
        Value::Array(data) => data,
        _ => Vec::new(),
    };
    if let Some(after) = after {
        let place = data.iter().position(|line| line["id"] == after.as_str());
        let place =
            place.ok_or_else(|| Refusal::no_such("object to page from").param("starting_after"))?;
        data.drain(..=place);
    }
    list["has_more"] = json!(data.len() as i64 > limit);
    data.truncate(limit as usize);
    list["data"] = Value::Array(data);
    Ok(Json(list))
}

/// `GET /v1/checkout/sessions`
pub async fn list(call: Call) -> Result<Json<Value>, Error> {
    LIST.answer(call).await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/checkout/sessions",
    table: &LISTED,
    filters: &[
        ("payment_intent", "intent"),
        ("customer", "customer"),
        ("status", "status"),
    ],
    object: |row, app| Ok(Session::from_row(row)?.object(app)),
};

//! Reviews: payments that a rule wants a person to look at, as Stripe's Review objects. One is closed by approving it,
//! or by giving the money back.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::ids::new_id;

use crate::app::{Origin, Owner};
use crate::charges::Charge;
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{ListRoute, Listed};

static LISTED: Listed = Listed {
    table: "reviews",
    columns: "id, merchant, livemode, created_ms, charge, intent, closed_reason",
};

/// A review.
#[derive(Debug, Clone)]
pub struct Review {
    id: String,
    owner: Owner,
    created_ms: i64,
    charge: String,
    intent: String,
    closed_reason: Option<String>,
}

impl Review {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            charge: row.get(4)?,
            intent: row.get(5)?,
            closed_reason: row.get(6)?,
        })
    }

    /// The merchant's review with this id, if there is one.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let row = LISTED.row(tx, owner, id)?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// The Review object.
    pub fn object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "review",
            "billing_zip": null,
            "charge": self.charge,
            "closed_reason": self.closed_reason,
            "created": self.created_ms.div_euclid(1000),
            "ip_address": null,
            "ip_address_location": null,
            "livemode": self.owner.livemode,
            "open": self.closed_reason.is_none(),
            "opened_reason": "rule",
            "payment_intent": self.intent,
            "reason": self.closed_reason.as_deref().unwrap_or("rule"),
            "session": null,
        })
    }
}

/// Opens the review of a charge.
pub fn open(tx: &mut Tx<'_>, charge: &Charge, origin: &Origin, now_ms: i64) -> Result<(), Error> {
    let review = Review {
        id: new_id("prv"),
        owner: charge.owner.clone(),
        created_ms: now_ms,
        charge: charge.id.clone(),
        intent: charge.intent.clone(),
        closed_reason: None,
    };
    tx.execute(
        "insert into reviews (id, merchant, livemode, created_ms, charge, intent) values ($1, $2, $3, $4, $5, $6)",
        params![
            &review.id,
            &review.owner.merchant,
            review.owner.livemode,
            now_ms,
            &review.charge,
            &review.intent,
        ],
    )?;
    events::emit(
        tx,
        &review.owner,
        "review.opened",
        review.object(),
        origin,
        now_ms,
    )
}

/// Closes the open review of a charge, if it has one: `approved`, `refunded`, `canceled` or `disputed`.
pub fn close(
    tx: &mut Tx<'_>,
    charge: &str,
    reason: &str,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    let sql = format!(
        "update reviews set closed_reason = $2 where charge = $1 and closed_reason is null returning {}",
        LISTED.columns
    );
    let Some(row) = tx.first(&sql, params![charge, reason])? else {
        return Ok(());
    };
    let review = Review::from_row(&row)?;
    events::emit(
        tx,
        &review.owner,
        "review.closed",
        review.object(),
        origin,
        now_ms,
    )
}

fn missing() -> Refusal {
    Refusal::no_such("review").param("review").not_found()
}

/// `GET /v1/reviews/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner) = (call.app.clone(), call.owner);
    let read = move |tx: &mut Tx<'_>| {
        let review = Review::find(tx, &owner, &id)?.ok_or_else(missing)?;
        expand.apply(tx, &app, &owner, review.object())
    };
    call.app.store.read(read).await.map(Json)
}

/// `GET /v1/reviews`
pub async fn list(call: Call) -> Result<Json<Value>, Error> {
    LIST.answer(call).await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/reviews",
    table: &LISTED,
    filters: &[],
    object: |row, _| Ok(Review::from_row(row)?.object()),
};

/// `POST /v1/reviews/{id}/approve`
pub async fn approve(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "prva", |mut call, _| async move {
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (shared, now_ms) = (app.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            let review = Review::find(tx, &owner, &id)?.ok_or_else(missing)?;
            match review.closed_reason.as_deref() {
                None => close(tx, &review.charge, "approved", &origin, now_ms)?,
                // An interrupted call finds what it has done.
                Some("approved") => {}
                Some(_) => {
                    let message = "This review is closed; it cannot be approved any more.";
                    return Err(Refusal::plain(message).param("review").into());
                }
            }
            let review = Review::find(tx, &owner, &id)?.ok_or_else(missing)?;
            expand.apply(tx, &shared, &owner, review.object())
        };
        let object = app.store.write(write).await;
        app.deliver.notify_one();
        object
    })
    .await
}

//! What may change of a refund: its metadata, and whether it is made at all while nobody has been sent it.

use axum::extract::Path;
use axum::response::Response;
use serde_json::json;
use store::{Tx, params};

use super::{LISTED, Refund, answer, emit, load, operation_id};
use crate::charges::Charge;
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::merge_metadata;
use crate::ledger;

/// `POST /v1/refunds/{id}`: metadata.
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "reu", |mut call, _| async move {
        let said = call.params.metadata()?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (of, named, now_ms) = (owner.clone(), id.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            LISTED.lock(tx, &of, &named)?;
            let mut refund = load(tx, &of, &named)?;
            merge_metadata(&mut refund.metadata, said.clone())?;
            tx.execute(
                "update refunds set metadata = $2 where id = $1",
                params![&named, json!(refund.metadata).to_string()],
            )?;
            emit(tx, &of, "refund.updated", &named, &origin, now_ms)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

/// `POST /v1/refunds/{id}/cancel`: one that the acquirer has certainly not been sent.
pub async fn cancel(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "rec", |mut call, _| async move {
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (of, named, now_ms) = (owner.clone(), id.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let refund = load(tx, &of, &named)?;
            if refund.status == "canceled" {
                return Ok(());
            }
            // Whoever sends it counts the send first: one of the two finds nothing to do.
            let ended = tx.execute(
                "update operations set state = 'failed' where id = $1 and state = 'pending' and sends = 0",
                params![operation_id(&named)],
            )?;
            if ended == 0 {
                return Err(not_cancelable(&refund));
            }
            tx.execute(
                "update refunds set status = 'canceled', failure_reason = 'merchant_request' where id = $1",
                params![&named],
            )?;
            tx.execute(
                "update charges set refund_reserved = refund_reserved - $2 where id = $1",
                params![&refund.charge, refund.amount],
            )?;
            let charge = Charge::find(tx, &of, &refund.charge)?;
            let charge = charge.ok_or(Error::Internal("a refund's charge is gone"))?;
            ledger::release_refund(tx, &charge, &named, refund.amount, now_ms)?;
            emit(tx, &of, "refund.updated", &named, &origin, now_ms)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

fn not_cancelable(refund: &Refund) -> Error {
    let message = match refund.status.as_str() {
        "pending" => {
            "This refund cannot be canceled: the acquirer may have it already, and its answer is awaited."
                .to_owned()
        }
        status => format!("This refund cannot be canceled: it has a status of {status}."),
    };
    Refusal::plain(message).into()
}

//! `POST /v1/payment_intents/{id}/capture`: the authorised amount, or a part of it, once.

use axum::extract::Path;
use axum::response::Response;
use store::{Tx, params};

use super::{Intent, confirm};
use crate::app::{App, Origin, Owner};
use crate::charges::Charge;
use crate::connectors::{Done, Operation as Kind};
use crate::conversion;
use crate::currency;
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::operations::{self, Operation};

/// `POST /v1/payment_intents/{id}/capture`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "cap", |mut call, subject| async move {
        let amount = currency::amount(&mut call.params, "amount_to_capture")?;
        // One capture is all there is, so the final one is every one.
        call.params.one_of("final_capture", &["true"])?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let begin = Begin {
            kind: Kind::Capture,
            subject,
            intent: id.clone(),
            amount,
            reason: None,
            origin,
        };
        let operation = begin.commit(&app, &owner).await?;
        if let Some(Done::No(code)) = finish(&app, &operation).await? {
            return Err(refused(&app, &owner, id, "capture", &code).await?);
        }
        confirm::answer(&app, owner, id, expand).await
    })
    .await
}

/// A capture or a void about to begin.
pub struct Begin {
    pub kind: Kind,
    /// The id of the operation.
    pub subject: String,
    pub intent: String,
    pub amount: Option<i64>,
    pub reason: Option<String>,
    pub origin: Origin,
}

impl Begin {
    /// Commits the operation and takes the intent out of `requires_capture`, so that no other can begin. One that was
    /// interrupted is found again.
    pub async fn commit(self, app: &App, owner: &Owner) -> Result<Operation, Error> {
        let (shared, owner, now_ms) = (app.clone(), owner.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<Operation, Error> {
            if let Some(begun) = Operation::find(tx, &self.subject)? {
                return Ok(begun);
            }
            let intent = Intent::load(tx, &owner, &self.intent)?;
            let amount = self.amount.unwrap_or(intent.amount_capturable);
            let moved = tx.execute(
                "update payment_intents set status = 'processing' where id = $1 and status = 'requires_capture'",
                params![&intent.id],
            )?;
            if moved == 0 {
                let verb = if self.kind == Kind::Capture {
                    "capture"
                } else {
                    "cancel"
                };
                return Err(intent.unexpected_state(&shared.seal, verb));
            }
            if amount > intent.amount_capturable {
                let message =
                    "The amount to capture is greater than the amount that can be captured.";
                return Err(Refusal::new("amount_too_large", message)
                    .param("amount_to_capture")
                    .into());
            }
            let charge = intent
                .latest_charge
                .as_deref()
                .map(|id| Charge::find(tx, &owner, id))
                .transpose()?;
            let charge = charge
                .flatten()
                .ok_or(Error::Internal("an authorised intent without a charge"))?;
            let mut operation =
                Operation::new(&self.subject, self.kind, &charge, amount, &self.origin);
            if self.kind == Kind::Capture {
                operation.conversion =
                    conversion::quote(&shared, &owner, amount, &charge.currency)?;
            }
            operation.reason.clone_from(&self.reason);
            operation.insert(tx, now_ms)?;
            Ok(operation)
        };
        app.store.write(write).await
    }
}

/// Performs an operation that is pending; what is known of one that is not.
pub async fn finish(app: &App, operation: &Operation) -> Result<Option<Done>, Error> {
    match operation.state.as_str() {
        "pending" => operations::perform(app, operation).await,
        "failed" => Ok(Some(Done::No("refused".into()))),
        _ => Ok(Some(Done::Yes)),
    }
}

/// The acquirer's definite no.
pub async fn refused(
    app: &App,
    owner: &Owner,
    id: String,
    verb: &str,
    code: &str,
) -> Result<Error, Error> {
    tracing::warn!(intent = id, verb, code, "the acquirer refused");
    let owner = owner.clone();
    let intent = app
        .store
        .read(move |tx: &mut Tx<'_>| Intent::load(tx, &owner, &id))
        .await?;
    let message = format!("The acquirer refused to {verb} this payment.");
    Ok(Refusal::new("processing_error", message)
        .intent(intent.object(&app.seal))
        .into())
}

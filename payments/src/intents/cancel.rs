//! `POST /v1/payment_intents/{id}/cancel`: at once when nothing is authorised, else by a void at the acquirer.

use axum::extract::Path;
use axum::response::Response;
use store::{Tx, params};

use super::capture::{Begin, finish, refused};
use super::{Intent, confirm};
use crate::app::{App, Origin, Owner};
use crate::checkout::lifecycle;
use crate::connectors::{Done, Operation as Kind};
use crate::error::Error;
use crate::events;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::payment_methods::forget_token;
use crate::three_ds;

const REASONS: &[&str] = &[
    "abandoned",
    "duplicate",
    "fraudulent",
    "requested_by_customer",
];

/// `POST /v1/payment_intents/{id}/cancel`
pub async fn route(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "void", |mut call, subject| async move {
        let reason = call.params.one_of("cancellation_reason", REASONS)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        if !at_once(&app, &owner, &id, &subject, reason, &origin).await? {
            let reason = reason.map(str::to_owned);
            let begin = Begin {
                kind: Kind::Void,
                subject,
                intent: id.clone(),
                amount: None,
                reason,
                origin,
            };
            let operation = begin.commit(&app, &owner).await?;
            if let Some(Done::No(code)) = finish(&app, &operation).await? {
                return Err(refused(&app, &owner, id, "void", &code).await?);
            }
        }
        confirm::answer(&app, owner, id, expand).await
    })
    .await
}

// True when the intent is canceled now. A void takes the other way, also when it is resumed.
async fn at_once(
    app: &App,
    owner: &Owner,
    id: &str,
    subject: &str,
    reason: Option<&'static str>,
    origin: &Origin,
) -> Result<bool, Error> {
    let (shared, owner, id, subject) = (
        app.clone(),
        owner.clone(),
        id.to_owned(),
        subject.to_owned(),
    );
    let (origin, now_ms) = (origin.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
        let before = Intent::load(tx, &owner, &id)?;
        // The canceling call's own mark: a resumed one finds it, another call on a canceled intent is refused.
        let marked = tx.first(
            "select 1 from cancellations where id = $1",
            params![&subject],
        )?;
        if marked.is_some() {
            return Ok(true);
        }
        let open = before.amount_capturable == 0;
        if open {
            lifecycle::refuse_alone(before.details.checkout_session.as_deref())?;
        }
        let moved = tx.execute(
            "update payment_intents set status = 'canceled', canceled_at = $2, cancellation_reason = $3,
                 next_action = null
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation', 'requires_action')",
            params![&id, now_ms.div_euclid(1000), reason.map(str::to_owned)],
        )?;
        if moved == 0 {
            return Ok(false);
        }
        three_ds::record::abandon(tx, &id)?;
        tx.execute(
            "insert into cancellations (id, intent) values ($1, $2)",
            params![&subject, &id],
        )?;
        if let Some(method) = &before.payment_method {
            forget_token(tx, method)?;
        }
        let object = Intent::load(tx, &owner, &id)?.object(&shared.seal);
        events::emit(
            tx,
            &owner,
            "payment_intent.canceled",
            object,
            &origin,
            now_ms,
        )?;
        Ok(true)
    };
    let canceled = app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(canceled)
}

//! `POST /v1/payment_intents/{id}`: changes, while nothing is on its way to the acquirer.

use axum::extract::Path;
use axum::response::Response;
use serde_json::json;
use store::{Tx, params};

use super::confirm::{self, Source};
use super::create::take_details;
use super::{Details, Intent, LISTED};
use crate::checkout::lifecycle;
use crate::currency;
use crate::customers::Customer;
use crate::error::Error;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::payment_methods::PaymentMethod;

/// `POST /v1/payment_intents/{id}`
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "upd", |mut call, subject| async move {
        let amount = currency::amount(&mut call.params, "amount")?;
        let currency = call.params.text("currency", 10)?.map(|_| ());
        if currency.is_some() {
            // The currency of an intent is part of what the buyer was shown; a new one needs a new intent.
            let message = "The currency of a PaymentIntent cannot be changed; create another one.";
            return Err(crate::error::Refusal::plain(message)
                .param("currency")
                .into());
        }
        let source = Source::take(&mut call.params)?;
        let customer = call.params.text("customer", 100)?;
        let (app, owner) = (call.app.clone(), call.owner.clone());
        let words = call.params.clone();
        take_details(&mut call.params, &mut Details::default())?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;

        let method = match &source {
            Some(Source::Token(token)) => {
                let id = confirm::method_id(&subject);
                Some(PaymentMethod::new(
                    &app.seal,
                    &owner,
                    id,
                    app.clock.now_ms(),
                    token,
                ))
            }
            _ => None,
        };
        let method_id = match &source {
            Some(Source::Existing(id)) => Some(id.clone()),
            _ => method.as_ref().map(|method| method.id.clone()),
        };
        let (shared, write_owner, write_id) = (app.clone(), owner.clone(), id.clone());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            LISTED.lock(tx, &write_owner, &write_id)?;
            let mut details = Intent::load(tx, &write_owner, &write_id)?.details;
            take_details(&mut words.clone(), &mut details)?;
            let terms = amount.is_some() || method_id.is_some() || customer.is_some();
            if terms {
                let before = Intent::load(tx, &write_owner, &write_id)?;
                lifecycle::refuse_alone(before.details.checkout_session.as_deref())?;
            }
            if let Some(customer) = &customer {
                Customer::named(tx, &write_owner, customer)?;
            }
            if let Some(method) = &method {
                method.insert(tx)?;
            } else if let Some(id) = &method_id {
                let of = Intent::load(tx, &write_owner, &write_id)?.customer;
                confirm::usable(tx, &write_owner, id, customer.as_deref().or(of.as_deref()))?;
            }
            let mut intent = Intent::load(tx, &write_owner, &write_id)?;
            if terms && intent.status == "requires_action" {
                // What the buyer is asked for was about the old terms.
                intent.reopen(tx)?;
            }
            let open = "('requires_payment_method', 'requires_confirmation', 'requires_action')";
            // Words about a payment may be changed at any time, its terms only before it is sent.
            let states = if terms {
                format!("and status in {open}")
            } else {
                String::new()
            };
            let sql = format!(
                "update payment_intents set details = $4, amount = coalesce($5, amount),
                     payment_method = coalesce($6, payment_method), customer = coalesce($7, customer),
                     status = case when $6 is not null and status = 'requires_payment_method'
                                   then 'requires_confirmation' else status end
                 where id = $1 and merchant = $2 and livemode = $3 {states}"
            );
            let values = params![
                &write_id,
                &write_owner.merchant,
                write_owner.livemode,
                json!(details).to_string(),
                amount,
                method_id.clone(),
                customer.clone(),
            ];
            if tx.execute(&sql, values)? == 0 {
                return Err(Intent::load(tx, &write_owner, &write_id)?
                    .unexpected_state(&shared.seal, "update"));
            }
            Ok(())
        };
        app.store.write(write).await?;
        confirm::answer(&app, owner, id, expand).await
    })
    .await
}

//! Saved cards: payment methods that belong to a customer. Attaching exchanges the token for a stored card at the
//! vault; a payment method whose payment or setup kept the card has one already.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Tx, params};
use vault_api::tokens::StoredCard;

use crate::app::{App, Owner};
use crate::billing::{Change, Fresh};
use crate::customers::{self, Customer};
use crate::error::{Error, Refusal};
use crate::events;
use crate::exchange;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{self, Listed, Page};
use crate::http::params::merge_metadata;
use crate::intents::confirm::method_id;
use crate::payment_methods::{
    COLUMNS, PaymentMethod, published_token, remember_card, remember_stored_card,
};

const LISTED: Listed = Listed {
    table: "payment_methods",
    columns: COLUMNS,
};

fn missing() -> Refusal {
    let refusal = Refusal::no_such("PaymentMethod");
    refusal.param("payment_method").not_found()
}

fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<PaymentMethod, Error> {
    PaymentMethod::find(tx, owner, id)?.ok_or_else(|| missing().into())
}

/// That the payment method is this customer's, or could become it.
fn check_attachable(method: &PaymentMethod, customer: &str) -> Result<(), Error> {
    let other = method
        .customer
        .as_deref()
        .is_some_and(|own| own != customer);
    if other {
        let message = "The payment method you provided has already been attached to a customer.";
        return Err(Refusal::new("payment_method_unexpected_state", message)
            .param("payment_method")
            .into());
    }
    method.check_customer(Some(customer))
}

/// `POST /v1/payment_methods/{id}/attach`
pub async fn attach(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "att", |mut call, attachment| async move {
        let customer = call.params.required("customer", 100)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let id = match published_token(&id) {
            Some(token) => method_of(&app, &owner, method_id(&attachment), &token).await?,
            None => id,
        };
        let (read_owner, read_id, read_customer) = (owner.clone(), id.clone(), customer.clone());
        let read = move |tx: &mut Tx<'_>| -> Result<PaymentMethod, Error> {
            let method = load(tx, &read_owner, &read_id)?;
            Customer::named(tx, &read_owner, &read_customer)?;
            check_attachable(&method, &read_customer)?;
            Ok(method)
        };
        let method = app.store.read(read).await?;
        let stored = store_card(&app, &method).await?;
        let (shared, now_ms) = (app.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            if let Some(stored) = &stored {
                keep(tx, &id, stored)?;
            }
            if give(tx, &owner, &id, &customer)? {
                let object = load(tx, &owner, &id)?.object();
                events::emit(
                    tx,
                    &owner,
                    "payment_method.attached",
                    object,
                    &origin,
                    now_ms,
                )?;
            }
            let object = load(tx, &owner, &id)?.object();
            expand.apply(tx, &shared, &owner, object)
        };
        let attached = app.store.write(write).await?;
        app.deliver.notify_one();
        Ok(attached)
    })
    .await
}

// A published test token becomes a payment method of the customer's own; a resumed call finds the same.
async fn method_of(app: &App, owner: &Owner, id: String, token: &str) -> Result<String, Error> {
    let fresh = Fresh {
        token: token.to_owned(),
        billing: None,
    };
    let method = PaymentMethod::new(&app.seal, owner, id.clone(), app.clock.now_ms(), &fresh);
    app.store.write(move |tx| method.insert(tx)).await?;
    Ok(id)
}

/// The stored card that the vault makes of a payment method's token; None when it has one.
pub async fn store_card(app: &App, method: &PaymentMethod) -> Result<Option<StoredCard>, Error> {
    // With a token still there, a stored card is one that waits for an approval: not yet one to keep.
    if method.stored_card.is_some() && method.sealed_token.is_none() {
        return Ok(None);
    }
    exchange::for_storage(app, method).await.map(Some)
}

/// Writes down the stored card; the token is used up.
pub fn keep(tx: &mut Tx<'_>, id: &str, stored: &StoredCard) -> Result<(), Error> {
    remember_card(tx, id, &stored.card)?;
    remember_stored_card(tx, id, &stored.id)?;
    tx.execute(
        "update payment_methods set sealed_token = null where id = $1",
        params![id],
    )?;
    Ok(())
}

/// Makes a payment method with a stored card the customer's. False when it was; refused when it is another's.
pub fn give(tx: &mut Tx<'_>, owner: &Owner, id: &str, customer: &str) -> Result<bool, Error> {
    // The customer cannot be deleted between this check and the update.
    customers::lock(tx, customer)?;
    Customer::named(tx, owner, customer)?;
    let moved = tx.execute(
        "update payment_methods set customer = $2 where id = $1 and customer is null and detached = 0
             and stored_card is not null",
        params![id, customer],
    )?;
    if moved == 0 {
        check_attachable(&load(tx, owner, id)?, customer)?;
    }
    Ok(moved == 1)
}

/// `POST /v1/payment_methods/{id}`: metadata and billing details of a customer's card. Its expiry is the vault's.
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "pmu", |mut call, _| async move {
        let said = call.params.metadata()?;
        let change = Change::take(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (shared, now_ms) = (app.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            let mut method = load(tx, &owner, &id)?;
            if method.customer.is_none() {
                let message =
                    "You must save this PaymentMethod to a customer before you can update it.";
                return Err(Refusal::plain(message).param("payment_method").into());
            }
            merge_metadata(&mut method.metadata, said.clone())?;
            if let Some(change) = change.clone() {
                method.billing = Some(change.of(method.billing.take().unwrap_or_default()));
            }
            tx.execute(
                "update payment_methods set metadata = $2, billing_details = $3 where id = $1",
                params![
                    &id,
                    json!(method.metadata).to_string(),
                    method
                        .billing
                        .as_ref()
                        .map(|billing| json!(billing).to_string()),
                ],
            )?;
            let object = method.object();
            let kind = "payment_method.updated";
            events::emit(tx, &owner, kind, object.clone(), &origin, now_ms)?;
            expand.apply(tx, &shared, &owner, object)
        };
        let updated = app.store.write(write).await?;
        app.deliver.notify_one();
        Ok(updated)
    })
    .await
}

/// `POST /v1/payment_methods/{id}/detach`
pub async fn detach(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "det", |mut call, _| async move {
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (shared, now_ms) = (app.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            load(tx, &owner, &id)?;
            let moved = tx.execute(
                "update payment_methods set customer = null, detached = 1 where id = $1 and customer is not null",
                params![&id],
            )?;
            if moved == 0 {
                let message = "The payment method you provided is not attached to a customer so detachment is \
                               impossible.";
                return Err(Refusal::plain(message).param("payment_method").into());
            }
            let object = load(tx, &owner, &id)?.object();
            events::emit(tx, &owner, "payment_method.detached", object.clone(), &origin, now_ms)?;
            expand.apply(tx, &shared, &owner, object)
        };
        let detached = app.store.write(write).await?;
        app.deliver.notify_one();
        Ok(detached)
    })
    .await
}

/// Detaches every card of a customer that goes.
pub fn detach_all(tx: &mut Tx<'_>, owner: &Owner, customer: &str) -> Result<(), Error> {
    tx.execute(
        "update payment_methods set customer = null, detached = 1
         where customer = $1 and merchant = $2 and livemode = $3",
        params![customer, &owner.merchant, owner.livemode],
    )?;
    Ok(())
}

/// `GET /v1/payment_methods?customer=`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let customer = call.params.required("customer", 100)?;
    page_of(call, customer, "/v1/payment_methods".to_owned(), false).await
}

/// `GET /v1/customers/{id}/payment_methods`
pub async fn list_of_customer(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    let url = format!("/v1/customers/{id}/payment_methods");
    page_of(call, id, url, true).await
}

async fn page_of(
    mut call: Call,
    customer: String,
    url: String,
    in_path: bool,
) -> Result<Json<Value>, Error> {
    let (page, expand) = (
        Page::parse(&mut call.params)?,
        Expand::parse(&mut call.params)?,
    );
    call.params.one_of("type", &["card"])?;
    call.params.finish()?;
    let (app, owner) = (call.app.clone(), call.owner);
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        if in_path {
            Customer::load(tx, &owner, &customer)?;
        } else {
            Customer::named(tx, &owner, &customer)?;
        }
        let (rows, more) = page.select(tx, &LISTED, &owner, &[("customer", &customer)])?;
        let data = rows
            .iter()
            .map(|row| Ok(PaymentMethod::from_row(row)?.object()));
        let list = pages::list(&url, data.collect::<Result<_, Error>>()?, more);
        expand.apply(tx, &app, &owner, list)
    };
    call.app.store.read(read).await.map(Json)
}

/// `GET /v1/customers/{customer}/payment_methods/{id}`
pub async fn retrieve_of_customer(
    Path((customer, id)): Path<(String, String)>,
    mut call: Call,
) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner) = (call.app.clone(), call.owner);
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        Customer::load(tx, &owner, &customer)?;
        let method = PaymentMethod::find(tx, &owner, &id)?;
        let own = method.filter(|method| method.customer.as_deref() == Some(&*customer));
        let object = own.ok_or_else(missing)?.object();
        expand.apply(tx, &app, &owner, object)
    };
    call.app.store.read(read).await.map(Json)
}

//! Customers: whom saved cards belong to. Deleting one detaches its cards.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Row, Tx, params};

use crate::app::{App, Origin, Owner};
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::conditions::Condition;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{ListRoute, Listed, Page};
use crate::http::params::{Metadata, Params, from_column, merge_metadata};
use crate::intents::confirm::usable;
use crate::saved_cards;

const LISTED: Listed = Listed {
    table: "customers",
    columns: "id, merchant, livemode, created_ms, state, details",
};

/// The parts of an address, as Stripe names them.
const ADDRESS: &[&str] = &["city", "country", "line1", "line2", "postal_code", "state"];

/// A customer.
#[derive(Debug, Clone)]
pub struct Customer {
    pub id: String,
    owner: Owner,
    created_ms: i64,
    deleted: bool,
    details: Details,
}

/// What is only kept and shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Details {
    email: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    description: Option<String>,
    metadata: Metadata,
    address: Option<Value>,
    default_payment_method: Option<String>,
}

impl Customer {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            deleted: row.get::<String>(4)? == "deleted",
            details: from_column(&row.get::<String>(5)?)?,
        })
    }

    /// The merchant's customer with this id, deleted or not.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let row = LISTED.row(tx, owner, id)?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// The customer that a parameter `customer` names.
    pub fn named(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::find(tx, owner, id)?.filter(|customer| !customer.deleted);
        found.ok_or_else(|| Refusal::no_such("customer").param("customer").into())
    }

    /// The customer that a path names; a deleted one cannot be changed.
    pub fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::find(tx, owner, id)?.filter(|customer| !customer.deleted);
        found.ok_or_else(|| missing().into())
    }

    /// The Customer object.
    pub fn object(&self) -> Value {
        if self.deleted {
            return json!({ "id": self.id, "object": "customer", "deleted": true });
        }
        let details = &self.details;
        json!({
            "id": self.id,
            "object": "customer",
            "address": details.address,
            "balance": 0,
            "created": self.created_ms.div_euclid(1000),
            "currency": null,
            "default_source": null,
            "delinquent": false,
            "description": details.description,
            "discount": null,
            "email": details.email,
            "invoice_prefix": null,
            "invoice_settings": {
                "custom_fields": null, "default_payment_method": details.default_payment_method, "footer": null,
                "rendering_options": null,
            },
            "livemode": self.owner.livemode,
            "metadata": details.metadata,
            "name": details.name,
            "next_invoice_sequence": 1,
            "phone": details.phone,
            "preferred_locales": [],
            "shipping": null,
            "tax_exempt": "none",
            "test_clock": null,
        })
    }

    fn save(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "update customers set state = $2, email = $3, details = $4 where id = $1",
            params![
                &self.id,
                if self.deleted { "deleted" } else { "active" },
                self.details.email.clone(),
                json!(self.details).to_string(),
            ],
        )?;
        Ok(())
    }
}

fn missing() -> Refusal {
    Refusal::no_such("customer").param("customer").not_found()
}

/// What a create or an update asks for.
struct Wanted {
    texts: Vec<(&'static str, Option<String>)>,
    address: Option<Option<Value>>,
    default_payment_method: Option<Option<String>>,
    metadata: std::collections::BTreeMap<String, Option<String>>,
}

impl Wanted {
    fn parse(params: &mut Params) -> Result<Self, Error> {
        let mut texts = Vec::new();
        for (name, most) in [
            ("email", 512),
            ("name", 256),
            ("phone", 20),
            ("description", 1_000),
        ] {
            if let Some(value) = params.clearable(name, most)? {
                texts.push((name, value));
            }
        }
        let email = texts.iter().find(|(name, _)| *name == "email");
        if email.is_some_and(|(_, value)| value.as_ref().is_some_and(|v| !v.contains('@'))) {
            let refusal = Refusal::new("email_invalid", "Invalid email address.");
            return Err(refusal.param("email").into());
        }
        let address = if params.is_hash("address") {
            take_address(params)?.map(Some)
        } else {
            params.clearable("address", 0)?.map(|_| None)
        };
        let default_payment_method = match params.hash("invoice_settings")? {
            None => None,
            Some(mut settings) => {
                let method = settings.clearable("default_payment_method", 100)?;
                settings.finish()?;
                method
            }
        };
        Ok(Self {
            texts,
            address,
            default_payment_method,
            metadata: params.metadata()?,
        })
    }

    fn apply(&self, tx: &mut Tx<'_>, customer: &mut Customer) -> Result<(), Error> {
        let details = &mut customer.details;
        for (name, value) in &self.texts {
            let field = match *name {
                "email" => &mut details.email,
                "name" => &mut details.name,
                "phone" => &mut details.phone,
                _ => &mut details.description,
            };
            field.clone_from(value);
        }
        if let Some(address) = &self.address {
            details.address.clone_from(address);
        }
        if let Some(method) = &self.default_payment_method {
            if let Some(id) = method {
                let found = usable(tx, &customer.owner, id, Some(&customer.id))?;
                if found.customer.is_none() {
                    let message = "The payment method must be attached to the customer first.";
                    return Err(Refusal::plain(message)
                        .param("invoice_settings[default_payment_method]")
                        .into());
                }
            }
            details.default_payment_method.clone_from(method);
        }
        merge_metadata(&mut details.metadata, self.metadata.clone())
    }
}

fn take_address(params: &mut Params) -> Result<Option<Value>, Error> {
    let Some(mut hash) = params.hash("address")? else {
        return Ok(None);
    };
    let mut address = json!({});
    for part in ADDRESS {
        address[*part] = json!(hash.clearable(part, 200)?.flatten());
    }
    hash.finish()?;
    Ok(Some(address))
}

/// `POST /v1/customers`
pub async fn create(call: Call) -> Response {
    idempotency::run(call, "cus", |mut call, id| async move {
        let wanted = Wanted::parse(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let now_ms = app.clock.now_ms();
        let (shared, answer_owner, answer_id) = (app.clone(), owner.clone(), id.clone());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let mut customer = Customer {
                id: id.clone(),
                owner: owner.clone(),
                created_ms: now_ms,
                deleted: false,
                details: Details::default(),
            };
            wanted.apply(tx, &mut customer)?;
            let inserted = tx.execute(
                "insert into customers (id, merchant, livemode, created_ms, state, email, details)
                 values ($1, $2, $3, $4, 'active', $5, $6) on conflict do nothing",
                params![
                    &customer.id,
                    &customer.owner.merchant,
                    customer.owner.livemode,
                    now_ms,
                    customer.details.email.clone(),
                    json!(customer.details).to_string(),
                ],
            )?;
            if inserted == 1 {
                emit(tx, &customer, "customer.created", &origin, now_ms)?;
            }
            Ok(())
        };
        app.store.write(write).await?;
        shared.deliver.notify_one();
        answer(&shared, answer_owner, answer_id, expand).await
    })
    .await
}

fn emit(
    tx: &mut Tx<'_>,
    customer: &Customer,
    kind: &str,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    events::emit(tx, &customer.owner, kind, customer.object(), origin, now_ms)
}

async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let customer = Customer::find(tx, &owner, &id)?.ok_or_else(missing)?;
        expand.apply(tx, &shared, &owner, customer.object())
    };
    app.store.read(read).await
}

/// `GET /v1/customers/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    answer(&call.app, call.owner, id, expand).await.map(Json)
}

/// `POST /v1/customers/{id}`
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "upd", |mut call, _| async move {
        let wanted = Wanted::parse(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let now_ms = app.clock.now_ms();
        let (write_owner, write_id) = (owner.clone(), id.clone());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            lock(tx, &write_id)?;
            let mut customer = Customer::load(tx, &write_owner, &write_id)?;
            wanted.apply(tx, &mut customer)?;
            customer.save(tx)?;
            emit(tx, &customer, "customer.updated", &origin, now_ms)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

/// `DELETE /v1/customers/{id}`: its cards are detached; what was paid stays.
pub async fn delete(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "del", |call, _| async move {
        let Call {
            app,
            owner,
            origin,
            params: parameters,
            ..
        } = call;
        parameters.finish()?;
        let now_ms = app.clock.now_ms();
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            lock(tx, &id)?;
            let mut customer = Customer::load(tx, &owner, &id)?;
            saved_cards::detach_all(tx, &owner, &id)?;
            emit(tx, &customer, "customer.deleted", &origin, now_ms)?;
            customer.deleted = true;
            // Who it was goes with it; only that there was one stays.
            customer.details = Details::default();
            customer.save(tx)?;
            Ok(customer.object())
        };
        let gone = app.store.write(write).await?;
        app.deliver.notify_one();
        Ok(gone)
    })
    .await
}

/// Nobody else changes the customer until the transaction ends: what is read after this is not overwritten blindly.
pub fn lock(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute(
        "update customers set state = state where id = $1",
        params![id],
    )?;
    Ok(())
}

/// `GET /v1/customers`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let page = Page::with_created(&mut call.params)?;
    let expand = Expand::parse(&mut call.params)?;
    let email = call.params.text("email", 512)?;
    call.params.finish()?;
    let mut conditions = vec![Condition::equal("state", "active")];
    conditions.extend(email.map(|email| Condition::equal("email", &email)));
    LIST.page(call.app, call.owner, page, expand, conditions)
        .await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/customers",
    table: &LISTED,
    filters: &[],
    object: |row, _| Ok(Customer::from_row(row)?.object()),
};

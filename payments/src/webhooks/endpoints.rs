//! Webhook endpoints: who listens to which events. Made by the API or by the command line.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Row, Tx, params};

use super::sign::new_secret;
use crate::app::Owner;
use crate::error::{Error, Refusal};
use crate::http::API_VERSION;
use crate::http::call::Call;
use crate::http::idempotency;
use crate::http::pages::{self, Listed, Page};
use crate::http::params::{Metadata, Params, from_column, merge_metadata};

const LISTED: Listed = Listed {
    table: "webhook_endpoints",
    columns: "id, merchant, livemode, created_ms, url, enabled_events, status, secret, description, metadata",
};

/// An endpoint.
#[derive(Clone)]
pub struct Endpoint {
    pub id: String,
    pub owner: Owner,
    pub created_ms: i64,
    pub url: String,
    pub events: Vec<String>,
    pub enabled: bool,
    /// `whsec_..`
    pub secret: String,
    pub description: Option<String>,
    pub metadata: Metadata,
}

impl Endpoint {
    /// A new one with a new secret.
    pub fn new(
        id: String,
        owner: &Owner,
        url: &str,
        events: Vec<String>,
        now_ms: i64,
    ) -> Result<Self, Error> {
        Ok(Self {
            id,
            owner: owner.clone(),
            created_ms: now_ms,
            url: acceptable_url(url, owner.livemode)?,
            events: acceptable_events(events)?,
            enabled: true,
            secret: new_secret(),
            description: None,
            metadata: Metadata::new(),
        })
    }

    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            url: row.get(4)?,
            events: from_column(&row.get::<String>(5)?)?,
            enabled: row.get::<String>(6)? == "enabled",
            secret: row.get(7)?,
            description: row.get(8)?,
            metadata: from_column(&row.get::<String>(9)?)?,
        })
    }

    /// The endpoint with this id, whoever's it is: for deliveries, which were bound to their owner when they were put.
    pub fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "select {} from webhook_endpoints where id = $1",
            LISTED.columns
        );
        tx.first(&sql, params![id])?
            .as_ref()
            .map(Self::from_row)
            .transpose()
    }

    fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::by_id(tx, id)?.filter(|endpoint| endpoint.owner == *owner);
        found.ok_or_else(|| {
            Refusal::no_such("webhook_endpoint")
                .param("webhook_endpoint")
                .not_found()
                .into()
        })
    }

    /// Stores it; the same id twice is once.
    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "insert into webhook_endpoints (id, merchant, livemode, created_ms, url, enabled_events, status, secret,
                 description, metadata)
             values ($1, $2, $3, $4, $5, $6, 'enabled', $7, $8, $9) on conflict do nothing",
            params![
                &self.id,
                &self.owner.merchant,
                self.owner.livemode,
                self.created_ms,
                &self.url,
                json!(self.events).to_string(),
                &self.secret,
                self.description.clone(),
                json!(self.metadata).to_string(),
            ],
        )?;
        Ok(())
    }

    /// The WebhookEndpoint object; the secret is shown when it is made and never again.
    pub fn object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": null,
            "created": self.created_ms.div_euclid(1000),
            "description": self.description,
            "enabled_events": self.events,
            "livemode": self.owner.livemode,
            "metadata": self.metadata,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "url": self.url,
        })
    }
}

/// The ids of the merchant's endpoints that listen to events of this kind.
pub fn listening(tx: &mut Tx<'_>, owner: &Owner, kind: &str) -> Result<Vec<String>, Error> {
    let rows = tx.all(
        "select id, enabled_events from webhook_endpoints where merchant = $1 and livemode = $2 and status = 'enabled'",
        params![&owner.merchant, owner.livemode],
    )?;
    let mut ids = Vec::new();
    for row in &rows {
        let events: Vec<String> = from_column(&row.get::<String>(1)?)?;
        if events.iter().any(|event| event == "*" || event == kind) {
            ids.push(row.get(0)?);
        }
    }
    Ok(ids)
}

/// Stops deliveries to an endpoint.
pub fn disable(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute(
        "update webhook_endpoints set status = 'disabled' where id = $1",
        params![id],
    )?;
    Ok(())
}

/// Every endpoint of the installation, oldest first, for the operator.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Endpoint>, Error> {
    let sql = format!(
        "select {} from webhook_endpoints order by created_ms, id",
        LISTED.columns
    );
    tx.all(&sql, &[])?.iter().map(Endpoint::from_row).collect()
}

fn acceptable_url(url: &str, livemode: bool) -> Result<String, Error> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let scheme = parsed
        .as_ref()
        .and_then(|uri| uri.scheme_str())
        .unwrap_or_default();
    let host = parsed
        .as_ref()
        .and_then(|uri| uri.host())
        .unwrap_or_default();
    let plain = parsed
        .as_ref()
        .and_then(|uri| uri.authority())
        .is_some_and(|authority| !authority.as_str().contains('@'));
    let taken = scheme == "https" || (scheme == "http" && !livemode);
    if taken && plain && !host.is_empty() && url.len() <= 2_048 {
        return Ok(url.to_owned());
    }
    let message = if scheme == "http" {
        "Invalid URL: live mode webhook endpoints must use https."
    } else {
        "Invalid URL: must be an absolute http or https URL without credentials."
    };
    Err(Refusal::new("url_invalid", message).param("url").into())
}

fn acceptable_events(events: Vec<String>) -> Result<Vec<String>, Error> {
    let word = |event: &String| {
        let letters = event
            .bytes()
            .all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'.'));
        event == "*" || (letters && event.contains('.') && event.len() <= 100)
    };
    if !events.is_empty() && events.iter().all(word) {
        return Ok(events);
    }
    let message = "Invalid enabled_events: must be a list of event types, or * for all.";
    Err(Refusal::plain(message).param("enabled_events").into())
}

fn take_words(params: &mut Params, endpoint: &mut Endpoint) -> Result<(), Error> {
    if let Some(description) = params.clearable("description", 1_000)? {
        endpoint.description = description;
    }
    merge_metadata(&mut endpoint.metadata, params.metadata()?)
}

/// `POST /v1/webhook_endpoints`
pub async fn create(call: Call) -> Response {
    idempotency::run(call, "we", |mut call, id| async move {
        let url = call.params.required("url", 2_048)?;
        let events = call.params.list("enabled_events", 100)?;
        let events = events.ok_or_else(|| call.params.missing("enabled_events"))?;
        let mut endpoint = Endpoint::new(id, &call.owner, &url, events, call.app.clock.now_ms())?;
        take_words(&mut call.params, &mut endpoint)?;
        call.params.text("api_version", 50)?;
        call.params.finish()?;
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            endpoint.insert(tx)?;
            // A resumed call finds the row, and the secret, of its first run.
            let stored = Endpoint::load(tx, &endpoint.owner, &endpoint.id)?;
            let mut object = stored.object();
            object["secret"] = json!(stored.secret);
            Ok(object)
        };
        call.app.store.write(write).await
    })
    .await
}

/// `POST /v1/webhook_endpoints/{id}`
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "upd", |mut call, _| async move {
        let url = call.params.text("url", 2_048)?;
        let events = call.params.list("enabled_events", 100)?;
        let disabled = call.params.boolean("disabled")?;
        let mut endpoint = {
            let (owner, id) = (call.owner.clone(), id.clone());
            call.app.store.read(move |tx: &mut Tx<'_>| Endpoint::load(tx, &owner, &id)).await?
        };
        take_words(&mut call.params, &mut endpoint)?;
        call.params.finish()?;
        if let Some(url) = url {
            endpoint.url = acceptable_url(&url, endpoint.owner.livemode)?;
        }
        if let Some(events) = events {
            endpoint.events = acceptable_events(events)?;
        }
        endpoint.enabled = disabled.map_or(endpoint.enabled, |disabled| !disabled);
        let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
            tx.execute(
                "update webhook_endpoints set url = $2, enabled_events = $3, status = $4, description = $5,
                     metadata = $6 where id = $1",
                params![
                    &endpoint.id,
                    &endpoint.url,
                    json!(endpoint.events).to_string(),
                    if endpoint.enabled { "enabled" } else { "disabled" },
                    endpoint.description.clone(),
                    json!(endpoint.metadata).to_string(),
                ],
            )?;
            Ok(endpoint.object())
        };
        call.app.store.write(write).await
    })
    .await
}

/// `GET /v1/webhook_endpoints/{id}`
pub async fn retrieve(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| Endpoint::load(tx, &owner, &id);
    call.app
        .store
        .read(read)
        .await
        .map(|endpoint| Json(endpoint.object()))
}

/// `DELETE /v1/webhook_endpoints/{id}`
pub async fn delete(Path(id): Path<String>, call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let owner = call.owner;
    let write = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let endpoint = Endpoint::load(tx, &owner, &id)?;
        tx.execute(
            "delete from webhook_endpoints where id = $1",
            params![&endpoint.id],
        )?;
        Ok(json!({ "id": endpoint.id, "object": "webhook_endpoint", "deleted": true }))
    };
    call.app.store.write(write).await.map(Json)
}

/// `GET /v1/webhook_endpoints`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let page = Page::parse(&mut call.params)?;
    call.params.finish()?;
    let owner = call.owner;
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let (rows, more) = page.select(tx, &LISTED, &owner, &[])?;
        let data = rows.iter().map(|row| Ok(Endpoint::from_row(row)?.object()));
        Ok(pages::list(
            "/v1/webhook_endpoints",
            data.collect::<Result<_, Error>>()?,
            more,
        ))
    };
    call.app.store.read(read).await.map(Json)
}

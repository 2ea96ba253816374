//! Webhook endpoints: who listens to which events. Made by the API ([`super::routes`]) or by the command line.

use serde_json::{Value, json};
use service::egress::Reach;
use store::{Row, Tx, params};

use super::retry::Policy;
use super::secrets::{Plain, Secrets};
use crate::app::Owner;
use crate::error::{Error, Refusal};
use crate::http::API_VERSION;
use crate::http::pages::Listed;
use crate::http::params::{Metadata, from_column};
use crate::seal::Seal;

/// The table, as lists see it.
pub const LISTED: Listed = Listed {
    table: "webhook_endpoints",
    columns: "id, merchant, livemode, created_ms, url, enabled_events, status, secret, description, metadata, \
              sealed_secret, sealed_previous, previous_until, retry_policy",
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
    pub secrets: Secrets,
    pub description: Option<String>,
    pub metadata: Metadata,
    /// None: the mode's own.
    pub policy: Option<Policy>,
}

impl Endpoint {
    /// A new one with a new secret.
    pub fn new(
        seal: &Seal,
        id: String,
        owner: &Owner,
        url: &str,
        events: Vec<String>,
        now_ms: i64,
    ) -> Result<Self, Error> {
        Ok(Self {
            secrets: Secrets::fresh(seal, &id),
            id,
            owner: owner.clone(),
            created_ms: now_ms,
            url: acceptable_url(url, owner.livemode)?,
            events: acceptable_events(events)?,
            enabled: true,
            description: None,
            metadata: Metadata::new(),
            policy: None,
        })
    }

    /// From a row of [`LISTED`]'s columns.
    pub fn from_row(row: &Row) -> Result<Self, Error> {
        let previous: Option<Vec<u8>> = row.get(11)?;
        let until: Option<i64> = row.get(12)?;
        let policy: Option<String> = row.get(13)?;
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
            secrets: Secrets {
                plain: row.get(7)?,
                current: row.get(10)?,
                previous: previous.zip(until),
            },
            description: row.get(8)?,
            metadata: from_column(&row.get::<String>(9)?)?,
            policy: policy.as_deref().and_then(Policy::parse),
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

    /// The merchant's endpoint that a path names.
    pub fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
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
                 description, metadata, sealed_secret, retry_policy)
             values ($1, $2, $3, $4, $5, $6, 'enabled', '', $7, $8, $9, $10) on conflict do nothing",
            params![
                &self.id,
                &self.owner.merchant,
                self.owner.livemode,
                self.created_ms,
                &self.url,
                json!(self.events).to_string(),
                self.description.clone(),
                json!(self.metadata).to_string(),
                self.secrets.current.clone(),
                self.policy.map(|policy| policy.name().to_owned()),
            ],
        )?;
        Ok(())
    }

    /// Stores what may change but the secrets.
    pub fn update(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "update webhook_endpoints set url = $2, enabled_events = $3, status = $4, description = $5,
                 metadata = $6, retry_policy = $7 where id = $1",
            params![
                &self.id,
                &self.url,
                json!(self.events).to_string(),
                if self.enabled { "enabled" } else { "disabled" },
                self.description.clone(),
                json!(self.metadata).to_string(),
                self.policy.map(|policy| policy.name().to_owned()),
            ],
        )?;
        Ok(())
    }

    /// Replaces the secret for the call `subject`; the old one signs until `until` (Unix seconds). The same call again
    /// changes nothing.
    pub fn roll(
        &mut self,
        tx: &mut Tx<'_>,
        seal: &Seal,
        subject: &str,
        until: i64,
    ) -> Result<Plain, Error> {
        let (rolled, secret) = self.secrets.roll(seal, &self.id, subject, until)?;
        self.secrets = rolled;
        let (previous, until) = self.secrets.previous.clone().unzip();
        tx.execute(
            "update webhook_endpoints set secret = '', sealed_secret = $2, sealed_previous = $3, previous_until = $4
             where id = $1",
            params![&self.id, self.secrets.current.clone(), previous, until],
        )?;
        Ok(secret)
    }

    /// The retries that hold for it.
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or(Policy::of_mode(self.owner.livemode))
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
            "previous_secret_expires_at": self.secrets.previous.as_ref().map(|(_, until)| until),
            "retry_policy": self.policy().name(),
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

/// Seals the secrets that an older version stored in the clear; how many.
pub fn seal_plain(tx: &mut Tx<'_>, seal: &Seal) -> Result<usize, Error> {
    let rows = tx.all(
        "select id, secret from webhook_endpoints where sealed_secret is null",
        &[],
    )?;
    for row in &rows {
        let (id, secret): (String, String) = (row.get(0)?, row.get(1)?);
        tx.execute(
            "update webhook_endpoints set secret = '', sealed_secret = $2 where id = $1 and sealed_secret is null",
            params![&id, Secrets::of(seal, &id, &secret).current],
        )?;
    }
    Ok(rows.len())
}

/// A URL that events may be posted to. What its name resolves to is judged at each delivery.
pub fn acceptable_url(url: &str, livemode: bool) -> Result<String, Error> {
    let refuse = |message: &str| Err(Refusal::new("url_invalid", message).param("url").into());
    let parsed: Option<http::Uri> = url.parse().ok();
    let (scheme, host) = parsed
        .as_ref()
        .and_then(|uri| uri.scheme_str().zip(uri.host()))
        .unwrap_or_default();
    let plain = parsed
        .as_ref()
        .and_then(|uri| uri.authority())
        .is_some_and(|authority| !authority.as_str().contains('@'));
    if !["http", "https"].contains(&scheme) || !plain || host.is_empty() || url.len() > 2_048 {
        return refuse("Invalid URL: must be an absolute http or https URL without credentials.");
    }
    if livemode && scheme != "https" {
        return refuse("Invalid URL: live mode webhook endpoints must use https.");
    }
    let reach = if livemode {
        Reach::Public
    } else {
        Reach::PublicOrLoopback
    };
    let local = livemode && host.eq_ignore_ascii_case("localhost");
    if local || !reach.allows_host(host) {
        return refuse("Invalid URL: its host is not on the public internet.");
    }
    Ok(url.to_owned())
}

/// Names of events, or `*`.
pub fn acceptable_events(events: Vec<String>) -> Result<Vec<String>, Error> {
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

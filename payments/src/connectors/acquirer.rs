//! An acquirer that can be used: a connector, its configuration, clients of its own with its own time limits, and the
//! bulkhead and breaker that keep its troubles from the others.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue, Request, header};
use serde_json::Value;
use service::Client;
use service::client::Error as CallError;
use sha2::{Digest as _, Sha256};

use super::{Connector, DirectCall, form, json, xml};
use crate::config::{AcquirerConfig, Dialect, Fees, secret_from_file};
use crate::routing::health::Health;

/// An acquirer that can be used.
pub struct Acquirer {
    config: AcquirerConfig,
    credentials: (HeaderName, HeaderValue),
    /// The SHA-256 of its key, under which its notifications are signed.
    signing_key: [u8; 32],
    client: Client,
    forward_client: Client,
    pub connector: Box<dyn Connector>,
    pub health: Health,
}

impl Acquirer {
    /// From its entry in the acquirers file; reads its key.
    pub fn new(config: AcquirerConfig) -> anyhow::Result<Self> {
        let key = secret_from_file(&config.api_key_file)?;
        let (connect, total) = (
            Duration::from_millis(config.connect_ms),
            Duration::from_millis(config.total_ms),
        );
        let connector: Box<dyn Connector> = match config.dialect {
            Dialect::Json => Box::new(json::Json),
            Dialect::Form => Box::new(form::Form),
            Dialect::Xml => Box::new(xml::Xml),
        };
        let (name, before) = connector.credentials();
        let mut credentials = HeaderValue::from_str(&format!("{before}{key}"))?;
        credentials.set_sensitive(true);
        let client = || Client::new(connect, total);
        Ok(Self {
            client: client(),
            forward_client: client(),
            credentials: (name, credentials),
            signing_key: Sha256::digest(&key).into(),
            health: Health::new(config.max_in_flight, config.breaker_open_ms),
            config,
            connector,
        })
    }

    /// What a capture costs the merchant.
    pub fn fees(&self) -> &Fees {
        &self.config.fees
    }

    /// How long it holds an authorisation that is not captured.
    pub fn authorisation_days(&self) -> i64 {
        self.config.authorisation_days
    }

    pub fn name(&self) -> &str {
        &self.config.name
    }

    pub fn destination(&self) -> &str {
        &self.config.destination
    }

    pub fn settle_after_s(&self) -> i64 {
        self.config.settle_after_s
    }

    /// How long a send may take, rounded up to seconds.
    pub fn total_s(&self) -> i64 {
        (self.config.total_ms / 1000) as i64 + 1
    }

    /// Whether it takes reversals by our reference.
    pub fn reverses(&self) -> bool {
        self.config.reversal
    }

    /// The client for sends by the vault on this acquirer's time limits.
    pub fn forward_client(&self) -> &Client {
        &self.forward_client
    }

    /// Makes a direct call; status and tree of the answer.
    pub async fn call(&self, call: DirectCall) -> Result<(u16, Value), CallError> {
        let (status, bytes) = self.call_raw(call).await?;
        let body = self.connector.parse(&bytes).ok_or_else(|| {
            CallError::Unknown(format!("status {status} without a readable body"))
        })?;
        Ok((status, body))
    }

    /// Makes a direct call; status and bytes of the answer.
    pub async fn call_raw(&self, call: DirectCall) -> Result<(u16, Bytes), CallError> {
        let full = || CallError::NotSent("as many calls as it may have are under way".into());
        let _permit = self.health.call().ok_or_else(full)?;
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.config.base_url, call.path))
            .header(&self.credentials.0, self.credentials.1.clone());
        let body = call.body.map(|(kind, body)| {
            request.headers_mut().map(|headers| {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind))
            });
            body
        });
        let request = request
            .body(body.unwrap_or_default())
            .map_err(|error| CallError::NotSent(error.to_string()))?;
        let response = self.client.send(request).await?;
        Ok((response.status().as_u16(), response.into_body()))
    }

    /// Whether `signature` (hex) is this acquirer's under `message`, in constant time.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.signing_key) else {
            return false;
        };
        mac.update(message);
        mac.verify_slice(signature).is_ok()
    }
}

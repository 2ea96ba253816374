//! Who is calling: an API key on the private listener, and what it may do.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use service::headers::RequestId;
use vault_api::Code;
use vault_api::keys::{ApiKey, KeyInfo, Kind, Mode};

use crate::{App, Error, records};

/// The merchant that a service key acts for.
const MERCHANT_HEADER: &str = "cardseal-merchant";

/// What a restricted key can be allowed.
pub const SCOPES: [&str; 5] = [
    "cards:write",
    "cards:read",
    "cards:bin",
    "exchange",
    "forward",
];

/// A caller that has shown a good key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's id.
    pub key_id: String,
    /// The kind.
    pub kind: Kind,
    /// Test or live.
    pub mode: Mode,
    /// The merchant it acts for; empty for a service key that named none.
    pub merchant: String,
    /// Names this request.
    pub request_id: String,
    scopes: Vec<String>,
}

impl Caller {
    /// Refuses callers that may not do `scope` at the vault.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may(&self, scope: &str) -> Result<(), Error> {
        let allowed = match self.kind {
            Kind::Secret => matches!(scope, "cards:read" | "sessions" | "lookup"),
            Kind::Restricted => scope == "lookup" || self.scopes.iter().any(|s| s == scope),
            Kind::Service => matches!(
                scope,
                "exchange" | "forward" | "cards:read" | "lookup" | "keys:lookup"
            ),
            Kind::Publishable => false,
        };
        let names_merchant = !self.merchant.is_empty() || scope == "keys:lookup";
        if allowed && names_merchant {
            Ok(())
        } else {
            Err(Code::Forbidden.into())
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let key = bearer(&parts.headers)
            .and_then(|text| ApiKey::parse(text).ok())
            .ok_or(Code::Unauthenticated)?;
        let named = parts
            .headers
            .get(MERCHANT_HEADER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let now = app.clock.now();
        let mode = app.root.mode();
        let presented = (key.sha256_hex(), named);
        let (info, merchant) = match app.keys.get(&presented, now) {
            Some(found) => found,
            None => {
                let found = look_up(app, presented.clone(), mode, now).await?;
                app.keys.put(presented, found.clone(), now);
                found
            }
        };
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default();
        Ok(Self {
            key_id: info.id,
            kind: info.kind,
            mode: info.mode,
            merchant,
            request_id,
            scopes: info.scopes,
        })
    }
}

async fn look_up(
    app: &App,
    (sha256, named): (String, Option<String>),
    mode: Mode,
    now: i64,
) -> Result<(KeyInfo, String), Error> {
    app.store
        .look_up(move |tx| {
            let info = records::keys::by_hash(tx, &sha256, now)?.filter(|info| info.mode == mode);
            let info = info.ok_or(Code::Unauthenticated)?;
            let merchant = acts_for(tx, &info, named.as_deref())?;
            Ok((info, merchant))
        })
        .await
}

fn acts_for(tx: &mut store::Tx<'_>, info: &KeyInfo, named: Option<&str>) -> Result<String, Error> {
    match (info.kind, named) {
        (Kind::Publishable, _) => Err(Code::Unauthenticated.into()),
        (Kind::Service, None) => Ok(String::new()),
        (Kind::Service, Some(merchant)) => {
            let linked = records::keys::is_linked(tx, &info.id, merchant)?;
            if linked {
                Ok(merchant.to_owned())
            } else {
                Err(Code::Forbidden.into())
            }
        }
        _ => Ok(info.merchant.clone()),
    }
}

/// The bearer credential of a request.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(credential.trim())
}

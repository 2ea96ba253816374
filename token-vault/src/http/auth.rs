//! Who is calling: an API key on the private listener, and what it may do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use ipnet::IpNet;
use service::headers::RequestId;
use service::tls::ClientCertificate;
use vault_api::Code;
use vault_api::keys::{ApiKey, KeyInfo, Kind, Mode};

use crate::audit::{Actor, refusals};
use crate::records::row_mac::RowMacs;
use crate::{App, Error, records};

/// The merchant that a service key acts for.
const MERCHANT_HEADER: &str = "cardseal-merchant";

/// What a restricted key can be allowed.
pub const SCOPES: [&str; 6] = [
    "cards:write",
    "cards:read",
    "cards:bin",
    "exchange",
    "forward",
    "fingerprint",
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
    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|s| s == scope)
    }

    /// Refuses callers that may not do `scope` at the vault.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may(&self, scope: &str) -> Result<(), Error> {
        let allowed = match self.kind {
            Kind::Secret => matches!(scope, "cards:read" | "cards:change" | "sessions" | "lookup"),
            Kind::Restricted if scope == "cards:change" => self.has("cards:write"),
            Kind::Restricted => scope == "lookup" || self.has(scope),
            Kind::Service => {
                matches!(
                    scope,
                    "exchange" | "forward" | "cards:read" | "lookup" | "keys:lookup"
                ) || (scope == "fingerprint" && self.has(scope))
            }
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
        let (now, mode) = (app.clock.now(), app.root.mode());
        let presented = (key.sha256_hex(), named);
        let known = match app.keys.get(&presented, now) {
            Some(known) => known,
            None => {
                let known = Arc::new(look_up(app, presented.clone(), mode, now).await?);
                app.keys.put(presented, Arc::clone(&known), now);
                known
            }
        };
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip().to_canonical());
        // Who calls from where is this request's, whatever is known of the key.
        known.admit(peer, parts.extensions.get::<ClientCertificate>())?;
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default();
        let caller = Self {
            key_id: known.info.id.clone(),
            kind: known.info.kind,
            mode: known.info.mode,
            merchant: known.merchant.clone(),
            request_id,
            scopes: known.info.scopes.clone(),
        };
        refusals::acting(Actor::from(&caller));
        Ok(caller)
    }
}

/// A key that is good: what is remembered of it for the rest of its second.
pub struct Known {
    /// The key.
    pub info: KeyInfo,
    /// The merchant it acts for.
    pub merchant: String,
    /// Where it may be used from; empty: anywhere.
    pub addresses: Vec<IpNet>,
    /// The client certificate that a service key is bound to.
    pub certificate: Option<String>,
}

impl Known {
    fn admit(&self, peer: Option<IpAddr>, shown: Option<&ClientCertificate>) -> Result<(), Error> {
        // No peer, no match: a listener that does not say who calls lets no such key in.
        let from = |block: &IpNet| peer.is_some_and(|peer| block.contains(&peer));
        if !self.addresses.is_empty() && !self.addresses.iter().any(from) {
            return Err(Code::Forbidden.into());
        }
        // A service key that is bound to a client certificate is, without it, as unknown as any other.
        let bound = self.certificate.as_ref();
        if bound.is_none_or(|bound| shown.is_some_and(|shown| shown.0 == *bound)) {
            return Ok(());
        }
        tracing::warn!(
            key_id = self.info.id,
            reason = "another client certificate, or none",
            "a service key was refused"
        );
        Err(Code::Unauthenticated.into())
    }
}

async fn look_up(
    app: &App,
    (sha256, named): (String, Option<String>),
    mode: Mode,
    now: i64,
) -> Result<Known, Error> {
    let held = app.clone();
    app.store
        .look_up(move |tx| {
            let macs = held.root.macs();
            let found = records::keys::by_hash(tx, macs, &sha256, now)?
                .filter(|found| found.info.mode == mode)
                .ok_or(Code::Unauthenticated)?;
            let certificate = match found.info.kind {
                Kind::Service => found.rules.certificate_sha256,
                _ => None,
            };
            let merchant = acts_for(tx, macs, &found.info, named.as_deref())?;
            Ok(Known {
                info: found.info,
                merchant,
                addresses: found.allow_ip,
                certificate,
            })
        })
        .await
}

fn acts_for(
    tx: &mut store::Tx<'_>,
    macs: &RowMacs,
    info: &KeyInfo,
    named: Option<&str>,
) -> Result<String, Error> {
    match (info.kind, named) {
        (Kind::Publishable, _) => Err(Code::Unauthenticated.into()),
        (Kind::Service, None) => Ok(String::new()),
        (Kind::Service, Some(merchant)) => {
            let linked = records::keys::is_linked(tx, macs, &info.id, merchant)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn known(kind: Kind, addresses: &[&str], certificate: Option<&str>) -> Known {
        let info = KeyInfo {
            id: "key_1".into(),
            merchant: "mer_1".into(),
            merchant_name: String::new(),
            mode: Mode::Test,
            kind,
            scopes: vec![],
            origins: vec![],
        };
        Known {
            info,
            merchant: "mer_1".into(),
            addresses: addresses.iter().filter_map(|a| a.parse().ok()).collect(),
            certificate: certificate.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_known_of_a_key_admits_no_other_address_or_certificate() {
        let here = known(Kind::Restricted, &["10.0.0.0/8"], None);
        let code = |admitted: Result<(), Error>| match admitted {
            Err(Error::Refused(code)) => Some(code),
            _ => None,
        };
        let peer = |text: &str| text.parse::<IpAddr>().ok();
        assert_eq!(code(here.admit(peer("10.1.2.3"), None)), None);
        assert_eq!(
            code(here.admit(peer("192.0.2.1"), None)),
            Some(Code::Forbidden)
        );
        assert_eq!(code(here.admit(None, None)), Some(Code::Forbidden));

        let bound = known(Kind::Service, &[], Some("ab"));
        let shown = |hash: &str| ClientCertificate(hash.to_owned());
        assert_eq!(code(bound.admit(None, Some(&shown("ab")))), None);
        assert_eq!(
            code(bound.admit(None, Some(&shown("cd")))),
            Some(Code::Unauthenticated)
        );
        assert_eq!(code(bound.admit(None, None)), Some(Code::Unauthenticated));
    }
}

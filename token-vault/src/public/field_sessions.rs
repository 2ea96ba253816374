//! `POST /v1/field-sessions`: the frame fetches a session and the current sealing keys at first input.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use vault_api::Code;
use vault_api::tokens::{FieldSession, FieldSessionRequest};

use super::frame::publishable;
use crate::crypto::session::Claims;
use crate::http::Json;
use crate::http::limits::{Metered, Rule};
use crate::http::proof::Work;
use crate::records::keys::{Found, KeyRules};
use crate::{App, Error};

/// Makes a session. Only the frame's own origin may ask: another page's browser says whose it is. A session that
/// the merchant's server bound is answered with the sealing keys.
pub async fn create(
    State(app): State<App>,
    limits: Metered,
    headers: HeaderMap,
    Json(body): Json<FieldSessionRequest>,
) -> Result<Json<FieldSession>, Error> {
    same_origin(&headers)?;
    let work = Work::of(&app, &headers, "field-sessions", &body.key).await?;
    limits.pass_by_address(&app, Rule::SessionsPerAddress, &work)?;
    let Found { info, rules, .. } = publishable(&app, &body.key).await?;
    limits.pass(&app, Rule::SessionsPerKey, &info.id, &work)?;
    let now = app.clock.now();
    let (session, claims) = match body.session {
        Some(session) => {
            let claims = Claims::verify(&session, &app.root, now)
                .ok()
                .filter(|claims| claims.key == body.key && claims.merchant == info.merchant)
                .ok_or(Code::SessionInvalid)?;
            (session, claims)
        }
        None => {
            let claims = Claims::new(&body.key, &info.merchant, info.mode, now);
            let session = claims
                .sign(&app.root)
                .map_err(|_| Error::Internal("a session could not be signed"))?;
            (session, claims)
        }
    };
    must_be_bound(&rules, &claims)?;
    app.metrics.count("vault_field_sessions_total", &[]);
    Ok(Json(FieldSession {
        session,
        jti: claims.jti,
        expires_at: claims.exp,
        mode: info.mode.as_str().to_owned(),
        bin_digits: rules.bin_digits,
        brands: rules.cards.brands,
        sealing: app.sealing.current(now),
    }))
}

/// Refuses an unbound session for a key that takes only bound ones.
///
/// # Errors
/// `session_must_be_bound`.
pub fn must_be_bound(rules: &KeyRules, claims: &Claims) -> Result<(), Code> {
    if rules.bound_sessions && !claims.is_bound() {
        return Err(Code::SessionMustBeBound);
    }
    Ok(())
}

/// Refuses what a browser says comes from another site. In a browser this keeps pages out; outside one it proves
/// nothing, so no limit rests on it.
///
/// # Errors
/// `forbidden`.
pub fn same_origin(headers: &HeaderMap) -> Result<(), Error> {
    let site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    let same = match (site, origin) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.split_once("://").map(|(_, authority)| authority) == host,
        (None, None) => true,
    };
    if same {
        Ok(())
    } else {
        Err(Code::Forbidden.into())
    }
}

//! `POST /v1/field-sessions`: the frame fetches a session and the current sealing keys at first input.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use vault_api::Code;
use vault_api::tokens::{FieldSession, FieldSessionRequest};

use super::frame::publishable;
use crate::crypto::session::Claims;
use crate::http::Json;
use crate::{App, Error};

/// Makes a session. Only the frame's own origin may ask: another page's browser says whose it is.
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<FieldSessionRequest>,
) -> Result<Json<FieldSession>, Error> {
    same_origin(&headers)?;
    let info = publishable(&app, &body.key).await?;
    let now = app.clock.now();
    let claims = Claims::new(&body.key, &info.merchant, info.mode, now);
    let session = claims
        .sign(&app.root)
        .map_err(|_| Error::Internal("a session could not be signed"))?;
    app.metrics.count("vault_field_sessions_total", &[]);
    Ok(Json(FieldSession {
        session,
        jti: claims.jti,
        expires_at: claims.exp,
        mode: info.mode.as_str().to_owned(),
        sealing: app.sealing.current(now),
    }))
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

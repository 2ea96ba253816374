//! The frame document, and why it was refused.
//!
//! The loader sends its page's origin; one that is not registered for the key is refused, and a registered one is
//! named in `frame-ancestors`, so that a browser shows the frame on that origin and nowhere else.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use vault_api::Code;
use vault_api::keys::{ApiKey, KeyInfo, Kind};
use vault_api::origins;

use crate::http::Json;
use crate::records::keys::Found;
use crate::{App, Error, records};

/// What the loader sends.
#[derive(Deserialize, schemars::JsonSchema)]
pub struct Asked {
    key: String,
    #[serde(default)]
    origin: String,
    /// Which document: `card` (the default), `cvc`, `split`, or `field-` and one of `number`, `expiry`, `cvc`, `name`,
    /// `postal`, `save`.
    #[serde(default)]
    layout: Option<String>,
}

type MaybeAsked = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

/// `GET /v1/frame?key=pk_..&origin=..&layout=..`
pub async fn document(
    State(app): State<App>,
    asked: MaybeAsked,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Query(asked) = asked.map_err(|_| Code::InvalidRequest)?;
    let known = publishable(&app, &asked.key).await;
    let layout = asked.layout.as_deref().unwrap_or("card");
    let (mut response, sources, ancestors) =
        match known.and_then(|found| judge(&found.info, &asked.origin)) {
            Ok(()) => {
                let (document, sources) = app.frame.document(layout, &headers)?;
                (document, sources, asked.origin.as_str())
            }
            Err(refused) => (refused.into_response(), "style-src 'none'", "'none'"),
        };
    let fonts = if app.frame.has_fonts() {
        "font-src 'self'; "
    } else {
        ""
    };
    let policy = format!(
        "default-src 'none'; {sources}; {fonts}connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let policy = HeaderValue::from_str(&policy)
        .map_err(|_| Error::Internal("a policy could not be written"))?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        HeaderName::from_static("origin-agent-cluster"),
        HeaderValue::from_static("?1"),
    );
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), clipboard-read=()"),
    );
    Ok(response)
}

/// `GET /v1/frame/check?key=pk_..`, judged by the `Origin` header: why a frame does not show; and
/// where payments is, for the loader's part that pays.
pub async fn check(State(app): State<App>, asked: MaybeAsked, headers: HeaderMap) -> Response {
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let judged = match asked {
        Ok(Query(asked)) => publishable(&app, &asked.key)
            .await
            .and_then(|found| judge(&found.info, origin)),
        Err(_) => Err(Code::InvalidRequest.into()),
    };
    let mut response = match judged {
        Ok(()) => {
            let payments_url = &app.frame.payments_url;
            Json(json!({ "ok": true, "payments_url": payments_url })).into_response()
        }
        Err(error) => error.into_response(),
    };
    // Anybody may learn this much: it says nothing that loading the frame would not.
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response
}

/// The publishable key, if it is one of this vault's mode.
///
/// # Errors
/// `unauthenticated`.
pub async fn publishable(app: &App, key: &str) -> Result<Found, Error> {
    let sha256 = ApiKey::parse(key)
        .map_err(|_| Code::Unauthenticated)?
        .sha256_hex();
    let (now, mode) = (app.clock.now(), app.root.mode());
    let parts = app.clone();
    let found = app
        .store
        .read(move |tx| records::keys::by_hash(tx, parts.root.macs(), &sha256, now))
        .await?;
    found
        .filter(|found| found.info.kind == Kind::Publishable && found.info.mode == mode)
        .ok_or(Code::Unauthenticated.into())
}

fn judge(info: &KeyInfo, origin: &str) -> Result<(), Error> {
    if origins::allowed(&info.origins, origin) {
        Ok(())
    } else {
        Err(Code::OriginNotAllowed.into())
    }
}

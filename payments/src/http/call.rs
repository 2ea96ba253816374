//! A call: who makes it, with what. Authentication, body cap and form decoding happen here, once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use service::caller;
use service::headers::RequestId;
use vault_api::keys::{ApiKey, Kind};

use super::browser;
use super::expand::Expand;
use super::form;
use super::made;
use super::params::Params;
use super::routes::Takes;
use super::takes;
use crate::app::{App, Origin, Owner};
use crate::error::{Error, Refusal};
use crate::three_ds;

/// The largest body that is read.
const MAX_BODY: usize = 256 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// A body has this long to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// An authenticated call and its parameters (of the body, or of a GET's query).
pub struct Call {
    pub app: App,
    pub owner: Owner,
    pub origin: Origin,
    pub params: Params,
    /// The caller would rather not wait for the outcome.
    pub prefers_async: bool,
    /// Made from a browser, with a publishable key and one intent's client secret.
    pub browser: bool,
    /// Where it comes from.
    pub client: Option<IpAddr>,
    /// Keyed hash over method, path and body, which an idempotency key is compared by.
    pub hash: [u8; 32],
}

impl FromRequest<App> for Call {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Error> {
        let (head, body) = request.into_parts();
        let (owner, kind) = authenticate(app, &head.headers).await?;
        let origin = Origin {
            request_id: head.extensions.get::<RequestId>().map(|id| id.0.clone()),
            idempotency_key: idempotency_key(&head.headers)?,
        };
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let client = peer.map(|peer| caller::address(peer.0.ip(), &head.headers, &app.proxies));
        let reading = axum::body::to_bytes(body, MAX_BODY);
        let bytes = tokio::time::timeout(BODY_TIMEOUT, reading)
            .await
            .map_err(|_| {
                Refusal::plain("The body did not arrive in time.")
                    .status(StatusCode::REQUEST_TIMEOUT)
            })?
            .map_err(|_| {
                Refusal::plain("The body is too large.").status(StatusCode::PAYLOAD_TOO_LARGE)
            })?;
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let form = if head.method == Method::POST {
            if !query.is_empty() {
                let message = "Send the parameters of a POST in its body, not in the URL.";
                return Err(Refusal::plain(message).into());
            }
            if !bytes.is_empty() && !is_form(&head.headers) {
                let message = "Send the parameters as application/x-www-form-urlencoded.";
                return Err(Refusal::plain(message)
                    .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                    .into());
            }
            &bytes[..]
        } else {
            query
        };
        let mut params = Params::new(form::decode(form)?);
        let path = head.uri.path();
        let browser = kind == Kind::Publishable;
        browser::admit(&app.seal, kind, &head.method, path, &mut params)?;
        let takes = head.extensions.get::<Takes>();
        let takes = takes.ok_or(Error::Internal("a call without a route of the table"))?;
        takes::check(&takes.params, params.clone())?;
        if head.method == Method::POST && params.has("expand") {
            Expand::parse(&mut params.clone())?.check(takes.answers)?;
        }
        let path = path.as_bytes();
        let hash = app
            .seal
            .mac("request", &[head.method.as_str().as_bytes(), path, &bytes]);
        Ok(Self {
            app: app.clone(),
            owner,
            origin,
            params,
            prefers_async: made::prefers_async(&head.headers),
            browser,
            client,
            hash,
        })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > 255 || values.next().is_some() {
        let message = "There may be one Idempotency-Key, of 1 to 255 characters of ASCII.";
        return Err(Refusal::plain(message).kind("idempotency_error").into());
    }
    form::refuse_card_number(key)?;
    Ok(Some(key.to_owned()))
}

/// Answers a call's idempotency key in its header, whatever became of the call.
pub async fn echo_key(request: Request<Body>, next: Next) -> Response {
    let key = idempotency_key(request.headers()).ok().flatten();
    let key = key.filter(|_| request.method() != Method::GET);
    let mut response = next.run(request).await;
    if let Some(value) = key.and_then(|key| HeaderValue::from_str(&key).ok()) {
        response.headers_mut().insert(IDEMPOTENCY_KEY, value);
    }
    response
}

/// Whose secret or publishable key the call presents, and which of both, as a bearer token or as the user name of Basic authentication.
async fn authenticate(app: &App, headers: &HeaderMap) -> Result<(Owner, Kind), Error> {
    let presented = presented_key(headers).ok_or_else(|| {
        unauthenticated("You did not provide an API key. Send it as 'Authorization: Bearer sk_..'.")
    })?;
    let key =
        ApiKey::parse(&presented).map_err(|_| unauthenticated("Invalid API Key provided."))?;
    if !matches!(key.kind(), Kind::Secret | Kind::Publishable) {
        let message = "This API takes secret keys (sk_..); keys for the vault cannot be used.";
        return Err(Refusal::new("secret_key_required", message)
            .status(StatusCode::UNAUTHORIZED)
            .into());
    }
    let sha256 = key.sha256_hex();
    let info = match app.keys.get(&sha256) {
        Some(info) => info,
        None => {
            let found = app.vault.lookup_key(sha256.clone()).await;
            let found = found.map_err(|failure| Error::Vault(format!("key look-up: {failure}")))?;
            let info = found.ok_or_else(|| unauthenticated("Invalid API Key provided."))?;
            if info.kind == Kind::Publishable {
                three_ds::origins::remember(app, &sha256, &info).await?;
            }
            app.keys.put(sha256, info.clone());
            info
        }
    };
    if info.kind != key.kind() || info.mode != key.mode() {
        return Err(Error::Vault(
            "key look-up: the answer is about another key".into(),
        ));
    }
    let owner = Owner {
        merchant: info.merchant,
        livemode: info.mode.is_live(),
    };
    Ok((owner, info.kind))
}

fn presented_key(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let user = decoded.split_once(':').map_or(&*decoded, |(user, _)| user);
    Some(user.to_owned())
}

fn unauthenticated(message: &str) -> Error {
    Refusal::plain(message)
        .status(StatusCode::UNAUTHORIZED)
        .into()
}

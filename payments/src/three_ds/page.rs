//! `/3ds/{id}`: the page that the merchant's page frames, or that the buyer is sent to. It runs the issuer's 3DS
//! Method, tells payments of the browser, frames the challenge, and says when it is over. It holds no secret: what
//! opens it is its address, which is random and of use for a quarter of an hour.

use std::net::SocketAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use service::caller;
use store::{Tx, params};

use super::flow;
use super::messages::{self, is_url, origin_of};
use super::origins;
use super::record::{self, Authentication};
use super::subject;
use crate::app::App;
use crate::error::{Error, Refusal};

/// The parameters of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Opened {
    /// The page that frames it.
    origin: Option<String>,
}

/// `GET /3ds/{id}`
pub async fn page(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(opened): Query<Opened>,
) -> Result<Response, Error> {
    let setup = app.three_ds()?;
    let Some(authentication) = find(&app, &id).await? else {
        return Ok(sorry("This page is no longer of use."));
    };
    let framed_by = match (&authentication.return_url, opened.origin) {
        (Some(_), _) => None,
        (None, Some(origin))
            if origins::may_frame(&app, &authentication.owner, &origin).await? =>
        {
            Some(origin)
        }
        (None, Some(_)) => {
            let text =
                "The page that opened this one is not registered for the shop's publishable key.";
            return Ok(sorry(text));
        }
        (None, None) => {
            let text =
                "This page belongs into the shop's page: open it with ?origin= of that page.";
            return Ok(sorry(text));
        }
    };
    if let Some(origin) = &framed_by {
        let (id, origin) = (authentication.id.clone(), origin.clone());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            tx.execute(
                "update authentications set origin = $2 where id = $1",
                params![&id, &origin],
            )?;
            Ok(())
        };
        app.store.write(write).await?;
    }
    let (step, form, bank) = match authentication.state.as_str() {
        "ready" => match &authentication.method_url {
            Some(url) => {
                let data = messages::method_data(setup, &authentication);
                (
                    "method",
                    hidden_form(url, "method", &[("threeDSMethodData", &data)]),
                    Some(url),
                )
            }
            None => ("browser", String::new(), None),
        },
        "challenge" => match &authentication.acs_url {
            Some(url) => {
                let creq = messages::creq(&authentication);
                (
                    "challenge",
                    hidden_form(url, "challenge", &[("creq", &creq)]),
                    Some(url),
                )
            }
            None => ("wait", String::new(), None),
        },
        _ => ("wait", String::new(), None),
    };
    let bank = bank.map(|url| origin_of(url)).unwrap_or_default();
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, \
         initial-scale=1\"><title>Your bank</title><link rel=stylesheet href=/3ds/page.css>\
         <body data-id=\"{id}\" data-step={step} data-origin=\"{origin}\">\
         <p role=status id=words>Checking with your bank…</p>{form}\
         <noscript><p>Your bank's check needs JavaScript. Turn it on and reload this page.</p></noscript>\
         <script src=/3ds/page.js></script>",
        id = authentication.id,
        origin = framed_by.as_deref().unwrap_or_default(),
    );
    // A bank may send its frame on to other hosts of its own, so frames may go to any https origin; scripts may not.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self' https: {bank}; \
         form-action 'self' https: {bank}; base-uri 'none'; frame-ancestors {}",
        framed_by.as_deref().unwrap_or("'none'")
    );
    Ok(document(policy, html))
}

// A form that the page's script posts into the frame of this name.
fn hidden_form(url: &str, frame: &str, fields: &[(&str, &str)]) -> String {
    let inputs: String = fields
        .iter()
        .map(|(name, value)| format!("<input type=hidden name={name} value=\"{value}\">"))
        .collect();
    // `url` passed `is_url`, the values are base64url.
    format!(
        "<iframe name={frame} title=\"Your bank\" hidden></iframe>\
         <form id=on method=post action=\"{url}\" target={frame}>{inputs}</form>"
    )
}

/// `POST /3ds/{id}/browser`: what the page's script learnt of the browser; the AReq goes out with it.
pub async fn browser(
    State(app): State<App>,
    Path(id): Path<String>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let setup = app.three_ds()?;
    let posted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let ip = peer.map(|peer| caller::address(peer.0.0.ip(), &headers, &app.proxies).to_string());
    let (accept, agent) = (text(header::ACCEPT), text(header::USER_AGENT));
    let browser = messages::browser(&posted, &accept, &agent, ip).map_err(|name| {
        Refusal::plain("An element of the browser is missing or is of another type.").param(name)
    })?;
    let Some(authentication) = find(&app, &id).await? else {
        return Err(Refusal::no_such("authentication").not_found().into());
    };
    let (id, now) = (authentication.id.clone(), app.clock.now());
    let lease = setup.total_s + 5;
    let write = move |tx: &mut Tx<'_>| -> Result<Option<Authentication>, Error> {
        if !record::moved(tx, &id, "ready", "authenticating", now + lease)? {
            return Ok(None);
        }
        tx.execute(
            "update authentications set browser = $2, checks = 0 where id = $1",
            params![&id, browser.to_string()],
        )?;
        Authentication::find(tx, &id)
    };
    if let Some(begun) = app.store.write(write).await? {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = flow::authenticate(&app, begun.clone()).await
                && !matches!(error, Error::Card(_))
            {
                tracing::warn!(intent = begun.intent, %error, "an authentication goes on later");
            }
        });
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "working" }))).into_response())
}

/// `GET /3ds/{id}/status`: `working`, `challenge` or `complete`, and where to go then.
pub async fn status(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Error> {
    let Some(authentication) = find(&app, &id).await? else {
        return Ok(Json(json!({ "status": "complete" })));
    };
    let (shared, of) = (app.clone(), authentication.clone());
    let read = move |tx: &mut Tx<'_>| subject::object(tx, &shared, &of);
    let intent = app.store.read(read).await?;
    let status = match authentication.state.as_str() {
        "challenge" => "challenge",
        // An attempt is under way: it takes seconds, or the intent says `processing` to whoever asks.
        "done" if intent["status"] == "processing" => "settling",
        _ if authentication.is_open() => "working",
        _ => "complete",
    };
    let mut answer = json!({ "status": status });
    if let Some(url) = authentication.return_url.filter(|url| is_url(url)) {
        answer["redirect"] = returning(&intent, &url).into();
    }
    Ok(Json(answer))
}

// Stripe's parameters on the merchant's URL.
fn returning(intent: &Value, url: &str) -> String {
    let text = |name: &str| intent[name].as_str().unwrap_or_default();
    let kind = text("object");
    let result = match text("status") {
        "succeeded" | "requires_capture" => "succeeded",
        "processing" => "pending",
        _ => "failed",
    };
    let (url, fragment) = url
        .split_once('#')
        .map_or((url, None), |(u, f)| (u, Some(f)));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair(kind, text("id"))
        .append_pair(&format!("{kind}_client_secret"), text("client_secret"))
        .append_pair("redirect_status", result)
        .finish();
    let join = if url.contains('?') { '&' } else { '?' };
    let fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
    format!("{url}{join}{query}{fragment}")
}

/// `POST /3ds/{id}/method` and `POST /3ds/{id}/challenge`: the issuer's pages hand the frame back. Nothing in what they
/// post is believed: the page is told to look.
pub async fn notified(
    State(app): State<App>,
    Path((id, part)): Path<(String, String)>,
) -> Result<Response, Error> {
    app.three_ds()?;
    if !["method", "challenge"].contains(&part.as_str()) {
        return Err(Refusal::plain("Unrecognized request URL.")
            .not_found()
            .into());
    }
    let Some(authentication) = find(&app, &id).await? else {
        return Ok(sorry("This page is no longer of use."));
    };
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Your bank</title>\
         <link rel=stylesheet href=/3ds/page.css><body data-part={part}><p role=status>One moment…</p>\
         <script src=/3ds/notified.js></script>"
    );
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'self' {}",
        authentication.origin.unwrap_or_default()
    );
    Ok(document(policy, html))
}

async fn find(app: &App, id: &str) -> Result<Option<Authentication>, Error> {
    let id = id.to_owned();
    let read = move |tx: &mut Tx<'_>| Authentication::find(tx, &id);
    app.store.read(read).await
}

fn document(policy: String, html: String) -> Response {
    let headers = [
        (HeaderName::from_static("content-security-policy"), policy),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin".to_owned(),
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()".to_owned(),
        ),
    ];
    (headers, Html(html)).into_response()
}

fn sorry(text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, \
         initial-scale=1\"><title>Your bank</title><link rel=stylesheet href=/3ds/page.css>\
         <body><p role=alert>{text}</p>"
    );
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *";
    (StatusCode::NOT_FOUND, document(policy.to_owned(), html)).into_response()
}

/// `GET /3ds/page.css`
pub async fn css() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../../assets/three_ds/page.css"))
}

/// `GET /3ds/page.js`
pub async fn script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("../../assets/three_ds/page.js"))
}

/// `GET /3ds/notified.js`
pub async fn notified_script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("../../assets/three_ds/notified.js"))
}

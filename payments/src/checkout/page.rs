//! The hosted page: what is bought on one side, the vault's card form on the other. Whoever has the session's address may
//! see and pay it; what is paid is decided by the session alone.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::Tx;

use super::Session;
use super::config::{Checkout, Merchant};
use crate::app::App;
use crate::currency;
use crate::error::Error;
use crate::http::form::refuse_card_number;
use crate::intents::object::client_secret;

/// `GET /c/pay/{id}`
pub async fn page(State(app): State<App>, Path(id): Path<String>) -> Response {
    let found = match find(&app, id).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "the hosted page");
            return notice(StatusCode::INTERNAL_SERVER_ERROR, WRONG, None);
        }
    };
    let page = app.checkout.as_ref();
    let Some((session, checkout)) = found.zip(page) else {
        return notice(StatusCode::NOT_FOUND, MISSING, None);
    };
    let Some(merchant) = checkout.merchant(&session.owner) else {
        return notice(StatusCode::NOT_FOUND, MISSING, None);
    };
    if session.is_open(app.clock.now()) {
        return open(&app, checkout, merchant, &session);
    }
    if session.status == "complete" {
        let link = (session.success_url(), merchant.name.as_str());
        return notice(StatusCode::OK, COMPLETE, Some(link));
    }
    let back = session.details.cancel_url.clone();
    let link = back.map(|url| (url, merchant.name.as_str()));
    notice(StatusCode::GONE, EXPIRED, link)
}

/// `GET /c/pay/{id}/status`: what the page asks while the money is under way.
pub async fn status(State(app): State<App>, Path(id): Path<String>) -> Response {
    let found = match find(&app, id).await {
        Ok(found) => found,
        Err(error) => return error.into_response(),
    };
    let Some(session) = found else {
        return (StatusCode::NOT_FOUND, Json(json!({ "status": "missing" }))).into_response();
    };
    let open = session.status == "open" && !session.is_open(app.clock.now());
    let status = if open { "expired" } else { &session.status };
    let to = (session.status == "complete").then(|| session.success_url());
    let told: Value = json!({ "status": status, "redirect": to });
    Json(told).into_response()
}

async fn find(app: &App, id: String) -> Result<Option<Session>, Error> {
    let fits = id.starts_with("cs_")
        && id.len() <= 100
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fits || refuse_card_number(&id).is_err() {
        return Ok(None);
    }
    let read = move |tx: &mut Tx<'_>| Session::by_id(tx, &id);
    app.store.read(read).await
}

fn open(app: &App, checkout: &Checkout, merchant: &Merchant, session: &Session) -> Response {
    let setup = session.mode == "setup";
    let total = session
        .amount
        .zip(session.currency.as_deref())
        .map(|(amount, currency)| currency::shown(amount, currency));
    let button = match (&total, session.details.submit_type.as_deref()) {
        (None, _) => "Save card".to_owned(),
        (Some(total), Some("book")) => format!("Book for {total}"),
        (Some(total), Some("donate")) => format!("Donate {total}"),
        (Some(total), _) => format!("Pay {total}"),
    };
    let heading = total.unwrap_or_else(|| "Save a card for later".to_owned());
    let back = session.details.cancel_url.as_deref().map(|url| {
        format!(
            "<a class=\"back\" href=\"{}\"><span aria-hidden=\"true\">←</span> Back to {}</a>",
            escape(url),
            escape(&merchant.name)
        )
    });
    let left = session.expires_at * 1000 - app.clock.now_ms();
    let parts = [
        ("{name}", escape(&merchant.name)),
        ("{back}", back.unwrap_or_default()),
        (
            "{title}",
            if setup { "Save a card" } else { "Pay" }.to_owned(),
        ),
        ("{heading}", escape(&heading)),
        ("{lines}", lines(session)),
        ("{button}", escape(&button)),
        ("{key}", merchant.publishable_key.clone()),
        ("{vault}", escape(&checkout.vault_url)),
        ("{session}", session.id.clone()),
        ("{mode}", session.mode.clone()),
        ("{secret}", client_secret(&app.seal, &session.intent)),
        ("{accent}", merchant.accent.clone()),
        ("{left}", left.to_string()),
        ("{badge}", badge(session)),
    ];
    let body = parts.iter().fold(
        include_str!("assets/page.html").to_owned(),
        |html, (name, value)| html.replace(name, value),
    );
    let style = format!(":root{{--accent:{}}}", merchant.accent);
    let html = body.replace("{style}", &style);
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let vault = &checkout.vault_url;
    let policy = format!(
        "default-src 'none'; script-src 'self' {vault}; style-src 'self' 'sha256-{hash}'; frame-src 'self' {vault}; \
         connect-src 'self' {vault}; img-src 'self' data:; require-trusted-types-for 'script'; trusted-types cardseal; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    with_policy(Html(html).into_response(), &policy)
}

fn badge(session: &Session) -> String {
    if session.owner.livemode {
        String::new()
    } else {
        "<span class=\"badge\">Test mode</span>".to_owned()
    }
}

fn lines(session: &Session) -> String {
    let line = |line: &super::line_items::LineItem| {
        let price = currency::shown(line.amount(), &line.currency);
        let each = (line.quantity > 1).then(|| {
            let unit = currency::shown(line.unit_amount, &line.currency);
            format!("<small>{} × {unit}</small>", line.quantity)
        });
        let about = line
            .description
            .as_deref()
            .map(|text| format!("<small>{}</small>", escape(text)));
        format!(
            "<li><span class=\"what\">{}{}{}</span><span class=\"price\">{price}</span></li>",
            escape(&line.name),
            about.unwrap_or_default(),
            each.unwrap_or_default(),
        )
    };
    session.details.line_items.iter().map(line).collect()
}

/// Heading and sentence of a page without a form.
type Notice = (&'static str, &'static str);

const COMPLETE: Notice = (
    "All done",
    "This has been completed already. There is no need to pay again.",
);
const EXPIRED: Notice = (
    "This page has expired",
    "Nothing was charged. Please go back to the shop and start again.",
);
const MISSING: Notice = (
    "Nothing here",
    "There is no such page. Please check the link.",
);
const WRONG: Notice = (
    "Something went wrong",
    "It has been noted. Please try again in a moment.",
);

fn notice(status: StatusCode, (title, text): Notice, link: Option<(String, &str)>) -> Response {
    let link = link.map(|(url, name)| {
        format!(
            "<p><a class=\"button\" href=\"{}\">Back to {}</a></p>",
            escape(&url),
            escape(name)
        )
    });
    let html = include_str!("assets/notice.html")
        .replace("{title}", title)
        .replace("{text}", text)
        .replace("{link}", &link.unwrap_or_default());
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    with_policy((status, Html(html)).into_response(), policy)
}

fn with_policy(mut response: Response, policy: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// `GET /c/checkout.css`
pub async fn css() -> Response {
    asset(
        "text/css; charset=utf-8",
        include_str!("assets/checkout.css"),
    )
}

/// `GET /c/checkout.js`
pub async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("assets/checkout.js"),
    )
}

// Asked again each time: a new release's page never meets an old script.
fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// `text` as HTML shows it. Braces too: a placeholder that a merchant wrote stays text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('{', "&#123;")
        .replace('}', "&#125;")
}

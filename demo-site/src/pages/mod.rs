//! What every page shares: the frame around it, its policy, its files, and the pages that say no.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::{Settings, Shop};

/// A page of the shop. Scripts are the shop's own and the vault's, frames and connections also those of payments (3-D
/// Secure); nothing inline runs.
pub(crate) fn page(settings: &Settings, title: &str, body: &str) -> Response {
    let (vault, payments) = (&settings.vault_url, &settings.payments_url);
    let policy = format!(
        "default-src 'none'; script-src 'self' {vault}; frame-src {vault} {payments}; \
         connect-src 'self' {vault} {payments}; require-trusted-types-for 'script'; trusted-types cardseal; \
         style-src 'self'; img-src 'self'; form-action 'self' {payments}; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = Html(html(title, body)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let name = HeaderName::from_static("content-security-policy");
        response.headers_mut().insert(name, policy);
    }
    response
}

fn html(title: &str, body: &str) -> String {
    include_str!("layout.html")
        .replace("{title}", &escape(title))
        .replace("{body}", body)
}

/// `text` as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// `$18.00`: an amount as a buyer reads it.
pub(crate) fn price(amount: i64, currency: &str) -> String {
    let (whole, part) = (amount / 100, amount % 100);
    match currency {
        "usd" => format!("${whole}.{part:02}"),
        "eur" => format!("€{whole}.{part:02}"),
        "gbp" => format!("£{whole}.{part:02}"),
        "jpy" => format!("¥{amount}"),
        other => format!("{whole}.{part:02} {}", other.to_uppercase()),
    }
}

/// Style, script and pictures.
pub(crate) fn assets() -> Router<Shop> {
    macro_rules! picture {
        ($name:literal) => {
            (
                concat!("/assets/goods/", $name, ".svg"),
                "image/svg+xml",
                include_str!(concat!("../../assets/goods/", $name, ".svg")),
            )
        };
    }
    let files = [
        (
            "/assets/shop.css",
            "text/css; charset=utf-8",
            include_str!("../../assets/shop.css"),
        ),
        (
            "/assets/checkout.js",
            "text/javascript; charset=utf-8",
            include_str!("../../assets/checkout.js"),
        ),
        (
            "/assets/gallery.js",
            "text/javascript; charset=utf-8",
            include_str!("../../assets/gallery.js"),
        ),
        (
            "/assets/return.js",
            "text/javascript; charset=utf-8",
            include_str!("../../assets/return.js"),
        ),
        (
            "/favicon.ico",
            "image/svg+xml",
            include_str!("../../assets/mark.svg"),
        ),
        picture!("notebook"),
        picture!("pen"),
        picture!("mug"),
        picture!("lamp"),
        picture!("tote"),
        picture!("plant"),
    ];
    files
        .into_iter()
        .fold(Router::new(), |router, (path, kind, text)| {
            let headers = [
                (header::CONTENT_TYPE, kind),
                // Asked again each time: a new release's page never meets an old script.
                (header::CACHE_CONTROL, "no-cache"),
            ];
            router.route(path, get(async move || (headers, text)))
        })
}

/// A refusal. The page is fixed: it repeats nothing of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Problem {
    BadRequest,
    NotFound,
    Internal,
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the database failed");
        Self::Internal
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "That did not work",
                "The request was not one that this shop understands.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Nothing here",
                "There is no such page, or it belongs to somebody else.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong",
                "It has been noted. Please try again in a moment.",
            ),
        };
        let body = format!(
            "<main class=\"notice\"><h1>{title}</h1><p>{text}</p><p><a class=\"button quiet\" href=\"/\">Back to the shop</a></p></main>"
        );
        let policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";
        let header = (HeaderName::from_static("content-security-policy"), policy);
        (status, [header], Html(html(title, &body))).into_response()
    }
}

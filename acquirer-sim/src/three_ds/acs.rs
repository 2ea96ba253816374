//! The access control server's pages: the 3DS Method, and the challenge, which a person answers with pass, fail or
//! cancel. All of it is shown in a frame.

use axum::extract::{Form, Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::find;
use super::records::{self, Authentication};
use super::results::{self, End};
use crate::Bank;
use crate::admin::escape;
use crate::dialects::Problem;

#[derive(Deserialize)]
pub(crate) struct Method {
    #[serde(rename = "threeDSMethodData")]
    data: String,
}

/// `POST /3ds/method`: an issuer would look at the browser here; this one only notifies.
pub(crate) async fn method(Form(form): Form<Method>) -> Response {
    let Some(data) = decoded(&form.data) else {
        return sorry("The 3DS Method data is malformed.");
    };
    let (Some(id), Some(url)) = (
        data["threeDSServerTransID"].as_str(),
        data["threeDSMethodNotificationURL"].as_str(),
    ) else {
        return sorry("The 3DS Method data lacks an element.");
    };
    let back = encoded(&json!({ "threeDSServerTransID": id }));
    posted_on(url, &[("threeDSMethodData", &back)])
}

#[derive(Deserialize)]
pub(crate) struct Challenge {
    creq: String,
    #[serde(rename = "threeDSSessionData")]
    session_data: Option<String>,
}

/// `POST /3ds/challenge`: the CReq, as the 3DS Server's page posts it into its frame.
pub(crate) async fn challenge(
    State(bank): State<Bank>,
    Form(form): Form<Challenge>,
) -> Result<Response, Problem> {
    let creq = decoded(&form.creq).unwrap_or_default();
    let id = creq["acsTransID"].as_str().unwrap_or_default();
    let Some(authentication) = find(&bank, id).await? else {
        return Ok(sorry("There is no such authentication."));
    };
    let fits = creq["messageType"] == "CReq"
        && creq["threeDSServerTransID"] == *authentication.server_trans_id
        && creq["messageVersion"] == *authentication.message_version;
    if !fits || !authentication.challenged {
        return Ok(sorry(
            "The challenge request does not fit its authentication.",
        ));
    }
    let first = authentication.session_data.is_none();
    if let Some(seconds) = authentication.gives_up_after.filter(|_| first) {
        results::end_after(&bank, &authentication, seconds);
    }
    let (id, data) = (authentication.acs_trans_id.clone(), form.session_data);
    let write = move |tx: &mut store::Tx<'_>| {
        records::keep_session_data(tx, &id, Some(data.as_deref().unwrap_or_default()))
    };
    bank.0.store.write(write).await?;
    Ok(Redirect::to(&format!("/3ds/challenge/{}", authentication.acs_trans_id)).into_response())
}

/// `GET /3ds/challenge/{acsTransID}`: the page, or, once it is over, the way back.
pub(crate) async fn page(
    State(bank): State<Bank>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    match find(&bank, &id).await? {
        None => Ok(sorry("There is no such authentication.")),
        Some(authentication) if authentication.is_open() => Ok(question(&authentication)),
        Some(authentication) => Ok(way_back(&authentication)),
    }
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    answer: String,
}

/// `POST /3ds/challenge/{acsTransID}`: `pass`, `fail` or `cancel`.
pub(crate) async fn answer(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    Form(form): Form<Answer>,
) -> Result<Response, Problem> {
    let how = match form.answer.as_str() {
        "pass" => End::Passed,
        "fail" => End::Failed,
        "cancel" => End::Cancelled,
        _ => return Ok(sorry("Answer with pass, fail or cancel.")),
    };
    let Some(authentication) = find(&bank, &id).await?.filter(|a| a.challenged) else {
        return Ok(sorry("There is no such authentication."));
    };
    // A person who leaves now has answered: the result is told whether or not they wait for the page.
    let ending = tokio::spawn(async move { results::end(&bank, &authentication, how).await });
    let ended = ending.await.map_err(|_| Problem::INTERNAL)??;
    Ok(way_back(&ended))
}

/// `GET /3ds/acs.css`
pub(crate) async fn css() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../../assets/three_ds/acs.css"))
}

/// `GET /3ds/post.js`
pub(crate) async fn script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("../../assets/three_ds/post.js"))
}

fn question(authentication: &Authentication) -> Response {
    let amount = if authentication.category == "02" {
        "to save your card".to_owned()
    } else {
        format!("of <strong>{}</strong>", money(authentication))
    };
    let card = format!(
        "{} ···· {}",
        escape(&authentication.brand),
        escape(&authentication.last4)
    );
    let refresh = authentication.gives_up_after.map_or(String::new(), |s| {
        format!("<meta http-equiv=refresh content=\"{}\">", s + 1)
    });
    let body = format!(
        "{refresh}<main aria-label='Your bank'><header><p class=bank>Test Bank</p><p class=card>{card}</p></header>\
         <h1>Is it you?</h1><p><strong>{merchant}</strong> asks for your approval {amount}.</p>\
         <form method=post action=\"/3ds/challenge/{id}\">\
         <button name=answer value=pass class=pass>Approve</button>\
         <button name=answer value=fail>Fail the authentication</button>\
         <button name=answer value=cancel class=quiet>Cancel</button></form>\
         <p class=note>This is a bank for tests: no money moves, whatever you press.</p></main>",
        merchant = escape(&authentication.merchant_name),
        id = authentication.acs_trans_id,
    );
    document("Is it you?", &body, None)
}

// The CRes, posted to the 3DS Server's notification URL by the browser.
fn way_back(authentication: &Authentication) -> Response {
    let cres = encoded(&json!({
        "messageType": "CRes",
        "messageVersion": authentication.message_version,
        "threeDSServerTransID": authentication.server_trans_id,
        "acsTransID": authentication.acs_trans_id,
        "challengeCompletionInd": "Y",
        "transStatus": if authentication.status == "Y" { "Y" } else { "N" },
    }));
    let mut fields = vec![("cres", cres.as_str())];
    let data = authentication.session_data.as_deref().unwrap_or_default();
    if !data.is_empty() {
        fields.push(("threeDSSessionData", data));
    }
    posted_on(&authentication.notification_url, &fields)
}

// A page that posts `fields` to `url` by itself, or, without scripts, by a press.
fn posted_on(url: &str, fields: &[(&str, &str)]) -> Response {
    let http = url.starts_with("http://") || url.starts_with("https://");
    let origin: String = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let plain = origin
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b":/.-[]".contains(&b));
    if !http || !plain {
        return sorry("The notification URL is none.");
    }
    let inputs: String = fields
        .iter()
        .map(|(name, value)| {
            format!(
                "<input type=hidden name={name} value=\"{}\">",
                escape(value)
            )
        })
        .collect();
    let body = format!(
        "<main aria-label='Your bank'><form id=on method=post action=\"{}\">{inputs}<noscript><button>Continue</button></noscript></form>\
         <p role=status>One moment…</p></main><script src=/3ds/post.js></script>",
        escape(url)
    );
    document("One moment", &body, Some(&origin))
}

fn sorry(text: &str) -> Response {
    let body = format!(
        "<main aria-label='Your bank'><h1>That did not work</h1><p>{}</p></main>",
        escape(text)
    );
    (
        StatusCode::BAD_REQUEST,
        document("That did not work", &body, None),
    )
        .into_response()
}

// Whoever runs the 3DS Server may frame it: the challenge lives in frames.
fn document(title: &str, body: &str, post_to: Option<&str>) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'self' {}",
        post_to.unwrap_or_default()
    );
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, \
         initial-scale=1\"><title>{title} · Test Bank</title><link rel=stylesheet href=/3ds/acs.css>{body}"
    );
    let header = (HeaderName::from_static("content-security-policy"), policy);
    ([header], Html(html)).into_response()
}

fn money(authentication: &Authentication) -> String {
    let name = match authentication.currency.as_str() {
        "840" => "USD",
        "978" => "EUR",
        "826" => "GBP",
        "756" => "CHF",
        "392" => "JPY",
        "356" => "INR",
        other => other,
    };
    let decimals = usize::try_from(authentication.exponent.clamp(0, 4)).unwrap_or(2);
    let digits = format!("{:0>width$}", authentication.amount, width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    if decimals == 0 {
        return format!("{whole} {}", escape(name));
    }
    format!("{whole}.{part} {}", escape(name))
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

// Base64url; the padding that some add is taken too.
fn decoded(text: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .or_else(|_| URL_SAFE.decode(text))
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

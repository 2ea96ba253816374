//! `GET /v1/jwks.json`: the public keys of field sessions (RFC 7517, RFC 8037). Yesterday's still verify, tomorrow's are
//! there before they sign.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::crypto::session;
use crate::http::Json;
use crate::{App, Error};

/// A JWK set.
#[derive(Serialize, JsonSchema)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

/// A public Ed25519 key.
#[derive(Serialize, JsonSchema)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    kid: String,
    /// The key, base64url without padding.
    x: String,
}

/// The set.
pub async fn keys(State(app): State<App>) -> Result<Response, Error> {
    let keys = session::public_keys(&app.root, app.clock.now())
        .map_err(|session::Invalid| Error::Internal("a session key could not be derived"))?;
    let keys = keys
        .into_iter()
        .map(|(kid, key)| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            kid,
            x: URL_SAFE_NO_PAD.encode(key),
        })
        .collect();
    let mut response = Json(Jwks { keys }).into_response();
    let cache = HeaderValue::from_static("private, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    Ok(response)
}

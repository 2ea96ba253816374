//! `POST /3ds/results`: the issuer's word on a challenge (RReq), from the directory server. It alone decides: what the
//! buyer's browser brings (CRes) only says that there is something to look for.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use store::Tx;

use super::flow;
use super::messages::{self, erro, rres};
use super::record::Authentication;
use crate::app::App;
use crate::error::Error;

/// Takes an RReq. The same one again is acknowledged again and changes nothing.
pub async fn results(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let setup = app.three_ds()?;
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    // Both sides are hashed under our key before they are compared: the time says nothing about the key.
    let hashed = |key: &str| app.seal.mac("compare", &[key.as_bytes()]);
    if hashed(presented) != hashed(&setup.results_key) {
        let erro = erro("303", "Access denied, invalid endpoint.", "authorization");
        return Ok((StatusCode::UNAUTHORIZED, Json(erro)).into_response());
    }
    let Ok(rreq) = serde_json::from_slice::<Value>(&body) else {
        return Ok(wrong("101", "Message received is not valid.", "not JSON"));
    };
    let transaction = rreq["threeDSServerTransID"].as_str().unwrap_or_default();
    let Some(said) = messages::read_result("RReq", transaction, &rreq) else {
        let description = "Data element not in the required format or value is invalid.";
        return Ok(wrong("203", description, "transStatus"));
    };
    let asked = transaction.to_owned();
    let read = move |tx: &mut Tx<'_>| Authentication::of_transaction(tx, &asked);
    let unknown = || {
        let description = "Transaction ID received is not valid for the receiving component.";
        Ok(wrong("301", description, "threeDSServerTransID"))
    };
    let Some(authentication) = app.store.read(read).await? else {
        return unknown();
    };
    let same = authentication.acs_trans_id.as_deref() == Some(&*said.acs_trans_id)
        && authentication.ds_trans_id.as_deref() == Some(&*said.ds_trans_id);
    if !same {
        return unknown();
    }
    flow::take(&app, &authentication, "challenge", said).await?;
    Ok(Json(rres(&rreq)).into_response())
}

fn wrong(code: &str, description: &str, detail: &str) -> Response {
    Json(erro(code, description, detail)).into_response()
}

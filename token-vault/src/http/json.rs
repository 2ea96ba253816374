//! JSON in and out. serde_json's errors quote the digits they choke on and axum's `Json` sends them to the caller;
//! this extractor answers a fixed code and drops the text.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use vault_api::Code;

use crate::Error;

/// The largest body any route takes.
pub const MAX_BODY: usize = 64 * 1024;

/// So much of a larger one is still read.
const MAX_DROPPED: usize = 4 * 1024 * 1024;

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        if !is_json(request.headers()) {
            return Err(Code::UnsupportedMediaType.into());
        }
        let bytes = read(request.into_body()).await?;
        parse(&bytes).map(Self)
    }
}

// Reads what is too large, up to a point, and drops it: a client that is still sending when the connection closes sees a
// reset instead of the answer.
async fn read(mut body: Body) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut seen) = (Vec::new(), 0);
    if body.size_hint().lower() <= MAX_BODY as u64 {
        bytes.reserve(body.size_hint().lower() as usize);
    }
    while let Some(frame) = body.frame().await {
        // hyper closes the connection after a body that did not arrive in time.
        let frame = frame.map_err(|_| Code::RequestTimeout)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        seen += data.len();
        if seen <= MAX_BODY {
            bytes.extend_from_slice(data);
        } else if seen > MAX_DROPPED {
            break;
        }
    }
    if seen > MAX_BODY {
        return Err(Code::PayloadTooLarge.into());
    }
    Ok(bytes)
}

/// Parses JSON without ever repeating it.
///
/// # Errors
/// `malformed_json` or `invalid_request`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => Error::from(Code::InvalidRequest),
        Category::Syntax | Category::Eof | Category::Io => Error::from(Code::MalformedJson),
    })
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => (
                [(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )],
                body,
            )
                .into_response(),
            Err(_) => Error::Internal("an answer could not be written").into_response(),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    kind.split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

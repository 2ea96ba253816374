//! HTTP as a client speaks it: JSON in, status and JSON out.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use serde_json::Value;
use service::Client;

/// Speaks to one base URL with one credential.
#[derive(Clone)]
pub struct Http {
    client: Client,
    base: String,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON, or null.
    pub json: Value,
}

/// Whether a good part of the usual test number is in a text, however its groups are parted. Four digits would not do: they
/// stand in one random id of many.
#[must_use]
pub fn shows_a_card(text: &str) -> bool {
    text.replace([' ', '-'], "").contains("424242")
}

impl Http {
    /// A client of `base`, `http://127.0.0.1:4002`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let client = Client::new(Duration::from_secs(5), Duration::from_secs(30));
        Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            headers: vec![],
        }
    }

    /// The same with a header on every request.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.headers.push((name.to_owned(), value.to_owned()));
        with
    }

    /// The same with a bearer credential.
    #[must_use]
    pub fn bearer(&self, credential: &str) -> Self {
        self.with("authorization", &format!("Bearer {credential}"))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        let body = ("application/json", body.to_string());
        self.send(Method::PUT, path, Some(body)).await
    }

    /// PATCH of JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let body = ("application/json", body.to_string());
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            Method::POST,
            path,
            Some(("application/json", body.to_string())),
        )
        .await
    }

    /// POST of text as it is.
    pub async fn post_text(&self, path: &str, content_type: &str, body: &str) -> Answer {
        self.send(Method::POST, path, Some((content_type, body.to_owned())))
            .await
    }

    #[expect(clippy::expect_used, reason = "a test whose call fails cannot go on")]
    async fn send(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = match body {
            Some((content_type, body)) => {
                request = request.header("content-type", content_type);
                body
            }
            None => String::new(),
        };
        let request = request
            .body(Bytes::from(body))
            .expect("a well-formed request");
        let response = self.client.send(request).await.expect("an answer");
        let text = String::from_utf8_lossy(response.body()).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text,
            json,
        }
    }
}

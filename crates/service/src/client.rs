//! Calls to other programs: one send per call. No retries of its own, no redirects, explicit time-outs.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::egress::{self, Reach, Resolver};
use crate::traces;

/// The largest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// An HTTP client; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    total: Duration,
    reach: Reach,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// The connection was never made: nothing was sent.
    NotSent(String),
    /// Something may have been sent: the outcome is unknown.
    Unknown(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Unknown(why) => write!(f, "no valid answer, the outcome is unknown: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl Client {
    /// A client whose calls end after `total`, connecting included.
    #[must_use]
    pub fn new(connect: Duration, total: Duration) -> Self {
        Self::within(Reach::Anywhere, connect, total)
    }

    /// A client that connects only to what `reach` allows.
    #[must_use]
    pub fn within(reach: Reach, connect: Duration, total: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(reach));
        http.set_connect_timeout(Some(connect));
        http.set_nodelay(true);
        http.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(15))
            // Without this a request that lost its pooled connection would be sent a second time.
            .retry_canceled_requests(false)
            .build(https);
        Self {
            inner,
            total,
            reach,
        }
    }

    /// Sends once and reads the whole answer.
    ///
    /// # Errors
    /// [`Error::NotSent`] when no connection came about, [`Error::Unknown`] for all else.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        if let Some(context) = traces::current()
            && let Ok(value) = HeaderValue::from_str(&context.traceparent())
        {
            request
                .headers_mut()
                .entry(traces::TRACEPARENT)
                .or_insert(value);
        }
        // The connector asks no resolver about an address.
        let host = request.uri().host().unwrap_or_default();
        if !self.reach.allows_host(host) {
            return Err(Error::NotSent(egress::REFUSED.into()));
        }
        let call = async {
            let response = self
                .inner
                .request(request.map(Full::new))
                .await
                .map_err(|error| {
                    let text = error_text(&error);
                    if error.is_connect() {
                        Error::NotSent(text)
                    } else {
                        Error::Unknown(text)
                    }
                })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER)
                .collect()
                .await
                .map_err(|e| Error::Unknown(e.to_string()))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let timeout = || Error::Unknown(format!("no answer within {} ms", self.total.as_millis()));
        tokio::time::timeout(self.total, call)
            .await
            .unwrap_or_else(|_| Err(timeout()))
    }
}

fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

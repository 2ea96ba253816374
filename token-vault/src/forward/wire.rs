//! One HTTP/1.1 request over one new connection: no pool, no retry, no redirect, no 0-RTT. It knows how many of the
//! request's plaintext bytes were given to the connection, so that "not sent" is a fact.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use service::traces;
use tokio::time::timeout;
use vault_api::forward::BytesSent;
use zeroize::Zeroizing;

use super::body::Format;
use super::connect::{self, Counts};
use super::destinations::Target;

/// The largest answer that is read.
const MAX_ANSWER: usize = 256 * 1024;

/// How a send ended.
pub struct Sent {
    /// How much of the request was given to the connection.
    pub bytes: BytesSent,
    /// The answer, or a word for why there is none.
    pub answer: Result<Received, &'static str>,
}

/// An answer.
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// The body as a tree, null when it is empty; none when it could not be parsed, and then its text is gone.
    pub body: Option<Value>,
}

/// Sends.
pub async fn send(target: &Target, attempt: &str, body: Zeroizing<Vec<u8>>) -> Sent {
    let Ok(request) = request(target, attempt, body) else {
        return Sent {
            bytes: BytesSent::None,
            answer: Err("malformed"),
        };
    };
    let whole = head_length(&request) + request.body().size();
    // Nothing is counted before there is a connection; after that the counts are read whatever happens.
    let counts = Mutex::new(None);
    let exchange = exchange(target, request, &counts);
    let answer = match timeout(target.destination.total, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err("timeout"),
    };
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    Sent {
        bytes: counts.map_or(BytesSent::None, |counts| told(&counts, whole)),
        answer,
    }
}

fn told(counts: &Counts, whole: usize) -> BytesSent {
    match counts.plain.load(Ordering::SeqCst) {
        0 if counts.any_after_handshake() => BytesSent::Partial,
        0 => BytesSent::None,
        sent if sent >= whole => BytesSent::All,
        _ => BytesSent::Partial,
    }
}

async fn exchange(
    target: &Target,
    request: Request<Full<Bytes>>,
    counts: &Mutex<Option<Counts>>,
) -> Result<Received, &'static str> {
    let destination = &target.destination;
    let connecting = connect::connect(destination);
    let connected = timeout(destination.connect, connecting)
        .await
        .map_err(|_| "connect")??;
    *counts.lock().unwrap_or_else(PoisonError::into_inner) = Some(connected.counts);
    let io = TokioIo::new(connected.stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(|_| "reset")?;
    let answering = async {
        let response = timeout(destination.read, sender.send_request(request))
            .await
            .map_err(|_| "timeout")?
            .map_err(|_| "reset")?;
        receive(response, target, destination.read).await
    };
    let (mut answering, mut connection) = (pin!(answering), pin!(connection));
    let mut open = true;
    // One future, no task of its own: when it is dropped nothing more is written, so what is told stays true.
    loop {
        tokio::select! {
            answer = &mut answering => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

async fn receive(
    response: Response<Incoming>,
    target: &Target,
    read: Duration,
) -> Result<Received, &'static str> {
    let status = response.status().as_u16();
    let says = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let says = says.and_then(Format::of_content_type);
    let format = target.operation.answer.or(says);
    let mut rest = response.into_body();
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(frame) = timeout(read, rest.frame()).await.map_err(|_| "timeout")? {
        let frame = frame.map_err(|_| "reset")?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MAX_ANSWER {
                return Err("too_large");
            }
            bytes.extend_from_slice(data);
        }
    }
    // An answer that does not parse still is an answer: its status counts, its text is dropped.
    let body = if bytes.is_empty() {
        Some(Value::Null)
    } else {
        format.and_then(|format| format.read(&bytes))
    };
    Ok(Received { status, body })
}

/// The request as it goes out.
///
/// # Errors
/// When a header cannot hold what it must.
pub fn request(
    target: &Target,
    attempt: &str,
    body: Zeroizing<Vec<u8>>,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let (destination, operation) = (&target.destination, &target.operation);
    let answer = operation.answer.unwrap_or(operation.format);
    let mut request = Request::builder()
        .method(operation.method.clone())
        .uri(operation.path.as_str())
        .header(header::HOST, target.authority())
        .header(header::CONTENT_TYPE, operation.format.content_type())
        .header(header::ACCEPT, accepted(answer))
        .body(Full::new(Bytes::from_owner(body)))?;
    let headers = request.headers_mut();
    for header in &destination.headers {
        headers.insert(header.name.clone(), header.value.clone());
    }
    if let Some(name) = &operation.idempotency_header {
        headers.insert(name.clone(), HeaderValue::from_str(attempt)?);
    }
    if let Some(context) = traces::current() {
        headers.insert(
            traces::TRACEPARENT,
            HeaderValue::from_str(&context.traceparent())?,
        );
    }
    let length = HeaderValue::from(request.body().size());
    request.headers_mut().insert(header::CONTENT_LENGTH, length);
    Ok(request)
}

fn accepted(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Form => "application/x-www-form-urlencoded, application/json;q=0.9, */*;q=0.1",
        Format::Xml => "application/xml, text/xml;q=0.9",
    }
}

trait Size {
    fn size(&self) -> usize;
}

impl Size for Full<Bytes> {
    fn size(&self) -> usize {
        hyper::body::Body::size_hint(self).exact().unwrap_or(0) as usize
    }
}

// What hyper writes: request line, headers, blank line. A test counts them at the other end.
fn head_length(request: &Request<Full<Bytes>>) -> usize {
    let line = request.method().as_str().len()
        + 1
        + request.uri().to_string().len()
        + " HTTP/1.1\r\n".len();
    let headers: usize = request
        .headers()
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len() + 4)
        .sum();
    line + headers + 2
}

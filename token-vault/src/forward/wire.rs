//! One HTTP/1.1 request over one new connection: no pool, no retry, no redirect, no 0-RTT. It knows how many of the
//! request's plaintext bytes were given to the connection, so that "not sent" is a fact.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use vault_api::forward::BytesSent;
use zeroize::Zeroizing;

use super::destinations::{Destination, Target};

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
    /// The body, if it is JSON.
    pub body: Value,
}

/// Sends.
pub async fn send(target: &Target, body: Zeroizing<Vec<u8>>) -> Sent {
    let written = Arc::new(AtomicUsize::new(0));
    let whole = Arc::new(AtomicUsize::new(usize::MAX));
    let exchange = exchange(target, body, written.clone(), whole.clone());
    let answer = match tokio::time::timeout(target.destination.total, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err("timeout"),
    };
    let bytes = match (written.load(Ordering::SeqCst), whole.load(Ordering::SeqCst)) {
        (0, _) => BytesSent::None,
        // Headers come on top of the body, so as many bytes as head and body have is all of them.
        (sent, whole) if sent >= whole => BytesSent::All,
        _ if answer.is_ok() => BytesSent::All,
        _ => BytesSent::Partial,
    };
    Sent { bytes, answer }
}

async fn exchange(
    target: &Target,
    body: Zeroizing<Vec<u8>>,
    written: Arc<AtomicUsize>,
    whole: Arc<AtomicUsize>,
) -> Result<Received, &'static str> {
    let destination = &target.destination;
    let connecting = connect(destination);
    let stream = tokio::time::timeout(destination.connect, connecting)
        .await
        .map_err(|_| "connect")??;
    let request = request(target, body)?;
    whole.store(
        head_length(&request) + request.body().size(),
        Ordering::SeqCst,
    );
    let io = TokioIo::new(Counted { stream, written });
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(|_| "reset")?;
    let driver = tokio::spawn(connection);
    let received = receive(&mut sender, request).await;
    driver.abort();
    received
}

async fn receive(
    sender: &mut hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Received, &'static str> {
    let response = sender.send_request(request).await.map_err(|_| "reset")?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            "too_large"
        } else {
            "reset"
        }
    })?;
    let body = body.to_bytes();
    // An answer that is not JSON still is an answer: its status counts, its text is dropped.
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|_| "malformed")?
    };
    Ok(Received { status, body })
}

fn request(
    target: &Target,
    body: Zeroizing<Vec<u8>>,
) -> Result<Request<Full<Bytes>>, &'static str> {
    let destination = &target.destination;
    let standard_port = if destination.tls { 443 } else { 80 };
    let host = match destination.port {
        port if port == standard_port => destination.host.clone(),
        port => format!("{}:{port}", destination.host),
    };
    let mut request = Request::builder()
        .method(target.operation.method.clone())
        .uri(target.operation.path.as_str())
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Full::new(Bytes::from_owner(body)))
        .map_err(|_| "malformed")?;
    for (name, value) in &destination.headers {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    let length = HeaderValue::from(request.body().size());
    request.headers_mut().insert(header::CONTENT_LENGTH, length);
    Ok(request)
}

trait Size {
    fn size(&self) -> usize;
}

impl Size for Full<Bytes> {
    fn size(&self) -> usize {
        hyper::body::Body::size_hint(self).exact().unwrap_or(0) as usize
    }
}

// What hyper writes: request line, headers, blank line.
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

async fn connect(destination: &Destination) -> Result<Stream, &'static str> {
    let found = tokio::net::lookup_host((destination.host.as_str(), destination.port))
        .await
        .map_err(|_| "connect")?;
    // What was resolved and judged is what is connected to: a second look-up could say something else.
    let address: SocketAddr = found
        .into_iter()
        .find(|address| destination.local || is_public(address.ip()))
        .ok_or("connect")?;
    let stream = TcpStream::connect(address).await.map_err(|_| "connect")?;
    stream.set_nodelay(true).map_err(|_| "connect")?;
    if !destination.tls {
        return Ok(Stream::Plain(stream));
    }
    let name = ServerName::try_from(destination.host.clone()).map_err(|_| "tls")?;
    let stream = TlsConnector::from(TLS.clone())
        .connect(name, stream)
        .await
        .map_err(|_| "tls")?;
    Ok(Stream::Tls(Box::new(stream)))
}

static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
});

/// Whether an address is one of the public internet's. What is not is refused: loopback, private, link-local (cloud
/// metadata), shared, documentation, multicast and what embeds them.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast();
            let reserved = a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a, b, c) == (192, 0, 0)
                || (a == 198 && (18..20).contains(&b));
            !special && !reserved
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            // Global unicast is 2000::/3; 6to4 and Teredo carry a v4 address, documentation is nobody's.
            (0x2000..0x4000).contains(&segments[0])
                && segments[0] != 0x2002
                && segments[..2] != [0x2001, 0]
                && segments[..2] != [0x2001, 0xdb8]
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Counts plaintext bytes on their way out.
struct Counted {
    stream: Stream,
    written: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        };
        if let Poll::Ready(Ok(n)) = &polled {
            self.written.fetch_add(*n, Ordering::SeqCst);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        for ip in ["8.8.8.8", "93.184.216.34", "2606:4700::1111"] {
            assert!(is_public(ip.parse().expect("an address")), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(ip.parse().expect("an address")), "{ip}");
        }
    }
}

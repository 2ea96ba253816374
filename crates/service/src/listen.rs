//! Listeners: bind, serve with timers and caps, in TLS or plain, stop gracefully.
//!
//! `axum::serve` installs no timer, so a client that sends its headers one byte a minute would be served for ever
//! (tokio-rs/axum#2741). Here hyper has its timer, and a body has a deadline too.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt as _;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::tls::{ClientCertificate, Tls};

/// Requests under way have this long to finish once the program is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Becomes true when the program should stop; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Stops on SIGINT or SIGTERM.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signal() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut int, mut term) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let (tell, stop) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            tell.send_replace(true);
            // Kept until the process ends, so that `wait` never sees a closed channel.
            std::future::pending::<()>().await;
        });
        Ok(Self(stop))
    }

    /// Returns once the program should stop.
    pub async fn wait(&self) {
        // A closed channel means the same.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Whether the program should stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

/// Binds an address and says what to do when it is taken.
///
/// # Errors
/// The address and the reason.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("cannot listen on {address}: {error}. Is another process using the port?")
    })
}

/// What a listener allows.
#[derive(Debug, Clone)]
pub struct Options {
    /// A client has this long to send its request's head, a TLS handshake included.
    pub head: Duration,
    /// A client has this long to send its request's body.
    pub body: Duration,
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// TLS; plain HTTP when left out.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(15),
            connections: 4096,
            tls: None,
        }
    }
}

/// What was just accepted has this long for its first bytes to be read.
const LINGER: Duration = Duration::from_millis(250);

/// Serves `router` in plain HTTP until `stop`, then lets the requests under way finish.
pub async fn serve(listener: TcpListener, router: Router, stop: Stop) {
    serve_with(listener, router, stop, Options::default()).await;
}

/// Serves `router` until `stop`, then lets the requests under way finish.
pub async fn serve_with(listener: TcpListener, router: Router, stop: Stop, options: Options) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(options.connections));
    let options = Arc::new(options);
    let start = |(stream, peer): (TcpStream, SocketAddr), slot| {
        let connection = Connection {
            peer,
            options: Arc::clone(&options),
            watcher: graceful.watcher(),
            slot,
        };
        tokio::spawn(connection.serve(stream, router.clone()));
    };
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot.ok(),
            () = stop.wait() => break,
        };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => start(accepted, slot),
                Err(error) => {
                    // Out of file descriptors, most likely: pause instead of spinning.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = stop.wait() => break,
        }
    }
    // The system has completed these already and their requests may have arrived: closing now would reset them.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        start(accepted, None);
    }
    drop(listener);
    // hyper closes a connection whose request it has not begun to read, although it may have arrived.
    tokio::time::sleep(LINGER).await;
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests had not finished after {} s", DRAIN.as_secs());
    }
}

struct Connection {
    peer: SocketAddr,
    options: Arc<Options>,
    watcher: Watcher,
    slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router) {
        drop(stream.set_nodelay(true));
        let Some(tls) = &self.options.tls else {
            return self.http(stream, router, None).await;
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        // A client that fails its handshake, or takes too long, is no news: scanners do it all day.
        if let Ok(Ok(stream)) = tokio::time::timeout(self.options.head, handshake).await {
            let shown = stream.get_ref().1.peer_certificates();
            let shown = shown.and_then(|chain| chain.first());
            let shown = shown.map(|leaf| ClientCertificate::of(leaf.as_ref()));
            self.http(stream, router, shown).await;
        }
    }

    async fn http<S>(self, stream: S, router: Router, shown: Option<ClientCertificate>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, limit) = (self.peer, self.options.body);
        let service = router.map_request(move |request: http::Request<Incoming>| {
            let waits = request.headers().contains_key(http::header::EXPECT);
            let body = |body| axum::body::Body::new(TimedBody::new(body, limit, waits));
            let mut request = request.map(body);
            let extensions = request.extensions_mut();
            extensions.insert(axum::extract::ConnectInfo(peer));
            if let Some(shown) = &shown {
                extensions.insert(shown.clone());
            }
            request
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.head)
            .max_headers(64)
            .max_buf_size(32 * 1024)
            .keep_alive(true)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // A client that goes away is no news.
        let _ = self.watcher.watch(connection).await;
        drop(self.slot);
    }
}

/// A request body that must arrive in time. What a handler leaves unread (it refused the request by its head) is read and
/// thrown away: hyper would close the connection, and a client that is still sending would see a reset, not the refusal.
struct TimedBody {
    // None once there is no reading on.
    inner: Option<Incoming>,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    // The client waits for `100 Continue` before it sends anything: unread means unsent.
    waits: bool,
}

/// What is read and thrown away of one body at most.
const UNREAD_BYTES: usize = 8 << 20;

/// And for how long.
const UNREAD_TIME: Duration = Duration::from_secs(5);

impl TimedBody {
    fn new(inner: Incoming, limit: Duration, waits: bool) -> Self {
        Self {
            inner: Some(inner),
            limit,
            deadline: None,
            waits,
        }
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        let rest = self
            .inner
            .take()
            .filter(|rest| !rest.is_end_stream() && !self.waits);
        if let (Some(rest), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(UNREAD_TIME, throw_away(rest)));
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut left = UNREAD_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let many = frame.data_ref().map_or(0, bytes::Bytes::len);
        match left.checked_sub(many) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The body did not arrive in time.
#[derive(Debug)]
pub struct TooSlow;

impl std::fmt::Display for TooSlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl std::error::Error for TooSlow {}

impl http_body::Body for TimedBody {
    type Data = bytes::Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        // Being read, it has been asked for.
        this.waits = false;
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        // Most bodies come with their head, so most need no timer.
        let limit = this.limit;
        let deadline = this
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => {
                // Too slow once is slow enough: the rest is not waited for.
                this.inner = None;
                Poll::Ready(Some(Err(Box::new(TooSlow))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let inner = self.inner.as_ref();
        inner.map_or_else(http_body::SizeHint::default, Incoming::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::DefaultBodyLimit;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn server() -> SocketAddr {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/", post(async |_: bytes::Bytes| "read"))
            .layer(DefaultBodyLimit::max(1024));
        tokio::spawn(serve(listener, router, Stop::on_signal().expect("signals")));
        address
    }

    // The head of the answer to a request of `size` bytes that is sent whole before anything is read.
    async fn answer(size: usize) -> String {
        let mut stream = TcpStream::connect(server().await).await.expect("connected");
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        for _ in 0..size / 4096 {
            stream.write_all(&[b'4'; 4096]).await.expect("sent");
            // As over a network: the refusal is there long before the last byte is.
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        let mut said = vec![0; 12];
        stream.read_exact(&mut said).await.expect("an answer");
        String::from_utf8(said).expect("a status line")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_sends_too_much_hears_so_and_is_not_reset() {
        assert_eq!(answer(4 << 20).await, "HTTP/1.1 413");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn there_is_an_end_to_what_is_read_and_thrown_away() {
        let mut stream = TcpStream::connect(server().await).await.expect("connected");
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head).await.expect("sent");
        let mut sent = 0;
        while sent < 1 << 30 && stream.write_all(&[b'4'; 65_536]).await.is_ok() {
            sent += 65_536;
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
}

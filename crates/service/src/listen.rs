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
            let mut request =
                request.map(|body| axum::body::Body::new(TimedBody::new(body, limit)));
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

/// A request body that must arrive in time. hyper closes a connection whose body was not read to its end.
struct TimedBody {
    inner: Incoming,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    fn new(inner: Incoming, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            deadline: None,
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
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        // Most bodies come with their head, so most need no timer.
        let limit = self.limit;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Box::new(TooSlow)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

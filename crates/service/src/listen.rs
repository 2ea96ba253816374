//! Listeners: bind, serve with timers, stop gracefully.
//!
//! `axum::serve` installs no timer, so a client that sends its headers one byte a minute would be served for ever
//! (tokio-rs/axum#2741). Here hyper has its timer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// A client has this long to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Serves `router` until `stop`, then lets the requests under way finish.
pub async fn serve(listener: TcpListener, router: Router, stop: Stop) {
    let graceful = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(64 * 1024)
        .keep_alive(true);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: pause instead of spinning.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.wait() => break,
        };
        drop(stream.set_nodelay(true));
        let service =
            router
                .clone()
                .map_request(move |mut request: http::Request<hyper::body::Incoming>| {
                    request
                        .extensions_mut()
                        .insert(axum::extract::ConnectInfo(peer));
                    request
                });
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is no news.
            let _ = connection.await;
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests had not finished after {} s", DRAIN.as_secs());
    }
}

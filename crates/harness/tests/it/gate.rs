//! A gate between two programs: it passes everything on, and once, when it is shut for a path, it lets the request
//! through and keeps the answer. What stands behind it has done its work, and who asked can be killed before they know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use service::Client;
use tokio::sync::Notify;

/// A running gate.
pub struct Gate {
    /// Where it listens.
    pub url: String,
    state: Arc<Inside>,
}

struct Inside {
    to: String,
    client: Client,
    path: &'static str,
    shut: AtomicBool,
    kept: Notify,
}

impl Gate {
    /// Opens a gate before `to`, which can be shut for POSTs to `path`.
    pub async fn open(to: &str, path: &'static str) -> Self {
        let state = Arc::new(Inside {
            to: to.to_owned(),
            client: Client::new(Duration::from_secs(10), Duration::from_secs(60)),
            path,
            shut: AtomicBool::new(false),
            kept: Notify::new(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = axum::Router::new().fallback(pass).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Keeps the next answer.
    pub fn shut(&self) {
        self.state.shut.store(true, Ordering::SeqCst);
    }

    /// Waits until an answer was kept; from then on everything passes again.
    pub async fn kept(&self) {
        let kept = self.state.kept.notified();
        let within = tokio::time::timeout(Duration::from_secs(120), kept).await;
        within.expect("an answer comes to the gate");
    }
}

async fn pass(State(gate): State<Arc<Inside>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_it = head.uri.path() == gate.path && head.method == http::Method::POST;
    head.uri = format!("{}{path}", gate.to).parse().expect("a URI");
    head.headers.remove("host");
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let asked = http::Request::from_parts(head, body);
    let Ok(answer) = gate.client.send(asked).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if is_it && gate.shut.swap(false, Ordering::SeqCst) {
        gate.kept.notify_one();
        std::future::pending::<()>().await;
    }
    let (mut head, body) = answer.into_parts();
    head.headers.remove("transfer-encoding");
    Response::from_parts(head, Body::from(body))
}

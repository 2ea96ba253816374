//! A merchant's webhook receiver: keeps what arrives, answers what it is told to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

#[derive(Clone, Default)]
pub struct Hooks {
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    /// The answers to give before 200s, the last one first.
    answers: Arc<Mutex<Vec<Answer>>>,
}

#[derive(Clone, Copy)]
enum Answer {
    Status(StatusCode),
    /// 429, and when to ask again.
    Busy(u64),
    /// None at all.
    Never,
}

impl Hooks {
    pub async fn serve(&self) -> String {
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bound");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub fn answer_first(&self, status: StatusCode) {
        self.answer(Answer::Status(status));
    }

    pub fn busy_first(&self, seconds: u64) {
        self.answer(Answer::Busy(seconds));
    }

    /// Takes the next deliveries and answers none of them.
    pub fn hang_first(&self, count: usize) {
        (0..count).for_each(|_| self.answer(Answer::Never));
    }

    fn answer(&self, answer: Answer) {
        self.answers.lock().expect("not poisoned").push(answer);
    }

    pub fn received(&self) -> Vec<(HeaderMap, String)> {
        self.received.lock().expect("not poisoned").clone()
    }
}

async fn receive(State(hooks): State<Hooks>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("text");
    hooks
        .received
        .lock()
        .expect("not poisoned")
        .push((headers, body));
    let answer = hooks.answers.lock().expect("not poisoned").pop();
    match answer.unwrap_or(Answer::Status(StatusCode::OK)) {
        Answer::Status(status) => status.into_response(),
        Answer::Busy(seconds) => {
            let after = [("retry-after", seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, after).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}

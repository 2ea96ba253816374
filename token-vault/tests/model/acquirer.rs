//! An acquirer that counts what it is asked, by reference. Some answers are slow, some never come.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};

/// Its book.
#[derive(Clone, Default)]
pub struct Acquirer(Arc<Mutex<HashMap<String, u64>>>);

impl Acquirer {
    /// Listens on a port of its own.
    pub async fn start() -> (Self, SocketAddr) {
        let acquirer = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = axum::Router::new()
            .route("/pay", post(pay))
            .with_state(acquirer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (acquirer, address)
    }

    /// How often each reference was sent.
    pub fn sent(&self) -> HashMap<String, u64> {
        self.0.lock().unwrap().clone()
    }
}

async fn pay(State(acquirer): State<Acquirer>, Json(body): Json<Value>) -> Json<Value> {
    let reference = body["reference"].as_str().unwrap_or_default().to_owned();
    // Counted before it answers: what the vault is killed under was sent all the same.
    *acquirer
        .0
        .lock()
        .unwrap()
        .entry(reference.clone())
        .or_default() += 1;
    let of_it = reference.bytes().map(u64::from).sum::<u64>();
    match of_it % 16 {
        0 => tokio::time::sleep(Duration::from_secs(5)).await,
        1..=4 => tokio::time::sleep(Duration::from_millis(of_it % 300)).await,
        _ => {}
    }
    Json(json!({"id": reference, "status": "captured"}))
}

/// Where the vault may send: this acquirer.
pub fn destinations(address: SocketAddr) -> String {
    format!(
        r#"
        [[destination]]
        name = "bank"
        base_url = "http://{address}"
        local = true
        merchants = ["*"]
        connect_ms = 500
        total_ms = 1500

        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "/pay"
        placeholders = {{ "card.number" = "/card/number", "card.exp_month" = "/card/exp_month", "card.exp_year" = "/card/exp_year" }}
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/id", "/status"]
        approved = {{ pointer = "/status", values = ["captured"] }}
        "#
    )
}

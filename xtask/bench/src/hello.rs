//! The baseline: an axum endpoint that parses and answers a small JSON, on the listener that every program uses. In a
//! process of its own, like what it is compared with. `/pay` answers as an acquirer does, `/hang` never.

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::listen::{self, Stop};

#[derive(Deserialize)]
struct Ask {
    name: String,
    amount: i64,
}

#[derive(Serialize)]
struct Answer {
    hello: String,
    amount: i64,
}

/// Serves until it is killed.
pub async fn serve(address: std::net::SocketAddr) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/hello", post(hello))
        .route("/pay", post(pay))
        .route("/hang", post(std::future::pending::<()>));
    let listener = listen::bind(address).await?;
    listen::serve(listener, routes, Stop::on_signal()?).await;
    Ok(())
}

async fn hello(Json(ask): Json<Ask>) -> Json<Answer> {
    Json(Answer {
        hello: ask.name,
        amount: ask.amount,
    })
}

async fn pay(Json(ask): Json<Value>) -> Json<Value> {
    Json(json!({"id": ask["reference"], "status": "captured"}))
}

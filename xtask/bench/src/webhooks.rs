//! A merchant's endpoint that notes when it first heard of each event, and how long after the event that was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use store::{Location, Store, Tx};

/// Nothing came for so long: nothing is on its way.
const QUIET: Duration = Duration::from_secs(2);

type Heard = Arc<Mutex<HashMap<String, i64>>>;

/// A running endpoint.
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    heard: Heard,
}

/// Delays, in order.
pub struct Delays(Vec<i64>);

impl Delays {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The delay that this share of them did not exceed, milliseconds.
    pub fn at(&self, share: f64) -> Option<f64> {
        let index = (self.0.len() as f64 * share) as usize;
        let last = self.0.len().checked_sub(1)?;
        self.0.get(index.min(last)).map(|ms| *ms as f64)
    }
}

impl Receiver {
    pub async fn start() -> anyhow::Result<Self> {
        let heard = Heard::default();
        let router = Router::new()
            .route("/hooks", post(hear))
            .with_state(heard.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, heard })
    }

    fn count(&self) -> usize {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.len()
    }

    /// Waits until nothing more comes.
    pub async fn until_quiet(&self, most: Duration) {
        let until = Instant::now() + most;
        let mut before = (self.count(), Instant::now());
        while Instant::now() < until && before.1.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.count() != before.0 {
                before = (self.count(), Instant::now());
            }
        }
    }

    /// How long after an event its first attempt was here. An event that never came is a failure.
    pub async fn first_attempts(&self, location: &Location) -> anyhow::Result<Delays> {
        let location = location.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&location, &[])).await??;
        let read = |tx: &mut Tx<'_>| -> Result<Vec<(String, i64)>, store::Error> {
            let sql = "select e.id, e.created_ms from events e join webhook_deliveries d on d.event = e.id";
            let rows = tx.all(sql, &[])?;
            rows.iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?)))
                .collect()
        };
        let events = store.read(read).await?;
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delays = Vec::new();
        for (id, created_ms) in &events {
            let Some(at) = heard.get(id) else {
                anyhow::bail!("an event was never delivered");
            };
            delays.push(at - created_ms);
        }
        delays.sort_unstable();
        Ok(Delays(delays))
    }
}

async fn hear(State(heard): State<Heard>, Json(event): Json<Value>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_millis() as i64);
    let id = event["id"].as_str().unwrap_or_default().to_owned();
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.entry(id).or_insert(now);
}

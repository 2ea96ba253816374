//! Disconnect storm: clients that hang up in the middle of thousands of requests leave no transaction open and cost
//! nobody after them an answer.

use std::sync::Arc;
use std::time::Duration;

use harness::database::{self, Fresh};
use harness::vault::{Installation, Merchant, Process};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::chance::Chance;

const ABORTED: u64 = 3_000;
const AFTER: usize = 1_000;
const AT_ONCE: u64 = 32;

const CARD: &str =
    r#"{"card":{"number":"4242424242424242","exp_month":12,"exp_year":2040,"cvc":"123"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_leave_nothing_open() {
    for database in database::fresh() {
        storm(&database).await;
    }
}

async fn storm(database: &Fresh) {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-storm"));
    let program = harness::programs::built("token-vault").unwrap();
    let installation = Installation::new(program, &database.location, &folder, "").unwrap();
    let merchant = Arc::new(installation.merchant("Alice").unwrap());
    let vault = installation.start().await.unwrap();
    let host = vault.private().trim_start_matches("http://").to_owned();
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..AT_ONCE {
        let (host, merchant) = (host.clone(), merchant.clone());
        storm.spawn(async move {
            let mut chance = Chance::new(1, number);
            for _ in 0..ABORTED / AT_ONCE {
                hang_up(&host, &merchant, &mut chance).await;
            }
        });
    }
    while let Some(done) = storm.join_next().await {
        done.unwrap();
    }
    let sessions = open_transactions(database).await;
    assert_eq!(sessions, 0, "sessions idle in a transaction");
    all_succeed(&vault, &merchant).await;
    drop(vault);
    let _ = std::fs::remove_dir_all(&folder);
}

// Sends a request, whole or not, and resets the connection before or while it is answered.
async fn hang_up(host: &str, merchant: &Merchant, chance: &mut Chance) {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{CARD}",
        merchant.restricted,
        CARD.len()
    );
    let whole = !chance.one_in(4);
    let length = if whole {
        request.len()
    } else {
        chance.below(request.len())
    };
    stream
        .write_all(&request.as_bytes()[..length])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_micros(chance.below(6_000) as u64)).await;
    // RST instead of FIN: the vault learns at once, whatever it is doing.
    stream.set_zero_linger().unwrap();
}

// Work in flight may still be finishing: what stays open is what counts.
async fn open_transactions(database: &Fresh) -> i64 {
    for _ in 0..50 {
        if database::idle_in_transaction(&database.location) == 0 {
            return 0;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    database::idle_in_transaction(&database.location)
}

async fn all_succeed(vault: &Process, merchant: &Merchant) {
    let alice = vault.of(merchant);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let alice = alice.clone();
        tasks.spawn(async move {
            for _ in 0..AFTER / 10 {
                let card: serde_json::Value = serde_json::from_str(CARD).unwrap();
                let made = alice.post("/v1/tokens", &card).await;
                assert_eq!(made.status, 200, "{}", made.text);
                let token = json!({"token": made.json["id"]});
                let state = alice.post("/v1/tokens/lookup", &token).await;
                assert_eq!(state.json["status"], "active", "{}", state.text);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

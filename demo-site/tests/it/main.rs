//! The shop through its public door: the real router over real HTTP, on every store, against a counterpart that
//! speaks the payment API's wire format.

mod action;
mod gateway;
mod hosted;
mod orders;
mod orphans;
mod pages;
mod pay;
mod schema;
mod webhooks;

use std::path::PathBuf;

use demo_site::{Secret, Settings, Shop};
use gateway::Gateway;
use harness::Http;
use harness::database::{Fresh, fresh};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use service::Clock;
use service::listen::{self, Stop};
use sha2::Sha256;
use store::{Row, Store, params};

/// The webhook secret of the tests.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

/// A running shop with everything around it.
pub struct World {
    /// The shop, for somebody without a cookie.
    pub shop: Http,
    /// The payment API it calls.
    pub gateway: Gateway,
    /// Its clock.
    pub clock: Clock,
    clock_file: PathBuf,
    store: Store,
    _database: Fresh,
}

/// A running shop per store.
pub async fn worlds() -> Vec<World> {
    let mut worlds = vec![];
    for database in fresh() {
        worlds.push(World::start(database).await);
    }
    worlds
}

impl World {
    async fn start(database: Fresh) -> Self {
        let gateway = Gateway::default();
        let settings = Settings {
            public_url: "http://shop.localhost:4000".into(),
            vault_url: "http://vault.localhost:4001".into(),
            payments_url: serve(gateway.router()).await,
            publishable_key: "pk_test_of_the_shop".into(),
            gallery_key: Some("pk_test_of_the_gallery".into()),
            secret_key: Secret::new(gateway::SECRET_KEY),
            webhook_secrets: vec![Secret::new("whsec_older"), Secret::new(WEBHOOK_SECRET)],
        };
        let clock_file = std::env::temp_dir().join(vault_api::ids::new_id("clock"));
        let clock = Clock::with_offset_file(&clock_file);
        let shop = Shop::open(database.location.clone(), clock.clone(), settings);
        let shop = shop.await.expect("opened");
        // A second look at the same database, to see what the shop wrote.
        let location = database.location.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&location, &[]));
        let world = Self {
            shop: Http::new(&serve(shop.router()).await),
            gateway,
            clock,
            clock_file,
            store: store.await.expect("joined").expect("opened"),
            _database: database,
        };
        let stop = Stop::on_signal().expect("signals");
        tokio::spawn(async move { shop.run_jobs(stop).await });
        world
    }

    /// Moves the shop's clock ahead.
    pub fn advance(&self, seconds: i64) {
        std::fs::write(&self.clock_file, seconds.to_string()).expect("written");
    }

    /// Buys an item as a new buyer: the order's id and the buyer's browser.
    pub async fn order(&self, item: &str) -> (String, Http) {
        let form = "application/x-www-form-urlencoded";
        let body = format!("item={item}");
        let answer = self.shop.post_text("/orders", form, &body).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let cookie = answer.headers["set-cookie"].to_str().expect("ASCII");
        let cookie = cookie.split(';').next().expect("a cookie");
        let place = answer.headers["location"].to_str().expect("ASCII");
        let id = place.strip_prefix("/checkout/").expect("a checkout page");
        (id.to_owned(), self.shop.with("cookie", cookie))
    }

    /// One row of the shop's database.
    pub async fn row(&self, sql: &'static str) -> Row {
        let rows = self.store.read(move |tx| tx.all(sql, params![])).await;
        let mut rows: Vec<Row> = rows.map_err(|e: store::Error| e).expect("read");
        assert_eq!(rows.len(), 1, "{sql}");
        rows.remove(0)
    }

    /// How many rows `from ..` has.
    pub async fn count(&self, from: &str) -> i64 {
        let sql = format!("select cast(count(*) as bigint) {from}");
        let row = self.store.read(move |tx| tx.first(&sql, params![])).await;
        let row = row.map_err(|e: store::Error| e).expect("read");
        row.and_then(|row| row.get(0).ok()).expect("a number")
    }

    /// Sends an event, signed now.
    pub async fn deliver(&self, event: &Value) -> u16 {
        let body = event.to_string();
        let signature = sign(&body, self.clock.now());
        let shop = self.shop.with("stripe-signature", &signature);
        let answer = shop.post_text("/webhooks/cardseal", "application/json", &body);
        answer.await.status
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.clock_file);
    }
}

/// `t=..,v1=..` over a body.
pub fn sign(body: &str, time: i64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("any length");
    mac.update(format!("{time}.{body}").as_bytes());
    let mac = mac.finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

/// An event about an object.
pub fn event(id: &str, kind: &str, object: Value) -> Value {
    json!({ "id": id, "object": "event", "type": kind, "created": 1, "data": { "object": object } })
}

/// Pays with a token; status and message.
pub async fn pay(buyer: &Http, order: &str, token: &str) -> (String, String) {
    let path = format!("/orders/{order}/pay");
    let answer = buyer.post(&path, &json!({ "token": token })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        !answer.text.contains("secret"),
        "never the intent: {}",
        answer.text
    );
    let text = |name: &str| answer.json[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

/// What the browser sees when it polls: the order's status and the payment's.
pub async fn status(buyer: &Http, order: &str) -> (String, String) {
    let answer = buyer.get(&format!("/order-status/{order}")).await;
    let text = |name: &str| answer.json[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("payment"))
}

/// Waits until `is` holds, for fifteen seconds at most.
pub async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..150 {
        if is().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

async fn serve(router: axum::Router) -> String {
    let listener = listen::bind(([127, 0, 0, 1], 0).into())
        .await
        .expect("bound");
    let address = listener.local_addr().expect("an address");
    let stop = Stop::on_signal().expect("signals");
    tokio::spawn(listen::serve(listener, router, stop));
    format!("http://{address}")
}

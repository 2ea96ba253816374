//! The bank through its public door: the real routers over real HTTP, on every store.

mod bad_input;
mod book;
mod faults;
mod issuer;
mod three_ds;

use acquirer_sim::{ApiKey, Bank, CardKey, ThreeDs};
use harness::Http;
use harness::database::{Fresh, fresh};
use serde_json::{Value, json};
use service::Clock;
use service::listen::{self, Stop};

/// The bank's API key.
pub const API_KEY: &str = "acq_test_of_the_tests_0123456789";

/// What its directory server presents to 3DS Servers.
pub const RESULTS_KEY: &str = "results-key";

/// A running bank.
pub struct World {
    /// The bank, with its key.
    pub bank: Http,
    /// Its admin listener.
    pub admin: Http,
    /// The bank's base URL.
    pub url: String,
    /// The bank without a key.
    pub stranger: Http,
    /// Its book.
    pub database: Fresh,
}

/// A running bank per store.
pub async fn worlds() -> Vec<World> {
    let mut worlds = vec![];
    for database in fresh() {
        worlds.push(World::start(database).await);
    }
    worlds
}

impl World {
    async fn start(database: Fresh) -> Self {
        let bank = Bank::open(
            database.location.clone(),
            Clock::system(),
            ApiKey::parse(API_KEY).expect("a key"),
            CardKey::new([7; 32]),
        );
        let bank = bank.await.expect("opened").with_three_ds(ThreeDs {
            public_url: "http://acs.example".into(),
            results_key: Some(RESULTS_KEY.into()),
        });
        let url = serve(bank.router()).await;
        let stranger = Http::new(&url);
        Self {
            url,
            bank: stranger.bearer(API_KEY),
            stranger,
            admin: Http::new(&serve(bank.admin_router()).await),
            database,
        }
    }

    /// Pays 20.00 USD at once.
    pub async fn sale(&self, reference: &str, number: &str) -> Value {
        let body = sale(reference, number);
        let answer = self.bank.post("/json/v1/payments", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// The book's entries of a reference.
    pub async fn entries(&self, reference: &str) -> Vec<Value> {
        let path = format!("/admin/book?reference={reference}");
        self.admin.get(&path).await.json["entries"]
            .as_array()
            .expect("entries")
            .clone()
    }
}

/// The body of a sale.
pub fn sale(reference: &str, number: &str) -> Value {
    let cvc = if number.starts_with('3') {
        "1234"
    } else {
        "123"
    };
    json!({
        "reference": reference, "amount": 2000, "currency": "usd", "capture": true, "merchant": "mer_1",
        "card": { "number": number, "exp_month": "12", "exp_year": 2034, "cvc": cvc, "name": "Ada Lovelace" },
    })
}

/// Serves a router on a port of its own.
pub async fn serve(router: axum::Router) -> String {
    let listener = listen::bind(([127, 0, 0, 1], 0).into())
        .await
        .expect("bound");
    let address = listener.local_addr().expect("an address");
    let stop = Stop::on_signal().expect("signals");
    tokio::spawn(listen::serve(listener, router, stop));
    format!("http://{address}")
}

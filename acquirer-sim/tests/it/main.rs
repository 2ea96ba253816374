//! The bank through its public door: the real routers over real HTTP, on every store.

mod bad_input;
mod book;
mod dialects;
mod disputes;
mod faults;
mod issuer;
mod refunds;
mod three_ds;

use acquirer_sim::{ApiKey, Bank, CardKey, Keys, Targets, ThreeDs};
use harness::Http;
use harness::database::{Fresh, fresh};
use serde_json::{Value, json};
use service::Clock;
use service::listen::{self, Stop};

/// The bank's API key.
pub const API_KEY: &str = "acq_test_of_the_tests_0123456789";

/// The form acquirer's.
pub const FORM_KEY: &str = "Zm9ybTp0ZXN0LWtleS0wMTIzNDU2Nzg5";

/// The XML acquirer's.
pub const XML_KEY: &str = "xml_test_of_the_tests_0123456789";

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
    /// Seconds its clock is ahead.
    pub clock: std::path::PathBuf,
    /// What it told the processor: signature and body.
    pub told: Told,
}

/// Notifications as they came.
pub type Told = std::sync::Arc<std::sync::Mutex<Vec<(String, Value)>>>;

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
        let clock = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-clock"));
        let key = |text: &str| Some(ApiKey::parse(text).expect("a key"));
        let bank = Bank::open(
            database.location.clone(),
            Clock::with_offset_file(&clock),
            Keys {
                json: key(API_KEY),
                form: key(FORM_KEY),
                xml: key(XML_KEY),
            },
            CardKey::new([7; 32]),
        );
        let bank = bank.await.expect("opened").with_three_ds(ThreeDs {
            public_url: "http://acs.example".into(),
            results_key: Some(RESULTS_KEY.into()),
        });
        let told = Told::default();
        let listener = serve(listener(told.clone())).await;
        let targets = ["json", "form", "xml"].map(|name| format!("{name}={listener}/"));
        let targets = Targets::parse(&targets).expect("targets");
        let (running, stop) = (bank.clone(), Stop::on_signal().expect("signals"));
        tokio::spawn(async move { running.run(targets, stop).await });
        let url = serve(bank.router()).await;
        let stranger = Http::new(&url);
        Self {
            url,
            bank: stranger.bearer(API_KEY),
            stranger,
            admin: Http::new(&serve(bank.admin_router()).await),
            database,
            clock,
            told,
        }
    }

    /// Today's date and the next two.
    pub fn today(&self) -> (String, String, String) {
        let day = Clock::with_offset_file(&self.clock).now() / 86_400;
        let date = |day: i64| {
            let text = std::process::Command::new("date")
                .args(["-u", "-d", &format!("@{}", day * 86_400), "+%F"])
                .output()
                .expect("date");
            String::from_utf8(text.stdout)
                .expect("text")
                .trim()
                .to_owned()
        };
        (date(day), date(day + 1), date(day + 2))
    }

    /// Moves the bank's clock.
    pub async fn advance(&self, seconds: i64) {
        std::fs::write(&self.clock, seconds.to_string()).expect("written");
        // The clock is re-read within 50 ms.
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
    }

    /// Waits until this many notifications came.
    pub async fn told(&self, count: usize) -> Vec<(String, Value)> {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let told = self.told.lock().expect("not poisoned").clone();
            if told.len() >= count {
                return told;
            }
            assert!(std::time::Instant::now() < until, "told: {told:?}");
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
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

async fn serve(router: axum::Router) -> String {
    let listener = listen::bind(([127, 0, 0, 1], 0).into())
        .await
        .expect("bound");
    let address = listener.local_addr().expect("an address");
    let stop = Stop::on_signal().expect("signals");
    tokio::spawn(listen::serve(listener, router, stop));
    format!("http://{address}")
}

fn listener(told: Told) -> axum::Router {
    let take = move |headers: http::HeaderMap, axum::Json(body): axum::Json<Value>| {
        let signature = headers["acquirer-signature"].to_str().expect("text");
        told.lock()
            .expect("not poisoned")
            .push((signature.to_owned(), body));
        std::future::ready(())
    };
    axum::Router::new().route("/", axum::routing::post(take))
}

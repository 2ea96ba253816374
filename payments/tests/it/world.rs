//! One running service with everything around it. Tests speak through it, by HTTP alone.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use serde_json::Value;
use service::Client;
use store::{Location, Store, Tx};
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::bank::{ACQUIRER_KEY, Bank, Card, SERVICE_KEY};

/// Which store a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Db {
    Sqlite,
    Postgres,
}

/// Makes a test of each function, on each store.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::$name($crate::world::World::start($crate::world::Db::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if std::env::var_os("CARDSEAL_TEST_POSTGRES").is_some() {
                    super::$name($crate::world::World::start($crate::world::Db::Postgres).await).await;
                }
            }
        }
    )*};
}
pub(crate) use on_both_stores;

pub struct World {
    pub bank: Bank,
    pub merchant: ApiKey,
    /// The publishable key of the hosted page.
    pub browser: ApiKey,
    pub base: String,
    pub admin: String,
    pub database: String,
    /// Flags of the next start besides the usual ones.
    pub flags: Vec<&'static str>,
    folder: PathBuf,
    child: Option<Child>,
    client: Client,
}

/// What the directory server presents.
pub const RESULTS_KEY: &str = "results-key";

const THREE_D_SECURE: &str = r#"
destination = "directory"
public_url = "https://payments.example"
results_key_file = "results.key"
requestor_id = "cardseal"
requestor_name = "Test shop"
requestor_url = "https://shop.example"
acquirer_bin = "400000"
acquirer_merchant_id = "m1"
mcc = "5411"
merchant_country = "276"
connect_ms = 1000
total_ms = 1500
"#;

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    /// The error's code.
    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn id(&self) -> String {
        self.json["id"]
            .as_str()
            .unwrap_or_else(|| panic!("an object: {}", self.text))
            .to_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }
}

impl World {
    pub async fn start(db: Db) -> Self {
        let name = format!(
            "cs_payments_{}",
            vault_api::ids::random_base62(12).to_ascii_lowercase()
        );
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let database = match db {
            Db::Sqlite => format!("sqlite:{}", folder.join("payments.db").display()),
            Db::Postgres => tokio::task::spawn_blocking(move || fresh_postgres(&name))
                .await
                .expect("made"),
        };
        let bank = Bank::default();
        let url = bank.serve().await;
        std::fs::write(folder.join("service.key"), SERVICE_KEY).expect("written");
        std::fs::write(folder.join("acquirer.key"), ACQUIRER_KEY).expect("written");
        let acquirers = format!(
            "[[acquirer]]\nname = \"first\"\ndialect = \"json\"\ndestination = \"acquirer\"\nbase_url = \"{url}\"\n\
             api_key_file = \"acquirer.key\"\nconnect_ms = 1000\ntotal_ms = 1500\nsettle_after_s = 3\n\
             fees = {{ basis_points = 290, fixed = {{ usd = 30 }} }}\n"
        );
        std::fs::write(folder.join("acquirers.toml"), acquirers).expect("written");
        std::fs::write(folder.join("vault.url"), &url).expect("written");
        std::fs::write(folder.join("results.key"), RESULTS_KEY).expect("written");
        std::fs::write(folder.join("three_d_secure.toml"), THREE_D_SECURE).expect("written");
        let browser = bank.key("mer_one", Kind::Publishable, Mode::Test);
        let checkout = format!(
            "public_url = \"http://127.0.0.1:1\"\nvault_url = \"http://vault.localhost:2\"\n[[merchant]]\n\
             id = \"mer_one\"\npublishable_key = \"{}\"\nname = \"Nuts & <Bolts>\"\n",
            browser.expose()
        );
        std::fs::write(folder.join("checkout.toml"), checkout).expect("written");
        let mut world = Self {
            browser,
            merchant: bank.key("mer_one", Kind::Secret, Mode::Test),
            bank,
            base: String::new(),
            admin: String::new(),
            database,
            flags: vec!["--webhook-loopback"],
            folder,
            child: None,
            client: Client::new(Duration::from_secs(5), Duration::from_secs(30)),
        };
        world.run().await;
        world
    }

    /// Another process of the same service, on the same database and files.
    pub async fn beside(&self) -> Self {
        let mut other = Self {
            bank: self.bank.clone(),
            merchant: self.merchant.clone(),
            browser: self.browser.clone(),
            base: String::new(),
            admin: String::new(),
            database: self.database.clone(),
            flags: self.flags.clone(),
            folder: self.folder.clone(),
            child: None,
            client: self.client.clone(),
        };
        other.run().await;
        other
    }

    /// Starts the program and waits until it listens.
    pub async fn run(&mut self) {
        let file = |name: &str| self.folder.join(name);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file("log"))
            .expect("a log");
        let before = std::fs::read_to_string(file("log")).expect("the log").len();
        let child = Command::new(env!("CARGO_BIN_EXE_payments"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--database",
                &self.database,
            ])
            .args([
                "--vault-url",
                &std::fs::read_to_string(file("vault.url")).expect("the url"),
            ])
            .arg("--service-key-file")
            .arg(file("service.key"))
            .arg("--seal-key-file")
            .arg(file("seal.key"))
            .arg("--acquirers")
            .arg(file("acquirers.toml"))
            .arg("--three-d-secure")
            .arg(file("three_d_secure.toml"))
            .arg("--checkout")
            .arg(file("checkout.toml"))
            .arg("--clock-file")
            .arg(file("clock"))
            .args(&self.flags)
            .args(self.rules())
            .env("CARDSEAL_LOG", "debug")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("started"));
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let log = std::fs::read_to_string(file("log")).expect("the log");
            let line = log[before..]
                .lines()
                .find(|line| line.contains("\"message\":\"listening\""));
            if let Some(line) = line {
                let line: Value = serde_json::from_str(line).expect("JSON");
                self.base = format!("http://{}", line["listen"].as_str().expect("an address"));
                self.admin = format!("http://{}", line["admin"].as_str().expect("an address"));
                return;
            }
            assert!(Instant::now() < until, "the program does not listen: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn rules(&self) -> Vec<PathBuf> {
        let mut rules = Vec::new();
        for (flag, name) in [
            ("--routing", "routing.toml"),
            ("--risk", "risk.toml"),
            ("--conversion", "conversion.toml"),
        ] {
            let file = self.folder.join(name);
            if file.exists() {
                rules.extend([flag.into(), file]);
            }
        }
        rules
    }

    /// Restarts with more in the 3-D Secure file.
    pub async fn with_three_d_secure(&mut self, more: &str) {
        self.kill();
        let text = format!("{THREE_D_SECURE}\n{more}");
        std::fs::write(self.folder.join("three_d_secure.toml"), text).expect("written");
        self.run().await;
    }

    /// Restarts with these fraud rules.
    pub async fn with_risk_rules(&mut self, rules: &str) {
        self.kill();
        std::fs::write(self.folder.join("risk.toml"), rules).expect("written");
        self.run().await;
    }

    /// Restarts with a second acquirer behind the first.
    pub async fn add_acquirer(&mut self) {
        self.kill();
        let file = self.folder.join("acquirers.toml");
        let first = std::fs::read_to_string(&file).expect("the file");
        let second = first
            .replace("\"first\"", "\"second\"")
            .replace("\"acquirer\"", "\"other\"");
        std::fs::write(&file, format!("{first}\n{second}")).expect("written");
        self.run().await;
    }

    /// Restarts with a second acquirer and rules.
    pub async fn add_acquirer_with(&mut self, rules: &str) {
        self.write_rules(rules);
        self.add_acquirer().await;
    }

    /// The rules of the next start.
    pub fn write_rules(&self, rules: &str) {
        std::fs::write(self.folder.join("routing.toml"), rules).expect("written");
    }

    /// Restarts with another acquirers file.
    pub async fn replace_in_acquirers(&mut self, old: &str, new: &str) {
        self.kill();
        let file = self.folder.join("acquirers.toml");
        let text = std::fs::read_to_string(&file).expect("the file");
        assert!(text.contains(old), "{text}");
        std::fs::write(&file, text.replace(old, new)).expect("written");
        self.run().await;
    }

    /// Runs a command of the program on this database.
    pub fn operate(&self, arguments: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_payments"))
            .args(arguments)
            .args(["--database", &self.database])
            .output()
            .expect("run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
    }

    /// Waits until a payment would go there; to nobody when empty.
    pub async fn until_chosen(&self, acquirer: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let form = [("amount", "100"), ("currency", "usd")];
            let why = self.post("/v1/routing/explain", &form).await.ok().json;
            if why["chosen"].as_str().unwrap_or_default() == acquirer {
                return;
            }
            assert!(Instant::now() < until, "{why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The one attempt whose outcome is unknown, and what the acquirer calls it.
    pub async fn unknown_attempt(&self) -> (String, String) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let sql = "select id, created_ms from attempts where state = 'unknown' and instruction is null";
            if let [(id, _)] = &self.rows(sql).await[..] {
                return (id.clone(), format!("pay_{id}"));
            }
            assert!(Instant::now() < until, "no unknown attempt");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `/metrics`.
    pub async fn metrics(&self) -> String {
        let request = Request::get(format!("{}/metrics", self.admin))
            .body(Bytes::new())
            .expect("a request");
        let answer = self.client.send(request).await.expect("an answer");
        String::from_utf8(answer.body().to_vec()).expect("text")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Asks the program to stop, and waits until it has: what is under way is finished.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("running");
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.expect("kill").success());
        let ended = tokio::task::spawn_blocking(move || child.wait());
        let ended = ended.await.expect("joined").expect("ended");
        assert!(ended.success(), "{ended}");
    }

    pub fn advance_clock(&self, seconds: i64) {
        std::fs::write(self.folder.join("clock"), seconds.to_string()).expect("written");
        // A clock reads its file again after 50 ms: before that it may still tell the old time.
        std::thread::sleep(Duration::from_millis(80));
        // The program re-reads it when what it knows is 50 ms old.
        std::thread::sleep(Duration::from_millis(60));
    }

    /// A file beside the service's own.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Runs a command of the program that is no service; whether it went well, and what it printed.
    pub async fn command(&self, args: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payments"));
        command.args(args).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("joined").expect("run");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    pub fn token(&self, card: Card) -> String {
        self.bank.token(card)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &self.merchant.clone(), None, "")
            .await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.call(
            Method::POST,
            path,
            &self.merchant.clone(),
            None,
            &encode(form),
        )
        .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &self.merchant.clone(), None, "")
            .await
    }

    /// A new customer's id.
    pub async fn customer(&self) -> String {
        let form = [("email", "buyer@example.com"), ("name", "A Buyer")];
        self.post("/v1/customers", &form).await.ok().id()
    }

    /// A new payment method's id.
    pub async fn method(&self, card: Card) -> String {
        let token = self.token(card);
        let form = [("type", "card"), ("card[token]", token.as_str())];
        self.post("/v1/payment_methods", &form).await.ok().id()
    }

    pub async fn post_as(&self, key: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.call(
            Method::POST,
            path,
            &self.merchant.clone(),
            Some(key),
            &encode(form),
        )
        .await
    }

    pub async fn call(
        &self,
        method: Method,
        path: &str,
        who: &ApiKey,
        key: Option<&str>,
        body: &str,
    ) -> Answer {
        let authorization = format!("Bearer {}", who.expose());
        let mut headers = vec![("authorization", authorization.as_str())];
        if method == Method::POST {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        if let Some(key) = key {
            headers.push(("idempotency-key", key));
        }
        self.raw(method, path, &headers, body).await
    }

    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Bytes::from(body.to_owned()))
            .expect("a request");
        let response = self.client.send(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.to_vec()).expect("text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text,
            json,
        }
    }

    /// A confirmed payment of `amount` USD.
    pub async fn pay(&self, amount: i64, card: Card, extra: &[(&str, &str)]) -> Answer {
        let (amount, token) = (amount.to_string(), self.token(card));
        let mut form = pay_form(&amount, &token);
        form.extend_from_slice(extra);
        self.post("/v1/payment_intents", &form).await
    }

    /// Waits until the intent has this status: longer than a process that was killed may have leased its attempt for.
    pub async fn until_status(&self, id: &str, status: &str) -> Answer {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let answer = self.get(&format!("/v1/payment_intents/{id}")).await.ok();
            if answer.json["status"] == status {
                return answer;
            }
            assert!(Instant::now() < until, "not {status}: {}", answer.text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The types of the intent's and charge's events so far, oldest first.
    pub async fn event_types(&self) -> Vec<String> {
        let list = self.get("/v1/events?limit=100").await.ok();
        let data = list.json["data"].as_array().expect("a list").clone();
        data.iter()
            .rev()
            .map(|event| event["type"].as_str().expect("a type").to_owned())
            .collect()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).expect("the log")
    }

    async fn store(&self) -> Store {
        let location: Location = self.database.parse().expect("a location");
        let store = tokio::task::spawn_blocking(move || Store::open(&location, &[]));
        store.await.expect("joined").expect("opened")
    }

    /// Changes the database behind the program's back.
    pub async fn execute(&self, sql: &'static str) {
        let write = move |tx: &mut Tx<'_>| tx.execute(sql, &[]);
        let changed: Result<u64, store::Error> = self.store().await.write(write).await;
        assert!(changed.expect("changed") > 0, "nothing changed: {sql}");
    }

    /// What the database says to a change that it must refuse.
    pub async fn refused_by_database(&self, sql: &'static str) -> String {
        let write = move |tx: &mut Tx<'_>| tx.execute(sql, &[]);
        let changed: Result<u64, store::Error> = self.store().await.write(write).await;
        changed.expect_err("it was taken").to_string()
    }

    pub async fn rows(&self, sql: &'static str) -> Vec<(String, i64)> {
        let read = move |tx: &mut Tx<'_>| -> Result<Vec<(String, i64)>, store::Error> {
            tx.all(sql, &[])?
                .iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?)))
                .collect()
        };
        self.store().await.read(read).await.expect("read")
    }

    /// What must hold at the end of every test: the ledger sums to zero, and no token or grant is in the log or in a
    /// stored event.
    pub async fn finish(mut self) {
        let sums = self.rows("select currency, cast(sum(amount) as bigint) from ledger_entries group by currency").await;
        assert!(
            sums.iter().all(|(_, sum)| *sum == 0),
            "the ledger does not sum to zero: {sums:?}"
        );
        let odd = self
            .rows("select transfer, cast(sum(amount) as bigint) from ledger_entries group by transfer having sum(amount) <> 0")
            .await;
        assert!(odd.is_empty(), "transfers that do not balance: {odd:?}");
        let balances = self
            .rows("select currency, cast(sum(net) as bigint) from balance_transactions group by currency order by currency")
            .await;
        let owed = self
            .rows("select currency, cast(-sum(amount) as bigint) from ledger_entries where account = 'merchant_balance' group by currency order by currency")
            .await;
        assert_eq!(
            balances, owed,
            "the balance transactions and the ledger disagree"
        );
        let leaks = self
            .rows("select id, created_ms from events where body like '%tok\\_%' escape '\\' or body like '%grant\\_%' escape '\\'")
            .await;
        assert!(leaks.is_empty(), "an event holds a token: {leaks:?}");
        let log = self.log();
        assert!(
            !log.contains("tok_") && !log.contains("grant_"),
            "the log holds a token"
        );
        assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
        self.kill();
        std::fs::remove_dir_all(&self.folder).expect("removed");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn pay_form<'a>(amount: &'a str, token: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("amount", amount),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", token),
    ]
}

/// Whether a good part of the usual test number is in a text, however its groups are parted. Four digits would not do: they
/// stand in one random id of many.
pub fn shows_a_card(text: &str) -> bool {
    text.replace([' ', '-'], "").contains("424242")
}

pub fn encode(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

fn fresh_postgres(name: &str) -> String {
    let url = std::env::var("CARDSEAL_TEST_POSTGRES").expect("a server");
    let mut client = postgres::Client::connect(&url, postgres::NoTls).expect("connected");
    client
        .batch_execute(&format!("create database {name}"))
        .expect("created");
    let (server, _) = url.rsplit_once('/').expect("a url with a database");
    format!("{server}/{name}")
}

//! A program killed where it hurts most: the bank has charged the card, and who has to write it down dies first. Started
//! again and asked under the same key, there is one charge and everybody knows of it.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::database::{self, Fresh};
use harness::payments::{Payments, Service, acquirer_sim};
use harness::programs::built;
use harness::vault::{Installation, Process};
use harness::{Answer, Http};
use serde_json::{Value, json};
use store::{Store, Tx};

use crate::gate::Gate;

const BANK_KEY: &str = "the-key-of-the-bank-in-this-test";

/// Vault, payments and bank, with a gate before the vault and one before the bank.
struct Stack {
    vault: Process,
    payments: Service,
    bank: Service,
    vault_gate: Gate,
    bank_gate: Gate,
    secret_key: String,
    vault_key: String,
    database: Fresh,
    _vault_database: Fresh,
    folder: std::path::PathBuf,
}

impl Stack {
    async fn start(database: Fresh, vault_database: Fresh) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-kills"));
        let bank = acquirer_sim(built("acquirer-sim")?, &folder.join("bank"), BANK_KEY).await?;
        let bank_gate = Gate::open(&bank.url, "/json/v1/payments").await;
        let installation = Installation::new(
            built("token-vault")?,
            &vault_database.location,
            &folder.join("vault"),
            &destinations(&bank_gate.url),
        )?;
        std::fs::write(folder.join("vault/bank.key"), BANK_KEY)?;
        let merchant = installation.merchant("Alice")?;
        let vault = installation.start().await?;
        let vault_gate = Gate::open(&vault.private(), "/v1/forward").await;
        let payments = Payments {
            program: built("payments")?,
            location: &database.location,
            folder: &folder.join("payments"),
            vault: &vault_gate.url,
            service_key: &installation.service_key(&merchant)?,
            acquirers: &acquirers(&bank.url),
            acquirer_key: BANK_KEY,
            options: &[],
        };
        Ok(Self {
            payments: payments.start().await?,
            secret_key: installation.secret_key(&merchant)?,
            vault_key: merchant.restricted,
            vault,
            bank,
            vault_gate,
            bank_gate,
            database,
            _vault_database: vault_database,
            folder,
        })
    }

    async fn form(&self, amount: i64) -> String {
        let card = json!({ "card": {
            "number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123",
        } });
        let vault = Http::new(&self.vault.private()).bearer(&self.vault_key);
        let token = vault.post("/v1/tokens", &card).await;
        let token = token.json["id"].as_str().expect("a token");
        format!(
            "amount={amount}&currency=usd&confirm=true&payment_method_data[type]=card\
             &payment_method_data[card][token]={token}"
        )
    }

    // A call that may never be answered: whoever answers it is about to die.
    fn pay_in_vain(&self, key: &'static str, form: &str) -> tokio::task::JoinHandle<()> {
        let request = http::Request::post(format!("{}/v1/payment_intents", self.payments.url))
            .header("authorization", format!("Bearer {}", self.secret_key))
            .header("idempotency-key", key)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form.to_owned()))
            .expect("a request");
        tokio::spawn(async move {
            let client = service::Client::new(Duration::from_secs(5), Duration::from_secs(60));
            drop(client.send(request).await);
        })
    }

    // As an official SDK does: the same call under the same key, until it has an answer.
    async fn pay_again(&self, key: &str, form: &str) -> Answer {
        let api = Http::new(&self.payments.url)
            .bearer(&self.secret_key)
            .with("idempotency-key", key);
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let kind = "application/x-www-form-urlencoded";
            let answer = api.post_text("/v1/payment_intents", kind, form).await;
            if answer.status != 409 && answer.status < 500 {
                return answer;
            }
            assert!(Instant::now() < until, "{} {}", answer.status, answer.text);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    // Answered before anything is done; the intent's id.
    async fn queue(&self, form: &str) -> String {
        let api = Http::new(&self.payments.url)
            .bearer(&self.secret_key)
            .with("prefer", "respond-async");
        let kind = "application/x-www-form-urlencoded";
        let answer = api.post_text("/v1/payment_intents", kind, form).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json["id"].as_str().expect("an id").to_owned()
    }

    async fn until_succeeded(&self, id: &str) {
        let api = Http::new(&self.payments.url).bearer(&self.secret_key);
        let until = Instant::now() + Duration::from_secs(180);
        loop {
            let intent = api.get(&format!("/v1/payment_intents/{id}")).await.json;
            if intent["status"] == "succeeded" {
                return;
            }
            assert!(Instant::now() < until, "{intent}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    // The bank's own entries with this amount.
    async fn booked(&self, amount: i64) -> Vec<Value> {
        let book = Http::new(&self.bank.admin).get("/admin/book").await.json;
        let entries = book["entries"].as_array().expect("entries").iter();
        let ours = entries.filter(|entry| entry["amount"] == amount);
        ours.cloned().collect()
    }

    // One charge in the bank's book, one at payments, and a ledger that sums to zero.
    async fn charged_once(&self, amount: i64, intent: &str) {
        let ours = self.booked(amount).await;
        assert_eq!(ours.len(), 1, "{ours:?}");
        let api = Http::new(&self.payments.url).bearer(&self.secret_key);
        let charges = api
            .get(&format!("/v1/charges?payment_intent={intent}"))
            .await
            .json;
        assert_eq!(
            charges["data"].as_array().map(Vec::len),
            Some(1),
            "{charges}"
        );
        assert_eq!(charges["data"][0]["amount_captured"], amount);
        let location = self.database.location.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&location, &[]));
        let store = store.await.expect("joins").expect("opens");
        let read = |tx: &mut Tx<'_>| -> Result<Vec<(String, i64)>, store::Error> {
            let sql = "select currency, cast(sum(amount) as bigint) from ledger_entries group by currency";
            let rows = tx.all(sql, &[])?;
            rows.iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?)))
                .collect()
        };
        let sums = store.read(read).await.expect("read");
        assert_eq!(sums, [("usd".to_owned(), 0)]);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.folder));
    }
}

fn destinations(bank: &str) -> String {
    format!(
        r#"
        [[destination]]
        name = "northbank"
        base_url = "{bank}"
        local = true
        merchants = ["*"]
        headers = {{ authorization = {{ file = "bank.key", prefix = "Bearer " }} }}

        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "/json/v1/payments"
        placeholders = {{ "card.number" = "/card/number", "card.exp_month" = "/card/exp_month", "card.exp_year" = "/card/exp_year", "card.cvc" = "/card/cvc" }}
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/id", "/reference", "/status", "/amount", "/currency", "/response_code", "/cvc_result", "/avs_result"]
        approved = {{ pointer = "/status", values = ["captured", "authorised"] }}
        "#
    )
}

fn acquirers(bank: &str) -> String {
    format!(
        "[[acquirer]]\nname = \"northbank\"\ndialect = \"json\"\ndestination = \"northbank\"\nbase_url = \"{bank}\"\n\
         api_key_file = \"acquirer.key\"\n"
    )
}

// Each store, with a fresh pair of databases.
fn pairs() -> Vec<(Fresh, Fresh)> {
    database::fresh()
        .into_iter()
        .zip(database::fresh())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_killed_before_it_knows_of_the_charge_resumes_under_the_same_key() {
    for (database, vault_database) in pairs() {
        let mut stack = Stack::start(database, vault_database)
            .await
            .expect("starts");
        let form = stack.form(1_234).await;
        stack.vault_gate.shut();
        let dying = stack.pay_in_vain("order_1", &form);
        stack.vault_gate.kept().await;
        stack.payments.program.kill().expect("killed");
        dying.await.expect("joins");
        stack.payments.program.start().await.expect("starts again");
        let paid = stack.pay_again("order_1", &form).await;
        assert_eq!(paid.status, 200, "{}", paid.text);
        let id = paid.json["id"].as_str().expect("an id");
        stack.until_succeeded(id).await;
        stack.charged_once(1_234, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_killed_before_it_knows_of_the_charge_loses_none() {
    for (database, vault_database) in pairs() {
        let mut stack = Stack::start(database, vault_database)
            .await
            .expect("starts");
        let form = stack.form(4_321).await;
        stack.bank_gate.shut();
        let waiting = stack.pay_in_vain("order_1", &form);
        stack.bank_gate.kept().await;
        stack.vault.kill().expect("killed");
        waiting.await.expect("joins");
        stack.vault.start().await.expect("starts again");
        let paid = stack.pay_again("order_1", &form).await;
        assert_eq!(paid.status, 200, "{}", paid.text);
        let id = paid.json["id"].as_str().expect("an id");
        stack.until_succeeded(id).await;
        stack.charged_once(4_321, id).await;
    }
}

// Nobody calls again: the worker of the program that is started again does what was accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_queued_confirmation_survives_whoever_is_killed() {
    for (database, vault_database) in pairs() {
        let mut stack = Stack::start(database, vault_database)
            .await
            .expect("starts");
        let form = stack.form(2_345).await;
        stack.vault_gate.shut();
        let id = stack.queue(&form).await;
        stack.vault_gate.kept().await;
        stack.payments.program.kill().expect("killed");
        stack.payments.program.start().await.expect("starts again");
        stack.until_succeeded(&id).await;
        stack.charged_once(2_345, &id).await;

        let form = stack.form(5_432).await;
        stack.bank_gate.shut();
        let id = stack.queue(&form).await;
        stack.bank_gate.kept().await;
        stack.vault.kill().expect("killed");
        stack.vault.start().await.expect("starts again");
        stack.until_succeeded(&id).await;
        stack.charged_once(5_432, &id).await;
    }
}

// At no moment in particular: whatever each confirmation had come to, in the end each card is charged once.
#[tokio::test(flavor = "multi_thread")]
async fn queued_confirmations_survive_one_kill_after_the_other() {
    for (database, vault_database) in pairs() {
        let mut stack = Stack::start(database, vault_database)
            .await
            .expect("starts");
        let mut ids = vec![];
        for round in 0..4_u64 {
            for n in 0..8 {
                let amount = 10_000 + 100 * i64::try_from(round).expect("a few") + n;
                let form = stack.form(amount).await;
                ids.push((amount, stack.queue(&form).await));
            }
            tokio::time::sleep(Duration::from_millis(3 + 11 * round)).await;
            stack.payments.program.kill().expect("killed");
            stack.payments.program.start().await.expect("starts again");
        }
        for (amount, id) in &ids {
            stack.until_succeeded(id).await;
            let booked = stack.booked(*amount).await;
            assert_eq!(booked.len(), 1, "{booked:?}");
        }
    }
}

//! The vault's figures on one store: each measured right after the baseline, connection count by connection count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use harness::database::{self, Fresh};
use harness::vault::{Installation, Merchant, Process};
use serde_json::{Value, json};
use store::Location;

use crate::bench::{Bench, Server, TIME};
use crate::figure::Figure;
use crate::load::{self, Measured, Requests, request};
use crate::{disk, process, sealing};

/// Sealed cards made ahead for each load.
const SEALED: usize = 12_000;

/// Tokens when resident memory is read.
const TOKENS: usize = 100_000;

/// The vault's own count of commits.
const COMMITS: &str = "vault_store_commits_total{queue=\"write\"} ";

const CARD: &str = r#"{"card":{"number":"4242424242424242","exp_month":12,"exp_year":2040,"cvc":"123","name":"Ada Lovelace"}}"#;

/// Where the vault may send: the baseline's process.
fn destinations(address: SocketAddr) -> String {
    format!(
        r#"
        [[destination]]
        name = "bank"
        base_url = "http://{address}"
        local = true
        merchants = ["*"]

        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "/pay"
        placeholders = {{ "card.number" = "/card/number" }}
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/id", "/status"]
        "#
    )
}

/// A running vault and what is known of it.
struct Vault<'a> {
    store: &'static str,
    process: Process,
    merchant: Merchant,
    bench: &'a mut Bench,
    made: usize,
}

/// Measures all figures on each store.
///
/// # Errors
/// What failed; a refusal is a failure.
pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for fresh in database::fresh() {
        let store = match fresh.location {
            Location::Sqlite(_) => "sqlite",
            Location::Postgres(_) => "postgres",
        };
        if bench.store.as_deref().is_none_or(|only| only == store) {
            on(bench, &fresh, store).await?;
        }
    }
    Ok(())
}

async fn on(bench: &mut Bench, database: &Fresh, store: &'static str) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-bench"));
    let (to, program) = (
        destinations(bench.hello.address),
        bench.programs.join("token-vault"),
    );
    let installation = Installation::new(program, &database.location, &folder, &to)?;
    let installation = installation.without_limits();
    let merchant = installation.merchant("Alice")?;
    let mut vault = Vault {
        store,
        process: installation.start().await?,
        merchant,
        bench,
        made: 0,
    };
    let done = vault.all().await;
    drop(vault);
    let _ = std::fs::remove_dir_all(&folder);
    done
}

impl Vault<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        for c in self.bench.connections.clone() {
            let tokens = self.tokenise(c).await?;
            self.sealed(c).await?;
            self.reads(c, &tokens).await?;
            let grants = self.exchange(c, &tokens).await?;
            self.forward(c, &grants).await?;
        }
        self.memory().await
    }

    fn address(url: &str) -> anyhow::Result<SocketAddr> {
        Ok(url.trim_start_matches("http://").parse()?)
    }

    async fn figure(
        &mut self,
        name: &str,
        c: usize,
        url: &str,
        requests: Requests,
    ) -> anyhow::Result<Measured> {
        let server = Server {
            store: Some(self.store),
            process: self.process.id().context("the vault ended")?,
            address: Self::address(url)?,
        };
        self.bench.measure(name, server, c, requests).await
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let bearer = format!("Bearer {}", self.merchant.restricted);
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        request(method, path, &headers, body)
    }

    // Durable tokenise, private, plain; and at the widest how many of them one fsync carried.
    async fn tokenise(&mut self, c: usize) -> anyhow::Result<Vec<String>> {
        let requests = vec![self.ask("POST", "/v1/tokens", &[], CARD); 60_000];
        let syncs = self.syncs().await?;
        let url = self.process.private();
        let requests = Requests::Each(Arc::new(requests));
        let measured = self.figure("tokenise_private", c, &url, requests).await?;
        let syncs = self.syncs().await? - syncs;
        self.bench.figures.push(Figure {
            name: "writes_per_fsync".to_owned(),
            store: Some(self.store),
            concurrency: Some(c),
            ratio: Some(measured.count as f64 / syncs.max(1.0)),
            baseline: Some("1 a commit; asked for: 8 at 64".to_owned()),
            ..Figure::default()
        });
        self.made += measured.count;
        ids(&measured.bodies, "/id")
    }

    // Commits that waited for the disk: SQLite's by the vault's own counter, PostgreSQL's by the server's.
    async fn syncs(&self) -> anyhow::Result<f64> {
        if self.store == "postgres" {
            return Ok(self.bench.hello.wal_syncs()? as f64);
        }
        let metrics = harness::Http::new(&self.process.admin())
            .get("/metrics")
            .await;
        let line = metrics
            .text
            .lines()
            .find_map(|line| line.strip_prefix(COMMITS).map(str::to_owned));
        Ok(line
            .context("no vault_store_commits_total")?
            .trim()
            .parse()?)
    }

    async fn sealed(&mut self, c: usize) -> anyhow::Result<()> {
        let public = harness::Http::new(&self.process.public());
        let ask = json!({"key": self.merchant.publishable});
        let session = public.post("/v1/field-sessions", &ask).await;
        if session.status != 200 {
            bail!("no field session: {}", session.text);
        }
        let bearer = session.json["session"].as_str().context("a session")?;
        let bearer = format!("Bearer {bearer}");
        let card: Value = serde_json::from_str(CARD)?;
        let sealed = (0..SEALED).map(|_| {
            let body = sealing::seal(&session.json, &self.merchant.publishable, &card["card"])?;
            Ok(request(
                "POST",
                "/v1/tokens",
                &[("authorization", &bearer)],
                &body.to_string(),
            ))
        });
        let requests = sealed.collect::<anyhow::Result<Vec<_>>>()?;
        let url = self.process.public();
        let requests = Requests::Each(Arc::new(requests));
        let measured = self.figure("tokenise_sealed", c, &url, requests).await?;
        self.made += measured.count;
        Ok(())
    }

    async fn reads(&mut self, c: usize, tokens: &[String]) -> anyhow::Result<()> {
        let url = self.process.private();
        let token = tokens.first().context("no token")?;
        let lookup = json!({"token": token}).to_string();
        let lookup = self.ask("POST", "/v1/tokens/lookup", &[], &lookup);
        self.figure("metadata_read", c, &url, Requests::Same(Arc::new(lookup)))
            .await?;

        let source = tokens.last().context("no token")?;
        let body = json!({"source": source, "for": "storage"});
        let alice = self.process.of(&self.merchant);
        let stored = alice
            .with("idempotency-key", "stored")
            .post("/v1/exchange", &body)
            .await;
        let card = stored.json["stored_card"]["id"].as_str();
        let card = card.context("no stored card")?;
        let read = self.ask("GET", &format!("/v1/cards/{card}"), &[], "");
        // With its audit event, which is durable before the answer.
        self.figure("stored_card_read", c, &url, Requests::Same(Arc::new(read)))
            .await?;
        Ok(())
    }

    async fn exchange(&mut self, c: usize, tokens: &[String]) -> anyhow::Result<Vec<String>> {
        let requests = tokens[1..tokens.len() - 1].iter().map(|token| {
            let body =
                json!({"source": token, "for": "payment", "amount": 1999, "currency": "usd"});
            let key = [("idempotency-key", "bench")];
            self.ask("POST", "/v1/exchange", &key, &body.to_string())
        });
        let requests = Requests::Each(Arc::new(requests.collect()));
        let url = self.process.private();
        let measured = self.figure("exchange", c, &url, requests).await?;
        ids(&measured.bodies, "/grant/id")
    }

    // Beside a direct call of the same endpoint, over connections that are kept alive: the harder comparison.
    async fn forward(&mut self, c: usize, grants: &[String]) -> anyhow::Result<()> {
        let template = json!({"card": {"number": "{{card.number}}"}});
        let requests = grants.iter().enumerate().map(|(number, grant)| {
            let body = json!({
                "attempt": format!("att_{c}_{number}"), "grant": grant, "destination": "bank",
                "operation": "authorise", "amount": 1999, "currency": "usd",
                "reference": format!("ref_{c}_{number}"), "body": template,
            });
            self.ask("POST", "/v1/forward", &[], &body.to_string())
        });
        let requests = Requests::Each(Arc::new(requests.collect()));
        let pay = json!({"card": {"number": "4242424242424242"}, "amount": 1999, "currency": "usd", "reference": "r"});
        let pay = request("POST", "/pay", &[], &pay.to_string());
        let pay = Requests::Same(Arc::new(pay));
        let direct = load::run(self.bench.hello.address, c, &pay, TIME / 3).await?;
        let commit_ms = disk::sync()?.p50_ms.unwrap_or_default();
        let url = self.process.private();
        let measured = self.figure("forward", c, &url, requests).await?;
        self.bench.figures.push(Figure {
            name: "forward_added_ms".to_owned(),
            store: Some(self.store),
            concurrency: Some(c),
            ratio: Some(measured.p50_ms - direct.p50_ms),
            // A forward is two commits, one before the send and one after it.
            baseline: Some(format!(
                "direct {:.3} ms, two commits {:.3} ms; asked for: 1",
                direct.p50_ms,
                2.0 * commit_ms
            )),
            ..Figure::default()
        });
        Ok(())
    }

    async fn memory(&mut self) -> anyhow::Result<()> {
        let more = TOKENS.saturating_sub(self.made);
        let requests = vec![self.ask("POST", "/v1/tokens", &[], CARD); more];
        let requests = Requests::Each(Arc::new(requests));
        let address = Self::address(&self.process.private())?;
        load::run(address, 64, &requests, Duration::from_secs(600)).await?;
        let id = self.process.id().context("the vault ended")?;
        self.bench.figures.push(Figure {
            name: "after_100000_tokens".to_owned(),
            store: Some(self.store),
            rss_mb: Some(process::rss_mb(id)?),
            baseline: Some("asked for: 64 MB".to_owned()),
            ..Figure::default()
        });
        Ok(())
    }
}

fn ids(bodies: &[Vec<u8>], pointer: &str) -> anyhow::Result<Vec<String>> {
    let id = |body: &Vec<u8>| {
        let json: Value = serde_json::from_slice(body)?;
        let id = json.pointer(pointer).and_then(Value::as_str);
        Ok(id.context("an answer without an id")?.to_owned())
    };
    bodies.iter().map(id).collect()
}

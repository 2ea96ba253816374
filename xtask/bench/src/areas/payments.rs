//! The figures of payments, vault included: a confirmation at an acquirer that answers at once (the baseline's own
//! process), so that what is measured is what we add. Intents and tokens are made before each load.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use harness::database::{self, Fresh};
use harness::payments::{Payments, Service};
use harness::vault::{Installation, Merchant, Process};
use serde_json::Value;
use store::Location;

use crate::bench::{Bench, Server, TIME};
use crate::figure::Figure;
use crate::load::{self, Measured, Requests, request};
use crate::process;
use crate::webhooks::Receiver;

const CARD: &str =
    r#"{"card":{"number":"4242424242424242","exp_month":12,"exp_year":2040,"cvc":"123"}}"#;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Confirmations made ready for each load; a load that uses them up ends earlier.
const READY: usize = 2_000;

/// The rate that is asked for, and what is tried when it cannot be kept.
const RATES: [f64; 5] = [300.0, 200.0, 150.0, 100.0, 50.0];

/// The rate of confirmations that are queued, and how they say that they may be.
const QUEUED_RATE: f64 = 100.0;
const PREFER: (&str, &str) = ("prefer", "respond-async");

/// How long a paced load lasts.
const PACED: Duration = Duration::from_secs(8);

/// Payments that hang at the one acquirer while the other's are measured.
const HUNG: usize = 16;

/// Vault and payments on one store.
struct Stack<'a> {
    store: &'static str,
    vault: Process,
    merchant: Merchant,
    payments: Service,
    secret_key: String,
    receiver: Receiver,
    location: &'a Location,
    folder: PathBuf,
    bench: &'a mut Bench,
}

/// Measures all figures on each store.
///
/// # Errors
/// What failed; any answer but 200 is a failure.
pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for (own, vaults) in database::fresh().iter().zip(database::fresh().iter()) {
        let store = match own.location {
            Location::Sqlite(_) => "sqlite",
            Location::Postgres(_) => "postgres",
        };
        if bench.store.as_deref().is_none_or(|only| only == store) {
            let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-bench"));
            let done = on(bench, own, vaults, &folder, store).await;
            let _ = std::fs::remove_dir_all(&folder);
            done?;
        }
    }
    Ok(())
}

async fn on(
    bench: &mut Bench,
    own: &Fresh,
    vaults: &Fresh,
    folder: &Path,
    store: &'static str,
) -> anyhow::Result<()> {
    let bank = bench.hello.address;
    let installation = Installation::new(
        bench.programs.join("token-vault"),
        &vaults.location,
        &folder.join("vault"),
        &[
            destination("bank", "/pay", bank),
            destination("hung", "/hang", bank),
        ]
        .concat(),
    )?;
    let merchant = installation.merchant("Alice")?;
    let vault = installation.start().await?;
    let rules = folder.join("routing.toml");
    std::fs::write(
        &rules,
        "[[rule]]\nname = \"euros\"\ncurrency = [\"eur\"]\nuse = [{ acquirer = \"hung\" }]\n\
         [[rule]]\nname = \"the others\"\nuse = [{ acquirer = \"bank\" }]\n",
    )?;
    let start = Payments {
        program: bench.programs.join("payments"),
        location: &own.location,
        folder: &folder.join("payments"),
        vault: &vault.private(),
        service_key: &installation.service_key(&merchant)?,
        acquirers: &[acquirer("bank", bank), acquirer("hung", bank)].concat(),
        acquirer_key: "the-key-of-no-bank",
        options: &[
            "--webhook-loopback",
            "--queue-limit",
            "10000",
            "--routing",
            &rules.display().to_string(),
        ],
    };
    let mut stack = Stack {
        store,
        payments: start.start().await?,
        secret_key: installation.secret_key(&merchant)?,
        vault,
        merchant,
        receiver: Receiver::start().await?,
        location: &own.location,
        folder: folder.to_owned(),
        bench,
    };
    stack.all().await
}

fn destination(name: &str, path: &str, address: SocketAddr) -> String {
    format!(
        r#"
        [[destination]]
        name = "{name}"
        base_url = "http://{address}"
        local = true
        merchants = ["*"]
        total_ms = 4000

        [[destination.operation]]
        name = "authorise"
        kind = "authorise"
        method = "POST"
        path = "{path}"
        placeholders = {{ "card.number" = "/card/number", "card.exp_month" = "/card/exp_month", "card.exp_year" = "/card/exp_year", "card.cvc" = "/card/cvc" }}
        amount = "/amount"
        currency = "/currency"
        reference = "/reference"
        response = ["/id", "/status"]
        approved = {{ pointer = "/status", values = ["captured"] }}
        "#
    )
}

// The breaker would keep payments away from the one that hangs; what is asked is how the others fare when it does not.
fn acquirer(name: &str, address: SocketAddr) -> String {
    format!(
        "[[acquirer]]\nname = \"{name}\"\ndialect = \"json\"\ndestination = \"{name}\"\nbase_url = \"http://{address}\"\n\
         api_key_file = \"acquirer.key\"\ntotal_ms = 5000\nbreaker_open_ms = 1\n"
    )
}

impl Stack<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        for c in self.bench.connections.clone() {
            self.confirm(c).await?;
        }
        self.paced().await?;
        self.queued().await?;
        self.beside_a_hung_acquirer().await?;
        self.memory().await
    }

    fn server(&self) -> anyhow::Result<Server> {
        Ok(Server {
            store: Some(self.store),
            process: self.payments.program.id().context("payments ended")?,
            address: address(&self.payments.url)?,
        })
    }

    fn push(&mut self, figure: Figure) {
        self.bench.figures.push(Figure {
            store: Some(self.store),
            ..figure
        });
    }

    fn ask(&self, path: &str, body: &str) -> Vec<u8> {
        let bearer = format!("Bearer {}", self.secret_key);
        request("POST", path, &[("authorization", &bearer), FORM], body)
    }

    // Confirmations, each of an intent and a token of its own.
    async fn ready(&self, count: usize, currency: &str) -> anyhow::Result<Vec<Vec<u8>>> {
        self.ready_with(count, currency, &[]).await
    }

    async fn ready_with(
        &self,
        count: usize,
        currency: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let vault = format!("Bearer {}", self.merchant.restricted);
        let token = request("POST", "/v1/tokens", &[("authorization", &vault)], CARD);
        let bearer = format!("Bearer {}", self.secret_key);
        let intent = self.ask(
            "/v1/payment_intents",
            &format!("amount=1999&currency={currency}"),
        );
        let make = |one: Vec<u8>| Requests::Each(Arc::new(vec![one; count]));
        let long = Duration::from_secs(600);
        let tokens = load::run(address(&self.vault.private())?, 32, &make(token), long).await?;
        let intents = load::run(address(&self.payments.url)?, 32, &make(intent), long).await?;
        let pairs = tokens.bodies.iter().zip(&intents.bodies);
        pairs
            .map(|(token, intent)| {
                let (token, intent) = (id(token)?, id(intent)?);
                let body = format!(
                    "payment_method_data[type]=card&payment_method_data[card][token]={token}"
                );
                let path = format!("/v1/payment_intents/{intent}/confirm");
                let headers = [&[("authorization", bearer.as_str()), FORM], headers].concat();
                Ok(request("POST", &path, &headers, &body))
            })
            .collect()
    }

    // Confirmations that are answered at once, at a rate that the workers keep up with: how soon the answer comes, and
    // that nothing is left.
    async fn queued(&mut self) -> anyhow::Result<()> {
        let count = (QUEUED_RATE * PACED.as_secs_f64()) as usize;
        let requests = self.ready_with(count, "usd", &[PREFER]).await?;
        let server = self.server()?;
        let measured = load::paced(server.address, 64, Arc::new(requests), QUEUED_RATE).await?;
        let started = Instant::now();
        let admin = harness::Http::new(&self.payments.admin);
        loop {
            let metrics = admin.get("/metrics").await.text;
            let accepted = format!("payments_queued_total{{outcome=\"accepted\"}} {count}\n");
            if !metrics.contains(&accepted) {
                bail!("not every confirmation was accepted: {metrics}");
            }
            if metrics.contains("payments_queue_depth 0\n") {
                break;
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("the queue is not worked off: {metrics}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.push(Figure {
            name: "queued_accept".to_owned(),
            concurrency: Some(64),
            per_second: Some(measured.per_second),
            p50_ms: Some(measured.p50_ms),
            p99_ms: Some(measured.p99_ms),
            baseline: Some(format!(
                "worked off {:.1} s after the last; asked for: p99 50 ms",
                started.elapsed().as_secs_f64()
            )),
            ..Figure::default()
        });
        Ok(())
    }

    // As many as it can, over so many connections, with the vault's share of the work.
    async fn confirm(&mut self, c: usize) -> anyhow::Result<()> {
        let requests = Requests::Each(Arc::new(self.ready(READY, "usd").await?));
        let vault = self.vault.id().context("the vault ended")?;
        let before = process::cpu_seconds(vault)?;
        let server = self.server()?;
        let measured = self.bench.measure("confirm", server, c, requests).await?;
        let cpu = process::cpu_seconds(vault)? - before;
        self.push(Figure {
            name: "confirm_vault".to_owned(),
            concurrency: Some(c),
            server_cpu_us: Some(cpu * 1e6 / measured.count.max(1) as f64),
            rss_mb: Some(process::rss_mb(vault)?),
            baseline: Some("the vault's part of it".to_owned()),
            ..Figure::default()
        });
        Ok(())
    }

    // At a given rate, measured from when each was due; and how soon the merchant's endpoint heard of it.
    async fn paced(&mut self) -> anyhow::Result<()> {
        let key = harness::Http::new(&self.payments.url).bearer(&self.secret_key);
        let endpoint = format!(
            "url={}/hooks&enabled_events[]=payment_intent.succeeded",
            self.receiver.url
        );
        let made = key.post_text("/v1/webhook_endpoints", FORM.1, &endpoint);
        let made = made.await;
        if made.status != 200 {
            bail!("no endpoint: {}", made.text);
        }
        let fsync = fsync_ms(&self.folder)?;
        for rate in RATES {
            let count = (rate * PACED.as_secs_f64()) as usize;
            let requests = self.ready(count, "usd").await?;
            let server = self.server()?;
            let cpu = process::cpu_seconds(server.process)?;
            let measured = load::paced(server.address, 64, Arc::new(requests), rate).await?;
            let cpu = process::cpu_seconds(server.process)? - cpu;
            self.receiver.until_quiet(Duration::from_secs(60)).await;
            // Kept up with: the last was answered about when it was due.
            let kept = measured.per_second >= rate * 0.95;
            self.push(Figure {
                name: format!("confirm_at_{rate:.0}"),
                concurrency: Some(64),
                per_second: Some(measured.per_second),
                p50_ms: Some(measured.p50_ms),
                p99_ms: Some(measured.p99_ms),
                server_cpu_us: Some(cpu * 1e6 / measured.count.max(1) as f64),
                baseline: Some(format!(
                    "{}; an fsync here {fsync:.2} ms; asked for at 300/s: p50 3 ms + 1 fsync, p99 10 ms + 2",
                    if kept { "kept up" } else { "did not keep up" }
                )),
                ..Figure::default()
            });
            if kept {
                break;
            }
        }
        let delays = self.receiver.first_attempts(self.location).await?;
        self.push(Figure {
            name: "webhook_first_attempt".to_owned(),
            p50_ms: delays.at(0.5),
            p99_ms: delays.at(0.99),
            baseline: Some(format!("{} events; asked for: p99 5000 ms", delays.len())),
            ..Figure::default()
        });
        Ok(())
    }

    // The same load alone and beside payments that hang elsewhere, in turns, so that the machine's moods hit both.
    async fn beside_a_hung_acquirer(&mut self) -> anyhow::Result<()> {
        let (mut alone, mut beside) = (vec![], vec![]);
        for _ in 0..3 {
            alone.push(self.short(None).await?.p99_ms);
            let hung = self.ready(HUNG * 4, "eur").await?;
            beside.push(self.short(Some(hung)).await?.p99_ms);
        }
        let median = |figures: &mut Vec<f64>| {
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let (alone, beside) = (median(&mut alone), median(&mut beside));
        self.push(Figure {
            name: "beside_a_hung_acquirer".to_owned(),
            concurrency: Some(16),
            p99_ms: Some(beside),
            ratio: Some(beside / alone),
            baseline: Some(format!("alone p99 {alone:.1} ms; asked for: 1.2")),
            ..Figure::default()
        });
        Ok(())
    }

    async fn short(&self, hung: Option<Vec<Vec<u8>>>) -> anyhow::Result<Measured> {
        let requests = Requests::Each(Arc::new(self.ready(600, "usd").await?));
        let server = self.server()?;
        let hanging = hung.map(|hung| {
            let hung = Requests::Each(Arc::new(hung));
            tokio::spawn(async move { load::run(server.address, HUNG, &hung, TIME * 2).await })
        });
        if hanging.is_some() {
            // Until they hang.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let measured = load::run(server.address, 16, &requests, TIME).await?;
        if let Some(hanging) = hanging {
            hanging.await??;
        }
        Ok(measured)
    }

    async fn memory(&mut self) -> anyhow::Result<()> {
        let wanted = self.bench.payments;
        let (mut paid, mut early) = (0, None);
        let started = Instant::now();
        while paid < wanted {
            let some = READY.min(wanted - paid);
            let requests = Requests::Each(Arc::new(self.ready(some, "usd").await?));
            let server = self.server()?;
            load::run(server.address, 32, &requests, Duration::from_secs(600)).await?;
            paid += some;
            early.get_or_insert(process::rss_mb(server.process)?);
        }
        let rss = process::rss_mb(self.server()?.process)?;
        self.push(Figure {
            name: format!("after_{paid}_payments"),
            per_second: Some(paid as f64 / started.elapsed().as_secs_f64()),
            rss_mb: Some(rss),
            baseline: early
                .map(|early| format!("{early:.1} MB after the first {READY}; asked for: flat")),
            ..Figure::default()
        });
        Ok(())
    }
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    Ok(url.trim_start_matches("http://").parse()?)
}

fn id(body: &[u8]) -> anyhow::Result<String> {
    let json: Value = serde_json::from_slice(body)?;
    Ok(json["id"]
        .as_str()
        .context("an answer without an id")?
        .to_owned())
}

// What one wait for the disk takes here: the median of fifty.
fn fsync_ms(folder: &Path) -> anyhow::Result<f64> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("fsync"))?;
    let mut took = vec![];
    for _ in 0..50 {
        file.write_all(&[0; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

//! The demo's processes: started in order, watched, stopped together.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::ports::{self, Ports};
use super::provision::{Demo, PUBLISHABLE_KEY, database};
use crate::workspace;

/// A program has this long to answer.
const START: Duration = Duration::from_secs(30);

/// A program has this long to finish its requests when told to stop.
const STOP: Duration = Duration::from_secs(25);

/// The running programs. Dropping them stops them.
pub struct Processes(Vec<Process>);

struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    health: String,
}

/// Starts every program.
///
/// # Errors
/// When one cannot be started.
pub fn start(
    data_dir: &Path,
    ports: Ports,
    demo: &Demo,
    frame: &Path,
) -> anyhow::Result<Processes> {
    let clock = data_dir.join("clock").display().to_string();
    let path = |name: &str| data_dir.join(name).display().to_string();
    let secret = |name: &str| demo.secret(name).display().to_string();
    let notify = [
        ("json", "northbank"),
        ("form", "southbank"),
        ("xml", "westbank"),
    ]
    .map(|(dialect, name)| {
        let payments = ports.url(ports::PAYMENTS);
        format!("{dialect}={payments}/acquirers/{name}/notifications")
    })
    .join(",");
    let mut processes = Processes(vec![]);
    let mut run = |name: &'static str, health: u16, options: &[(&str, &str)]| {
        processes.start(data_dir, name, &ports.address(health), &clock, options)
    };
    run(
        "acquirer-sim",
        ports::ACQUIRER_ADMIN,
        &[
            ("--database", &database(data_dir, "acquirer")),
            ("--listen", &ports.address(ports::ACQUIRER)),
            ("--admin", &ports.address(ports::ACQUIRER_ADMIN)),
            ("--api-key-file", &secret("acquirer_key")),
            ("--public-url", &ports.url(ports::ACQUIRER)),
            ("--results-key-file", &secret("results_key")),
            ("--form-key-file", &secret("acquirer_form_key")),
            ("--xml-key-file", &secret("acquirer_xml_key")),
            ("--notify", &notify),
        ],
    )?;
    run(
        "token-vault",
        ports::VAULT_ADMIN,
        &[
            ("--database", &database(data_dir, "vault")),
            ("--public", &ports.address(ports::VAULT)),
            ("--private", &ports.address(ports::VAULT_PRIVATE)),
            ("--admin", &ports.address(ports::VAULT_ADMIN)),
            ("--root-key-file", &secret("vault_root.json")),
            ("--frame-dir", &frame.display().to_string()),
            ("--payments-url", &ports.url(ports::PAYMENTS)),
            ("--destinations", &path("destinations.toml")),
            ("--audit-checkpoints", &path("checkpoints.jsonl")),
        ],
    )?;
    run(
        "payments",
        ports::PAYMENTS_ADMIN,
        &[
            ("--database", &database(data_dir, "payments")),
            ("--listen", &ports.address(ports::PAYMENTS)),
            ("--admin", &ports.address(ports::PAYMENTS_ADMIN)),
            ("--vault-url", &ports.url(ports::VAULT_PRIVATE)),
            ("--service-key-file", &secret("service_key")),
            ("--seal-key-file", &secret("payments_seal_key")),
            ("--acquirers", &path("acquirers.toml")),
            ("--three-d-secure", &path("three_d_secure.toml")),
            ("--checkout", &path("checkout.toml")),
            // The shop is on this machine.
            ("--webhook-loopback", ""),
        ],
    )?;
    let (shop, address) = (database(data_dir, "shop"), ports.address(ports::SHOP));
    let (public, vault, payments) = (ports.shop(), ports.vault(), ports.url(ports::PAYMENTS));
    let (secret_key, webhook_secret) = (secret("secret_key"), secret("webhook_secret"));
    let mut options = vec![
        ("--database", shop.as_str()),
        ("--listen", &address),
        ("--public-url", &public),
        ("--vault-public-url", &vault),
        ("--payments-url", &payments),
        ("--publishable-key", PUBLISHABLE_KEY),
        ("--secret-key-file", &secret_key),
        ("--webhook-secret-file", &webhook_secret),
    ];
    // Data from before there was one has none.
    options.extend(demo.gallery_key().map(|key| ("--gallery-key", key)));
    run("demo-site", ports::SHOP, &options)?;
    Ok(processes)
}

impl Processes {
    fn start(
        &mut self,
        data_dir: &Path,
        name: &'static str,
        health: &str,
        clock: &str,
        options: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let log = data_dir.join("logs").join(format!("{name}.log"));
        let mut command = Command::new(workspace::built(name)?);
        command
            .arg("serve")
            .args(options.iter().flat_map(|(name, value)| {
                // A switch has no value.
                std::iter::once(name).chain(Some(value).filter(|value| !value.is_empty()))
            }))
            .args(["--clock-file", clock]);
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        self.0.push(Process {
            name,
            child,
            log,
            health: health.to_owned(),
        });
        Ok(())
    }

    /// Waits until every program says that it can serve.
    ///
    /// # Errors
    /// When one ends or takes too long, with the end of its log.
    pub fn wait_until_ready(&mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            if let Some(ended) = self.ended() {
                bail!("{ended}");
            }
            let waiting: Vec<_> = self
                .0
                .iter()
                .filter(|process| !is_ready(&process.health))
                .collect();
            let Some(first) = waiting.first() else {
                return Ok(());
            };
            if stop.load(Ordering::SeqCst) {
                bail!("stopped before everything was ready");
            }
            if started.elapsed() > START {
                bail!(
                    "{} is not ready after {} s; its log ends:\n{}",
                    first.name,
                    START.as_secs(),
                    end_of(&first.log)
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first program that has ended, if one has.
    pub fn ended(&mut self) -> Option<String> {
        self.0.iter_mut().find_map(|process| {
            let status = process.child.try_wait().ok().flatten()?;
            Some(format!(
                "{} ended ({status}); its log ends:\n{}",
                process.name,
                end_of(&process.log)
            ))
        })
    }

    /// Tells all to stop, waits, and kills what does not.
    pub fn stop(&mut self) {
        for process in &self.0 {
            let pid = process.child.id().to_string();
            let _ = Command::new("kill")
                .args(["-TERM", &pid])
                .stderr(Stdio::null())
                .status();
        }
        let told = Instant::now();
        for process in &mut self.0 {
            while process
                .child
                .try_wait()
                .is_ok_and(|status| status.is_none())
                && told.elapsed() < STOP
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        self.0.clear();
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = [0u8; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

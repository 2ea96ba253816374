//! The built program: configuration, TLS and its reload, floods, SIGTERM, metrics and spans.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::served::{self, PROGRAM, Served, request};

/// A vault as an operator runs it, on ports and in a folder of its own.
struct Running {
    served: Served,
    folder: PathBuf,
    publishable: String,
    restricted: String,
}

impl std::ops::Deref for Running {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

pub fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-process"));
    served::frame(&folder);
    folder
}

pub fn configuration(folder: &Path, more: &str) -> PathBuf {
    let file = folder.join("vault.toml");
    let at = folder.display();
    let text = format!(
        "database = \"sqlite:{at}/vault.db\"\nroot-key-file = \"{at}/root.json\"\nframe-dir = \"{at}/frame\"\n{more}\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

pub fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command
        .args(args)
        .arg("--config")
        .arg(folder.join("vault.toml"));
    command.output().unwrap()
}

pub fn answer_of(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Running {
    /// Starts with these lines of configuration beside the usual ones.
    fn start(more: &str) -> Self {
        let folder = folder();
        let at = folder.display().to_string();
        configuration(&folder, &more.replace("FOLDER", &at));
        let merchant = answer_of(&folder, &["merchants", "create", "--name", "Shop"]);
        let merchant = merchant["id"].as_str().unwrap();
        let key = |args: &[&str]| {
            let args = [&["keys", "create", "--merchant", merchant], args].concat();
            answer_of(&folder, &args)["key"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let publishable = key(&["--kind", "pk", "--origin", "https://shop.example"]);
        let restricted = key(&[
            "--kind",
            "rk",
            "--scope",
            "cards:write",
            "--scope",
            "cards:read",
        ]);
        let served = Served::start(&folder, |command| {
            command.arg("--config").arg(folder.join("vault.toml"));
        });
        Self {
            served,
            folder,
            publishable,
            restricted,
        }
    }

    fn tokenise_head(&self, length: usize) -> String {
        format!(
            "POST /v1/tokens HTTP/1.1\r\nhost: vault\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n",
            self.restricted
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.served.end();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const CARD: &str = r#"{"card":{"number":"4242424242424242","exp_month":12,"exp_year":2040}}"#;

#[test]
fn requests_under_way_are_answered_when_the_vault_is_told_to_stop() {
    let mut vault = Running::start("");
    let (half, rest) = CARD.split_at(20);
    let mut open: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", vault.private)).unwrap();
            stream
                .write_all(vault.tokenise_head(CARD.len()).as_bytes())
                .unwrap();
            stream.write_all(half.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    // Connected and sent, perhaps not yet accepted: they count too.
    for _ in 0..5 {
        let mut stream = TcpStream::connect(("127.0.0.1", vault.private)).unwrap();
        stream
            .write_all(vault.tokenise_head(CARD.len()).as_bytes())
            .unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        open.push(stream);
    }
    vault.signal("-TERM");
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        TcpStream::connect(("127.0.0.1", vault.private)).is_err(),
        "it still listens"
    );
    for mut stream in open {
        stream.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{answer}\n{}",
            vault.log()
        );
    }
    assert!(vault.served.wait());
}

#[test]
fn a_flood_on_the_public_listener_leaves_the_private_one_its_share() {
    let vault = Running::start("limit-sessions-per-address = \"100/60s\"");
    let stop = Arc::new(AtomicBool::new(false));
    let flooded = Arc::new(AtomicUsize::new(0));
    let flood: Vec<_> = (0..48)
        .map(|_| {
            let (stop, flooded, port) = (Arc::clone(&stop), Arc::clone(&flooded), vault.public);
            let body = json!({"key": vault.publishable}).to_string();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if request(port, "POST /v1/field-sessions", "", &body).is_some() {
                        flooded.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let auth = format!("authorization: Bearer {}\r\n", vault.restricted);
    let (mut took, started) = (vec![], Instant::now());
    while started.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        let answer = request(vault.private, "POST /v1/tokens", &auth, CARD).unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        took.push(asked.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    for thread in flood {
        thread.join().unwrap();
    }
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    assert!(flooded.load(Ordering::Relaxed) > 100, "there was no flood");
    assert!(
        took.len() >= 10 && median < Duration::from_millis(500),
        "{} calls, median {median:?}, worst {worst:?}",
        took.len()
    );
    let figures = request(vault.admin, "GET /metrics", "", "").unwrap();
    for series in [
        "vault_rate_limited_total{policy=\"sessions_per_address\"}",
        "vault_requests_total{listener=\"private\",method=\"POST\",route=\"/v1/tokens\",status=\"200\"}",
        "vault_request_seconds_bucket{listener=\"public\",method=\"POST\",route=\"/v1/field-sessions\",le=\"+Inf\"}",
        "vault_store_commits_total{queue=\"write\"}",
        "vault_store_waiting{queue=\"write\"}",
        "vault_overdue_rows{table=\"cvvs\"} 0",
    ] {
        assert!(figures.contains(series), "{series} in\n{figures}");
    }
    assert!(
        !vault.log().contains(&vault.publishable[8..]),
        "a key is in the log"
    );
}

pub fn certificate(folder: &Path, days: i64) -> rcgen::Certificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = std::time::SystemTime::now();
    let until = if days < 0 {
        now - Duration::from_secs(86_400)
    } else {
        now + Duration::from_secs(86_400 * days as u64)
    };
    params.not_before = (now - Duration::from_secs(5 * 86_400)).into();
    params.not_after = until.into();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    owners_only(&folder.join("tls.key"));
    certificate
}

pub fn owners_only(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub const TLS: &str =
    "public-tls-certificate = \"FOLDER/tls.pem\"\npublic-tls-key = \"FOLDER/tls.key\"";

#[test]
fn a_secret_on_the_command_line_is_refused() {
    let output = Command::new(PROGRAM)
        .args([
            "merchants",
            "list",
            "--database",
            "postgres://vault:hunter2@127.0.0.1/vault",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success()
            && said.contains("TOKEN_VAULT_DATABASE")
            && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn spans_are_exported_with_the_callers_trace_and_nothing_else() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = collector.local_addr().unwrap().port();
    let vault = Running::start(&format!("otlp-endpoint = \"http://127.0.0.1:{port}\""));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = format!(
        "authorization: Bearer {}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\nx-note: secret-note\r\n",
        vault.restricted
    );
    let answer = request(
        vault.private,
        "GET /v1/cards/card_something?limit=1",
        &headers,
        "",
    )
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let started = Instant::now();
    let exported = loop {
        assert!(started.elapsed() < Duration::from_secs(20), "no span came");
        let (stream, _) = collector.accept().unwrap();
        let text = read_request(&stream);
        if text.contains(trace) {
            break text;
        }
    };
    assert!(exported.starts_with("POST /v1/traces"), "{exported}");
    let body: Value = serde_json::from_str(exported.split_once("\r\n\r\n").unwrap().1).unwrap();
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
        .as_array()
        .unwrap();
    let span = spans.iter().find(|span| span["traceId"] == trace).unwrap();
    assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(span["name"], "GET /v1/cards/{id}");
    let names: Vec<&str> = span["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "http.request.method",
            "http.route",
            "http.response.status_code",
            "cardseal.listener"
        ]
    );
    assert!(!exported.contains("card_something") && !exported.contains("secret-note"));
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" || line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let _ = (&*stream)
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    head + &String::from_utf8(body).unwrap()
}

/// Who signs the certificates of a test.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Writes `{name}.pem` and `{name}.key`.
    fn issue(&self, folder: &Path, name: &str) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A request in TLS: the answer, and the server's certificate. `None` when there is no answer.
    fn request(
        &self,
        port: u16,
        identity: Option<(&Path, &str)>,
        head: &str,
        body: &str,
    ) -> Option<(String, Vec<u8>)> {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((folder, name)) => builder
                .with_client_auth_cert(
                    vec![
                        CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap(),
                    ],
                    PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap(),
                )
                .unwrap(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .ok()?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let text = format!(
            "{head}host: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).ok()?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let certificate = stream.conn.peer_certificates()?[0].to_vec();
        let answer = String::from_utf8(answer)
            .ok()
            .filter(|answer| !answer.is_empty())?;
        Some((answer, certificate))
    }
}

#[test]
fn a_service_key_works_with_its_client_certificate_only() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let certificates = folder();
    for name in ["server", "payments", "other"] {
        authority.issue(&certificates, name);
    }
    stranger.issue(&certificates, "stranger");
    std::fs::write(certificates.join("ca.pem"), authority.0.pem()).unwrap();
    let at = certificates.display();
    // The admin listener stays plain on loopback, so the start-up check can ask it.
    let vault = Running::start(&format!(
        "private-tls-certificate = \"{at}/server.pem\"\nprivate-tls-key = \"{at}/server.key\"\nclient-ca = \"{at}/ca.pem\""
    ));
    let merchants: Value = answer_of(&vault.folder, &["merchants", "list"]);
    let merchant = merchants[0]["id"].as_str().unwrap();
    let pem = certificates.join("payments.pem");
    let key = answer_of(
        &vault.folder,
        &[
            "keys",
            "create",
            "--kind",
            "svc",
            "--merchant",
            merchant,
            "--client-certificate",
            pem.to_str().unwrap(),
        ],
    );
    let head = |key: &str| {
        format!(
            "GET /v1/cards HTTP/1.1\r\nauthorization: Bearer {key}\r\ncardseal-merchant: {merchant}\r\n"
        )
    };
    let service = head(key["key"].as_str().unwrap());
    for (identity, head, status) in [
        (Some("payments"), &service, Some("200")),
        (Some("other"), &service, Some("401")),
        (None, &service, Some("401")),
        // A key that is bound to no certificate needs none.
        (None, &head(&vault.restricted), Some("200")),
        // Signed by somebody else: there is not even a connection.
        (Some("stranger"), &service, None),
    ] {
        let identity = identity.map(|name| (certificates.as_path(), name));
        let answer = authority.request(vault.private, identity, head, "");
        let got = answer
            .as_ref()
            .map(|(answer, _)| answer.split(' ').nth(1).unwrap());
        assert_eq!(got, status, "{identity:?}: {answer:?}\n{}", vault.log());
    }
    // A new certificate is used on SIGHUP, and requests go on meanwhile.
    let before = authority
        .request(vault.private, None, &head(&vault.restricted), "")
        .unwrap()
        .1;
    authority.issue(&certificates, "server");
    vault.signal("-HUP");
    let started = Instant::now();
    while authority
        .request(vault.private, None, &head(&vault.restricted), "")
        .unwrap()
        .1
        == before
    {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{}",
            vault.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    // Plain HTTP is not answered where TLS is spoken.
    let plain = request(vault.private, "GET /v1/cards", "", "").unwrap_or_default();
    assert!(!plain.starts_with("HTTP/1.1 2"), "{plain}");
    std::fs::remove_dir_all(certificates).unwrap();
}

// As the first start makes it.
pub fn make_root(folder: &Path) {
    let location = store::Location::Sqlite(folder.join("vault.db"));
    let store = store::Store::open(&location, token_vault::records::MIGRATIONS).unwrap();
    let file = folder.join("root.json");
    let mode = vault_api::keys::Mode::Test;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let made = token_vault::crypto::root::Root::open_or_create(&file, mode, &store, 1_800_000_000);
    drop(runtime.block_on(made).unwrap());
}

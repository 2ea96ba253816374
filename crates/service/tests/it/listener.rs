//! TLS with reload and client certificates, slow clients, the connection cap.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use service::listen::{self, Options, Stop};
use service::tls::{self, ClientCertificate, Files, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in files.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, folder: &Path, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let files = Identity {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn file(&self, folder: &Path) -> PathBuf {
        let file = folder.join("ca.pem");
        std::fs::write(&file, self.0.pem()).unwrap();
        file
    }

    /// A client that trusts this authority, with or without a certificate of its own.
    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(&identity.certificate).unwrap()],
                    PrivateKeyDer::from_pem_file(&identity.key).unwrap(),
                )
                .unwrap(),
        })
    }
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(service::headers::new_request_id());
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

async fn start(options: Options) -> SocketAddr {
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shown = |shown: Option<axum::Extension<ClientCertificate>>| async move {
        shown.map_or("nobody".to_owned(), |shown| shown.0.0)
    };
    let router = Router::new()
        .route("/who", get(shown))
        .route("/echo", post(async |body: String| body));
    tokio::spawn(listen::serve_with(
        listener,
        router,
        Stop::on_signal().unwrap(),
        options,
    ));
    address
}

/// Asks `/who` in TLS; the whole answer, and the server's certificate.
async fn who(address: SocketAddr, client: Arc<ClientConfig>) -> std::io::Result<(String, Vec<u8>)> {
    let stream = TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(client);
    let mut stream = connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await?;
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    stream
        .write_all(b"GET /who HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await?;
    let mut text = String::new();
    match stream.read_to_string(&mut text).await {
        Err(error) if text.is_empty() => return Err(error),
        _ => {}
    }
    Ok((text, certificate))
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_used_without_a_restart() {
    let (folder, authority) = (folder(), Authority::new());
    let identity = authority.issue(&folder, "server");
    let tls = Tls::read(Files {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        client_ca: None,
        require_client: false,
    })
    .unwrap();
    tls.keep_fresh(Stop::on_signal().unwrap()).unwrap();
    let options = Options {
        tls: Some(tls.clone()),
        ..Options::default()
    };
    let address = start(options).await;
    let mut first = Vec::new();
    for version in BOTH {
        let (text, certificate) = who(address, authority.client(&[version], None))
            .await
            .unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200") && text.ends_with("nobody"),
            "{text}"
        );
        first = certificate;
    }
    // Nonsense is not taken: the former certificate stays in use.
    std::fs::write(&identity.certificate, "nonsense").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(
        who(address, authority.client(&BOTH, None)).await.unwrap().1,
        first
    );
    // A good pair is, within seconds and without being told.
    authority.issue(&folder, "server");
    let started = Instant::now();
    while who(address, authority.client(&BOTH, None)).await.unwrap().1 == first {
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "the certificate was not reloaded"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (from, until) = tls::validity(&identity.certificate).unwrap();
    assert!(from < until);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_checked_and_named() {
    let (folder, authority, stranger) = (folder(), Authority::new(), Authority::new());
    let server = authority.issue(&folder, "server");
    let client = authority.issue(&folder, "client");
    for require_client in [false, true] {
        let tls = Tls::read(Files {
            certificate: server.certificate.clone(),
            key: server.key.clone(),
            client_ca: Some(authority.file(&folder)),
            require_client,
        })
        .unwrap();
        let address = start(Options {
            tls: Some(tls),
            ..Options::default()
        })
        .await;
        let (text, _) = who(address, authority.client(&BOTH, Some(&client)))
            .await
            .unwrap();
        let fingerprint = ClientCertificate::of_file(&client.certificate).unwrap().0;
        assert_eq!(fingerprint.len(), 64);
        assert!(text.ends_with(&fingerprint), "{text}");
        let without = who(address, authority.client(&BOTH, None)).await;
        assert_eq!(without.is_ok(), !require_client, "{without:?}");
        let foreign = stranger.issue(&folder, "foreign");
        let foreign = who(address, authority.client(&BOTH, Some(&foreign))).await;
        assert!(foreign.is_err(), "{foreign:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Everything that comes until the server closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_closed() {
    let options = Options {
        head: Duration::from_millis(300),
        body: Duration::from_millis(300),
        ..Options::default()
    };
    let address = start(options).await;
    for begun in [
        "GET /who HTT",
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let text = until_closed(&mut stream).await;
        assert!(!text.starts_with("HTTP/1.1 2"), "{begun:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_capped() {
    let address = start(Options::default()).await;
    let many = format!(
        "GET /who HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "a: b\r\n".repeat(100)
    );
    let large = format!(
        "GET /who HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n",
        "b".repeat(100_000)
    );
    for head in [many, large] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(head.as_bytes()).await;
        let text = until_closed(&mut stream).await;
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 431"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait() {
    let options = Options {
        connections: 2,
        head: Duration::from_millis(500),
        ..Options::default()
    };
    let address = start(options).await;
    let idle = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    let mut third = TcpStream::connect(address).await.unwrap();
    third
        .write_all(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(until_closed(&mut third).await.starts_with("HTTP/1.1 200"));
    assert!(
        started.elapsed() > Duration::from_millis(200),
        "it was served beside the two"
    );
    drop(idle);
}

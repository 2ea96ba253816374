//! The other end of a forward: a server that reads and answers byte by byte, over TCP or TLS, well or badly.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What it does with the next connections.
#[derive(Clone)]
pub enum Behaviour {
    /// Reads the whole request and answers with these bytes.
    Answer(Vec<u8>),
    /// Closes before it reads anything.
    CloseAtOnce,
    /// Reads this many bytes and resets the connection.
    ResetAfter(usize),
    /// Reads everything and never answers.
    Stall,
    /// Reads nothing and keeps the connection.
    NeverRead,
    /// Reads everything, then closes its own direction without an answer.
    HalfClose,
    /// Answers a status and a body without end.
    Huge,
    /// Answers a byte at a time.
    Drip,
    /// Reads the beginning, answers, and reads no more.
    AnswerEarly,
    /// Speaks no TLS where TLS is expected.
    Garbage,
}

#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    tls: Option<TlsAcceptor>,
    behaviour: Arc<Mutex<Behaviour>>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Endpoint {
    pub async fn plain() -> Self {
        Self::start(None).await
    }

    /// Over TLS, with a CA of its own in `folder` (`ca.pem`), and `client.pem` and `client.key` that it asks for.
    pub async fn tls(folder: &Path, wants_client: bool) -> Self {
        Self::start(Some(acceptor(folder, wants_client))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // A small window, so that a request that is not read does not vanish into the kernel's buffers.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let endpoint = Self {
            address: listener.local_addr().unwrap(),
            tls,
            behaviour: Arc::new(Mutex::new(Behaviour::Answer(json("{}")))),
            seen: Arc::default(),
        };
        tokio::spawn(endpoint.clone().accept(listener));
        endpoint
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub fn answer(&self, answer: Vec<u8>) {
        self.behave(Behaviour::Answer(answer));
    }

    /// What arrived, a text a connection.
    pub fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }

    /// Head and body of the last request.
    pub fn last(&self) -> (String, String) {
        let seen = self.seen();
        let (head, body) = seen.last().unwrap().split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            tokio::spawn(self.clone().connection(stream));
        }
    }

    async fn connection(self, mut stream: TcpStream) {
        let behaviour = self.behaviour.lock().unwrap().clone();
        if matches!(behaviour, Behaviour::Garbage) {
            let _ = stream.write_all(b"220 mail ready\r\n").await;
            return;
        }
        let at = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(vec![]);
            seen.len() - 1
        };
        match &self.tls {
            None => self.act(stream, &behaviour, at).await,
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    self.act(stream, &behaviour, at).await;
                }
            }
        }
    }

    async fn act<S>(&self, mut stream: S, behaviour: &Behaviour, at: usize)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        let forever = Duration::from_secs(60);
        match behaviour {
            Behaviour::Answer(answer) => {
                self.read(&mut stream, usize::MAX, at).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
            Behaviour::CloseAtOnce | Behaviour::Garbage => {}
            Behaviour::ResetAfter(n) => self.read(&mut stream, *n, at).await,
            Behaviour::Stall => {
                self.read(&mut stream, usize::MAX, at).await;
                tokio::time::sleep(forever).await;
            }
            Behaviour::NeverRead => tokio::time::sleep(forever).await,
            Behaviour::HalfClose => {
                self.read(&mut stream, usize::MAX, at).await;
                let _ = stream.shutdown().await;
                tokio::time::sleep(forever).await;
            }
            Behaviour::Huge => {
                self.read(&mut stream, usize::MAX, at).await;
                let _ = stream.write_all(HEAD).await;
                while stream.write_all(&[b' '; 4096]).await.is_ok() {}
            }
            Behaviour::Drip => {
                self.read(&mut stream, usize::MAX, at).await;
                let _ = stream.write_all(HEAD).await;
                while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Behaviour::AnswerEarly => {
                self.read(&mut stream, 1000, at).await;
                let _ = stream.write_all(&json(r#"{"status":"busy"}"#)).await;
                let _ = stream.flush().await;
                tokio::time::sleep(forever).await;
            }
        }
    }

    // Reads the request whole, or `limit` bytes of it.
    async fn read<S: AsyncRead + Unpin>(&self, stream: &mut S, limit: usize, at: usize) {
        let mut buffer = [0; 1024];
        loop {
            {
                let seen = self.seen.lock().unwrap();
                if seen[at].len() >= limit || is_whole(&seen[at]) {
                    return;
                }
            }
            let room = buffer.len().min(limit);
            match stream.read(&mut buffer[..room]).await {
                Ok(0) | Err(_) => return,
                Ok(n) => self.seen.lock().unwrap()[at].extend(&buffer[..n]),
            }
        }
    }
}

/// Whether a request has arrived to its last byte.
pub fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

pub fn json(body: &str) -> Vec<u8> {
    typed("application/json", body)
}

pub fn typed(content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn acceptor(folder: &Path, wants_client: bool) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &ca).unwrap(), key)
    };
    let (client, client_key) = signed("client.example");
    std::fs::write(folder.join("client.pem"), client.pem()).unwrap();
    std::fs::write(folder.join("client.key"), client_key.serialize_pem()).unwrap();

    let (server, key) = signed("127.0.0.1");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let builder = ServerConfig::builder();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(vec![server.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

//! Connects to a destination: resolves its host once, judges the address, and connects to that address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::counted::Counted;
use super::registration::Destination;

/// Bytes that the kernel takes before the other end reads; it doubles this.
const SEND_BUFFER: u32 = 16 * 1024;

/// A connection, and how much went out on it.
pub struct Connected {
    /// What takes plaintext.
    pub stream: Box<dyn Stream>,
    /// What went out, on each level.
    pub counts: Counts,
}

/// Bytes that went out.
#[derive(Clone, Default)]
pub struct Counts {
    /// Plaintext that the connection took.
    pub plain: Arc<AtomicUsize>,
    /// What the socket took under TLS.
    raw: Arc<AtomicUsize>,
    handshake: usize,
}

impl Counts {
    /// Whether the socket took anything since the handshake. rustls may take a plaintext, send a part of its records
    /// and then fail: it answers an error and no count, but something of the request is out.
    #[must_use]
    pub fn any_after_handshake(&self) -> bool {
        self.raw.load(Ordering::SeqCst) > self.handshake
    }
}

/// What a request is written to and its answer read from.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects.
///
/// # Errors
/// `connect` or `tls`: nothing of the request was sent.
pub async fn connect(destination: &Destination) -> Result<Connected, &'static str> {
    let found = tokio::net::lookup_host((destination.host.as_str(), destination.port))
        .await
        .map_err(|_| "connect")?;
    // What was resolved and judged is what is connected to: a second look-up could say something else.
    let judged = found.filter(|address| destination.local || is_public(address.ip()));
    let stream = first_that_answers(judged).await.ok_or("connect")?;
    stream.set_nodelay(true).map_err(|_| "connect")?;
    let mut counts = Counts::default();
    let Some(config) = &destination.tls else {
        let stream = Counted::new(stream, counts.plain.clone());
        return Ok(Connected {
            stream: Box::new(stream),
            counts,
        });
    };
    let name = ServerName::try_from(destination.host.clone()).map_err(|_| "tls")?;
    let stream = TlsConnector::from(config.clone())
        .connect(name, Counted::new(stream, counts.raw.clone()))
        .await
        .map_err(|_| "tls")?;
    counts.handshake = counts.raw.load(Ordering::SeqCst);
    Ok(Connected {
        stream: Box::new(Counted::new(stream, counts.plain.clone())),
        counts,
    })
}

async fn first_that_answers(addresses: impl Iterator<Item = SocketAddr>) -> Option<TcpStream> {
    for address in addresses {
        if let Ok(stream) = dial(address).await {
            return Some(stream);
        }
    }
    None
}

async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // What the socket took counts as sent: a small buffer keeps that near to what has left.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.connect(address).await
}

/// Whether an address is one of the public internet's. What is not is refused: loopback, private, link-local (cloud
/// metadata), shared, documentation, multicast and what embeds them.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast();
            let reserved = a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a, b, c) == (192, 0, 0)
                || (a == 198 && (18..20).contains(&b));
            !special && !reserved
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            // Global unicast is 2000::/3; 6to4 and Teredo carry a v4 address, documentation is nobody's.
            (0x2000..0x4000).contains(&segments[0])
                && segments[0] != 0x2002
                && segments[..2] != [0x2001, 0]
                && segments[..2] != [0x2001, 0xdb8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        for ip in ["8.8.8.8", "93.184.216.34", "2606:4700::1111"] {
            assert!(is_public(ip.parse().expect("an address")), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(ip.parse().expect("an address")), "{ip}");
        }
    }
}

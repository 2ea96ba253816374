//! Where a call may go whose address somebody else chose: not into our own network (SSRF).
//!
//! A name is resolved once and judged address by address; the connection is made to the addresses that were judged, so
//! that a name which answers differently the second time gains nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// Which addresses a client may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All: for addresses from our own configuration.
    Anywhere,
    /// The public internet.
    Public,
    /// The public internet and this machine: for test mode, where a merchant tries things out.
    PublicOrLoopback,
}

impl Reach {
    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn allows(self, ip: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public => is_public(ip),
            Self::PublicOrLoopback => ip.is_loopback() || is_public(ip),
        }
    }

    /// Whether a URL's host may be asked for: a name may, until it is resolved; an address is judged at once.
    #[must_use]
    pub fn allows_host(self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        match bare.unwrap_or(host).parse() {
            Ok(ip) => self.allows(ip),
            Err(_) => true,
        }
    }
}

/// Networks of IPv4 that are not the public internet (the IANA special-purpose registry), and the address at which
/// one cloud's machines reach its control plane although it looks public.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];

/// Within 2000::/3, the only part of IPv6 that is routed: tunnels that carry an IPv4 address in them, and examples.
const SPECIAL_V6: &[([u16; 8], u32)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Whether the address belongs to the public internet. IPv4 inside IPv6 (mapped, NAT64, 6to4, Teredo) does not.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|(net, length)| {
            let net = u32::from(Ipv4Addr::from(*net));
            (u32::from(ip) ^ net) >> (32 - length) == 0
        }),
        IpAddr::V6(ip) => {
            let global = u128::from(ip) >> 125 == 1;
            let special = SPECIAL_V6.iter().any(|(net, length)| {
                let net = u128::from(Ipv6Addr::from(*net));
                (u128::from(ip) ^ net) >> (128 - length) == 0
            });
            global && !special
        }
    }
}

/// Resolves names to the addresses that may be connected to.
#[derive(Debug, Clone, Copy)]
pub struct Resolver(pub Reach);

type Answer = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Answer {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|at| reach.allows(at.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, REFUSED));
            }
            Ok(allowed.into_iter())
        })
    }
}

/// What a refused call says.
pub const REFUSED: &str = "the address is not on the public internet";

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:200::1",
        ] {
            assert!(is_public(ip(public)), "{public}");
        }
        for inner in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip(inner)), "{inner}");
        }
    }

    #[test]
    fn loopback_is_reached_only_where_it_is_allowed() {
        assert!(Reach::PublicOrLoopback.allows_host("127.0.0.1"));
        assert!(Reach::PublicOrLoopback.allows_host("[::1]"));
        assert!(!Reach::PublicOrLoopback.allows_host("[::ffff:127.0.0.1]"));
        assert!(!Reach::PublicOrLoopback.allows_host("169.254.169.254"));
        assert!(!Reach::Public.allows_host("[::1]") && !Reach::Public.allows_host("127.0.0.1"));
        assert!(Reach::Public.allows_host("shop.example"));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_resolves_to_nothing() {
        let name = || "localhost".parse::<Name>().expect("a name");
        let refused = Resolver(Reach::Public).call(name()).await;
        assert_eq!(refused.expect_err("refused").to_string(), REFUSED);
        let found = Resolver(Reach::PublicOrLoopback).call(name()).await;
        assert!(found.expect("found").all(|at| at.ip().is_loopback()));
        // What no URL parser takes for an address, the system's resolver may.
        let number = "2130706433".parse::<Name>().expect("a name");
        assert!(Resolver(Reach::Public).call(number).await.is_err());
    }
}

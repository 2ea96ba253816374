//! Who calls: the peer of the connection, or, behind a proxy of the operator's, whom the proxy names.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;

/// Where proxies note whom they have seen.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address. `trusted` are the operator's own proxies: nobody else's word is taken.
#[must_use]
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    if !trusted.contains(&peer) {
        return peer;
    }
    let hops = headers.get_all(FORWARDED_FOR).iter();
    let hops: Vec<IpAddr> = hops
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map_while(|hop| hop.trim().parse().ok())
        .collect();
    // The right-most address that is not ours is the last one that somebody we trust has seen.
    hops.into_iter()
        .rev()
        .find(|hop| !trusted.contains(hop))
        .unwrap_or(peer)
}

/// What an address is counted by: a household or a data centre's customer has a whole /64 of IPv6.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let s = address.segments();
            Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        let proxy: IpAddr = [10, 0, 0, 1].into();
        let mut headers = HeaderMap::new();
        headers.insert(
            FORWARDED_FOR,
            HeaderValue::from_static("6.6.6.6, 1.2.3.4, 10.0.0.1"),
        );
        let client: IpAddr = [1, 2, 3, 4].into();
        assert_eq!(address(proxy, &headers, &[proxy]), client);
        let stranger: IpAddr = [9, 9, 9, 9].into();
        assert_eq!(address(stranger, &headers, &[proxy]), stranger);
    }

    #[test]
    fn a_network_is_counted_once() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:1.2.3.4"), "1.2.3.4");
    }
}

//! From which addresses the metrics may be read.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header in which a proxy names the client it speaks for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of those who may read, and of the proxies that are believed when they name a client.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    /// Who may read.
    pub allowed: Vec<IpNet>,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
}

impl Networks {
    /// What [`Networks::parse`] accepts.
    pub const ACCEPTED: &'static str =
        "addresses or networks such as 10.0.0.0/8,192.168.1.7,fd00::/8, separated by commas";

    /// A list of networks and addresses.
    pub fn parse(list: &str) -> Option<Vec<IpNet>> {
        let network = |item: &str| {
            item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)).ok().map(canonical)
        };
        list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(network).collect()
    }

    /// Whether the client at `peer`, or the one for which a trusted proxy at `peer` speaks, may read.
    pub fn allow(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.client(peer.to_canonical(), headers)
            .is_some_and(|client| contain(&self.allowed, client))
    }

    /// The client: the nearest address that is no trusted proxy. `None` where a proxy names none that
    /// can be read.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer;
        // Every proxy adds the address it was called from at the end; what stands before the first
        // address that is no proxy was sent by the client and may be made up.
        for header in headers.get_all(FORWARDED_FOR).iter().rev() {
            for named in header.to_str().ok()?.rsplit(',') {
                if !contain(&self.proxies, client) {
                    return Some(client);
                }
                client = address(named.trim())?;
            }
        }
        Some(client)
    }
}

fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Networks of IPv4 addresses written as IPv6 mean the same as those written as IPv4.
fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(length)) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(address, length).unwrap_or(network)
        }
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(allowed: &str, proxies: &str) -> Networks {
        let parse = |list| Networks::parse(list).expect("networks");
        Networks { allowed: parse(allowed), proxies: parse(proxies) }
    }

    fn allow(networks: &Networks, peer: &str, forwarded: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().expect("a header"));
        }
        networks.allow(peer.parse().expect("an address"), &headers)
    }

    #[test]
    fn addresses_of_both_families_are_compared_by_what_they_mean() {
        let networks = networks("10.0.0.0/8, 192.168.1.7,fd00::/8,::ffff:172.16.0.0/108", "");
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "192.168.1.7", "fd12::1", "172.16.1.1"] {
            assert!(allow(&networks, peer, &[]), "{peer}");
        }
        for peer in ["11.0.0.1", "192.168.1.8", "fe80::1", "::ffff:9.9.9.9", "172.32.0.1"] {
            assert!(!allow(&networks, peer, &[]), "{peer}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_what_it_saw_itself() {
        let networks = networks("10.0.0.0/8", "127.0.0.1,192.168.0.0/16");
        assert!(allow(&networks, "127.0.0.1", &["10.0.0.1"]));
        assert!(allow(&networks, "127.0.0.1", &["10.0.0.1:4711"]));
        assert!(allow(&networks, "127.0.0.1", &["10.0.0.1", "192.168.3.4"]), "two proxies");
        assert!(allow(&networks, "10.0.0.2", &["8.8.8.8"]), "a client may not speak for another");
        assert!(!allow(&networks, "8.8.8.8", &["10.0.0.1"]), "it is no proxy");
        assert!(!allow(&networks, "127.0.0.1", &["10.0.0.1, 8.8.8.8"]), "the first is made up");
        assert!(!allow(&networks, "127.0.0.1", &["unknown"]));
        assert!(!allow(&networks, "127.0.0.1", &[]), "the proxy itself is not allowed");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0", "10.0.0.1;10.0.0.2"] {
            assert_eq!(Networks::parse(wrong), None, "{wrong}");
        }
    }
}

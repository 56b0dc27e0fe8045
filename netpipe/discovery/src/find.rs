//! Whoever announces itself is asked for its address.

use crate::{Daemon, Service, failed};
use mdns_sd::{ResolvedService, ScopedIp, ServiceEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long the network has to answer. It is asked at once, and after a second.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long others have to answer after the first: whoever is to answer waits 120 ms at most (RFC 6762, section 6).
const OTHERS: Duration = Duration::from_millis(500);
/// Announcements that are looked at: a stranger may make as many as it likes.
const MOST: usize = 64;
/// Addresses of one. Each takes its time to be dialled.
const ADDRESSES: usize = 8;

/// Somebody who announces itself. Two who claim one name are two of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it calls itself.
    pub name: String,
    /// Where it says that it listens.
    pub addresses: Vec<SocketAddr>,
}

/// Asks the local network for those of a service whose names `is_sought` likes, in the order of their names: so whoever asks gets the
/// same order.
///
/// # Errors
/// This process may not look at the networks, or there is none; the system gives no thread or socket.
///
/// # Blocking
/// For [`PATIENCE`], or less if somebody answers.
pub fn find(service: Service, is_sought: impl Fn(&str) -> bool) -> io::Result<Vec<Found>> {
    check_networks(service)?;
    let daemon = Daemon::new()?;
    let events = daemon.0.browse(service.domain()).map_err(|error| failed("ask", &error))?;
    let (mut until, mut found) = (Instant::now() + PATIENCE, Answers::default());
    // That somebody goes is not looked at: anybody can say it of another.
    while let Ok(event) = events.recv_deadline(until) {
        let ServiceEvent::ServiceResolved(resolved) = event else { continue };
        let name = service.instance(&resolved.fullname);
        if is_sought(&name) && found.add(name, &resolved) {
            until = until.min(Instant::now() + OTHERS);
        }
    }
    Ok(found.0.into_values().collect())
}

/// The addresses of all, as they are to be tried: the first of each, then the second of each, and so on. So nobody who announces many
/// keeps the others waiting for long.
pub fn in_turn(found: &[Found]) -> Vec<SocketAddr> {
    let rounds = 0..found.iter().map(|found| found.addresses.len()).max().unwrap_or(0);
    rounds
        .flat_map(|round| found.iter().filter_map(move |found| found.addresses.get(round)).copied())
        .collect()
}

fn check_networks(service: Service) -> io::Result<()> {
    let interfaces = if_addrs::get_if_addrs().map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "this process may not list the networks of its machine: give the address of the {service}, or run the provider in the host"
            ),
            kind => format!("the networks of this machine cannot be listed: {kind}"),
        };
        io::Error::new(error.kind(), text)
    })?;
    if interfaces.iter().all(|interface| interface.is_loopback() || !interface.is_oper_up()) {
        return Err(io::Error::new(
            io::ErrorKind::NetworkDown,
            "no network of this machine is up but loopback",
        ));
    }
    Ok(())
}

/// What was answered, by name and host: anybody can claim another's name, and both are heard.
#[derive(Default)]
struct Answers(BTreeMap<(String, String), Found>);

impl Answers {
    /// Takes an answer; whether it has an address to dial.
    fn add(&mut self, name: String, resolved: &ResolvedService) -> bool {
        let addresses = dialable(resolved.addresses.iter().map(ScopedIp::to_ip_addr), resolved.port);
        if addresses.is_empty() {
            return false;
        }
        // Names of DNS are equal whatever their case.
        let key =
            (name.to_ascii_lowercase(), format!("{}:{}", resolved.host.to_ascii_lowercase(), resolved.port));
        self.0.insert(key, Found { name, addresses });
        if self.0.len() > MOST {
            self.0.pop_last();
        }
        true
    }
}

/// The addresses that one can be dialled at: not this machine's own loopback, to which no other machine is to send it.
fn dialable(addresses: impl Iterator<Item = IpAddr>, port: u16) -> Vec<SocketAddr> {
    let may_be = |ip: &IpAddr| {
        let is_one_host = match ip {
            IpAddr::V4(ip) => !ip.is_broadcast(),
            // Which network it is on would have to be said too.
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        };
        is_one_host && port != 0 && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()
    };
    let addresses: BTreeSet<IpAddr> = addresses.map(|ip| ip.to_canonical()).filter(may_be).collect();
    addresses.into_iter().take(ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, addresses: &[&str]) -> Found {
        Found { name: name.into(), addresses: addresses.iter().map(|at| at.parse().unwrap()).collect() }
    }

    /// One name with 240 addresses kept two ends of a pipe apart for 99 s.
    #[test]
    fn who_announces_many_addresses_delays_the_others_by_one() {
        let many: Vec<_> = (1..=200).map(|host| format!("10.0.9.{host}").parse().unwrap()).collect();
        let many = Found { name: "00many".into(), addresses: dialable(many.into_iter(), 9713) };
        assert_eq!(many.addresses.len(), ADDRESSES);
        let broker = found("broker", &["10.0.0.1:9713", "10.1.0.1:9713"]);
        let order = in_turn(&[many, broker]);
        assert_eq!(order.iter().position(|at| at.ip() == IpAddr::from([10, 0, 0, 1])), Some(1));
        assert_eq!(order.iter().position(|at| at.ip() == IpAddr::from([10, 1, 0, 1])), Some(3));
        assert_eq!(order.len(), ADDRESSES + 2);
    }

    fn resolved(name: &str, host: &str, port: u16, address: [u8; 4]) -> ResolvedService {
        let domain = Service::Broker.domain();
        let properties = Vec::<mdns_sd::TxtProperty>::new();
        let info = mdns_sd::ServiceInfo::new(domain, name, host, IpAddr::from(address), port, properties);
        info.unwrap().as_resolved_service()
    }

    /// A stranger that announced itself under the broker's name kept everybody from the broker.
    #[test]
    fn two_who_claim_one_name_are_both_found() {
        let mut answers = Answers::default();
        for (name, host, port, address) in [
            ("brk1", "liar.local.", 9999, [10, 0, 0, 4]),
            ("Brk1", "netpipe-1.local.", 9713, [10, 0, 0, 3]),
            ("brk1", "liar.local.", 9999, [10, 0, 0, 4]),
        ] {
            assert!(answers.add(name.into(), &resolved(name, host, port, address)));
        }
        let found: Vec<_> = answers.0.into_values().collect();
        assert_eq!(in_turn(&found), ["10.0.0.4:9999", "10.0.0.3:9713"].map(|at| at.parse().unwrap()));
    }

    #[test]
    fn what_a_stranger_names_is_dialled_only_if_it_may_be_another_machine() {
        let addresses = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let odd = [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "224.0.0.251",
            "ff02::fb",
            "255.255.255.255",
            "fe80::1",
        ];
        assert_eq!(dialable(addresses(&odd).into_iter(), 9713), []);
        let good = ["2001:db8::1", "10.0.0.2", "::ffff:10.0.0.1", "10.0.0.2"];
        let sorted = ["10.0.0.1:9713", "10.0.0.2:9713", "[2001:db8::1]:9713"].map(|at| at.parse().unwrap());
        assert_eq!(dialable(addresses(&good).into_iter(), 9713), sorted);
        assert_eq!(dialable(addresses(&good).into_iter(), 0), []);
    }
}

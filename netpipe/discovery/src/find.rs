//! Whoever announces a broker is asked for its address.

use crate::{Daemon, SERVICE, failed, instance};
use mdns_sd::{ScopedIp, ServiceEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long the network has to answer. It is asked at once, and after a second.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long others have to answer after the first: whoever is to answer waits 120 ms at most (RFC 6762, section 6).
const OTHERS: Duration = Duration::from_millis(500);
/// Brokers, and addresses of one, that are looked at: a stranger may announce as many as it likes.
const MOST: usize = 64;

/// Somebody who announces a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it calls itself.
    pub name: String,
    /// Where it says that it listens.
    pub addresses: Vec<SocketAddr>,
}

/// Asks the local network for brokers, in the order of their names: so whoever asks gets the same order.
///
/// # Errors
/// This process may not look at the networks, or there is none; the system gives no thread or socket.
///
/// # Blocking
/// For [`PATIENCE`], or less if somebody answers.
pub fn find() -> io::Result<Vec<Found>> {
    let interfaces = if_addrs::get_if_addrs().map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "this process may not list the networks of its machine: name the broker, or run the provider in the host".to_owned()
            }
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
    let daemon = Daemon::new()?;
    let events = daemon.0.browse(SERVICE).map_err(|error| failed("ask for brokers", &error))?;
    let (mut until, mut found) = (Instant::now() + PATIENCE, BTreeMap::new());
    while let Ok(event) = events.recv_deadline(until) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let addresses = dialable(service.addresses.iter().map(ScopedIp::to_ip_addr), service.port);
                let name = instance(&service.fullname);
                if addresses.is_empty() {
                    continue;
                }
                if found.is_empty() {
                    until = until.min(Instant::now() + OTHERS);
                }
                // Names of DNS are equal whatever their case.
                found.insert(name.to_ascii_lowercase(), Found { name, addresses });
                if found.len() > MOST {
                    found.pop_last();
                }
            }
            ServiceEvent::ServiceRemoved(_, full_name) => {
                drop(found.remove(&instance(&full_name).to_ascii_lowercase()));
            }
            _ => {}
        }
    }
    Ok(found.into_values().collect())
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
    addresses.into_iter().take(MOST).map(|ip| SocketAddr::new(ip, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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

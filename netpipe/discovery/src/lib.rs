//! Brokers and peers of netpipes on the local network, by DNS-SD (RFC 6763) over multicast DNS (RFC 6762).
//!
//! Nobody has proven what an announcement says: whoever finds somebody here believes it once the handshake has proven it.
//!
//! | Module | What |
//! |---|---|
//! | `announce` | an [`Announcement`] |
//! | `find` | who announces itself, [`Found`] by asking |

mod announce;
mod find;

pub use announce::Announcement;
pub use find::{Found, PATIENCE, find, in_turn};

use mdns_sd::{IfKind, ServiceDaemon};
use std::{fmt, io};

/// Who announces itself, and is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A broker, which introduces the ends of pipes.
    Broker,
    /// A peer, where pipes between peers may end.
    Peer,
}

impl Service {
    /// The type of the service, in the domain of multicast DNS.
    fn domain(self) -> &'static str {
        match self {
            Service::Broker => "_netpipe._tcp.local.",
            Service::Peer => "_netpipe-p2p._udp.local.",
        }
    }

    /// An instance's own name, for messages: strangers chose it.
    fn instance(self, full_name: &str) -> String {
        let name = full_name.strip_suffix(self.domain()).and_then(|name| name.strip_suffix('.'));
        let mut shown = String::new();
        let mut letters = name.unwrap_or(full_name).chars();
        while let Some(letter) = letters.next() {
            // What would be taken for the end of the name stands behind a backslash.
            let letter = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
            shown.push(if letter.is_control() { ' ' } else { letter });
        }
        shown
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::Broker => "broker",
            Service::Peer => "peer",
        })
    }
}

/// A thread that speaks multicast DNS, until this is dropped.
struct Daemon(ServiceDaemon);

impl Daemon {
    /// Starts it on all networks but loopback, where nobody needs an announcement.
    fn new() -> io::Result<Daemon> {
        let daemon = Daemon(ServiceDaemon::new().map_err(|error| failed("start", &error))?);
        let loopback = vec![IfKind::LoopbackV4, IfKind::LoopbackV6];
        daemon.0.disable_interface(loopback).map_err(|error| failed("leave out loopback", &error))?;
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It fails where the thread has ended.
        let _ = self.0.shutdown();
    }
}

fn failed(doing: &str, error: &mdns_sd::Error) -> io::Error {
    io::Error::other(format!("multicast DNS: {doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_as_its_operator_wrote_it() {
        for (full, shown) in [
            ("alpha._netpipe._tcp.local.", "alpha"),
            ("room 1\\.2._netpipe._tcp.local.", "room 1.2"),
            ("a\\\\b (2)._netpipe._tcp.local.", "a\\b (2)"),
            ("red\u{1b}[31m._netpipe._tcp.local.", "red [31m"),
            ("._netpipe._tcp.local.", ""),
            ("alpha._netpipe-p2p._udp.local.", "alpha._netpipe-p2p._udp.local."),
        ] {
            assert_eq!(Service::Broker.instance(full), shown);
        }
    }
}

//! Brokers of netpipes on the local network, by DNS-SD (RFC 6763) over multicast DNS (RFC 6762).
//!
//! Nobody has proven what an announcement says: whoever finds a broker here believes it once its handshake proves the secret.
//!
//! | Module | What |
//! |---|---|
//! | `announce` | a broker's [`Announcement`] |
//! | `find` | who announces one, [`Found`] by asking |

mod announce;
mod find;

pub use announce::Announcement;
pub use find::{Found, PATIENCE, find};

use mdns_sd::{IfKind, ServiceDaemon};
use std::io;

/// The type of the service, in the domain of multicast DNS.
const SERVICE: &str = "_netpipe._tcp.local.";

/// A thread that speaks multicast DNS, until this is dropped.
struct Daemon(ServiceDaemon);

impl Daemon {
    /// Starts it on all networks but loopback, where a broker needs no announcement.
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

/// An instance's own name, for messages: strangers chose it.
fn instance(full_name: &str) -> String {
    let name = full_name.strip_suffix(SERVICE).and_then(|name| name.strip_suffix('.')).unwrap_or(full_name);
    let mut shown = String::new();
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        // What would be taken for the end of the name stands behind a backslash.
        let letter = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
        shown.push(if letter.is_control() { ' ' } else { letter });
    }
    shown
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
            ("of another type", "of another type"),
        ] {
            assert_eq!(instance(full), shown);
        }
    }
}

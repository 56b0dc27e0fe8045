//! Brokers that announce themselves on the local network, asked for on a thread of its own.

use super::{Service, Timer};
use crate::queue::Command;
use std::thread;
use std::time::Instant;
use vfs_core::Level;
use zvfs_discovery::{self as discovery, Found, PATIENCE, in_turn};

impl Service {
    /// Asks the local network.
    pub(super) fn discover(&mut self, dial: u64) {
        let queue = self.queue.clone();
        let ask = move || {
            let found =
                discovery::find(discovery::Service::Broker, |_| true).map_err(|error| error.to_string());
            queue.ask(Command::Discovered(dial, found));
        };
        let now = Instant::now();
        match thread::Builder::new().name("zvfs-discover".to_owned()).spawn(ask) {
            // Far more than its time: by then it has failed.
            Ok(_) => self.reactor.at(now + PATIENCE * 5, Timer::Lookup(dial)),
            Err(_) => self.pairing.resolved(now, dial, Err("there is no thread to ask on".to_owned())),
        }
    }

    /// Tries who answered, in the order of their names. An operator hears of several: with one secret they make pipes meet late, and
    /// with another one they keep this side busy. Of two with one name, one may lie.
    pub(super) fn discovered(&mut self, dial: u64, found: Result<Vec<Found>, String>) {
        let found = found.map(|found| {
            let names: Vec<String> = found.iter().map(|found| found.name.clone()).collect();
            if names != self.announced && names.len() > 1 {
                let text = format!(
                    "netpipe: {} brokers announce themselves on the local network: {}: the first that proves the secret is used",
                    names.len(),
                    listed(&found)
                );
                self.log(Level::Warning, &text);
            }
            self.announced = names;
            in_turn(&found)
        });
        self.pairing.resolved(Instant::now(), dial, found);
    }
}

/// Names, and of those that have one in common the first address as well.
fn listed(found: &[Found]) -> String {
    let name = |one: &Found| {
        let others = found.iter().filter(|other| other.name.eq_ignore_ascii_case(&one.name)).count() - 1;
        match one.addresses.first() {
            Some(at) if others > 0 => format!("{} at {at}", one.name),
            _ => one.name.clone(),
        }
    };
    found.iter().map(name).collect::<Vec<_>>().join(", ")
}

//! Brokers that announce themselves on the local network, asked for on a thread of its own.

use super::{Service, Timer};
use crate::queue::Command;
use std::thread;
use std::time::Instant;
use vfs_core::Level;
use zvfs_discovery::{Found, PATIENCE, find};

impl Service {
    /// Asks the local network.
    pub(super) fn discover(&mut self, dial: u64) {
        let queue = self.queue.clone();
        let ask = move || {
            let found = find().map_err(|error| error.to_string());
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
    /// with another one they keep this side busy.
    pub(super) fn discovered(&mut self, dial: u64, found: Result<Vec<Found>, String>) {
        let found = found.map(|found| {
            let names: Vec<String> = found.iter().map(|found| found.name.clone()).collect();
            if names != self.announced && names.len() > 1 {
                let text = format!(
                    "netpipe: {} brokers announce themselves on the local network: {}: the first that proves the secret is used",
                    names.len(),
                    names.join(", ")
                );
                self.log(Level::Warning, &text);
            }
            self.announced = names;
            found.into_iter().flat_map(|found| found.addresses).collect()
        });
        self.pairing.resolved(Instant::now(), dial, found);
    }
}

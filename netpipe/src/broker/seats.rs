//! Who may connect: the limits on connections, counted.

use super::Limits;
use std::collections::HashMap;
use std::net::IpAddr;

/// The connections there are.
#[derive(Debug)]
pub(super) struct Seats {
    limits: Limits,
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
    greeting: usize,
}

impl Seats {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, taken: 0, by_address: HashMap::new(), greeting: 0 }
    }

    /// Whether there is no room for one more handshake.
    pub(super) fn are_full_of_handshakes(&self) -> bool {
        self.greeting >= self.limits.handshakes
    }

    /// Counts one more connection, whose handshake begins.
    ///
    /// # Errors
    /// The text that names the limit it would break.
    pub(super) fn take(&mut self, address: IpAddr) -> Result<(), String> {
        let Limits { connections, connections_per_address, handshakes, .. } = self.limits;
        if self.taken >= connections {
            return Err(format!("over the broker's limit of {connections} connections"));
        }
        if self.greeting >= handshakes {
            return Err(format!("over the broker's limit of {handshakes} handshakes at once"));
        }
        if self.by_address.get(&address).is_some_and(|taken| *taken >= connections_per_address) {
            return Err(format!(
                "over the broker's limit of {connections_per_address} connections of one address"
            ));
        }
        *self.by_address.entry(address).or_default() += 1;
        self.taken += 1;
        self.greeting += 1;
        Ok(())
    }

    /// Connections, those of relays too.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Connections whose handshake is not complete.
    pub(super) fn greeting(&self) -> usize {
        self.greeting
    }

    /// Counts a handshake as over, well or not.
    pub(super) fn greeted(&mut self) {
        self.greeting = self.greeting.saturating_sub(1);
    }

    /// Counts a connection as gone.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(of_address) = self.by_address.get_mut(&address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

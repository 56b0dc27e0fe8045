//! Who may connect: the limits on connections, counted.

use super::Limits;
use std::collections::HashMap;
use std::net::IpAddr;

/// The connections there are.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    connections: usize,
    by_address: HashMap<IpAddr, usize>,
    handshakes: usize,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, connections: 0, by_address: HashMap::new(), handshakes: 0 }
    }

    /// Whether there is no room for one more handshake.
    pub(super) fn are_full_of_handshakes(&self) -> bool {
        self.handshakes >= self.limits.handshakes
    }

    /// Counts one more connection, whose handshake begins.
    ///
    /// # Errors
    /// The text that names the limit it would break.
    pub(super) fn admit(&mut self, address: IpAddr) -> Result<(), String> {
        let Limits { connections, connections_per_address, handshakes, .. } = self.limits;
        if self.connections >= connections {
            return Err(format!("over the broker's limit of {connections} connections"));
        }
        if self.handshakes >= handshakes {
            return Err(format!("over the broker's limit of {handshakes} handshakes at once"));
        }
        if self.by_address.get(&address).is_some_and(|count| *count >= connections_per_address) {
            return Err(format!(
                "over the broker's limit of {connections_per_address} connections of one address"
            ));
        }
        *self.by_address.entry(address).or_default() += 1;
        self.connections += 1;
        self.handshakes += 1;
        Ok(())
    }

    /// Connections, those of relays too.
    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    /// Connections whose handshake is not complete.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// Counts a handshake as over, well or not.
    pub(super) fn end_handshake(&mut self) {
        self.handshakes = self.handshakes.saturating_sub(1);
    }

    /// Counts a connection as gone.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.connections = self.connections.saturating_sub(1);
        if let Some(of_address) = self.by_address.get_mut(&address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

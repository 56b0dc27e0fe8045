//! The rest of a pipe through memory, for ends that have met on one host and whose network is no connection: what the writer sends is
//! in a ring, and what the reader says goes by the network as ever. docs/netpipe-protocol.md has the rules, under "Other networks".

mod inlet;
mod outlet;
#[cfg(test)]
mod tests;

pub use inlet::{Arrival, Inlet, Look};
pub use outlet::{Moment, Outlet};

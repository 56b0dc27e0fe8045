//! Ends that are on one kernel: how they find that out, and a ring of bytes between them.
//!
//! After a handshake the two know a name that nobody else can know. Once their pipe has carried enough for that to pay, the writer waits
//! there, on a socket of the kernel's own, and says so; the reader comes. Whoever is on another kernel, or behind another wall, finds
//! nobody there, and the connection carries everything as ever.
//! docs/netpipe-protocol.md has the rules.

mod bell;
mod meeting;
mod rendezvous;
pub mod ring;
mod way;

pub use bell::{Bell, Heard};
pub use meeting::{Meeting, Step};
pub use rendezvous::{Offer, Place, Ring, Venue};
pub use ring::{Consumer, Producer};
pub use way::{Arriving, Guest, Leaving, SameHost, Way};

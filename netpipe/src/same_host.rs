//! Ends that are on one kernel: how they find that out, and a ring of bytes between them.
//!
//! After a handshake the two know a name that nobody else can know. Once their pipe has carried enough for that to pay, the writer waits
//! there, on a socket of the kernel's own, and says so; the reader comes. Whoever is on another kernel, or behind another wall, finds
//! nobody there, and the connection carries everything as ever.
//! docs/netpipe-protocol.md has the rules.

mod meeting;
mod rendezvous;
pub mod ring;

pub use meeting::{Meeting, Step};
pub use rendezvous::{Offer, Place, Ring, Venue};
pub use ring::{Consumer, Producer};

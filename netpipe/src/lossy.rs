//! Pipes over a network of messages, any of which may be lost, as NATS is. docs/netpipe-nats.md is the contract.
//!
//! The ends of a pipe number their bytes, keep what the reader has not taken, and send it again. Each end is a state machine without
//! IO: its owner moves messages and times, and keeps names where the network can.
//!
//! | Module | What |
//! |---|---|
//! | `end` | what goes into an end and comes out of it |
//! | `frame` | what the ends say to each other |
//! | `writer_end`, `outgoing` | the writing end; what it keeps to send again |
//! | `reader_end`, `inflow`, `claim` | the reading end; one writer's stream; how a reader comes by its name |

mod claim;
mod end;
mod frame;
mod inflow;
mod outgoing;
mod reader_end;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod writer_end;

pub use end::{Answer, End, Forbidden, Inbox, Place, Timing, To, Transmit, Wish};
pub use frame::{Frame, Malformed};
pub use inflow::Flow;
pub use outgoing::MESSAGE_MAX;
pub use reader_end::ReaderEnd;
pub use writer_end::{Outcome, WriterEnd};

//! netpipe: named pipes between machines, as bytes.
//!
//! What two ends of a pipe, or an instance and a broker, say to each other; docs/netpipe-protocol.md is the contract, and
//! this crate is one implementation of it. Everything but the broker, and where ends on one host meet, is sans-IO: it takes bytes
//! and gives bytes, so its owner chooses the sockets, the clock and the threads, and payload goes straight between a socket and a
//! caller's buffer.
//!
//! | Module | What |
//! |---|---|
//! | [`frame`] | the 12-byte header, the types with their bounds, the CRC |
//! | [`message`] | every small frame as a value, and the [`Decoder`] that gets them out of a stream |
//! | [`digest`] | digests over a whole pipe |
//! | [`hello`] | the first frame of either side |
//! | [`handshake`] | the [`Handshake`], from either side |
//! | [`descriptor`] | every form of a pipe's [`Descriptor`] |
//! | [`auth`] | the [`Secret`] and its proofs |
//! | [`broker`] | the [`Broker`](broker::Broker), with its sockets and its loop |
//! | [`held`] | what a broker tells of itself |
//! | [`pairing`] | how the ends of an instance's pipes find each other |
//! | [`endpoint`] | a host and a port; where a broker is |
//! | [`lossy`] | pipes over a network of messages that may be lost: frames and ends |
//! | [`passage`] | the rest of a pipe through memory, where a network is no connection |
//! | [`pipe`] | what the two ends of a pipe count and check |
//! | [`provider`] | what every provider of netpipes makes of a request; the one module that knows the ABI's traits |
//! | [`repeats`] | lines of a log that come over and over |
//! | [`same_host`] | ends on one kernel: where they meet, and a ring between them |

pub mod auth;
pub mod broker;
pub mod descriptor;
pub mod digest;
pub mod endpoint;
mod error;
mod fields;
pub mod frame;
pub mod handshake;
pub mod held;
pub mod hello;
pub mod lossy;
pub mod message;
pub mod pairing;
pub mod passage;
pub mod pipe;
pub mod provider;
pub mod repeats;
pub mod same_host;
mod values;

pub use auth::Secret;
pub use descriptor::Descriptor;
pub use endpoint::{BROKER_PORT, BrokerAt, Endpoint, NATS_PORT};
pub use error::{Error, Reason, Result, code};
pub use frame::{Header, Kind};
pub use handshake::{Established, Handshake, Local, Progress};
pub use hello::{Hello, Purpose};
pub use message::{Decoder, Match, Message, Register, Sender};
pub use values::{Address, Name, Role, Token};

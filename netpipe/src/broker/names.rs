//! Who waits for whom: registrations by name, their pairing, and what was given up. No sockets, and no clock of its own.

use super::limits::{Limits, Times};
use crate::code::Code;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A connection to the broker.
pub(super) type Client = u64;
/// Where a registration lies: its connection, and its id on it.
pub(super) type Place = (Client, u64);

/// What an instance asks to be introduced for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) name: String,
    /// The address that the broker sees, for messages.
    pub(super) peer: SocketAddr,
    pub(super) side: Side,
}

/// The end of the pipe that an instance has opened.
#[derive(Clone, Debug)]
pub(super) enum Side {
    Reader {
        /// Where it accepts writers, hosts filled in.
        addresses: Vec<String>,
        /// How many more writers it expects; `None`: any number.
        writers: Option<u32>,
    },
    Writer,
}

/// What one instance is to be told about one registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Match { token: Token, addresses: Vec<String> },
    Relay { token: Token },
    Refused { code: Code, text: String },
}

/// The registrations of all connections.
pub(super) struct Names {
    limits: Limits,
    times: Times,
    registrations: BTreeMap<Place, Registration>,
    pipes: HashMap<Arc<str>, Pipe>,
    discards: Discards,
    /// What each connection holds: registrations, and discards that are still remembered.
    held: HashMap<Client, usize>,
    relays: Relays,
    arrivals: u64,
    notices: VecDeque<(Place, Notice)>,
    log: Vec<String>,
}

//! What the state machine wants done.

use super::Failure;
use crate::endpoint::{BrokerAt, Endpoint};
use crate::message::Message;
use crate::values::Token;
use std::net::SocketAddr;
use std::time::Instant;

/// What the executor is to do.
#[derive(Debug)]
pub enum Action {
    /// Look up a name for this dial, and call [`Pairing::resolved`](super::Pairing::resolved).
    LookUp(u64, Endpoint),
    /// Ask the local network for brokers for this dial, and call [`Pairing::resolved`](super::Pairing::resolved) with their addresses.
    Discover(u64),
    /// Listen for the other end of this pipe, or call [`Pairing::fail`](super::Pairing::fail).
    Listen(u64, SocketAddr),
    /// Listen for it no more, if that was done.
    StopListening(u64),
    /// Connect, and then call [`Pairing::connected`](super::Pairing::connected); or else [`missed`](super::Pairing::missed), [`denied`](super::Pairing::denied) or
    /// [`starved`](super::Pairing::starved).
    Connect {
        /// For which dial.
        dial: u64,
        /// Where to.
        to: SocketAddr,
        /// When to give up.
        until: Instant,
        /// Who will read from the connection, if that is known.
        reader: Option<u64>,
    },
    /// Send a frame on this connection to a broker. A reader's REGISTER gets the addresses at which this side listens first.
    Tell(u64, Message),
    /// Close this connection to a broker: another takes its place.
    HangUp(u64),
    /// Go on with whoever came with this token before it was known.
    Expect(Token),
    /// Call [`Pairing::fire`](super::Pairing::fire) at that time.
    SetTimer(Instant, Timer),
    /// Tell whoever waits for this pipe why its other end is not there yet; `None`: what was told last is over.
    Note(u64, Option<String>),
    /// Tell whoever waits for this pipe that its other end will not come.
    Fail(u64, Failure),
}

/// What becomes of a connection whose handshake is complete.
#[derive(Debug)]
pub enum Disposition {
    /// It is this pipe's.
    Connect(u64),
    /// It gets this last frame.
    Dismiss(Message),
    /// It is closed.
    Close,
    /// It is a broker's: call [`Pairing::broker_connected`](super::Pairing::broker_connected).
    Broker(BrokerAt),
    /// A broker has joined it with the other end, which accepts: as after [`Pairing::connected`](super::Pairing::connected).
    Dial(u64),
    /// A broker has joined it with the other end, which dials: as if that had come to a listener.
    Accept,
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The other end of this pipe was not there, or busy, and is looked for again.
    Look(u64),
    /// This broker is to be dialled again.
    Broker(BrokerAt),
    /// This pipe's broker was found on the local network, which is to be asked again whether another comes first.
    Doubt(u64),
    /// This writer's introduced reader is to be dialled again.
    Redial(u64, Token),
    /// This token is good no more.
    Token(Token),
    /// This writer's DISCARD is remembered no more.
    Forget(u64),
}

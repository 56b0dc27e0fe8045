//! What a broker tells of itself to whoever asks: STATUS, HELD and TOTALS, where both sides have the feature.

use crate::error::{Error, Result};
use crate::fields::{self, push_address, put, put_addresses};
use crate::values::{Address, Name};
use std::net::SocketAddr;

/// Where something stands in a broker's list: numbers that mean nothing else. Zeros: before the first.
pub type Place = (u64, u64);

/// One thing that a broker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it stands; the list is in this order.
    pub place: Place,
    /// What it is.
    pub state: State,
    /// The pipe.
    pub name: Name,
    /// Whose it is, as the broker sees them: the instance; then, of an introduced writer, the reader's; of a relay, the two ends'.
    pub peers: Vec<Address>,
    /// Of a reader: how many more writers it waits for; `None`: any number.
    pub writers: Option<u32>,
    /// Its age.
    pub seconds: u64,
    /// Of a relay: the bytes from the first end, and from the second.
    pub bytes: [u64; 2],
}

/// What a broker holds of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// A reader.
    Reader = 1,
    /// A writer that waits for a reader.
    Writer = 2,
    /// A writer that was introduced to a reader.
    Introduced = 3,
    /// A pipe that goes through the broker.
    Relay = 4,
}

/// How much a broker holds, and where the list goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// What to ask for next; zeros: the list is at its end.
    pub next: Place,
    /// Connections, those of relays too.
    pub connections: u32,
    /// Those of them whose handshake is not complete.
    pub handshakes: u32,
    /// Registrations.
    pub registrations: u32,
    /// Names that a writer gave up, remembered for their next reader.
    pub discards: u32,
    /// Pipes that go through the broker.
    pub relays: u32,
}

impl Held {
    /// Makes an entry of the list, without what only a reader or a relay has.
    pub(crate) fn new(place: Place, state: State, name: &Name, peers: &[SocketAddr], seconds: u64) -> Held {
        let peers = peers.iter().filter_map(|peer| Address::new(&peer.to_string()).ok()).collect();
        Held { place, state, name: name.clone(), peers, writers: None, seconds, bytes: [0; 2] }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = place_bytes(self.place).to_vec();
        put(&mut out, fields::STATE, &[self.state as u8]);
        put(&mut out, fields::NAME, self.name.as_str().as_bytes());
        put_addresses(&mut out, &self.peers);
        if let Some(writers) = self.writers {
            put(&mut out, fields::WRITERS, &writers.to_le_bytes());
        }
        put(&mut out, fields::SECONDS, &self.seconds.to_le_bytes());
        put(&mut out, fields::BYTES, &place_bytes(self.bytes.into()));
        out
    }

    pub(crate) fn parse(place: Place, body: &[u8]) -> Result<Held> {
        let (mut state, mut name, mut peers, mut writers) = (None, None, Vec::new(), None);
        let (mut seconds, mut bytes) = (0, [0; 2]);
        fields::each(body, |field| {
            match field.tag {
                fields::STATE => state = Some(field.u8()?),
                fields::NAME => name = Some(field.name()?),
                fields::ADDRESS => push_address(&mut peers, field.address()?)?,
                fields::WRITERS => writers = Some(field.u32()?),
                fields::SECONDS => seconds = field.u64()?,
                fields::BYTES => bytes = place_of(field.array()?).into(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let state = match state {
            Some(1) => State::Reader,
            Some(2) => State::Writer,
            Some(3) => State::Introduced,
            Some(4) => State::Relay,
            _ => return Err(Error::protocol("a HELD frame of no known state")),
        };
        let name = name.ok_or_else(|| Error::protocol("a HELD frame without name"))?;
        Ok(Held { place, state, name, peers, writers, seconds, bytes })
    }
}

impl Totals {
    pub(crate) fn body(&self) -> Vec<u8> {
        let Totals { next, connections, handshakes, registrations, discards, relays } = *self;
        let counts = [connections, handshakes, registrations, discards, relays];
        let counts = counts.iter().flat_map(|count| count.to_le_bytes());
        place_bytes(next).into_iter().chain(counts).collect()
    }

    pub(crate) fn from_counts(next: Place, counts: [u32; 5]) -> Totals {
        let [connections, handshakes, registrations, discards, relays] = counts;
        Totals { next, connections, handshakes, registrations, discards, relays }
    }
}

pub(crate) fn place_bytes((one, two): Place) -> [u8; 16] {
    ((u128::from(two) << 64) | u128::from(one)).to_le_bytes()
}

pub(crate) fn place_of(bytes: [u8; 16]) -> Place {
    let both = u128::from_le_bytes(bytes);
    (both as u64, (both >> 64) as u64)
}

//! Frames: the 12-byte header, the types with their bounds, and the CRC.

use crate::error::{Error, Reason, Result};
use std::ops::RangeInclusive;

/// The bytes of a header.
pub const HEADER: usize = 12;
/// The most payload bytes of one DATA frame: 1 MiB.
pub const DATA_MAX: usize = 1 << 20;
/// The most bytes of a write that arrives whole among those of other writers, in one DATA frame: 64 KiB.
pub const ATOMIC: usize = 64 << 10;
/// The most bytes of any other frame's body.
pub const CONTROL_MAX: usize = 4096;

const CRC_PRESENT: u8 = 1;
const REASON_MAX: u32 = 4 + Reason::TEXT_MAX as u32;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $wire:literal, $bounds:expr;)*) => {
        /// What a frame is: the first byte of its header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $byte,)* }

        impl Kind {
            /// Every type of this version.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];

            /// The type of a header's first byte; `None` if this version has none such.
            pub fn from_byte(byte: u8) -> Option<Kind> {
                match byte { $($byte => Some(Kind::$name),)* _ => None }
            }

            /// The type's name in the protocol's document.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$name => $wire,)* }
            }

            /// What a receiver says of one that may not come now, or not from this sender.
            pub(crate) fn out_of_turn(self) -> Error {
                Error::protocol(format!("{} frame out of turn", self.name()))
            }

            /// The lengths that the type's body may have.
            pub fn bounds(self) -> RangeInclusive<u32> {
                match self { $(Kind::$name => $bounds,)* }
            }
        }
    };
}

kinds! {
    /// The first frame of either side.
    Hello = 0x01, "HELLO", 12..=4096;
    /// Shows that the sender has the secret.
    Proof = 0x02, "PROOF", 32..=32;
    /// Says why the sender closes.
    Refusal = 0x03, "REFUSAL", 4..=REASON_MAX;
    /// Payload.
    Data = 0x10, "DATA", 1..=DATA_MAX as u32;
    /// The pipe's good end.
    End = 0x11, "END", 8..=8;
    /// The pipe's bad end.
    Discard = 0x12, "DISCARD", 4..=REASON_MAX;
    /// How many bytes the reader's owner has taken.
    Taken = 0x20, "TAKEN", 8..=8;
    /// The reader wants no more.
    Closed = 0x21, "CLOSED", 8..=8;
    /// The reader has taken everything up to END.
    Done = 0x22, "DONE", 0..=0;
    /// An open asks to meet its peer.
    Register = 0x40, "REGISTER", 8..=4096;
    /// A registration ends.
    Withdraw = 0x41, "WITHDRAW", 8..=8;
    /// The writer reached none of the reader's addresses.
    Unreachable = 0x42, "UNREACHABLE", 24..=24;
    /// A writer was discarded before it met its reader.
    Discarded = 0x43, "DISCARDED", 8..=8;
    /// Two opens may meet.
    Match = 0x50, "MATCH", 8..=4096;
    /// A registration is refused.
    Refused = 0x51, "REFUSED", 12..=8 + REASON_MAX;
    /// Two opens meet through the broker.
    Relay = 0x52, "RELAY", 24..=24;
    /// Asks for a sign of life.
    Ping = 0x60, "PING", 0..=0;
    /// The sign of life.
    Pong = 0x61, "PONG", 0..=0;
    /// The digest of all payload, before END. Only if both sides have the feature.
    Digest = 0x80, "DIGEST", 32..=32;
    /// The writer has more, and no room for it. Only if both sides have the feature.
    Full = 0x81, "FULL", 0..=0;
    /// The window from now on. Only if both sides have the feature.
    Window = 0x82, "WINDOW", 4..=4;
    /// A sign of life. Only if both sides have the feature.
    Alive = 0x83, "ALIVE", 0..=0;
    /// The writer waits where the two meet, or goes on there. Only if both sides have the feature.
    Meeting = 0x84, "MEETING", 1..=1;
    /// Asks a broker what it holds behind a place. Only if both sides have the feature.
    Status = 0x90, "STATUS", 16..=16;
    /// One thing that a broker holds.
    Held = 0x91, "HELD", 16..=4096;
    /// How much a broker holds, and where its list goes on: the end of an answer.
    Totals = 0x92, "TOTALS", 36..=36;
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// The CRC that the sender gave; see [`Crc`].
    pub crc: Option<u32>,
    /// The bytes of the body.
    pub length: u32,
}

impl Header {
    /// Makes the header of a DATA frame, with a CRC or without. `payload` has 1 to [`DATA_MAX`] bytes.
    pub fn data(payload: &[u8], crc: bool) -> Header {
        let mut header = Header { kind: Kind::Data, crc: None, length: payload.len() as u32 };
        header.crc = crc.then(|| Crc::of(&header, payload));
        header
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.kind as u8;
        bytes[1] = if self.crc.is_some() { CRC_PRESENT } else { 0 };
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..].copy_from_slice(&self.crc.unwrap_or(0).to_le_bytes());
        bytes
    }

    /// Reads a header, whatever the bytes.
    ///
    /// # Errors
    /// A type that is not known, or a length that its body cannot have: [`Error::Protocol`].
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Header> {
        let [kind, flags, _, _, l0, l1, l2, l3, c0, c1, c2, c3] = *bytes;
        let kind = Kind::from_byte(kind)
            .ok_or_else(|| Error::protocol(format!("a frame of the unknown type {kind:#04x}")))?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if !kind.bounds().contains(&length) {
            return Err(Error::protocol(format!("a {} frame of {length} bytes", kind.name())));
        }
        let crc = (flags & CRC_PRESENT != 0).then(|| u32::from_le_bytes([c0, c1, c2, c3]));
        Ok(Header { kind, crc, length })
    }
}

/// A CRC32C that grows with the body: of the type, the length and the body of one frame.
///
/// Type and length are in it, so that a flipped bit there is found as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc(u32);

impl Crc {
    /// Begins a frame's CRC.
    pub fn new(kind: Kind, length: u32) -> Crc {
        let [a, b, c, d] = length.to_le_bytes();
        Crc(crc32c(&[kind as u8, a, b, c, d]))
    }

    /// Goes on over the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = ::crc32c::crc32c_append(self.0, bytes);
    }

    /// The CRC of all bytes so far.
    pub fn value(self) -> u32 {
        self.0
    }

    /// The CRC of a whole frame.
    pub fn of(header: &Header, body: &[u8]) -> u32 {
        let mut crc = Crc::new(header.kind, header.length);
        crc.update(body);
        crc.value()
    }
}

/// CRC32C (Castagnoli) of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// Checks a whole body against the CRC in its header, if that has one.
pub(crate) fn check(header: &Header, body: &[u8]) -> Result<()> {
    match header.crc {
        Some(crc) if crc != Crc::of(header, body) => Err(Error::Checksum),
        _ => Ok(()),
    }
}

/// Appends a whole frame with its CRC. The callers' bodies are within the type's bounds.
pub(crate) fn append(out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    let mut header = Header { kind, crc: None, length: body.len() as u32 };
    header.crc = Some(Crc::of(&header, body));
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(body);
}

/// Gathers one frame at a time: header first, then as much as its owner asks for, never more.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    bytes: Vec<u8>,
}

impl Gather {
    /// Takes bytes off `input` until there are `total`; true when there are.
    pub fn fill(&mut self, input: &mut &[u8], total: usize) -> bool {
        let count = total.saturating_sub(self.bytes.len()).min(input.len());
        let (taken, rest) = input.split_at(count);
        self.bytes.extend_from_slice(taken);
        *input = rest;
        self.bytes.len() >= total
    }

    /// The header's bytes; `None` as long as they are not whole.
    pub fn header(&self) -> Option<&[u8; HEADER]> {
        self.bytes.first_chunk()
    }

    /// The bytes after the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// All bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes so far, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Begins the next frame.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

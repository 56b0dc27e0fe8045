//! HELLO, the first frame of either side.

use crate::error::{Error, Result};
use crate::fields::{self, put};
use crate::frame::{self, Kind};
use crate::values::{Name, Role, Token};
use std::ops::RangeInclusive;

/// The first bytes of HELLO's body.
pub const MAGIC: [u8; 8] = *b"\x89npipe\r\n";
/// The versions that this crate speaks.
pub const VERSIONS: RangeInclusive<u16> = 1..=1;
/// The feature bit of CRCs on DATA frames.
pub const FEATURE_CRC: u64 = 1;
/// The feature bit of windows that grow: FULL and WINDOW.
pub const FEATURE_WINDOWS: u64 = 8;
/// The feature bit of signs of life: ALIVE.
pub const FEATURE_ALIVE: u64 = 16;
/// The feature bit of what a broker tells of itself: STATUS, HELD, TOTALS.
pub const FEATURE_STATUS: u64 = 32;
/// The feature bit of ends that meet on one host: MEETING.
pub const FEATURE_SAME_HOST: u64 = 64;
/// A reader's window, in bytes, if its HELLO names none: 1 MiB.
pub const WINDOW_DEFAULT: u32 = 1 << 20;
/// The least window, in bytes: a write of [`ATOMIC`](frame::ATOMIC) bytes must fit.
pub const WINDOW_MIN: u32 = frame::ATOMIC as u32;

const AGENT_MAX: usize = 64;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A writer and a reader.
    Pipe = 1,
    /// An instance and its broker.
    Broker = 2,
    /// An instance and a broker, which joins two of them.
    Relay = 3,
}

/// What a side says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The versions that it speaks.
    pub versions: RangeInclusive<u16>,
    /// What the connection is for.
    pub purpose: Purpose,
    /// Which end of the pipe it is; [`Purpose::Pipe`] only.
    pub role: Option<Role>,
    /// The pipe; [`Purpose::Pipe`] only.
    pub name: Option<Name>,
    /// Random bytes, new for each HELLO. The handshake fills them in.
    pub nonce: [u8; 32],
    /// What the broker gave: always for [`Purpose::Relay`], for [`Purpose::Pipe`] where a broker introduced the two.
    pub token: Option<Token>,
    /// Whether it has a secret. The handshake fills it in.
    pub proof: bool,
    /// The optional features that it has, such as [`FEATURE_CRC`].
    pub features: u64,
    /// Software and version, for logs: at most 64 bytes.
    pub agent: Option<String>,
    /// Reader only: the most payload bytes that may be sent and not be taken; `None` means [`WINDOW_DEFAULT`].
    pub window: Option<u32>,
    /// How often this side wants a sign of life where there is nothing else to send, in milliseconds; [`Purpose::Pipe`] only.
    pub alive: Option<u32>,
}

impl Hello {
    /// Makes the HELLO of one end of a pipe.
    pub fn pipe(role: Role, name: Name, token: Option<Token>) -> Hello {
        Hello { role: Some(role), name: Some(name), token, ..Hello::bare(Purpose::Pipe) }
    }

    /// Makes the HELLO of an instance to its broker.
    pub fn broker() -> Hello {
        Hello::bare(Purpose::Broker)
    }

    /// Makes the HELLO of an instance to a broker that is to join it with another.
    pub fn relay(token: Token) -> Hello {
        Hello { token: Some(token), ..Hello::bare(Purpose::Relay) }
    }

    /// The window in bytes, whether given or not.
    pub fn window(&self) -> u32 {
        self.window.unwrap_or(WINDOW_DEFAULT)
    }

    /// The whole frame. An agent over 64 bytes is cut, one with control characters left out; a window below
    /// [`WINDOW_MIN`] becomes that.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&self.versions.start().to_le_bytes());
        body.extend_from_slice(&self.versions.end().to_le_bytes());
        put(&mut body, fields::PURPOSE, &[self.purpose as u8]);
        if let Some(role) = self.role {
            put(&mut body, fields::ROLE, &[role as u8]);
        }
        if let Some(name) = &self.name {
            put(&mut body, fields::NAME, name.as_str().as_bytes());
        }
        put(&mut body, fields::NONCE, &self.nonce);
        if let Some(token) = &self.token {
            put(&mut body, fields::TOKEN, &token.0);
        }
        put(&mut body, fields::PROOF, &[u8::from(self.proof)]);
        put(&mut body, fields::FEATURES, &self.features.to_le_bytes());
        if let Some(agent) = self.agent.as_deref().filter(|agent| !agent.chars().any(char::is_control)) {
            put(&mut body, fields::AGENT, &agent.as_bytes()[..agent.floor_char_boundary(AGENT_MAX)]);
        }
        if let Some(window) = self.window {
            put(&mut body, fields::WINDOW, &window.max(WINDOW_MIN).to_le_bytes());
        }
        if let Some(alive) = self.alive {
            put(&mut body, fields::ALIVE, &alive.to_le_bytes());
        }
        let mut frame = Vec::with_capacity(frame::HEADER + body.len());
        frame::append(&mut frame, Kind::Hello, &body);
        frame
    }

    /// Reads HELLO's body.
    ///
    /// # Errors
    /// Without the magic: [`Error::NotNetpipe`]; a broken rule: [`Error::Protocol`].
    pub fn parse(body: &[u8]) -> Result<Hello> {
        let rest = body.strip_prefix(&MAGIC).ok_or(Error::NotNetpipe)?;
        let Some((&[l0, l1, h0, h1], rest)) = rest.split_first_chunk::<4>() else {
            return Err(Error::protocol("a HELLO without versions"));
        };
        let (lowest, highest) = (u16::from_le_bytes([l0, l1]), u16::from_le_bytes([h0, h1]));
        if lowest == 0 || lowest > highest {
            return Err(Error::protocol(format!("a HELLO with the versions {lowest} to {highest}")));
        }
        let (mut purpose, mut nonce, mut proof) = (None, None, None);
        let mut hello = Hello { versions: lowest..=highest, ..Hello::bare(Purpose::Broker) };
        fields::each(rest, |field| {
            match field.tag {
                fields::PURPOSE => purpose = Some(field.u8()?),
                fields::ROLE => hello.role = Some(field.role()?),
                fields::NAME => hello.name = Some(field.name()?),
                fields::NONCE => nonce = Some(field.array()?),
                fields::TOKEN => hello.token = Some(field.token()?),
                fields::PROOF => proof = Some(field.flag()?),
                fields::FEATURES => hello.features = field.u64()?,
                fields::AGENT => hello.agent = Some(field.text(AGENT_MAX)?.to_owned()),
                fields::WINDOW => hello.window = Some(field.u32()?),
                fields::ALIVE => hello.alive = Some(field.u32()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(purpose), Some(nonce), Some(proof)) = (purpose, nonce, proof) else {
            return Err(Error::protocol("a HELLO without purpose, nonce or proof"));
        };
        hello.purpose = match purpose {
            1 => Purpose::Pipe,
            2 => Purpose::Broker,
            3 => Purpose::Relay,
            other => return Err(Error::protocol(format!("a HELLO with the unknown purpose {other}"))),
        };
        (hello.nonce, hello.proof) = (nonce, proof);
        hello.check()?;
        Ok(hello)
    }

    /// Checks which fields go with which purpose and role.
    fn check(&self) -> Result<()> {
        let pipe = self.purpose == Purpose::Pipe;
        if self.role.is_some() != pipe || self.name.is_some() != pipe {
            return Err(Error::protocol("role and name belong to a PIPE, and only there"));
        }
        if self.purpose == Purpose::Relay && self.token.is_none() {
            return Err(Error::protocol("a RELAY without a token"));
        }
        if self.purpose == Purpose::Broker && self.token.is_some() {
            return Err(Error::protocol("a token that must not be there"));
        }
        match self.window {
            Some(_) if self.role != Some(Role::Reader) => Err(Error::protocol("only a reader has a window")),
            Some(window) if window < WINDOW_MIN => {
                Err(Error::protocol(format!("a window of {window} bytes")))
            }
            _ => Ok(()),
        }
    }

    fn bare(purpose: Purpose) -> Hello {
        Hello {
            versions: VERSIONS,
            purpose,
            role: None,
            name: None,
            nonce: [0; 32],
            token: None,
            proof: false,
            features: 0,
            agent: None,
            window: None,
            alive: None,
        }
    }
}

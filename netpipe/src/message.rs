//! Every small frame after the handshake, as a value; and the decoder that gets them out of a stream.

use crate::error::{Error, Reason, Result};
pub use crate::fields::ADDRESSES_MAX;
use crate::fields::{self, push_address, put, put_addresses};
use crate::frame::{self, Gather, HEADER, Header, Kind};
use crate::held::{Held, Place, Totals, place_bytes, place_of};
use crate::same_host::Step;
use crate::values::{Address, Name, Role, Token};

/// A frame after the handshake, except DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Why the sender closes.
    Refusal(Reason),
    /// The pipe's good end, and the payload bytes of all DATA frames.
    End(u64),
    /// The digest of the payload of all DATA frames; END follows.
    Digest([u8; 32]),
    /// The writer has more, and its window no room for it.
    Full,
    /// The reader's window in bytes from now on: never less than before.
    Window(u32),
    /// A sign of life.
    Alive,
    /// The writer's way to where the two meet.
    Meeting(Step),
    /// The pipe's bad end.
    Discard(Reason),
    /// The payload bytes that the reader's owner has taken.
    Taken(u64),
    /// The reader wants no more; the total as in `Taken`.
    Closed(u64),
    /// The reader has taken everything up to END.
    Done,
    /// An open asks to meet its peer.
    Register(Register),
    /// A registration ends: its id.
    Withdraw(u64),
    /// The writer of this registration reached none of the reader's addresses.
    Unreachable {
        /// The registration.
        id: u64,
        /// The token of the MATCH that led nowhere.
        token: Token,
    },
    /// The writer of this registration was discarded before it met its reader.
    Discarded(u64),
    /// Two opens may meet.
    Match(Match),
    /// A registration is refused.
    Refused {
        /// The registration.
        id: u64,
        /// Why.
        reason: Reason,
    },
    /// Two opens meet through the broker.
    Relay {
        /// The registration.
        id: u64,
        /// What both give in the HELLO of their RELAY connection.
        token: Token,
    },
    /// Asks for a sign of life.
    Ping,
    /// The sign of life.
    Pong,
    /// Asks a broker what it holds behind a place.
    Status(Place),
    /// One thing that a broker holds.
    Held(Box<Held>),
    /// How much a broker holds, and where its list goes on.
    Totals(Totals),
}

/// An open that asks to meet its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The instance's choice, unique on its connection.
    pub id: u64,
    /// What the open is.
    pub role: Role,
    /// The pipe.
    pub name: Name,
    /// Where the reader's instance accepts connections. Those after the eighth are not sent.
    pub addresses: Vec<Address>,
    /// Reader only: how many more writers it expects; 0 = any number; `None` means 1.
    pub writers: Option<u32>,
    /// Reader only: where the name has a reader, the broker looks at once whether that one still lives.
    pub takeover: bool,
}

/// A reader and a writer of one name, introduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The registration.
    pub id: u64,
    /// What both give in the HELLO of their PIPE connection.
    pub token: Token,
    /// To the writer: where the reader's instance accepts connections. Those after the eighth are not sent.
    pub addresses: Vec<Address>,
}

/// Who sends the frames of a stream: it decides which may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The writing end of a pipe.
    Writer,
    /// The reading end of a pipe.
    Reader,
    /// An instance, to its broker.
    Instance,
    /// A broker.
    Broker,
}

impl Sender {
    /// Whether frames of this type may come from this sender after the handshake.
    pub fn sends(self, kind: Kind) -> bool {
        use Kind::*;
        match self {
            Sender::Writer => {
                matches!(kind, Data | Digest | End | Discard | Full | Meeting | Alive | Refusal)
            }
            Sender::Reader => matches!(kind, Taken | Closed | Done | Window | Alive | Refusal),
            Sender::Instance => {
                matches!(kind, Register | Withdraw | Unreachable | Discarded | Status | Ping | Pong | Refusal)
            }
            Sender::Broker => matches!(kind, Match | Refused | Relay | Held | Totals | Ping | Pong | Refusal),
        }
    }
}

impl Message {
    /// The type of the frame.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Refusal(_) => Kind::Refusal,
            Message::End(_) => Kind::End,
            Message::Digest(_) => Kind::Digest,
            Message::Full => Kind::Full,
            Message::Window(_) => Kind::Window,
            Message::Alive => Kind::Alive,
            Message::Meeting(_) => Kind::Meeting,
            Message::Discard(_) => Kind::Discard,
            Message::Taken(_) => Kind::Taken,
            Message::Closed(_) => Kind::Closed,
            Message::Done => Kind::Done,
            Message::Register(_) => Kind::Register,
            Message::Withdraw(_) => Kind::Withdraw,
            Message::Unreachable { .. } => Kind::Unreachable,
            Message::Discarded(_) => Kind::Discarded,
            Message::Match(_) => Kind::Match,
            Message::Refused { .. } => Kind::Refused,
            Message::Relay { .. } => Kind::Relay,
            Message::Ping => Kind::Ping,
            Message::Pong => Kind::Pong,
            Message::Status(_) => Kind::Status,
            Message::Held(_) => Kind::Held,
            Message::Totals(_) => Kind::Totals,
        }
    }

    /// The whole frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + 24);
        self.append_to(&mut out);
        out
    }

    /// Appends the whole frame, with its CRC.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        frame::append(out, self.kind(), &self.body());
    }

    /// Reads a body.
    ///
    /// # Errors
    /// A body that breaks a rule, or a frame of another stage (HELLO, PROOF, DATA): [`Error::Protocol`].
    pub fn parse(kind: Kind, body: &[u8]) -> Result<Message> {
        let mut rest = Body { kind, rest: body };
        let message = match kind {
            Kind::Refusal => Message::Refusal(rest.reason()?),
            Kind::End => Message::End(rest.u64()?),
            Kind::Digest => Message::Digest(rest.array()?),
            Kind::Full => Message::Full,
            Kind::Window => Message::Window(rest.array().map(u32::from_le_bytes)?),
            Kind::Alive => Message::Alive,
            Kind::Meeting => Message::Meeting(Step::of(rest.array()?)?),
            Kind::Discard => Message::Discard(rest.reason()?),
            Kind::Taken => Message::Taken(rest.u64()?),
            Kind::Closed => Message::Closed(rest.u64()?),
            Kind::Done => Message::Done,
            Kind::Register => Message::Register(Register::parse(rest.u64()?, rest.all())?),
            Kind::Withdraw => Message::Withdraw(rest.u64()?),
            Kind::Unreachable => Message::Unreachable { id: rest.u64()?, token: rest.token()? },
            Kind::Discarded => Message::Discarded(rest.u64()?),
            Kind::Match => Message::Match(Match::parse(rest.u64()?, rest.all())?),
            Kind::Refused => Message::Refused { id: rest.u64()?, reason: rest.reason()? },
            Kind::Relay => Message::Relay { id: rest.u64()?, token: rest.token()? },
            Kind::Ping => Message::Ping,
            Kind::Pong => Message::Pong,
            Kind::Status => Message::Status(place_of(rest.array()?)),
            Kind::Held => {
                let place = place_of(rest.array()?);
                Message::Held(Box::new(Held::parse(place, rest.all())?))
            }
            Kind::Totals => {
                let next = place_of(rest.array()?);
                let counts = [rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?];
                Message::Totals(Totals::from_counts(next, counts))
            }
            Kind::Hello | Kind::Proof | Kind::Data => return Err(kind.out_of_turn()),
        };
        rest.end()?;
        Ok(message)
    }

    fn body(&self) -> Vec<u8> {
        match self {
            Message::Refusal(reason) | Message::Discard(reason) => reason.body(),
            Message::End(number)
            | Message::Taken(number)
            | Message::Closed(number)
            | Message::Withdraw(number)
            | Message::Discarded(number) => number.to_le_bytes().to_vec(),
            Message::Digest(digest) => digest.to_vec(),
            Message::Window(size) => size.to_le_bytes().to_vec(),
            Message::Meeting(step) => vec![*step as u8],
            Message::Done | Message::Full | Message::Alive | Message::Ping | Message::Pong => Vec::new(),
            Message::Register(register) => register.body(),
            Message::Match(matched) => matched.body(),
            Message::Status(place) => place_bytes(*place).to_vec(),
            Message::Held(held) => held.body(),
            Message::Totals(totals) => totals.body(),
            Message::Refused { id, reason } => [&id.to_le_bytes()[..], &reason.body()].concat(),
            Message::Unreachable { id, token } | Message::Relay { id, token } => {
                [&id.to_le_bytes()[..], &token.0].concat()
            }
        }
    }
}

impl Register {
    fn body(&self) -> Vec<u8> {
        let mut out = self.id.to_le_bytes().to_vec();
        put(&mut out, fields::ROLE, &[self.role as u8]);
        put(&mut out, fields::NAME, self.name.as_str().as_bytes());
        put_addresses(&mut out, &self.addresses);
        if let Some(writers) = self.writers {
            put(&mut out, fields::WRITERS, &writers.to_le_bytes());
        }
        if self.takeover {
            put(&mut out, fields::TAKEOVER, &[1]);
        }
        out
    }

    fn parse(id: u64, body: &[u8]) -> Result<Register> {
        let (mut role, mut name, mut addresses, mut writers) = (None, None, Vec::new(), None);
        let mut takeover = false;
        fields::each(body, |field| {
            match field.tag {
                fields::ROLE => role = Some(field.role()?),
                fields::NAME => name = Some(field.name()?),
                fields::ADDRESS => push_address(&mut addresses, field.address()?)?,
                fields::WRITERS => writers = Some(field.u32()?),
                fields::TAKEOVER => takeover = field.flag()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(role), Some(name)) = (role, name) else {
            return Err(Error::protocol("a REGISTER frame without role or name"));
        };
        if role == Role::Writer && writers.is_some() {
            return Err(Error::protocol("a writer that expects writers"));
        }
        if role == Role::Writer && takeover {
            return Err(Error::protocol("a writer that takes a reader's place"));
        }
        Ok(Register { id, role, name, addresses, writers, takeover })
    }
}

impl Match {
    fn body(&self) -> Vec<u8> {
        let mut out = self.id.to_le_bytes().to_vec();
        put(&mut out, fields::TOKEN, &self.token.0);
        put_addresses(&mut out, &self.addresses);
        out
    }

    fn parse(id: u64, body: &[u8]) -> Result<Match> {
        let (mut token, mut addresses) = (None, Vec::new());
        fields::each(body, |field| {
            match field.tag {
                fields::TOKEN => token = Some(field.token()?),
                fields::ADDRESS => push_address(&mut addresses, field.address()?)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let token = token.ok_or_else(|| Error::protocol("a MATCH frame without token"))?;
        Ok(Match { id, token, addresses })
    }
}

/// Gets small frames out of a stream, whatever the pieces in which it arrives.
///
/// It holds one frame's bytes at most. An error is for good: every later call returns it again.
#[derive(Debug)]
pub struct Decoder {
    from: Sender,
    gather: Gather,
    state: Result<()>,
    /// The sender's last frame has come.
    last: bool,
}

impl Decoder {
    /// Begins after the handshake. [`Sender::Writer`]'s stream has payload: that is [`Incoming`](crate::pipe::Incoming)'s.
    pub fn new(from: Sender) -> Decoder {
        Decoder { from, gather: Gather::default(), state: Ok(()), last: false }
    }

    /// Takes bytes off `input` up to the end of the next frame; `None`: all were taken, and the frame is not whole.
    ///
    /// # Errors
    /// A broken rule, a frame that this sender may not send or that follows its last one: [`Error::Protocol`]; a wrong
    /// CRC: [`Error::Checksum`].
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>> {
        self.state.clone()?;
        self.step(input).inspect_err(|error| self.state = Err(error.clone()))
    }

    /// Whether a frame has begun and is not whole.
    pub fn is_within_frame(&self) -> bool {
        !self.gather.bytes().is_empty()
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>> {
        if self.last && !input.is_empty() {
            return Err(Error::protocol("a frame after the last one"));
        }
        self.gather.fill(input, HEADER);
        let Some(bytes) = self.gather.header() else { return Ok(None) };
        let header = Header::decode(bytes)?;
        if !self.from.sends(header.kind) || header.kind == Kind::Data {
            return Err(header.kind.out_of_turn());
        }
        if !self.gather.fill(input, HEADER + header.length as usize) {
            return Ok(None);
        }
        frame::check(&header, self.gather.body())?;
        let message = Message::parse(header.kind, self.gather.body())?;
        self.gather.clear();
        self.last = matches!(message.kind(), Kind::Refusal | Kind::Closed | Kind::Done);
        Ok(Some(message))
    }
}

/// What is left of a body.
struct Body<'a> {
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(|| self.wrong())?;
        self.rest = rest;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn token(&mut self) -> Result<Token> {
        self.array().map(Token)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A text that a person will read: made harmless rather than refused.
    fn reason(&mut self) -> Result<Reason> {
        let code = self.array().map(u32::from_le_bytes)?;
        if self.rest.len() > Reason::TEXT_MAX {
            return Err(self.wrong());
        }
        Ok(Reason::new(code, &String::from_utf8_lossy(self.all())))
    }

    fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> Error {
        Error::protocol(format!("{} frame of a wrong length", self.kind.name()))
    }
}

//! The handshake's two ends, without any IO.
//!
//! Both work alike: send what `output` gives, give `input` what arrives, until it says [`Progress::Done`]. They take
//! no byte beyond the handshake's last frame; who cannot put bytes back reads [`want`](Dialler::want) at most. After an error
//! `output` has the REFUSAL if one may be sent; then the connection is closed.

use crate::auth::{Secret, Side, Transcript};
use crate::error::{Error, Result};
use crate::frame::{self, Gather, HEADER, Header, Kind};
use crate::hello::{Hello, MAGIC, Purpose};
use crate::message::{Message, Reason};
use crate::text::random;
use std::time::Duration;

/// How long the whole handshake may take, from the connection on.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The TLS exporter's label; it has no context, and 32 bytes are taken.
pub const EXPORTER_LABEL: &[u8] = b"netpipe-1";

/// The TLS exporter's 32 bytes ([`EXPORTER_LABEL`]); `None` without TLS.
pub type Exporter = Option<[u8; 32]>;

/// How far the handshake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed, once all output is sent.
    More,
    /// Acceptor only: the peer's HELLO is here. [`Acceptor::accept`] or [`Acceptor::refuse`] goes on.
    Hello(Hello),
    /// The handshake is complete, once all output is sent. What follows belongs to the connection's purpose.
    Done(Established),
}

/// What the two sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The version in use.
    pub version: u16,
    /// The features in use: those that both have.
    pub features: u64,
    /// Whether both proved a secret.
    pub proven: bool,
    /// What the peer said of itself.
    pub peer: Hello,
}

/// What an acceptor says of itself; the rest of its HELLO follows from the dialler's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// As in [`Hello`].
    pub features: u64,
    /// As in [`Hello`].
    pub agent: Option<String>,
    /// As in [`Hello`]; used if the acceptor is the reader.
    pub window: Option<u32>,
    /// As in [`Hello`].
    pub alive: Option<u32>,
}

/// The side that opened the connection.
#[derive(Debug)]
pub struct Dialler {
    hello: Hello,
    frame: Vec<u8>,
    secret: Option<Secret>,
    exporter: Exporter,
    awaiting: Option<(Transcript, Established)>,
    wire: Wire,
}

impl Dialler {
    /// Begins; nonce and proof of `hello` are filled in here.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn new(mut hello: Hello, secret: Option<Secret>, exporter: Exporter) -> Result<Dialler> {
        hello.nonce = random()?;
        hello.proof = secret.is_some();
        let frame = hello.to_bytes();
        let wire = Wire { output: frame.clone(), ..Wire::new(false) };
        Ok(Dialler { hello, frame, secret, exporter, awaiting: None, wire })
    }

    /// Takes the bytes to send now; empty if there are none.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire.output)
    }

    /// How many bytes the frame at hand still needs, as far as that is known; 1 at least.
    pub fn want(&self) -> usize {
        self.wire.want()
    }

    /// Takes bytes off `input`, as far as the handshake goes.
    ///
    /// # Errors
    /// Why there will be no connection; every later call returns it again.
    pub fn input(&mut self, input: &mut &[u8]) -> Result<Progress> {
        self.wire.state.clone()?;
        let progress = self.step(input);
        self.wire.settle(progress)
    }

    /// What it means that the peer closed the connection now.
    pub fn closed(&self) -> Error {
        self.wire.closed()
    }

    /// What it means that the peer's time is over now: [`TIMEOUT`] at the most.
    pub fn timed_out(&self) -> Error {
        self.wire.timed_out()
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Progress> {
        if self.awaiting.is_none() {
            let Some(body) = self.wire.frame(input, Kind::Hello)? else { return Ok(Progress::More) };
            let peer = Hello::parse(&body)?;
            let established = agree(Side::Dialler, &self.hello, peer)?;
            let transcript = Transcript::new(&self.frame, self.wire.gather.bytes(), self.exporter);
            self.wire.gather.clear();
            let Some(secret) = &self.secret else { return Ok(Progress::Done(established)) };
            let proof = secret.prove(Side::Dialler, &transcript)?;
            frame::append(&mut self.wire.output, Kind::Proof, &proof);
            self.awaiting = Some((transcript, established));
        }
        let Some(body) = self.wire.frame(input, Kind::Proof)? else { return Ok(Progress::More) };
        let (Some((transcript, established)), Some(secret)) = (self.awaiting.take(), &self.secret) else {
            return Err(Error::protocol("a PROOF out of turn"));
        };
        secret.verify(Side::Acceptor, &transcript, &body)?;
        Ok(Progress::Done(established))
    }
}

/// The side that took the connection.
#[derive(Debug)]
pub struct Acceptor {
    exporter: Exporter,
    stage: Stage,
    wire: Wire,
}

#[derive(Debug)]
enum Stage {
    /// Waits for the dialler's HELLO.
    Start,
    /// Waits for its owner; the dialler's HELLO and its bytes.
    Asked(Hello, Vec<u8>),
    /// Waits for the dialler's PROOF.
    Proof(Secret, Transcript, Established),
    /// Needs nothing more.
    Over,
}

impl Acceptor {
    /// Begins.
    pub fn new(exporter: Exporter) -> Acceptor {
        Acceptor { exporter, stage: Stage::Start, wire: Wire::new(exporter.is_none()) }
    }

    /// Takes the bytes to send now; empty if there are none.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire.output)
    }

    /// How many bytes the frame at hand still needs, as far as that is known; 1 at least.
    pub fn want(&self) -> usize {
        self.wire.want()
    }

    /// Takes bytes off `input`, as far as the handshake goes.
    ///
    /// # Errors
    /// Why there will be no connection; every later call returns it again.
    pub fn input(&mut self, input: &mut &[u8]) -> Result<Progress> {
        self.wire.state.clone()?;
        let progress = self.step(input);
        self.wire.settle(progress)
    }

    /// Answers the dialler's HELLO. Without secrets that is all: [`Progress::Done`].
    ///
    /// # Errors
    /// One side has a secret and the other has none: [`Error::Denied`]; no common version: [`Error::Protocol`].
    pub fn accept(&mut self, local: Local, secret: Option<Secret>) -> Result<Progress> {
        self.wire.state.clone()?;
        let progress = self.answer(local, secret);
        self.wire.settle(progress)
    }

    /// Refuses the dialler, with a code and a text that go to its user.
    pub fn refuse(&mut self, reason: Reason) {
        Message::Refusal(reason.clone()).append_to(&mut self.wire.output);
        self.stage = Stage::Over;
        self.wire.state = Err(Error::Invalid(format!("refused: {reason}").into()));
    }

    /// What it means that the peer closed the connection now.
    pub fn closed(&self) -> Error {
        self.wire.closed()
    }

    /// What it means that the peer's time is over now: [`TIMEOUT`] at the most.
    pub fn timed_out(&self) -> Error {
        self.wire.timed_out()
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Progress> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Start => {
                let Some(body) = self.wire.frame(input, Kind::Hello)? else {
                    self.stage = Stage::Start;
                    return Ok(Progress::More);
                };
                let hello = Hello::parse(&body)?;
                self.stage = Stage::Asked(hello.clone(), self.wire.gather.bytes().to_vec());
                self.wire.gather.clear();
                Ok(Progress::Hello(hello))
            }
            Stage::Asked(hello, frame) => {
                self.stage = Stage::Asked(hello.clone(), frame);
                Ok(Progress::Hello(hello))
            }
            Stage::Proof(secret, transcript, established) => {
                let Some(body) = self.wire.frame(input, Kind::Proof)? else {
                    self.stage = Stage::Proof(secret, transcript, established);
                    return Ok(Progress::More);
                };
                secret.verify(Side::Dialler, &transcript, &body)?;
                let proof = secret.prove(Side::Acceptor, &transcript)?;
                frame::append(&mut self.wire.output, Kind::Proof, &proof);
                Ok(Progress::Done(established))
            }
            Stage::Over => Err(Error::Invalid("the handshake is over".into())),
        }
    }

    fn answer(&mut self, local: Local, secret: Option<Secret>) -> Result<Progress> {
        let Stage::Asked(peer, frame) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(Error::Invalid("accept comes after the dialler's HELLO, once".into()));
        };
        let role = peer.role.map(|role| role.other());
        let hello = Hello {
            role,
            nonce: random()?,
            proof: secret.is_some(),
            versions: crate::hello::VERSIONS,
            features: local.features,
            agent: local.agent,
            alive: local.alive,
            window: local.window.filter(|_| role == Some(crate::hello::Role::Reader)),
            ..peer.clone()
        };
        let established = agree(Side::Acceptor, &hello, peer)?;
        let own = hello.to_bytes();
        let transcript = Transcript::new(&frame, &own, self.exporter);
        self.wire.output.extend_from_slice(&own);
        let Some(secret) = secret else { return Ok(Progress::Done(established)) };
        self.stage = Stage::Proof(secret, transcript, established);
        Ok(Progress::More)
    }
}

/// Checks the two HELLOs against each other. The texts may go to the peer: they take nobody's point of view.
fn agree(side: Side, own: &Hello, peer: Hello) -> Result<Established> {
    let version = *own.versions.end().min(peer.versions.end());
    if !own.versions.contains(&version) || !peer.versions.contains(&version) {
        let (own, peer) = (&own.versions, &peer.versions);
        return Err(Error::protocol(format!("no common version: {own:?} and {peer:?}")));
    }
    if own.purpose != peer.purpose || own.name != peer.name || own.token != peer.token {
        return Err(Error::protocol("purpose, name or token of the two HELLOs differ"));
    }
    if own.purpose == Purpose::Pipe && own.role == peer.role {
        return Err(Error::protocol("both sides have the same role"));
    }
    if own.nonce == peer.nonce {
        return Err(Error::protocol("both HELLOs have the same nonce"));
    }
    if own.proof != peer.proof {
        let dialler = (side == Side::Dialler) == own.proof;
        let text = if dialler {
            "the dialler has a secret and the acceptor has none: give both the same"
        } else {
            "the acceptor has a secret and the dialler has none: give both the same"
        };
        return Err(Error::Denied(text.into()));
    }
    Ok(Established { version, features: own.features & peer.features, proven: own.proof, peer })
}

/// The first byte that TLS sends: the type of a handshake record (RFC 8446, 5.1).
const TLS: u8 = 0x16;

/// The bytes of either side's handshake.
#[derive(Debug)]
struct Wire {
    gather: Gather,
    output: Vec<u8>,
    /// The peer is known to speak netpipe.
    recognised: bool,
    /// An acceptor's, without TLS beneath.
    refuses_tls: bool,
    state: Result<()>,
}

impl Wire {
    fn new(refuses_tls: bool) -> Wire {
        Wire { gather: Gather::default(), output: Vec::new(), recognised: false, refuses_tls, state: Ok(()) }
    }

    /// Gathers the next frame, which is `kind` or a REFUSAL; its bytes stay until they are cleared if it is HELLO.
    fn frame(&mut self, input: &mut &[u8], kind: Kind) -> Result<Option<Vec<u8>>> {
        self.gather.fill(input, HEADER);
        match self.gather.bytes() {
            _ if self.recognised => {}
            [] | [0x01 | 0x03, ..] => {}
            [TLS, ..] if self.refuses_tls => return Err(Error::Tls),
            _ => return Err(Error::NotNetpipe),
        }
        let Some(bytes) = self.gather.header() else { return Ok(None) };
        let header = match Header::decode(bytes) {
            Err(_) if !self.recognised => return Err(Error::NotNetpipe),
            header => header?,
        };
        if header.kind != kind && header.kind != Kind::Refusal {
            return Err(Error::protocol(format!("a {} frame out of turn", header.kind.name())));
        }
        let whole = self.gather.fill(input, HEADER + header.length as usize);
        if header.kind == Kind::Hello && !self.recognised {
            let start = &self.gather.body()[..self.gather.body().len().min(MAGIC.len())];
            if !MAGIC.starts_with(start) {
                return Err(Error::NotNetpipe);
            }
            self.recognised = start.len() == MAGIC.len();
        }
        if !whole {
            return Ok(None);
        }
        let body = self.gather.body().to_vec();
        frame::check(&header, &body)?;
        if header.kind == Kind::Refusal {
            return match Message::parse(header.kind, &body)? {
                Message::Refusal(reason) => Err(Error::Refused(reason)),
                _ => Err(Error::protocol("a REFUSAL that is none")),
            };
        }
        if kind != Kind::Hello {
            self.gather.clear();
        }
        Ok(Some(body))
    }

    fn want(&self) -> usize {
        let total = match self.gather.header().map(Header::decode) {
            Some(Ok(header)) => HEADER + header.length as usize,
            _ => HEADER,
        };
        total.saturating_sub(self.gather.bytes().len()).max(1)
    }

    /// Makes every outcome but the need for more final. Only a peer that is known to speak netpipe is sent a refusal.
    fn settle(&mut self, progress: Result<Progress>) -> Result<Progress> {
        let progress = match progress {
            Err(Error::Protocol(_) | Error::Checksum) if !self.recognised => Err(Error::NotNetpipe),
            progress => progress,
        };
        match &progress {
            Ok(Progress::Done(_)) => self.state = Err(Error::Invalid("the handshake is over".into())),
            Ok(_) => {}
            Err(error) => {
                if let Some(reason) = error.refusal() {
                    Message::Refusal(reason).append_to(&mut self.output);
                }
                self.state = Err(error.clone());
            }
        }
        progress
    }

    fn closed(&self) -> Error {
        if self.recognised || self.gather.bytes().is_empty() {
            Error::Closed("during the handshake")
        } else {
            Error::NotNetpipe
        }
    }

    fn timed_out(&self) -> Error {
        if self.recognised { Error::Timeout } else { Error::Silent }
    }
}

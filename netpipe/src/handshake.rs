//! The handshake, without any IO.
//!
//! Both sides work alike: send what `output` gives, give `input` what arrives, until it says [`Progress::Done`]. They take
//! no byte beyond the handshake's last frame; who cannot put bytes back reads [`want`](Handshake::want) at most. After an error
//! `output` has the REFUSAL if one may be sent; then the connection is closed.

use crate::auth::{Secret, Side, Transcript};
use crate::error::{Error, Reason, Result, code};
use crate::frame::{self, Gather, HEADER, Header, Kind};
use crate::hello::{FEATURE_SAME_HOST, Hello, MAGIC, Purpose, VERSIONS};
use crate::message::Message;
use crate::same_host::Meeting;
use crate::values::{Role, random};
use std::time::Duration;

/// How long the whole handshake may take, from the connection on.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The TLS exporter's label; it has no context, and 32 bytes are taken.
pub const EXPORTER_LABEL: &[u8] = b"netpipe-1";

/// The first byte that TLS sends: the type of a handshake record (RFC 8446, 5.1).
const TLS: u8 = 0x16;

/// The TLS exporter's 32 bytes ([`EXPORTER_LABEL`]); `None` without TLS.
pub type Exporter = Option<[u8; 32]>;

/// How far the handshake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed, once all output is sent.
    More,
    /// Acceptor only: the peer's HELLO is here. [`Handshake::accept`] or [`Handshake::refuse`] goes on.
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
    /// Where the two meet if they are on one host, once the pipe has carried enough.
    pub meeting: Option<Box<Meeting>>,
    /// The reader's window in bytes, whichever end that is; of no meaning but in a pipe.
    pub window: u32,
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

/// One side of a handshake.
#[derive(Debug)]
pub struct Handshake {
    side: Side,
    exporter: Exporter,
    state: HandshakeState,
    gather: Gather,
    output: Vec<u8>,
    /// The peer is known to speak netpipe.
    recognised: bool,
}

#[derive(Debug)]
enum HandshakeState {
    /// Dialler: waits for the acceptor's HELLO; its own, and that as bytes.
    SentHello(Hello, Vec<u8>, Option<Secret>),
    /// Acceptor: waits for the dialler's HELLO.
    AwaitsHello,
    /// Acceptor: waits for its owner; the dialler's HELLO, and that as bytes.
    Asked(Hello, Vec<u8>),
    /// Waits for the peer's PROOF.
    AwaitsProof(Secret, Transcript, Established),
    /// Needs nothing more; what every later call returns.
    Over(Error),
}

impl Handshake {
    /// Begins as the side that opened the connection; nonce and proof of `hello` are filled in here.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn dialler(mut hello: Hello, secret: Option<Secret>, exporter: Exporter) -> Result<Handshake> {
        hello.nonce = random()?;
        hello.proof = secret.is_some();
        let frame = hello.to_bytes();
        let output = frame.clone();
        Ok(Handshake {
            output,
            ..Handshake::new(Side::Dialler, exporter, HandshakeState::SentHello(hello, frame, secret))
        })
    }

    /// Begins as the side that took the connection.
    pub fn acceptor(exporter: Exporter) -> Handshake {
        Handshake::new(Side::Acceptor, exporter, HandshakeState::AwaitsHello)
    }

    fn new(side: Side, exporter: Exporter, state: HandshakeState) -> Handshake {
        Handshake { side, exporter, state, gather: Gather::default(), output: Vec::new(), recognised: false }
    }

    /// Takes the bytes to send now; empty if there are none.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// How many bytes the frame at hand still needs, as far as that is known; 1 at least.
    pub fn want(&self) -> usize {
        let total = match self.gather.header().map(Header::decode) {
            Some(Ok(header)) => HEADER + header.length as usize,
            _ => HEADER,
        };
        total.saturating_sub(self.gather.bytes().len()).max(1)
    }

    /// Takes bytes off `input`, as far as the handshake goes.
    ///
    /// # Errors
    /// Why there will be no connection; every later call returns it again.
    pub fn input(&mut self, input: &mut &[u8]) -> Result<Progress> {
        if let HandshakeState::Over(error) = &self.state {
            return Err(error.clone());
        }
        let progress = self.step(input);
        self.settle(progress)
    }

    /// Acceptor: answers the dialler's HELLO. Without secrets that is all: [`Progress::Done`].
    ///
    /// # Errors
    /// One side has a secret and the other has none: [`Error::Denied`]; no common version: [`Error::Protocol`].
    pub fn accept(&mut self, local: Local, secret: Option<Secret>) -> Result<Progress> {
        if let HandshakeState::Over(error) = &self.state {
            return Err(error.clone());
        }
        let progress = self.answer(local, secret);
        self.settle(progress)
    }

    /// Refuses the peer, with a code and a text that go to its user; returns that as an error.
    pub fn refuse(&mut self, reason: Reason) -> Error {
        self.end(Error::Invalid(format!("refused: {reason}").into()), Some(reason))
    }

    /// What it means that the peer closed the connection now.
    pub fn closed(&self) -> Error {
        if self.recognised || self.gather.bytes().is_empty() {
            Error::Closed("during the handshake")
        } else {
            Error::NotNetpipe
        }
    }

    /// Ends the handshake since the peer's time is over: [`TIMEOUT`] at the most. The peer learns why, once it listens. A dialler
    /// has spoken already, so that nothing of an acceptor is told to who does not ask.
    pub fn timed_out(&mut self) -> Error {
        let error = if self.recognised { Error::Timeout } else { Error::Silent };
        let reason = match self.side {
            Side::Dialler => Some(Reason::new(code::ETIMEDOUT, "the handshake took too long")),
            Side::Acceptor => error.refusal(),
        };
        self.end(error, reason)
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Progress> {
        let wanted = match &self.state {
            HandshakeState::Asked(hello, _) => return Ok(Progress::Hello(hello.clone())),
            HandshakeState::AwaitsProof(..) => Kind::Proof,
            HandshakeState::SentHello(..) | HandshakeState::AwaitsHello | HandshakeState::Over(_) => {
                Kind::Hello
            }
        };
        let Some(frame) = self.frame(input, wanted)? else { return Ok(Progress::More) };
        let body = &frame[HEADER..];
        match std::mem::replace(&mut self.state, over()) {
            HandshakeState::SentHello(own, own_frame, secret) => {
                let established = agree(self.side, &own, Hello::parse(body)?)?;
                let transcript = Transcript::new(&own_frame, &frame, self.exporter);
                let Some(secret) = secret else { return self.finish(None, &transcript, established) };
                self.prove(&secret, &transcript)?;
                self.state = HandshakeState::AwaitsProof(secret, transcript, established);
                self.step(input)
            }
            HandshakeState::AwaitsProof(secret, transcript, established) => {
                secret.verify(self.side.other(), &transcript, body)?;
                if self.side == Side::Acceptor {
                    self.prove(&secret, &transcript)?;
                }
                self.finish(Some(&secret), &transcript, established)
            }
            HandshakeState::AwaitsHello | HandshakeState::Asked(..) | HandshakeState::Over(_) => {
                let hello = Hello::parse(body)?;
                self.state = HandshakeState::Asked(hello.clone(), frame);
                Ok(Progress::Hello(hello))
            }
        }
    }

    fn answer(&mut self, local: Local, secret: Option<Secret>) -> Result<Progress> {
        let HandshakeState::Asked(peer, frame) = std::mem::replace(&mut self.state, over()) else {
            return Err(Error::Invalid("accept comes after the dialler's HELLO, once".into()));
        };
        let role = peer.role.map(|role| role.other());
        let hello = Hello {
            role,
            nonce: random()?,
            proof: secret.is_some(),
            versions: VERSIONS,
            features: local.features,
            agent: local.agent,
            alive: local.alive,
            window: local.window.filter(|_| role == Some(Role::Reader)),
            ..peer.clone()
        };
        let established = agree(self.side, &hello, peer)?;
        let own = hello.to_bytes();
        self.output.extend_from_slice(&own);
        let transcript = Transcript::new(&frame, &own, self.exporter);
        let Some(secret) = secret else { return self.finish(None, &transcript, established) };
        self.state = HandshakeState::AwaitsProof(secret, transcript, established);
        Ok(Progress::More)
    }

    /// Completes the handshake.
    fn finish(
        &self,
        secret: Option<&Secret>,
        transcript: &Transcript,
        established: Established,
    ) -> Result<Progress> {
        let meets = established.features & FEATURE_SAME_HOST != 0;
        let meeting = match established.peer.role.filter(|_| meets) {
            Some(role) => {
                let (role, window) = (role.other(), established.window);
                Some(Box::new(Meeting::new(secret, transcript, self.side, role, window)?))
            }
            None => None,
        };
        Ok(Progress::Done(Established { meeting, ..established }))
    }

    fn prove(&mut self, secret: &Secret, transcript: &Transcript) -> Result<()> {
        let proof = secret.prove(self.side, transcript)?;
        frame::append(&mut self.output, Kind::Proof, &proof);
        Ok(())
    }

    /// Gathers the next frame, header and all, which is `kind` or a REFUSAL.
    fn frame(&mut self, input: &mut &[u8], kind: Kind) -> Result<Option<Vec<u8>>> {
        self.gather.fill(input, HEADER);
        match self.gather.bytes() {
            _ if self.recognised => {}
            [] | [0x01 | 0x03, ..] => {}
            [TLS, ..] if self.side == Side::Acceptor && self.exporter.is_none() => return Err(Error::Tls),
            _ => return Err(Error::NotNetpipe),
        }
        let Some(bytes) = self.gather.header() else { return Ok(None) };
        let header = match Header::decode(bytes) {
            Err(_) if !self.recognised => return Err(Error::NotNetpipe),
            header => header?,
        };
        if header.kind != kind && header.kind != Kind::Refusal {
            return Err(header.kind.out_of_turn());
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
        frame::check(&header, self.gather.body())?;
        if header.kind == Kind::Refusal {
            return match Message::parse(header.kind, self.gather.body())? {
                Message::Refusal(reason) => Err(Error::Refused(reason)),
                _ => Err(Error::protocol("a malformed REFUSAL")),
            };
        }
        Ok(Some(std::mem::take(&mut self.gather).into_bytes()))
    }

    /// Makes an error final. Only a peer that is known to speak netpipe is sent a refusal.
    fn settle(&mut self, progress: Result<Progress>) -> Result<Progress> {
        progress.map_err(|error| {
            let error = match error {
                Error::Protocol(_) | Error::Checksum if !self.recognised => Error::NotNetpipe,
                error => error,
            };
            let reason = error.refusal();
            self.end(error, reason)
        })
    }

    fn end(&mut self, error: Error, reason: Option<Reason>) -> Error {
        if let Some(reason) = reason {
            Message::Refusal(reason).append_to(&mut self.output);
        }
        self.state = HandshakeState::Over(error.clone());
        error
    }
}

fn over() -> HandshakeState {
    HandshakeState::Over(Error::Invalid("the handshake is over".into()))
}

/// Checks the two HELLOs against each other. The texts may go to the peer: they take nobody's point of view.
fn agree(side: Side, own: &Hello, peer: Hello) -> Result<Established> {
    let version = *own.versions.end().min(peer.versions.end());
    if !own.versions.contains(&version) || !peer.versions.contains(&version) {
        let [own, peer] = [own, &peer].map(|it| format!("{} to {}", it.versions.start(), it.versions.end()));
        return Err(Error::protocol(format!("no common version: {own} and {peer}")));
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
    let features = own.features & peer.features;
    let window = if own.role == Some(Role::Reader) { own.window() } else { peer.window() };
    Ok(Established { version, features, proven: own.proof, meeting: None, window, peer })
}

//! Handshakes: bytes between a connection and the protocol's machine.

use super::accept::{Guest, Invitation, Verdict};
use super::dial::{Dial, Errand};
use super::vigil::SIGNS;
use super::{Service, Source, Timer};
use crate::failure::Failure;
use crate::link::{Link, Received};
use crate::pipe::Coming;
use crate::settings::Windows;
use crate::socket;
use crate::tls::Step;
use netpipe::{
    Error, Established, Handshake, Hello, Local, Message, Progress, Reason, Role, Secret, Token, code,
};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::Level;

/// The most bytes that a handshake's frame still needs.
const WANT_MAX: usize = netpipe::frame::HEADER + netpipe::frame::CONTROL_MAX;
/// How long an introduced peer may be faster than the broker's word of it.
const EARLY: Duration = Duration::from_secs(2);

/// A connection whose handshake is not complete.
#[derive(Debug)]
pub struct PendingPeer {
    link: Link,
    side: Side,
    /// Begins once TLS is ready.
    handshake: Option<Handshake>,
    /// The window that this side gives, once it is known, and what that may grow to.
    window: Windows,
    /// A broker stands between: the peer may be anywhere.
    relayed: bool,
    output: Vec<u8>,
    sent: usize,
    writes: bool,
    outcome: Option<Result<Established, Error>>,
    /// The reader that has this writer, as soon as the writer learns of that.
    coming: Option<Coming>,
    /// And nobody has asked for that yet.
    has_said_hello: bool,
}

#[derive(Debug)]
enum Side {
    Dialled(Box<Hello>, Box<Dial>),
    /// Once its HELLO is judged, the pipe.
    Accepted(Guest, Option<u64>),
}

/// A connection whose handshake is complete.
#[derive(Debug)]
pub struct Connection {
    pub link: Link,
    pub established: Established,
    /// The window that this side gave, if it reads, and what that may grow to.
    pub window: Windows,
}

impl PendingPeer {
    /// Begins as the side that dialled.
    pub fn dialled(
        link: Link,
        dial: Dial,
        mut hello: Hello,
        invitation: Option<Invitation>,
        relayed: bool,
    ) -> PendingPeer {
        let mut window = Windows::default();
        if let Some(invitation) = invitation {
            hello.features = invitation.features(relayed || link.leaves_machine());
            if hello.role == Some(Role::Reader) {
                window = socket::window(&link, invitation.window);
                hello.window = Some(window.first);
            }
        }
        hello.agent = Some(agent());
        PendingPeer {
            window,
            ..PendingPeer::new(link, Side::Dialled(Box::new(hello), Box::new(dial)), relayed)
        }
    }

    /// Begins as the side to which somebody came.
    pub fn accepted(link: Link, guest: Guest, relayed: bool) -> PendingPeer {
        PendingPeer::new(link, Side::Accepted(guest, None), relayed)
    }

    fn new(link: Link, side: Side, relayed: bool) -> PendingPeer {
        PendingPeer {
            link,
            side,
            handshake: None,
            window: Windows::default(),
            relayed,
            output: Vec::new(),
            sent: 0,
            writes: false,
            outcome: None,
            coming: None,
            has_said_hello: false,
        }
    }

    /// Refuses a connection before its first byte.
    pub fn turn_away(link: Link, reason: Reason) {
        // A refusal that the kernel does not take at once is not worth a wait.
        let _ = link.send(&Message::Refusal(reason).to_bytes(), &[]);
        link.end();
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Whether a peer that came has said HELLO since this was asked last.
    pub fn has_said_hello_meanwhile(&mut self) -> bool {
        std::mem::take(&mut self.has_said_hello)
    }

    /// Gets TLS ready, and then begins what needs it.
    fn begin(&mut self, secret: &Option<Secret>) -> Result<Step, Error> {
        if self.handshake.is_some() {
            return Ok(Step::Done);
        }
        let step = self.link.handshake().map_err(|errno| tls_error(&self.link, errno))?;
        if step == Step::Done {
            let exporter = self.link.exporter().map_err(|errno| tls_error(&self.link, errno))?;
            self.handshake = Some(match &self.side {
                Side::Dialled(hello, _) => Handshake::dialler((**hello).clone(), secret.clone(), exporter)?,
                Side::Accepted(..) => Handshake::acceptor(exporter),
            });
        }
        Ok(step)
    }

    /// Sends what there is to send; true: all of it.
    fn push(&mut self) -> bool {
        self.output.extend(self.handshake.as_mut().map(Handshake::output).unwrap_or_default());
        while self.sent < self.output.len() {
            match self.link.send(&self.output[self.sent..], &[]) {
                Ok(0) => return false,
                Ok(count) => self.sent += count,
                Err(_) => {
                    self.outcome.get_or_insert(Err(Error::Closed("during the handshake")));
                    return true;
                }
            }
        }
        // A loss shows when it is read.
        self.link.flush().unwrap_or(true)
    }

    /// Receives what the frame at hand still needs, and no more.
    fn pull(&mut self) -> Option<Result<Progress, Error>> {
        let handshake = self.handshake.as_mut()?;
        let mut bytes = [0; WANT_MAX];
        let want = handshake.want().min(WANT_MAX);
        match self.link.receive(&mut bytes[..want], &mut []) {
            Ok(Received::Nothing) => None,
            Ok(Received::Bytes(count)) => Some(handshake.input(&mut &bytes[..count])),
            Err(errno @ (Errno::KEYREJECTED | Errno::PROTO)) => Some(Err(tls_error(&self.link, errno))),
            Ok(Received::End) | Err(_) => Some(Err(handshake.closed())),
        }
    }
}

impl Service {
    /// Puts a connection under watch, and begins its handshake; that may take up to `limit`.
    pub(super) fn start_handshake(&mut self, mut peer: PendingPeer, limit: Duration) -> Option<u64> {
        peer.writes = true;
        let key = self.keep(Source::Pending(Box::new(peer)), true, true)?;
        self.reactor.at(Instant::now() + limit, Timer::Expire(key));
        Some(key)
    }

    /// Goes on with a handshake as far as its peer lets it.
    pub(super) fn shake_hands(&mut self, key: u64, mut peer: PendingPeer) -> Option<PendingPeer> {
        loop {
            self.announce(&mut peer);
            let step = peer.begin(&self.config.secret).unwrap_or_else(|error| {
                peer.outcome = Some(Err(error));
                Step::Done
            });
            if step != Step::Done || !peer.push() {
                self.watch_handshake(key, &mut peer, step != Step::Read);
                return Some(peer);
            }
            if let Some(outcome) = peer.outcome.take() {
                self.reactor.forget(&peer.link);
                self.pending_over(key);
                self.handshake_over(peer, outcome);
                return None;
            }
            let Some(progress) = peer.pull() else {
                self.watch_handshake(key, &mut peer, false);
                return Some(peer);
            };
            if let Some(token) = self.note_progress(&mut peer, progress) {
                // Nothing is read meanwhile; a peer that goes is found out later.
                self.reactor.change(&peer.link, key, false, false);
                self.pending.early.insert(token, key);
                self.reactor.at(Instant::now() + EARLY, Timer::Early(token));
                return Some(peer);
            }
        }
    }

    /// Has a reader count a writer before the writer learns that it is in: it may have written, and ENDed, a moment after that.
    fn announce(&self, peer: &mut PendingPeer) {
        if let (Side::Accepted(_, Some(id)), Some(Ok(_)), None) = (&peer.side, &peer.outcome, &peer.coming) {
            peer.coming = self.readers.get(id).map(|reading| reading.pipe.expect());
        }
    }

    fn watch_handshake(&self, key: u64, peer: &mut PendingPeer, writes: bool) {
        if peer.writes != writes {
            peer.writes = writes;
            self.reactor.change(&peer.link, key, true, writes);
        }
    }

    /// Goes on with a peer that came before the broker's word of it; `late`: or without that.
    pub(super) fn token_known(&mut self, token: Token, late: bool) {
        let Some(key) = self.pending.early.remove(&token) else { return };
        let Some(Source::Pending(mut peer)) = self.sources.remove(&key) else { return };
        let Some(handshake) = &mut peer.handshake else { return };
        // As long as it was not answered, its HELLO is the question.
        let progress = match late {
            true => Err(handshake
                .refuse(Reason::new(code::ECONNRESET, "the broker's token is unknown here, or used up"))),
            false => handshake.input(&mut &[][..]),
        };
        self.note_progress(&mut peer, progress);
        peer.writes = false;
        self.reactor.change(&peer.link, key, true, false);
        if let Some(peer) = self.shake_hands(key, *peer) {
            self.sources.insert(key, Source::Pending(Box::new(peer)));
        }
    }

    /// Notes how far a handshake is, and answers a HELLO, unless its token is one to wait for.
    fn note_progress(&self, peer: &mut PendingPeer, progress: Result<Progress, Error>) -> Option<Token> {
        match progress {
            Ok(Progress::More) => {}
            Ok(Progress::Hello(hello)) => {
                peer.has_said_hello = true;
                return self.answer(peer, &hello);
            }
            Ok(Progress::Done(established)) => peer.outcome = Some(Ok(established)),
            Err(error) => peer.outcome = Some(Err(error)),
        }
        None
    }

    fn answer(&self, peer: &mut PendingPeer, hello: &Hello) -> Option<Token> {
        let (Side::Accepted(guest, pipe), Some(handshake)) = (&mut peer.side, &mut peer.handshake) else {
            return None;
        };
        let progress = match self.judge(*guest, hello) {
            Ok(Verdict::Wait(token)) => return Some(token),
            Err(reason) => Err(handshake.refuse(reason)),
            // It was stopped, or this side was, until it gave up: its next connection counts, not this one.
            Ok(_) if peer.link.is_given_up() => Err(Error::Closed("before its HELLO was answered")),
            Ok(Verdict::Welcome(invitation)) => {
                *pipe = Some(invitation.pipe);
                peer.window = socket::window(&peer.link, invitation.window);
                let local = Local {
                    features: invitation.features(peer.relayed || peer.link.leaves_machine()),
                    agent: Some(agent()),
                    window: Some(peer.window.first),
                    alive: alive(self.config.silence),
                };
                handshake.accept(local, self.config.secret.clone())
            }
        };
        self.note_progress(peer, progress)
    }

    fn handshake_over(&mut self, peer: PendingPeer, outcome: Result<Established, Error>) {
        // `coming` goes at the end: by then its writer has arrived, or will not.
        let PendingPeer { link, side, window, coming: _coming, .. } = peer;
        match (side, outcome) {
            (Side::Dialled(_, dial), Ok(established)) => {
                self.greeted(dial.errand, Connection { link, established, window });
            }
            (Side::Accepted(_, Some(id)), Ok(established)) => {
                if let Some(token) = &established.peer.token {
                    self.expected.remove(token);
                }
                self.join(id, Connection { link, established, window });
            }
            (Side::Accepted(guest, pipe), Err(error)) => self.not_let_in(&link, guest, pipe, &error),
            (Side::Accepted(_, None), Ok(_)) => {}
            (Side::Dialled(_, dial), Err(error)) => {
                link.end();
                self.not_greeted(*dial, link.peer(), &error);
            }
        }
    }

    fn not_let_in(&mut self, link: &Link, guest: Guest, pipe: Option<u64>, error: &Error) {
        let peer = link.peer();
        link.end();
        // A pipe that is busy, or was closed meanwhile, is nothing to warn of.
        let ordinary = matches!(error, Error::Closed(_) | Error::Invalid(_));
        let level = if ordinary { Level::Info } else { Level::Warning };
        self.log_pending(level, &format!("netpipe: {peer} was not let in: {error}"));
        self.note_guest(pipe.map_or(guest, Guest::Pipe), &format!("{peer} was not let in: {error}"));
    }

    fn greeted(&mut self, errand: Errand, connection: Connection) {
        match errand {
            Errand::Direct(id) | Errand::Introduced(id, _) | Errand::Joined(id, _) => {
                self.join(id, connection)
            }
            Errand::Broker(broker) => self.broker_reached(broker, connection.link),
            Errand::Relay(id, token) => self.relay_reached(id, token, connection.link),
            Errand::Listen(_) => {}
        }
    }

    fn not_greeted(&mut self, dial: Dial, peer: SocketAddr, error: &Error) {
        let trouble = format!("{peer}: {error}");
        let may_come = match error {
            Error::Closed(_) => true,
            // A process that is stopped, or on a machine with too much to do, goes on some time.
            Error::Timeout | Error::Silent => match self.silent(&dial.errand) {
                None => true,
                Some(failure) => return self.refused(&dial.errand, failure),
            },
            // The reader went between: its next one is waited for. Or it found this side too slow.
            Error::Refused(reason) => matches!(reason.code, code::ECONNRESET | code::ETIMEDOUT),
            _ => false,
        };
        if matches!(dial.errand, Errand::Introduced(..)) {
            // Its address may lead to somebody else from here: to the next, and at last the broker's relay.
            let mut dial = dial.tried(trouble);
            dial.may_come |= may_come;
            self.dial(dial);
        } else if may_come {
            self.not_reached(dial.tried(trouble));
        } else {
            self.refused(&dial.errand, Failure::from(error));
        }
    }

    pub(super) fn handshake_timed_out(&mut self, mut peer: PendingPeer) {
        self.reactor.forget(&peer.link);
        let error = peer.handshake.as_mut().map_or(Error::Silent, Handshake::timed_out);
        peer.push();
        self.handshake_over(peer, Err(error));
    }
}

/// What a failure of TLS is to a handshake.
fn tls_error(link: &Link, errno: Errno) -> Error {
    match errno {
        Errno::KEYREJECTED => {
            let why = link.refusal();
            let why = why.unwrap_or_else(|| "the two sides know no common kind of certificate".to_owned());
            Error::Denied(format!("TLS: {why}").into())
        }
        Errno::CONNRESET | Errno::PIPE => Error::Closed("during the handshake of TLS"),
        _ => Error::Protocol(
            "the peer does not speak TLS 1.3: set `tls-ca`, `tls-cert` and `tls-key` on both sides".into(),
        ),
    }
}

/// How often a side with this limit wants a sign of life, in the protocol's milliseconds.
pub(super) fn alive(limit: Option<Duration>) -> Option<u32> {
    limit.map(|limit| u32::try_from((limit / SIGNS).as_millis()).unwrap_or(u32::MAX))
}

fn agent() -> String {
    concat!("zvfs tcp ", env!("CARGO_PKG_VERSION")).to_owned()
}

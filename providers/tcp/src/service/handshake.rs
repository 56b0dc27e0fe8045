//! Handshakes: bytes between a connection and the protocol's machine.

use super::keepalive::alive;
use super::{Service, Source, Timer};
use crate::link::{Link, Received};
use crate::pipe::{Coming, ReaderPipe};
use crate::plan::Plan;
use crate::settings::{Config, Windows};
use crate::tls::Step;
use netpipe::pairing::{Awaited, Disposition, Greeting};
use netpipe::{
    Error, Established, Handshake, Hello, Local, Message, Progress, Reason, Role, Secret, Token, code,
};
use rustix::io::Errno;
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
    /// Its HELLO, and the dial.
    Dialled(Box<Hello>, u64),
    /// Once its HELLO is judged, the pipe.
    Accepted(Awaited, Option<u64>),
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
    /// Begins as the side that dialled; `plan`: of the pipe, if its other end is there.
    pub fn dialled(
        link: Link,
        dial: u64,
        greeting: Greeting,
        plan: Option<&Plan>,
        config: &Config,
    ) -> PendingPeer {
        let Greeting { mut hello, relayed, .. } = greeting;
        let mut window = Windows::default();
        if let Some(plan) = plan {
            hello.features = plan.features(relayed || link.leaves_machine())
                | config.meets(relayed || !link.leaves_machine());
            hello.alive = alive(config.silence);
            if hello.role == Some(Role::Reader) {
                window = link.window(plan.window);
                hello.window = Some(window.first);
            }
        }
        hello.agent = Some(agent());
        PendingPeer { window, ..PendingPeer::new(link, Side::Dialled(Box::new(hello), dial), relayed) }
    }

    /// Begins as the side to which somebody came.
    pub fn accepted(link: Link, awaited: Awaited, relayed: bool) -> PendingPeer {
        PendingPeer::new(link, Side::Accepted(awaited, None), relayed)
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
        let is_in = matches!(peer.outcome, Some(Ok(_)));
        if let (Side::Accepted(_, Some(id)), true, None) = (&peer.side, is_in, &peer.coming) {
            peer.coming = self.readers.get(id).map(ReaderPipe::expect);
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
            true => Err(handshake.refuse(Reason::new(
                code::ECONNRESET,
                "the broker's token is unknown here, or was used before",
            ))),
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
        let (Side::Accepted(awaited, pipe), Some(handshake)) = (&mut peer.side, &mut peer.handshake) else {
            return None;
        };
        let progress = match self.pairing.judge(Instant::now(), *awaited, hello) {
            Err(reason) => Err(handshake.refuse(reason)),
            Ok(None) => return hello.token,
            // It was stopped, or this side was, until it gave up: its next connection counts, not this one.
            Ok(Some(_)) if peer.link.is_given_up() => Err(Error::Closed("before its HELLO was answered")),
            Ok(Some(id)) => {
                let plan = self.plan(id)?;
                *pipe = Some(id);
                peer.window = peer.link.window(plan.window);
                let local = Local {
                    features: plan.features(peer.relayed || peer.link.leaves_machine())
                        | self.config.meets(peer.relayed || !peer.link.leaves_machine()),
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
        let now = Instant::now();
        let (established, next) = match (side, outcome) {
            (Side::Dialled(_, dial), Ok(established)) => {
                let next = self.pairing.established(now, dial, &established);
                (established, next)
            }
            (Side::Accepted(_, Some(id)), Ok(established)) => {
                let next = self.pairing.accepted(id, &established);
                (established, next)
            }
            (Side::Accepted(_, None), Ok(_)) => return,
            (Side::Dialled(_, dial), Err(error)) => {
                link.end();
                return self.pairing.refused(now, dial, link.peer(), &error);
            }
            (Side::Accepted(awaited, pipe), Err(error)) => {
                return self.refused(&link, awaited, pipe, &error);
            }
        };
        match next {
            Disposition::Connect(id) => self.join(id, Connection { link, established, window }),
            Disposition::Dismiss(message) => self.dismiss(Connection { link, established, window }, &message),
            Disposition::Close => {}
            Disposition::Broker(broker) => self.serve_broker(broker, link),
            Disposition::Dial(dial) => self.greet(link, dial),
            Disposition::Accept => drop(self.receive(link, Awaited::Introduced, true)),
        }
    }

    fn refused(&mut self, link: &Link, awaited: Awaited, pipe: Option<u64>, error: &Error) {
        let text = format!("{} was refused: {error}", link.peer());
        link.end();
        // A pipe that is busy, or was closed meanwhile, is nothing to warn of.
        let ordinary = matches!(error, Error::Closed(_) | Error::Invalid(_));
        let level = if ordinary { Level::Info } else { Level::Warning };
        self.log_pending(level, &format!("netpipe: {text}"));
        self.pairing.note_awaited(pipe.map_or(awaited, Awaited::Pipe), &text);
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
            let why = why.unwrap_or_else(|| "the two sides support no common type of certificate".to_owned());
            Error::Denied(format!("TLS: {why}").into())
        }
        Errno::CONNRESET | Errno::PIPE => Error::Closed("during the handshake of TLS"),
        _ => Error::Protocol(
            "the peer does not speak TLS 1.3: set `tls-ca`, `tls-cert` and `tls-key` on both sides".into(),
        ),
    }
}

fn agent() -> String {
    concat!("zvfs tcp ", env!("CARGO_PKG_VERSION")).to_owned()
}

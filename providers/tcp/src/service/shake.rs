//! Handshakes: bytes between a connection and the protocol's machine.

use super::accept::{Invitation, Verdict};
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
    Acceptor, Dialler, Error, Established, Hello, Local, Message, Progress, Reason, Role, Secret, Token, code,
};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::Level;

/// The most bytes that a handshake's frame still needs.
const WANT_MAX: usize = netpipe::frame::HEADER + netpipe::frame::CONTROL_MAX;

/// For whom a stranger may come.
#[derive(Clone, Copy, Debug)]
pub enum Guest {
    /// For a direct pipe.
    Pipe(u64),
    /// For a pipe that a broker introduced.
    Introduced,
}

/// Of a side that does not read, or does not know yet.
const NO_WINDOW: Windows = Windows { first: 0, most: 0 };

/// A handshake in progress.
#[derive(Debug)]
pub struct Shake {
    link: Link,
    machine: Machine,
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
    /// A HELLO whose token is not known yet.
    early: Option<Hello>,
    /// That the peer has said HELLO was told.
    hello_told: bool,
}

/// How long an introduced peer may be faster than the broker's word of it.
const EARLY: Duration = Duration::from_secs(2);

#[derive(Debug)]
enum Machine {
    /// TLS is not ready: what comes then.
    Dials(Box<Hello>, Box<Dial>, Option<Secret>),
    Accepts(Guest),
    Dialler(Dialler, Box<Dial>),
    /// Once its HELLO is judged, the pipe.
    Acceptor(Acceptor, Guest, Option<u64>),
}

/// A connection whose handshake is complete.
#[derive(Debug)]
pub struct Shaken {
    pub link: Link,
    pub established: Established,
    /// The window that this side gave, if it reads, and what that may grow to.
    pub window: Windows,
}

impl Shake {
    /// Begins as the side that dialled.
    pub fn dialler(
        link: Link,
        dial: Dial,
        mut hello: Hello,
        invitation: Option<Invitation>,
        relayed: bool,
        secret: Option<Secret>,
    ) -> Shake {
        let mut window = NO_WINDOW;
        if let Some(invitation) = invitation {
            hello.features = invitation.features(relayed || link.leaves_machine());
            if hello.role == Some(Role::Reader) {
                window = socket::window(&link, invitation.window);
                hello.window = Some(window.first);
            }
        }
        hello.agent = Some(agent());
        let machine = Machine::Dials(Box::new(hello), Box::new(dial), secret);
        Shake { window, relayed, ..Shake::new(link, machine) }
    }

    /// Begins as the side to which somebody came.
    pub fn guest(link: Link, guest: Guest, relayed: bool) -> Shake {
        Shake { relayed, ..Shake::new(link, Machine::Accepts(guest)) }
    }

    fn new(link: Link, machine: Machine) -> Shake {
        let (output, outcome) = (Vec::new(), None);
        Shake {
            link,
            machine,
            window: NO_WINDOW,
            relayed: false,
            output,
            sent: 0,
            writes: false,
            outcome,
            coming: None,
            early: None,
            hello_told: false,
        }
    }

    /// Refuses a connection before its first byte.
    pub fn turn_away(link: Link, reason: &Reason) {
        // A refusal that the kernel does not take at once is not worth a wait.
        let _ = link.send(&Message::Refusal(reason.clone()).to_bytes(), &[]);
        link.end();
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Whether a stranger has said HELLO since this was asked last.
    pub fn has_said_hello_meanwhile(&mut self) -> bool {
        let said = matches!(self.machine, Machine::Acceptor(_, _, Some(_))) || self.early.is_some();
        said && !std::mem::replace(&mut self.hello_told, said)
    }

    /// Gets TLS ready, and then begins what needs it.
    fn begin(&mut self) -> Step {
        let machine = match &mut self.machine {
            Machine::Dialler(..) | Machine::Acceptor(..) => return Step::Done,
            machine => machine,
        };
        let ready = self.link.handshake().and_then(|step| match step {
            Step::Done => Ok((step, self.link.exporter()?)),
            step => Ok((step, None)),
        });
        let exporter = match ready {
            Ok((Step::Done, exporter)) => exporter,
            Ok((step, _)) => return step,
            Err(errno) => {
                self.outcome = Some(Err(tls_error(&self.link, errno)));
                return Step::Done;
            }
        };
        *machine = match machine {
            Machine::Dials(hello, dial, secret) => {
                match Dialler::new((**hello).clone(), secret.take(), exporter) {
                    Ok(dialler) => Machine::Dialler(dialler, dial.clone()),
                    Err(error) => {
                        self.outcome = Some(Err(error));
                        return Step::Done;
                    }
                }
            }
            Machine::Accepts(guest) => Machine::Acceptor(Acceptor::new(exporter), *guest, None),
            Machine::Dialler(..) | Machine::Acceptor(..) => return Step::Done,
        };
        Step::Done
    }

    /// Sends what there is to send; true: all of it.
    fn push(&mut self) -> bool {
        self.output.extend(match &mut self.machine {
            Machine::Dialler(machine, _) => machine.output(),
            Machine::Acceptor(machine, ..) => machine.output(),
            Machine::Dials(..) | Machine::Accepts(_) => Vec::new(),
        });
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
        let mut bytes = [0; WANT_MAX];
        let want = match &self.machine {
            Machine::Dialler(machine, _) => machine.want(),
            Machine::Acceptor(machine, ..) => machine.want(),
            Machine::Dials(..) | Machine::Accepts(_) => return None,
        };
        let received = self.link.receive(&mut bytes[..want.min(WANT_MAX)], &mut []);
        let mut input = match received {
            Ok(Received::Nothing) => return None,
            Ok(Received::Bytes(count)) => &bytes[..count],
            Err(errno @ (Errno::KEYREJECTED | Errno::PROTO)) => {
                return Some(Err(tls_error(&self.link, errno)));
            }
            Ok(Received::End) | Err(_) => {
                return Some(Err(match &self.machine {
                    Machine::Dialler(machine, _) => machine.closed(),
                    Machine::Acceptor(machine, ..) => machine.closed(),
                    Machine::Dials(..) | Machine::Accepts(_) => Error::Closed("during the handshake"),
                }));
            }
        };
        match &mut self.machine {
            Machine::Dialler(machine, _) => Some(machine.input(&mut input)),
            Machine::Acceptor(machine, ..) => Some(machine.input(&mut input)),
            Machine::Dials(..) | Machine::Accepts(_) => None,
        }
    }
}

impl Service {
    /// Puts a handshake under watch, and begins it; it may take up to `limit`.
    pub(super) fn start_shake(&mut self, mut shake: Shake, limit: Duration) -> Option<u64> {
        shake.writes = true;
        let key = self.keep(Source::Shaking(Box::new(shake)), true, true)?;
        self.reactor.at(Instant::now() + limit, Timer::Expire(key));
        Some(key)
    }

    /// Goes on with a handshake as far as its peer lets it.
    pub(super) fn shake(&mut self, key: u64, mut shake: Shake) -> Option<Shake> {
        loop {
            self.announce(&mut shake);
            match shake.begin() {
                Step::Done if shake.push() => {}
                step => {
                    self.watch_shake(key, &mut shake, step != Step::Read);
                    return Some(shake);
                }
            }
            if let Some(outcome) = shake.outcome.take() {
                self.reactor.forget(&shake.link);
                self.stranger_gone(key);
                self.shaken(shake, outcome);
                return None;
            }
            match shake.pull() {
                None => {
                    self.watch_shake(key, &mut shake, false);
                    return Some(shake);
                }
                Some(Ok(Progress::More)) => {}
                Some(Ok(Progress::Hello(hello))) => match self.answer(&mut shake, &hello) {
                    None => {}
                    Some(token) => {
                        // Nothing is read meanwhile; a peer that goes is found out later.
                        self.reactor.change(&shake.link, key, false, false);
                        shake.early = Some(hello);
                        self.strangers.early.insert(token, key);
                        self.reactor.at(Instant::now() + EARLY, Timer::Early(token));
                        return Some(shake);
                    }
                },
                Some(Ok(Progress::Done(established))) => shake.outcome = Some(Ok(established)),
                Some(Err(error)) => shake.outcome = Some(Err(error)),
            }
        }
    }

    /// Has a reader count a writer before the writer learns that it is in: it may have written, and ENDed, a moment after that.
    fn announce(&self, shake: &mut Shake) {
        if let (Machine::Acceptor(_, _, Some(id)), Some(Ok(_)), None) =
            (&shake.machine, &shake.outcome, &shake.coming)
        {
            shake.coming = self.readers.get(id).map(|reading| reading.pipe.expect());
        }
    }

    fn watch_shake(&self, key: u64, shake: &mut Shake, writes: bool) {
        if shake.writes != writes {
            shake.writes = writes;
            self.reactor.change(&shake.link, key, true, writes);
        }
    }

    /// Goes on with a stranger that came before the broker's word of it; `late`: or without that.
    pub(super) fn stranger_known(&mut self, token: Token, late: bool) {
        let Some(key) = self.strangers.early.remove(&token) else { return };
        let Some(Source::Shaking(mut shake)) = self.sources.remove(&key) else { return };
        let Some(hello) = shake.early.take() else { return };
        if late && let Machine::Acceptor(machine, ..) = &mut shake.machine {
            let reason = Reason::new(code::ECONNRESET, "the broker's token is unknown here, or used up");
            machine.refuse(reason.clone());
            shake.outcome = Some(Err(Error::Invalid(format!("refused: {reason}").into())));
        } else {
            self.answer(&mut shake, &hello);
        }
        shake.writes = false;
        self.reactor.change(&shake.link, key, true, false);
        if let Some(shake) = self.shake(key, *shake) {
            self.sources.insert(key, Source::Shaking(Box::new(shake)));
        }
    }

    /// Answers a stranger's HELLO, unless its token is one to wait for.
    fn answer(&self, shake: &mut Shake, hello: &Hello) -> Option<Token> {
        let Machine::Acceptor(machine, guest, pipe) = &mut shake.machine else { return None };
        match self.judge(*guest, hello) {
            Ok(Verdict::Wait(token)) => return Some(token),
            Err(reason) => {
                machine.refuse(reason.clone());
                shake.outcome = Some(Err(Error::Invalid(format!("refused: {reason}").into())));
            }
            // It was stopped, or this side was, until it gave up: its next connection counts, not this one.
            Ok(_) if shake.link.is_given_up() => {
                shake.outcome = Some(Err(Error::Closed("before its HELLO was answered")));
            }
            Ok(Verdict::Welcome(invitation)) => {
                *pipe = Some(invitation.pipe);
                shake.window = socket::window(&shake.link, invitation.window);
                let local = Local {
                    features: invitation.features(shake.relayed || shake.link.leaves_machine()),
                    agent: Some(agent()),
                    window: Some(shake.window.first),
                    alive: alive(self.config.silence),
                };
                match machine.accept(local, self.config.secret.clone()) {
                    Ok(Progress::Done(established)) => shake.outcome = Some(Ok(established)),
                    Ok(_) => {}
                    Err(error) => shake.outcome = Some(Err(error)),
                }
            }
        }
        None
    }

    /// A handshake is over.
    fn shaken(&mut self, shake: Shake, outcome: Result<Established, Error>) {
        // `coming` goes at the end: by then its writer has arrived, or will not.
        let Shake { link, machine, window, coming: _coming, .. } = shake;
        match (machine, outcome) {
            (Machine::Dialler(_, dial), Ok(established)) => {
                self.greeted(dial.errand, Shaken { link, established, window });
            }
            (Machine::Acceptor(_, _, Some(id)), Ok(established)) => {
                if let Some(token) = &established.peer.token {
                    self.expected.remove(token);
                }
                self.join(id, Shaken { link, established, window });
            }
            (Machine::Accepts(guest), Err(error)) => self.not_let_in(&link, guest, None, &error),
            (Machine::Acceptor(_, guest, pipe), Err(error)) => self.not_let_in(&link, guest, pipe, &error),
            (Machine::Acceptor(_, _, None) | Machine::Accepts(_) | Machine::Dials(..), Ok(_)) => {}
            (Machine::Dialler(_, dial) | Machine::Dials(_, dial, _), Err(error)) => {
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
        self.log_stranger(level, &format!("netpipe: {peer} was not let in: {error}"));
        self.note_guest(pipe.map_or(guest, Guest::Pipe), &format!("{peer} was not let in: {error}"));
    }

    fn greeted(&mut self, errand: Errand, shaken: Shaken) {
        match errand {
            Errand::Direct(id) | Errand::Introduced(id, _) | Errand::Joined(id, _) => self.join(id, shaken),
            Errand::Broker(broker) => self.broker_reached(broker, shaken.link),
            Errand::Relay(id, token) => self.relay_reached(id, token, shaken.link),
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

    pub(super) fn shake_timed_out(&mut self, mut shake: Shake) {
        self.reactor.forget(&shake.link);
        let error = match &shake.machine {
            Machine::Dialler(machine, _) => machine.timed_out(),
            Machine::Acceptor(machine, ..) => machine.timed_out(),
            Machine::Dials(..) | Machine::Accepts(_) => Error::Silent,
        };
        // It learns why, once it listens. A dialler has spoken already, so that nothing of it is told to who does not ask.
        let reason = match &shake.machine {
            Machine::Dialler(..) => Some(Reason::new(code::ETIMEDOUT, "the handshake took too long")),
            Machine::Acceptor(..) => error.refusal(),
            Machine::Dials(..) | Machine::Accepts(_) => None,
        };
        if let Some(reason) = reason {
            shake.output.extend(Message::Refusal(reason).to_bytes());
            shake.push();
        }
        self.shaken(shake, Err(error));
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

//! Listeners, and the peers that come to them.

use super::broker::Expected;
use super::dial::Errand;
use super::handshake::PendingPeer;
use super::{Service, Source, Timer};
use crate::failure::Failure;
use crate::link::Link;
use crate::plan::Plan;
use crate::settings::Windows;
use crate::socket;
use netpipe::digest::Algorithm;
use netpipe::handshake::TIMEOUT;
use netpipe::hello::{FEATURE_ALIVE, FEATURE_CRC, FEATURE_WINDOWS};
use netpipe::repeats::Repeats;
use netpipe::{Hello, Purpose, Reason, Role, Token, code};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Level};

/// Connections whose handshake is not complete. What comes beyond waits in the kernel's queue.
const PENDING_MAX: usize = 256;
/// An honest handshake takes milliseconds: whoever is older gives way when there is no room.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause after the system refused to give a connection, for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// In which time lines are counted that may come over and over.
const PERIOD: Duration = Duration::from_secs(10);
/// Lines of one level that pending peers may make in the log in that time: whoever comes must not fill it.
const LINES: u64 = 10;

/// For whom a peer may come.
#[derive(Clone, Copy, Debug)]
pub enum Guest {
    /// For a direct pipe.
    Pipe(u64),
    /// For a pipe that a broker introduced.
    Introduced,
}

/// A listener.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    guest: Guest,
}

/// Connections whose handshake is not complete, by age.
#[derive(Debug, Default)]
pub struct PendingPeers {
    /// Those whose token the broker has not told yet.
    pub early: HashMap<Token, u64>,
    since: BTreeMap<u64, Instant>,
    /// Listeners that wait for room.
    paused: Vec<u64>,
    /// Lines that they made in the log. By level: what is counted of one that nobody sees would stand alone.
    lines: BTreeMap<(Topic, Level), Repeats>,
}

/// What a line is about that may come over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    /// What a peer did in its handshake.
    Peer,
    /// The system gives no connection.
    Accept,
}

impl Listener {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Service {
    /// Listens for the other end of a direct pipe.
    pub(super) fn listen_for_pipe(&mut self, id: u64, at: SocketAddr) {
        let Some(plan) = self.plan(id) else { return };
        match socket::listen(at, plan.window.most)
            .and_then(|socket| self.serve_listener(socket, Guest::Pipe(id)))
        {
            Ok(key) => {
                if let Some(reading) = self.readers.get_mut(&id) {
                    reading.listener = Some(key);
                } else if let Some(writing) = self.writers.get_mut(&id) {
                    writing.listener = Some(key);
                }
            }
            Err(errno) => {
                let failure = match Code::from_raw(errno.raw_os_error().into()) {
                    Code::EADDRINUSE => {
                        Failure::new(Code::EBUSY, format!("{at} is in use: another one listens there"))
                    }
                    code => Failure::new(code, format!("listen at {at}: {}", system_text(code, errno))),
                };
                self.fail_pipe(id, failure);
            }
        }
    }

    /// Serves a listener.
    ///
    /// # Errors
    /// ENOMEM: it cannot be watched.
    pub(super) fn serve_listener(&mut self, socket: OwnedFd, guest: Guest) -> Result<u64, Errno> {
        let listener = Listener { socket, guest };
        self.keep(Source::Listener(listener), true, false).ok_or(Errno::NOMEM)
    }

    fn plan(&self, id: u64) -> Option<&Plan> {
        match (self.readers.get(&id), self.writers.get(&id)) {
            (Some(reading), _) => Some(&reading.pipe.plan),
            (None, Some(writing)) => Some(&writing.pipe.plan),
            (None, None) => None,
        }
    }

    /// Takes whoever has come.
    pub(super) fn accept(&mut self, key: u64, listener: Listener) -> Option<Listener> {
        loop {
            if !self.has_room_for_peer() {
                return Some(self.pause_listener(key, listener, PATIENCE));
            }
            match socket::accept(&listener.socket) {
                Ok(socket) => self.welcome(socket, listener.guest),
                Err(Errno::AGAIN) => break,
                // The peer is gone again; what the network says of it is no fault of the listener (accept(2)).
                Err(
                    Errno::CONNABORTED
                    | Errno::PROTO
                    | Errno::NETDOWN
                    | Errno::HOSTUNREACH
                    | Errno::NETUNREACH,
                ) => {}
                Err(errno) => {
                    let why = Code::from_raw(errno.raw_os_error().into());
                    let text = format!("accept: {}: tried again until there is room", why.text());
                    self.log_repeated(Topic::Accept, Level::Warning, &format!("netpipe: {text}"));
                    self.note_guest(listener.guest, &text);
                    return Some(self.pause_listener(key, listener, PAUSE));
                }
            }
        }
        Some(listener)
    }

    /// Whether peers are still to come to a listener: its pipe may have met its other end while it was served.
    pub(super) fn is_wanted(&self, key: u64, listener: &Listener) -> bool {
        let Guest::Pipe(id) = listener.guest else { return true };
        match (self.readers.get(&id), self.writers.get(&id)) {
            (Some(reading), _) => reading.listener == Some(key),
            (None, Some(writing)) => writing.listener == Some(key),
            (None, None) => false,
        }
    }

    fn pause_listener(&mut self, key: u64, listener: Listener, pause: Duration) -> Listener {
        self.reactor.change(&listener.socket, key, false, false);
        self.pending.paused.push(key);
        self.reactor.at(Instant::now() + pause, Timer::Admit);
        listener
    }

    /// Listens again where there was no room.
    pub(super) fn admit_pending(&mut self) {
        for key in std::mem::take(&mut self.pending.paused) {
            if let Some(Source::Listener(listener)) = self.sources.get_mut(&key) {
                self.reactor.change(&listener.socket, key, true, false);
            }
        }
    }

    /// Whether one more may come in; who has dawdled makes room.
    fn has_room_for_peer(&mut self) -> bool {
        if self.pending.since.len() < PENDING_MAX {
            return true;
        }
        // Keys grow with time.
        let oldest = self.pending.since.first_key_value().map(|(key, since)| (*key, *since));
        let Some((key, _)) = oldest.filter(|(_, since)| since.elapsed() >= PATIENCE) else { return false };
        // It may be this thread that dawdled: what the peer has said by now is heard first.
        self.handle(key);
        if let Some(Source::Pending(peer)) = self.sources.get_mut(&key) {
            if peer.has_said_hello_meanwhile() {
                self.pending.since.insert(key, Instant::now());
            } else {
                self.expire(key);
                self.pending_over(key);
            }
        }
        self.pending.since.len() < PENDING_MAX
    }

    /// A handshake is over.
    pub(super) fn pending_over(&mut self, key: u64) {
        if self.pending.since.remove(&key).is_some() && !self.pending.paused.is_empty() {
            self.admit_pending();
        }
    }

    /// Logs what a peer did in its handshake, unless such lines have filled the log already.
    pub(super) fn log_pending(&mut self, level: Level, text: &str) {
        self.log_repeated(Topic::Peer, level, text);
    }

    /// Logs the first such lines of a period, and counts the others.
    fn log_repeated(&mut self, topic: Topic, level: Level, text: &str) {
        let now = Instant::now();
        let most = if topic == Topic::Peer { LINES } else { 1 };
        let repeats = self.pending.lines.entry((topic, level)).or_insert_with(|| Repeats::new(most, PERIOD));
        let begins = repeats.deadline().is_none();
        if repeats.admit(now, text) {
            self.log(level, text);
        }
        if begins {
            self.reactor.at(now + PERIOD, Timer::Lines);
        }
    }

    /// Tells how many lines were only counted.
    pub(super) fn log_counts(&mut self) {
        let now = Instant::now();
        let counts: Vec<_> = self
            .pending
            .lines
            .iter_mut()
            .filter_map(|((_, level), repeats)| Some((*level, repeats.end(now)?)))
            .collect();
        for (level, count) in counts {
            self.log(level, &format!("netpipe: {count}"));
        }
    }

    /// Notes a trouble for whom a listener serves: without a HELLO, all whom a broker introduced.
    pub(super) fn note_guest(&self, guest: Guest, trouble: &str) {
        match guest {
            Guest::Pipe(id) => self.note(id, trouble),
            Guest::Introduced => {
                self.expected.values().for_each(|expected| self.note(expected.pipe, trouble));
            }
        }
    }

    /// Lets a peer in as far as the handshake.
    fn welcome(&mut self, socket: OwnedFd, guest: Guest) {
        let tuned = socket::tune(&socket, self.config.peer_timeout);
        let Ok(link) = tuned.and_then(|()| Link::new(socket)) else { return };
        if let Err(failure) = self.may_talk(link.peer().ip()) {
            self.log_pending(Level::Warning, &format!("netpipe: refuse {}: {}", link.peer(), failure.text));
            PendingPeer::turn_away(
                link,
                Reason::new(code::EACCES, "without a secret only loopback is served"),
            );
            return;
        }
        if let Some(key) = self.receive(link, guest, false) {
            self.pending.since.insert(key, Instant::now());
        }
    }

    /// Begins the handshake with whoever came, under TLS if the operator has that.
    pub(super) fn receive(&mut self, mut link: Link, guest: Guest, relayed: bool) -> Option<u64> {
        if let Some(tls) = &self.config.tls {
            match tls.accept() {
                Ok(session) => link.secure(session),
                Err(error) => {
                    self.log_pending(Level::Error, &format!("netpipe: TLS: {error}"));
                    return None;
                }
            }
        }
        self.start_handshake(PendingPeer::accepted(link, guest, relayed), TIMEOUT)
    }

    /// Decides whether a peer's HELLO fits a pipe, and which.
    ///
    /// # Errors
    /// What to tell the peer.
    pub(super) fn judge(&self, guest: Guest, hello: &Hello) -> Result<Verdict, Reason> {
        let refuse = |code, text: &str| Err(Reason::new(code, text));
        let (Purpose::Pipe, Some(role), Some(name)) = (hello.purpose, hello.role, &hello.name) else {
            return refuse(code::EPROTO, "this is no broker: it takes pipes only");
        };
        let id = match (guest, &hello.token) {
            (Guest::Pipe(id), None) => id,
            (Guest::Pipe(_), Some(_)) => {
                return refuse(code::EACCES, "no broker introduces to a direct pipe");
            }
            (Guest::Introduced, None) => {
                return refuse(code::EACCES, "only whom a broker introduces is served here");
            }
            (Guest::Introduced, Some(token)) => match self.expected.get(token) {
                Some(Expected { pipe, until }) if *until > Instant::now() => *pipe,
                Some(_) => return refuse(code::ECONNRESET, "the broker's token has expired"),
                // The broker told both sides, and the other one was faster.
                None => return Ok(Verdict::Wait(*token)),
            },
        };
        let Some(plan) = self.plan(id) else { return refuse(code::ECONNRESET, "the pipe was closed") };
        if *name != plan.name {
            return refuse(code::EPROTO, "this is another pipe");
        }
        match (role, self.readers.get(&id), self.writers.get(&id)) {
            (Role::Writer, Some(reading), _) if !reading.has_room() => {
                return refuse(code::EBUSY, "the pipe has all the writers that its reader expects");
            }
            (Role::Reader, _, Some(writing)) if !writing.is_waiting() => {
                return refuse(code::EBUSY, "the pipe has a reader already");
            }
            (Role::Writer, Some(_), _) | (Role::Reader, _, Some(_)) => {}
            _ => return refuse(code::EBUSY, "both sides have the same direction"),
        }
        Ok(Verdict::Welcome(Invitation::of(id, plan)))
    }
}

/// What becomes of a peer's HELLO.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// It is answered.
    Welcome(Invitation),
    /// The broker has not yet told this side of that token.
    Wait(Token),
}

/// What a peer is let in for.
#[derive(Clone, Copy, Debug)]
pub struct Invitation {
    pub pipe: u64,
    pub window: Windows,
    pub checksums: crate::settings::Checksums,
    pub digest: Option<Algorithm>,
}

impl Invitation {
    fn of(pipe: u64, plan: &Plan) -> Invitation {
        Invitation { pipe, window: plan.window, checksums: plan.checksums, digest: plan.digest }
    }

    /// The features that this side has on a connection.
    pub fn features(&self, leaves_machine: bool) -> u64 {
        let crc = if self.checksums.wanted(leaves_machine) { FEATURE_CRC } else { 0 };
        FEATURE_WINDOWS | FEATURE_ALIVE | crc | self.digest.map_or(0, Algorithm::feature)
    }
}

impl Service {
    /// What this side says of itself for a pipe of its own.
    pub(super) fn invitation(&self, id: u64) -> Option<Invitation> {
        let plan = self.plan(id)?;
        Some(Invitation::of(id, plan))
    }

    /// The HELLO that a dialler sends for an errand.
    pub(super) fn hello(&self, errand: &Errand) -> Option<Hello> {
        let pipe = |id: u64, token| {
            let plan = self.plan(id)?;
            let role = if self.readers.contains_key(&id) { Role::Reader } else { Role::Writer };
            Some(Hello::pipe(role, plan.name.clone(), token))
        };
        match errand {
            Errand::Listen(_) => None,
            Errand::Direct(id) => pipe(*id, None),
            Errand::Introduced(id, token) | Errand::Joined(id, token) => pipe(*id, Some(*token)),
            Errand::Broker(_) => Some(Hello::broker()),
            Errand::Relay(_, token) => Some(Hello::relay(*token)),
        }
    }
}

fn system_text(code: Code, errno: Errno) -> String {
    if code.name().is_some() { code.text().to_owned() } else { std::io::Error::from(errno).to_string() }
}

//! Listeners, and the peers that come to them.

use super::handshake::PendingPeer;
use super::{Service, Source, Timer};
use crate::failure::{for_pairing, listening};
use crate::link::Link;
use netpipe::handshake::TIMEOUT;
use netpipe::pairing::Awaited;
use netpipe::repeats::Repeats;
use netpipe::{Reason, Token, code};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Level};
use zvfs_net::failure::{Failure, words};
use zvfs_net::socket;

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

/// A listener.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    awaited: Awaited,
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
            .and_then(|socket| self.serve_listener(socket, Awaited::Pipe(id)))
        {
            Ok(key) => drop(self.listeners.insert(id, key)),
            Err(errno) => {
                let failure = match errno {
                    Errno::ADDRINUSE => {
                        Failure::new(Code::EBUSY, format!("{at} is in use: something else listens there"))
                    }
                    errno => Failure::system(errno).context(&listening(at, errno)),
                };
                self.pairing.fail(Instant::now(), id, for_pairing(failure));
            }
        }
    }

    pub(super) fn stop_listening(&mut self, id: u64) {
        if let Some(key) = self.listeners.remove(&id) {
            self.sources.remove(&key);
        }
    }

    /// Serves a listener.
    ///
    /// # Errors
    /// ENOMEM: it cannot be watched.
    pub(super) fn serve_listener(&mut self, socket: OwnedFd, awaited: Awaited) -> Result<u64, Errno> {
        let listener = Listener { socket, awaited };
        self.keep(Source::Listener(listener), true, false).ok_or(Errno::NOMEM)
    }

    /// Takes whoever has come.
    pub(super) fn accept(&mut self, key: u64, listener: Listener) -> Listener {
        loop {
            if !self.has_room_for_peer() {
                return self.pause_listener(key, listener, PATIENCE);
            }
            match socket::accept(&listener.socket) {
                Ok(socket) => self.welcome(socket, listener.awaited),
                Err(Errno::AGAIN) => return listener,
                // The peer is gone again; what the network says of it is no fault of the listener (accept(2)).
                Err(
                    Errno::CONNABORTED
                    | Errno::PROTO
                    | Errno::NETDOWN
                    | Errno::HOSTUNREACH
                    | Errno::NETUNREACH,
                ) => {}
                Err(errno) => {
                    let text = format!("accept a connection: {}: retrying until there is room", words(errno));
                    self.log_repeated(Topic::Accept, Level::Warning, &format!("netpipe: {text}"));
                    self.pairing.note_awaited(listener.awaited, &text);
                    return self.pause_listener(key, listener, PAUSE);
                }
            }
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

    /// Whether one more may come in; the slowest makes room.
    fn has_room_for_peer(&mut self) -> bool {
        if self.pending.since.len() < PENDING_MAX {
            return true;
        }
        // Keys grow with time.
        let oldest = self.pending.since.first_key_value().map(|(key, since)| (*key, *since));
        let Some((key, _)) = oldest.filter(|(_, since)| since.elapsed() >= PATIENCE) else { return false };
        // It may be this thread that was slow: what the peer has said by now is heard first.
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

    /// Lets a peer in as far as the handshake.
    fn welcome(&mut self, socket: OwnedFd, awaited: Awaited) {
        let tuned = socket::tune(&socket, Some(self.config.peer_timeout));
        let Ok(link) = tuned.and_then(|()| Link::new(socket)) else { return };
        if let Err(failure) = self.may_talk(link.peer().ip()) {
            self.log_pending(Level::Warning, &format!("netpipe: refuse {}: {}", link.peer(), failure.text));
            PendingPeer::turn_away(
                link,
                Reason::new(code::EACCES, "without a secret only loopback is served"),
            );
            return;
        }
        if let Some(key) = self.receive(link, awaited, false) {
            self.pending.since.insert(key, Instant::now());
        }
    }

    /// Begins the handshake with whoever came, under TLS if the operator has that.
    pub(super) fn receive(&mut self, mut link: Link, awaited: Awaited, relayed: bool) -> Option<u64> {
        if let Some(tls) = &self.config.tls {
            match tls.accept() {
                Ok(session) => link.secure(session),
                Err(error) => {
                    self.log_pending(Level::Error, &format!("netpipe: TLS: {error}"));
                    return None;
                }
            }
        }
        self.start_handshake(PendingPeer::accepted(link, awaited, relayed), TIMEOUT)
    }
}

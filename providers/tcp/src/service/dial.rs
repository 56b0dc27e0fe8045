//! Connections to be made: address after address, names looked up on threads of their own.

use super::accept::Invitation;
use super::handshake::{PendingPeer, alive};
use super::{Service, Source, Timer};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::link::Link;
use crate::queue::Command;
use crate::socket;
use netpipe::Token;
use netpipe::handshake::TIMEOUT;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::Code;

/// Names looked up at once. The resolver's threads cannot be stopped, only left behind, and count until they end.
const LOOKUPS: usize = 16;

/// The pause before an introduced peer that went is dialled again.
const AGAIN: Duration = Duration::from_millis(100);

/// What a connection is wanted for.
#[derive(Clone, Debug)]
pub enum Errand {
    /// None: this pipe listens, at an address that is being looked up.
    Listen(u64),
    /// The other end of a direct pipe.
    Direct(u64),
    /// The reader of this writer, which a broker named.
    Introduced(u64, Token),
    /// A broker.
    Broker(Endpoint),
    /// A broker that is to join this pipe with its other end.
    Relay(u64, Token),
    /// The other end of this pipe, behind the broker that has joined them.
    Joined(u64, Token),
}

/// A connection to be made, and completed: an introduced reader whose first address leads to somebody else may be met at the
/// next.
#[derive(Clone, Debug)]
pub struct Dial {
    pub errand: Errand,
    left: VecDeque<Endpoint>,
    /// No address is tried after this.
    until: Option<Instant>,
    /// What came of each address.
    tried: Vec<String>,
    /// Somebody took a connection, and went or said nothing: the peer may come yet.
    pub may_come: bool,
}

/// A connection that is being made.
#[derive(Debug)]
pub struct Connecting {
    socket: OwnedFd,
    to: SocketAddr,
    dial: Dial,
}

impl Dial {
    pub fn new(errand: Errand, addresses: impl IntoIterator<Item = Endpoint>) -> Dial {
        let left = addresses.into_iter().collect();
        Dial { errand, left, until: None, tried: Vec::new(), may_come: false }
    }

    /// Gives up at a point in time.
    pub fn until(self, until: Instant) -> Dial {
        Dial { until: Some(until), ..self }
    }

    /// Notes what came of an address.
    pub fn tried(mut self, trouble: String) -> Dial {
        self.tried.push(trouble);
        self
    }

    /// What came of all addresses, in words.
    pub fn trouble(&self) -> String {
        match self.tried.is_empty() {
            true => "there was no address to try".to_owned(),
            false => self.tried.join("; "),
        }
    }

    /// Whether other addresses are to be tried, so that none should take all the time.
    pub fn has_others(&self) -> bool {
        !self.left.is_empty()
    }
}

impl Connecting {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Service {
    /// Tries the next address of a dial.
    pub(super) fn dial(&mut self, mut dial: Dial) {
        loop {
            if dial.until.is_some_and(|until| Instant::now() >= until) {
                return self.not_reached(dial);
            }
            let Some(endpoint) = dial.left.pop_front() else { return self.not_reached(dial) };
            let Some(to) = endpoint.literal() else { return self.look_up(dial, endpoint) };
            if let Errand::Listen(id) = dial.errand {
                return self.listen_for_pipe(id, to);
            }
            if let Err(failure) = self.may_talk(to.ip()) {
                if !matches!(dial.errand, Errand::Introduced(..)) {
                    return self.refused(&dial.errand, failure);
                }
                dial = dial.tried(failure.text);
                continue;
            }
            match socket::connect(to, self.window(&dial.errand)) {
                Ok(socket) => return self.wait_for_connection(Connecting { socket, to, dial }),
                Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)) => {
                    let code = Code::from_raw(errno.raw_os_error().into());
                    let failure = Failure::new(code, format!("connect to {to}: {}", code.text()));
                    return self.starved(&dial.errand, failure);
                }
                Err(errno) => dial = dial.tried(trouble(to, errno)),
            }
        }
    }

    /// The system gives this process no more: as with any open, whoever needs it is told at once rather than waits.
    fn starved(&mut self, errand: &Errand, failure: Failure) {
        match errand {
            Errand::Listen(id)
            | Errand::Direct(id)
            | Errand::Introduced(id, _)
            | Errand::Relay(id, _)
            | Errand::Joined(id, _) => self.fail_pipe(*id, failure),
            Errand::Broker(broker) => self.broker_refused(broker, None, &failure),
        }
    }

    fn window(&self, errand: &Errand) -> u32 {
        match errand {
            Errand::Direct(id) | Errand::Relay(id, _) => {
                self.invitation(*id).map(|Invitation { window, .. }| window.most)
            }
            _ => None,
        }
        .unwrap_or(netpipe::hello::WINDOW_MIN)
    }

    fn wait_for_connection(&mut self, connecting: Connecting) {
        let limit = Instant::now() + self.config.connect_timeout;
        let limit = connecting.dial.until.map_or(limit, |until| until.min(limit));
        if let Some(key) = self.keep(Source::Connecting(connecting), false, true) {
            self.reactor.at(limit, Timer::Expire(key));
        }
    }

    /// A socket says how connecting went.
    pub(super) fn connected(&mut self, connecting: Connecting) -> Option<Source> {
        self.reactor.forget(&connecting.socket);
        match sockopt::socket_error(&connecting.socket).and_then(|result| result) {
            Ok(()) => {
                let Connecting { socket, to, dial } = connecting;
                let tuned = socket::tune(&socket, self.config.peer_timeout);
                match tuned.and_then(|()| Link::new(socket)) {
                    Ok(link) => self.greet(link, dial),
                    Err(errno) => self.dial(dial.tried(trouble(to, errno))),
                }
            }
            Err(errno) => self.not_connected(connecting, errno),
        }
        None
    }

    /// An address was not reached: the next one.
    pub(super) fn not_connected(&mut self, connecting: Connecting, errno: Errno) {
        self.reactor.forget(&connecting.socket);
        let Connecting { to, dial, .. } = connecting;
        if let Some(silence) = self.silence(&dial.errand) {
            *silence = None;
        }
        self.dial(dial.tried(trouble(to, errno)));
    }

    /// Begins the handshake of an errand on its connection.
    pub(super) fn greet(&mut self, mut link: Link, dial: Dial) {
        let Some(mut hello) = self.hello(&dial.errand) else { return };
        let id = match dial.errand {
            Errand::Direct(id) | Errand::Introduced(id, _) | Errand::Joined(id, _) => Some(id),
            _ => None,
        };
        let invitation = id.and_then(|id| self.invitation(id));
        hello.alive = invitation.and_then(|_| alive(self.config.silence));
        let relayed = matches!(dial.errand, Errand::Joined(..));
        if let (Some(_), Some(tls)) = (id, &self.config.tls) {
            match tls.dial() {
                Ok(session) => link.secure(session),
                Err(error) => return self.refused(&dial.errand, Failure::new(Code::EIO, error.to_string())),
            }
        }
        let limit = if dial.has_others() { self.config.connect_timeout.min(TIMEOUT) } else { TIMEOUT };
        self.start_handshake(PendingPeer::dialled(link, dial, hello, invitation, relayed), limit);
    }

    /// No address was reached, or nobody there let this side in: what now depends on the errand.
    pub(super) fn not_reached(&mut self, dial: Dial) {
        let trouble = dial.trouble();
        match dial.errand {
            Errand::Listen(id) => {
                self.fail_pipe(
                    id,
                    Failure::new(Code::EHOSTUNREACH, format!("no such address here: {trouble}")),
                );
            }
            Errand::Direct(id) => self.dial_later(id, &trouble),
            Errand::Introduced(id, token) if dial.may_come && self.may_redial(id, token) => {
                // Its machine may have too much to do. The token is good until a handshake is complete; the broker, asked anew,
                // would take this writer for one too many.
                self.note(id, &trouble);
                self.reactor.at(Instant::now() + AGAIN, Timer::Redial(id, token));
            }
            Errand::Introduced(id, token) => self.unreachable(id, token, &trouble),
            Errand::Broker(broker) => self.broker_missed(&broker, &trouble),
            Errand::Relay(id, _) | Errand::Joined(id, _) => self.register_again(id, &trouble),
        }
    }

    /// The other side refused, or broke a rule: for good.
    pub(super) fn refused(&mut self, errand: &Errand, failure: Failure) {
        match errand {
            Errand::Listen(id) | Errand::Direct(id) | Errand::Introduced(id, _) | Errand::Joined(id, _) => {
                self.fail_pipe(*id, failure);
            }
            Errand::Relay(id, _) => self.register_again(*id, &failure.text),
            Errand::Broker(broker) => self.broker_refused(broker, None, &failure),
        }
    }

    /// Notes that whoever takes the connections of an errand does not answer; why no more are made, once that has lasted.
    pub(super) fn silent(&mut self, errand: &Errand) -> Option<Failure> {
        let limit = self.config.peer_timeout;
        let since = *self.silence(errand)?.get_or_insert_with(|| Instant::now() - TIMEOUT);
        (since.elapsed() >= limit).then(|| {
            let text = format!(
                "it takes connections, and has answered none for {}s: its process may be stopped",
                since.elapsed().as_secs()
            );
            Failure::new(Code::ETIMEDOUT, text)
        })
    }

    /// Since when an errand meets silence.
    fn silence(&mut self, errand: &Errand) -> Option<&mut Option<Instant>> {
        match errand {
            Errand::Direct(id) => self.search(*id).map(|search| &mut search.silent_since),
            Errand::Broker(broker) => self.brokers.get_mut(broker).map(|broker| &mut broker.silent_since),
            // The broker's tokens have an end of their own.
            _ => None,
        }
    }

    /// Asks the system's resolver, on a thread of its own.
    fn look_up(&mut self, dial: Dial, endpoint: Endpoint) {
        if Arc::strong_count(&self.resolvers) > LOOKUPS {
            return self.not_reached(dial.tried("too many names are being looked up".to_owned()));
        }
        let lookup = self.reactor.key();
        let (queue, counted) = (self.queue.clone(), self.resolvers.clone());
        let asked = thread::Builder::new().name("zvfs-resolve".to_owned()).spawn(move || {
            let found = endpoint.resolve().map_err(|error| {
                // The system's own words come last.
                let why = error.to_string().rsplit(": ").next().unwrap_or_default().to_lowercase();
                format!("look up {endpoint}: {why}")
            });
            queue.ask(Command::Resolved(lookup, found));
            drop(counted);
        });
        match asked {
            Ok(_) => {
                self.lookups.insert(lookup, dial);
                self.reactor.at(Instant::now() + self.config.connect_timeout, Timer::Lookup(lookup));
            }
            Err(error) => {
                self.not_reached(
                    dial.tried(format!("look up a name: {}", vfs_core::Error::no_thread(&error))),
                );
            }
        }
    }

    /// The resolver has answered, or it is too late.
    pub(super) fn resolved(&mut self, lookup: u64, found: Result<Vec<SocketAddr>, String>) {
        let Some(mut dial) = self.lookups.remove(&lookup) else { return };
        match found {
            Ok(addresses) => {
                for address in addresses.into_iter().rev() {
                    dial.left.push_front(Endpoint::from(address));
                }
            }
            Err(error) => dial = dial.tried(error),
        }
        self.dial(dial);
    }
}

fn trouble(to: SocketAddr, errno: Errno) -> String {
    format!("{to}: {}", Code::from_raw(errno.raw_os_error().into()).text())
}

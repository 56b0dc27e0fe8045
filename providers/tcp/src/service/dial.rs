//! Connections to be made: address after address, names looked up on threads of their own.

use super::accept::Invitation;
use super::shake::Shake;
use super::{Service, Source, Timer};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::link::Link;
use crate::queue::Command;
use crate::socket;
use netpipe::Token;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use vfs_core::Code;

/// Names looked up at once. The resolver's threads cannot be stopped, only left behind, and count until they end.
const LOOKUPS: usize = 16;

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

/// A connection to be made.
#[derive(Debug)]
pub struct Dial {
    pub errand: Errand,
    left: VecDeque<Endpoint>,
    /// No address is tried after this.
    until: Option<Instant>,
    trouble: String,
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
        Dial { errand, left: addresses.into_iter().collect(), until: None, trouble: String::new() }
    }

    /// One whose addresses are all tried.
    pub fn failed(errand: Errand, trouble: String) -> Dial {
        Dial { errand, left: VecDeque::new(), until: None, trouble }
    }

    /// Gives up at a point in time.
    pub fn until(self, until: Instant) -> Dial {
        Dial { until: Some(until), ..self }
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
                return self.refused(&dial.errand, failure);
            }
            match socket::connect(to, self.window(&dial.errand)) {
                Ok(socket) => return self.wait_for_connection(Connecting { socket, to, dial }),
                Err(errno) => dial.trouble = trouble(to, errno),
            }
        }
    }

    fn window(&self, errand: &Errand) -> u32 {
        match errand {
            Errand::Direct(id) | Errand::Relay(id, _) => {
                self.invitation(*id).map(|Invitation { window, .. }| window)
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
                    Ok(link) => self.greet(link, dial.errand),
                    Err(errno) => self.dial(Dial { trouble: trouble(to, errno), ..dial }),
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
        self.dial(Dial { trouble: trouble(to, errno), ..dial });
    }

    /// Begins the handshake of an errand on its connection.
    pub(super) fn greet(&mut self, mut link: Link, errand: Errand) {
        let Some(hello) = self.hello(&errand) else { return };
        let id = match errand {
            Errand::Direct(id) | Errand::Introduced(id, _) | Errand::Joined(id, _) => Some(id),
            _ => None,
        };
        let invitation = id.and_then(|id| self.invitation(id));
        let relayed = matches!(errand, Errand::Joined(..));
        if let (Some(_), Some(tls)) = (id, &self.config.tls) {
            match tls.dial() {
                Ok(session) => link.secure(session),
                Err(error) => return self.refused(&errand, Failure::new(Code::EIO, error.to_string())),
            }
        }
        let secret = self.config.secret.clone();
        self.start_shake(Shake::dialler(link, errand, hello, invitation, relayed, secret));
    }

    /// No address was reached: what now depends on the errand.
    pub(super) fn not_reached(&mut self, dial: Dial) {
        let Dial { errand, trouble, .. } = dial;
        match errand {
            Errand::Listen(id) => {
                self.fail_pipe(
                    id,
                    Failure::new(Code::EHOSTUNREACH, format!("no such address here: {trouble}")),
                );
            }
            Errand::Direct(id) => self.dial_later(id, &trouble),
            Errand::Introduced(id, token) => self.unreachable(id, token, &trouble),
            Errand::Broker(broker) => self.broker_lost(&broker, &trouble),
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
            Errand::Broker(broker) => self.broker_refused(broker, &failure),
        }
    }

    /// Asks the system's resolver, on a thread of its own.
    fn look_up(&mut self, mut dial: Dial, endpoint: Endpoint) {
        if Arc::strong_count(&self.resolvers) > LOOKUPS {
            dial.trouble = "too many names are being looked up".to_owned();
            return self.not_reached(dial);
        }
        let lookup = self.reactor.key();
        let (queue, counted) = (self.queue.clone(), self.resolvers.clone());
        let asked = thread::Builder::new().name("zvfs-resolve".to_owned()).spawn(move || {
            let found = endpoint.resolve().map_err(|error| format!("look up {endpoint}: {error}"));
            queue.ask(Command::Resolved(lookup, found));
            drop(counted);
        });
        match asked {
            Ok(_) => {
                self.lookups.insert(lookup, dial);
                self.reactor.at(Instant::now() + self.config.connect_timeout, Timer::Lookup(lookup));
            }
            Err(error) => {
                dial.trouble = format!("no thread for the resolver: {error}");
                self.not_reached(dial);
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
            Err(error) => dial.trouble = error,
        }
        self.dial(dial);
    }
}

fn trouble(to: SocketAddr, errno: Errno) -> String {
    format!("{to}: {}", Code::from_raw(errno.raw_os_error().into()).text())
}

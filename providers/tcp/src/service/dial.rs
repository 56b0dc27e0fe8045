//! Connections that are being made, and names that are being looked up on threads of their own.

use super::handshake::PendingPeer;
use super::{Service, Source, Timer};
use crate::failure::for_pairing;
use crate::link::Link;
use crate::queue::Command;
use netpipe::Endpoint;
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;
use vfs_core::Code;
use zvfs_net::failure::{Failure, words};
use zvfs_net::socket;

/// A connection that is being made.
#[derive(Debug)]
pub struct Connecting {
    socket: OwnedFd,
    to: SocketAddr,
    dial: u64,
}

impl Connecting {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Service {
    /// Begins to connect.
    pub(super) fn connect(&mut self, dial: u64, to: SocketAddr, until: Instant, reader: Option<u64>) {
        let now = Instant::now();
        if let Err(failure) = self.may_talk(to.ip()) {
            return self.pairing.denied(now, dial, for_pairing(failure));
        }
        let reader = reader.and_then(|id| self.readers.get(&id));
        let window = reader.map_or(netpipe::hello::WINDOW_MIN, |pipe| pipe.plan.window.most);
        match socket::connect(to, Some(window)) {
            Ok(socket) => {
                let connecting = Connecting { socket, to, dial };
                if let Some(key) = self.keep(Source::Connecting(connecting), false, true) {
                    self.reactor.at(until, Timer::Expire(key));
                }
            }
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)) => {
                let failure = Failure::system(errno).context(&format!("connect to {to}"));
                self.pairing.starved(now, dial, for_pairing(failure));
            }
            // This process may not, and will not be allowed to by waiting.
            Err(errno @ (Errno::PERM | Errno::ACCESS)) => {
                let failure = Failure::system(errno).context(&format!("connect to {to}"));
                self.pairing.denied(now, dial, for_pairing(failure));
            }
            Err(errno) => self.pairing.missed(now, dial, trouble(to, errno)),
        }
    }

    /// A socket says how connecting went.
    pub(super) fn connected(&mut self, connecting: Connecting) {
        self.reactor.forget(&connecting.socket);
        let result = socket::outcome(&connecting.socket);
        let Connecting { socket, to, dial } = connecting;
        let tuned = result.and_then(|()| socket::tune(&socket, Some(self.config.peer_timeout)));
        match tuned.and_then(|()| Link::new(socket)) {
            Ok(link) => self.greet(link, dial),
            Err(errno) => self.pairing.missed(Instant::now(), dial, trouble(to, errno)),
        }
    }

    /// A connection took too long.
    pub(super) fn not_connected(&mut self, connecting: &Connecting) {
        let Connecting { to, dial, .. } = *connecting;
        self.pairing.missed(Instant::now(), dial, trouble(to, Errno::TIMEDOUT));
    }

    /// Begins the handshake of a dial on its connection.
    pub(super) fn greet(&mut self, mut link: Link, dial: u64) {
        let Some(greeting) = self.pairing.connected(dial) else { return };
        if let (Some(_), Some(tls)) = (greeting.pipe, &self.config.tls) {
            match tls.dial() {
                Ok(session) => link.secure(session),
                Err(error) => {
                    let failure = Failure::new(Code::EIO, error.to_string());
                    return self.pairing.denied(Instant::now(), dial, for_pairing(failure));
                }
            }
        }
        let limit = greeting.limit;
        let plan = greeting.pipe.and_then(|id| self.plan(id));
        let peer = PendingPeer::dialled(link, dial, greeting, plan, &self.config);
        self.start_handshake(peer, limit);
    }

    /// Asks the system's resolver, on a thread of its own.
    pub(super) fn look_up(&mut self, dial: u64, endpoint: Endpoint) {
        let (now, queue) = (Instant::now(), self.queue.clone());
        let asked = self.resolver.look_up(&endpoint.host(), endpoint.port(), move |found| {
            let found = found.map_err(|failure| format!("look up {endpoint}: {}", failure.text));
            queue.ask(Command::Resolved(dial, found));
        });
        match asked {
            Ok(()) => self.reactor.at(now + self.config.connect_timeout, Timer::Lookup(dial)),
            Err(failure) => self.pairing.resolved(now, dial, Err(failure.text)),
        }
    }
}

fn trouble(to: SocketAddr, errno: Errno) -> String {
    format!("{to}: {}", words(errno))
}

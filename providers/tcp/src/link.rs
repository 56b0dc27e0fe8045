//! A connection: bytes in both directions, never waiting.

use crate::queue::lock;
use crate::tls::{Session, Step};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

/// What a receive came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, 1 at least.
    Bytes(usize),
    /// None yet: wait until the link is readable.
    Nothing,
    /// The peer's last byte was received before.
    End,
}

/// A connection to a peer or a broker.
///
/// One thread may receive while another sends.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    peer: SocketAddr,
    leaves_machine: bool,
    /// Boxed: most links have none, and it is large.
    tls: Option<Box<Mutex<Session>>>,
}

impl Link {
    /// Takes over a connected socket that never blocks.
    ///
    /// # Errors
    /// ENOTCONN: the peer is gone.
    pub fn new(socket: OwnedFd) -> Result<Link, Errno> {
        let peer = crate::socket::peer(&socket)?;
        let local = crate::socket::local(&socket)?;
        // A machine that talks to an address of its own talks over loopback.
        let leaves_machine =
            peer.ip().to_canonical() != local.ip().to_canonical() && !crate::socket::is_loopback(peer.ip());
        Ok(Link { socket, peer, leaves_machine, tls: None })
    }

    /// Puts TLS between this link and its users.
    pub fn secure(&mut self, session: Session) {
        self.tls = Some(Box::new(Mutex::new(session)));
    }

    /// Goes on with the handshake of TLS, if there is that.
    ///
    /// # Errors
    /// As [`Session::handshake`].
    pub fn handshake(&self) -> Result<Step, Errno> {
        match &self.tls {
            Some(tls) => lock(tls).handshake(self.as_fd()),
            None => Ok(Step::Done),
        }
    }

    /// What TLS knows of this connection alone, if there is TLS.
    ///
    /// # Errors
    /// PROTO: its handshake is not complete.
    pub fn exporter(&self) -> Result<Option<[u8; 32]>, Errno> {
        self.tls.as_ref().map(|tls| lock(tls).exporter()).transpose()
    }

    /// Whether a receive may give something though the socket is not readable.
    pub fn has_more(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| lock(tls).has_more())
    }

    /// The address of the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether bytes go over a wire.
    pub fn leaves_machine(&self) -> bool {
        self.leaves_machine
    }

    /// Receives into `first`, then into `ahead`.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn receive(&self, first: &mut [u8], ahead: &mut [u8]) -> Result<Received, Errno> {
        if let Some(tls) = &self.tls {
            return Ok(match lock(tls).receive(self.as_fd(), first, ahead)? {
                None => Received::Nothing,
                Some(0) => Received::End,
                Some(count) => Received::Bytes(count),
            });
        }
        let mut buffers = [IoSliceMut::new(first), IoSliceMut::new(ahead)];
        match retry_on_intr(|| rustix::io::readv(&self.socket, &mut buffers)) {
            Ok(0) => Ok(Received::End),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(Errno::AGAIN) => Ok(Received::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Sends what can be taken now; 0: wait until the link is writable. Once all is sent, it is to be flushed.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn send(&self, first: &[u8], then: &[u8]) -> Result<usize, Errno> {
        if let Some(tls) = &self.tls {
            return lock(tls).send(self.as_fd(), first, then);
        }
        let buffers = [IoSlice::new(first), IoSlice::new(then)];
        let mut control = SendAncillaryBuffer::default();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match retry_on_intr(|| rustix::net::sendmsg(&self.socket, &buffers, &mut control, flags)) {
            Err(Errno::AGAIN) => Ok(0),
            result => result,
        }
    }

    /// The socket, for what the kernel sends by itself; with TLS there is no such thing.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether TLS lies between this link and its users.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Hands everything to the kernel; false: wait until the link is writable.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn flush(&self) -> Result<bool, Errno> {
        match &self.tls {
            Some(tls) => lock(tls).flush(self.as_fd()),
            None => Ok(true),
        }
    }

    /// Says that nothing more is sent.
    pub fn end(&self) {
        if let Some(tls) = &self.tls {
            lock(tls).end(self.as_fd());
        }
        // It fails only if the connection is gone already.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
    }

    /// Ends both directions at once; whoever waits for the link wakes up.
    pub fn cut(&self) {
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

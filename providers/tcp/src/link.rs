//! A connection: bytes in both directions, never waiting.

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
        Ok(Link { socket, peer, leaves_machine })
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
        let mut buffers = [IoSliceMut::new(first), IoSliceMut::new(ahead)];
        match retry_on_intr(|| rustix::io::readv(&self.socket, &mut buffers)) {
            Ok(0) => Ok(Received::End),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(Errno::AGAIN) => Ok(Received::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Sends what the kernel takes now; 0: wait until the link is writable.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn send(&self, first: &[u8], then: &[u8]) -> Result<usize, Errno> {
        let buffers = [IoSlice::new(first), IoSlice::new(then)];
        let mut control = SendAncillaryBuffer::default();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match retry_on_intr(|| rustix::net::sendmsg(&self.socket, &buffers, &mut control, flags)) {
            Err(Errno::AGAIN) => Ok(0),
            result => result,
        }
    }

    /// Says that nothing more is sent.
    pub fn end(&self) {
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

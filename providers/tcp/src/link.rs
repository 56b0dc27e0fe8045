//! A connection: bytes in both directions, never waiting, or for a moment.

mod shared;

use crate::settings::Windows;
use crate::tls::{Session, Step};
use netpipe::Kind;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;
use vfs_core::Events;
use zvfs_net::socket;

pub use shared::Shared;

/// How long a patient call waits in the kernel; rounded up to its ticks, of which there are 100 to 1000 in a second.
///
/// A cancel does not end such a wait: so it is far shorter than the 100 ms within which a cancelled call has to return.
const PATIENCE: Duration = Duration::from_millis(2);

/// A frame of up to so many bytes is sent from one buffer.
const SMALL: usize = 256;

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
    /// What the writer sends goes that way, once the two have met.
    shared: OnceLock<Box<Shared>>,
}

impl Link {
    /// Takes over a connected socket that never blocks.
    ///
    /// # Errors
    /// ENOTCONN: the peer is gone.
    pub fn new(socket: OwnedFd) -> Result<Link, Errno> {
        let peer = socket::peer(&socket)?;
        let local = socket::local(&socket)?;
        // A machine that talks to an address of its own talks over loopback.
        let leaves_machine =
            peer.ip().to_canonical() != local.ip().to_canonical() && !socket::is_loopback(peer.ip());
        Ok(Link { socket, peer, leaves_machine, tls: None, shared: OnceLock::new() })
    }

    /// Puts TLS between this link and its users.
    pub fn secure(&mut self, session: Session) {
        self.tls = Some(Box::new(Mutex::new(session)));
    }

    /// Has what the writer sends go through memory, since the two met on one host.
    pub fn share(&self, shared: Box<Shared>) {
        // Once: a writer leaves the connection, and does not come back.
        let _ = self.shared.set(shared);
    }

    /// Whether it does, so that the kernel sends nothing by itself.
    pub fn is_shared(&self) -> bool {
        self.shared.get().is_some()
    }

    /// The memory, if this is its reader's end.
    fn source(&self) -> Option<&Shared> {
        self.shared.get().map(Box::as_ref).filter(|shared| shared.is_reader())
    }

    /// The memory, if this is its writer's end.
    fn sink(&self) -> Option<&Shared> {
        self.shared.get().map(Box::as_ref).filter(|shared| !shared.is_reader())
    }

    /// Goes on with the handshake of TLS, if there is that.
    ///
    /// # Errors
    /// As [`Session::handshake`].
    pub fn handshake(&self) -> Result<Step, Errno> {
        match &self.tls {
            Some(tls) => tls.lock().handshake(self.connection()),
            None => Ok(Step::Done),
        }
    }

    /// What TLS knows of this connection alone, if there is TLS.
    ///
    /// # Errors
    /// PROTO: its handshake is not complete.
    pub fn exporter(&self) -> Result<Option<[u8; 32]>, Errno> {
        self.tls.as_ref().map(|tls| tls.lock().exporter()).transpose()
    }

    /// Why a certificate was not accepted, if that is what ended the connection.
    pub fn refusal(&self) -> Option<String> {
        self.tls.as_ref().and_then(|tls| tls.lock().refusal().map(str::to_owned))
    }

    /// Whether a receive may give something though the socket is not readable.
    pub fn has_more(&self) -> bool {
        match self.source() {
            Some(source) => source.has_more(),
            None => self.tls.as_ref().is_some_and(|tls| tls.lock().has_more()),
        }
    }

    /// Before a wait: asks whoever sends through memory to wake this side. Look once more.
    pub fn expects(&self) {
        if let Some(source) = self.source() {
            source.sleep();
        }
    }

    /// The address of the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether bytes go over a wire.
    pub fn leaves_machine(&self) -> bool {
        self.leaves_machine
    }

    /// The window at first, at most as wanted: one that fits.
    pub fn window(&self, wanted: Windows) -> Windows {
        Windows { first: wanted.first.min(self.fitting_window()), ..wanted }
    }

    /// The largest window that fits into the socket's receive buffer now, which the kernel makes larger where the way is long.
    ///
    /// What a slow reader leaves lying must fit there: a peer whose data the kernel cannot place counts as dead for
    /// TCP_USER_TIMEOUT (tcp(7)), however well it is. The kernel's own figure is twice the payload.
    pub fn fitting_window(&self) -> u32 {
        let buffer = sockopt::socket_recv_buffer_size(&self.socket).unwrap_or(0) / 2;
        u32::try_from(buffer).unwrap_or(u32::MAX).max(netpipe::hello::WINDOW_MIN)
    }

    /// Lets `receive_or_wait`, `send_or_wait` and what the kernel sends by itself wait for a moment.
    ///
    /// Waiting in the kernel's own receive is one system call where poll and receive are two, or three if it was tried
    /// first: that is the difference between a netpipe's round trip and a bare connection's.
    pub fn be_patient(&self) {
        let wait = |direction| sockopt::set_socket_timeout(&self.socket, direction, Some(PATIENCE));
        // Without it those return at once: more calls, but none is wrong.
        if wait(Timeout::Recv).and_then(|()| wait(Timeout::Send)).is_ok() {
            let _ = rustix::io::ioctl_fionbio(&self.socket, false);
        }
    }

    /// Receives into `first`, then into `ahead`.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn receive(&self, first: &mut [u8], ahead: &mut [u8]) -> Result<Received, Errno> {
        match self.source() {
            Some(source) => source.receive(self.connection(), [first, ahead], false, || {
                self.receive_beside(&mut [0; 1], &mut [])
            }),
            None => self.receive_beside(first, ahead),
        }
    }

    /// As `receive`; but what comes on the connection, whatever goes through memory.
    fn receive_beside(&self, first: &mut [u8], ahead: &mut [u8]) -> Result<Received, Errno> {
        match &self.tls {
            Some(tls) => self.receive_securely(tls, first, ahead),
            None => self.receive_plainly(first, ahead, RecvFlags::DONTWAIT),
        }
    }

    /// As `receive`; but if there is nothing, waits for a moment. For the one thread that would wait anyhow.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn receive_or_wait(&self, first: &mut [u8], ahead: &mut [u8]) -> Result<Received, Errno> {
        if let Some(source) = self.source() {
            let beside = || self.receive_beside(&mut [0; 1], &mut []);
            return source.receive(self.connection(), [first, ahead], true, beside);
        }
        let Some(tls) = &self.tls else { return self.receive_plainly(first, ahead, RecvFlags::empty()) };
        let received = self.receive_securely(tls, first, ahead)?;
        if received != Received::Nothing {
            return Ok(received);
        }
        // The session is free meanwhile: others send through it.
        let moment = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
        // Interrupted, it was a shorter moment.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&moment));
        self.receive_securely(tls, first, ahead)
    }

    fn receive_plainly(
        &self,
        first: &mut [u8],
        ahead: &mut [u8],
        flags: RecvFlags,
    ) -> Result<Received, Errno> {
        let received = retry_on_intr(|| match (first.is_empty(), ahead.is_empty()) {
            (true, _) => net::recv(&self.socket, &mut *ahead, flags).map(|(count, _)| count),
            (_, true) => net::recv(&self.socket, &mut *first, flags).map(|(count, _)| count),
            _ => {
                let mut buffers = [IoSliceMut::new(first), IoSliceMut::new(ahead)];
                let mut control = RecvAncillaryBuffer::default();
                net::recvmsg(&self.socket, &mut buffers, &mut control, flags).map(|message| message.bytes)
            }
        });
        match received {
            Ok(0) => Ok(Received::End),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(Errno::AGAIN) => Ok(Received::Nothing),
            Err(errno) => Err(errno),
        }
    }

    fn receive_securely(
        &self,
        tls: &Mutex<Session>,
        first: &mut [u8],
        ahead: &mut [u8],
    ) -> Result<Received, Errno> {
        Ok(match tls.lock().receive(self.connection(), first, ahead)? {
            None => Received::Nothing,
            Some(0) => Received::End,
            Some(count) => Received::Bytes(count),
        })
    }

    /// Sends what can be taken now; 0: wait until the link is writable. Once all is sent, it is to be flushed.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn send(&self, first: &[u8], then: &[u8]) -> Result<usize, Errno> {
        match self.sink() {
            Some(sink) => sink.send(self.connection(), first, then, false),
            None => self.send_with(first, then, SendFlags::DONTWAIT),
        }
    }

    /// As `send`; but if nothing can be taken, or not all, waits for a moment.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn send_or_wait(&self, first: &[u8], then: &[u8]) -> Result<usize, Errno> {
        match self.sink() {
            Some(sink) => sink.send(self.connection(), first, then, true),
            None => self.send_with(first, then, SendFlags::empty()),
        }
    }

    /// As `send_or_wait`, of the head of a frame whose payload the kernel is about to send from a file: it goes out with the first of
    /// that, and wakes nobody by itself. Of a link without TLS and memory.
    ///
    /// # Errors
    /// The connection's: it is lost.
    pub fn send_head(&self, head: &[u8]) -> Result<usize, Errno> {
        self.send_with(head, &[], SendFlags::MORE)
    }

    fn send_with(&self, first: &[u8], then: &[u8], flags: SendFlags) -> Result<usize, Errno> {
        if let Some(tls) = &self.tls {
            return tls.lock().send(self.connection(), first, then);
        }
        let flags = flags | SendFlags::NOSIGNAL;
        let length = first.len() + then.len();
        let sent = if length <= SMALL {
            // To copy so little is cheaper than to have the kernel look at two buffers.
            let mut bytes = [0; SMALL];
            bytes[..first.len()].copy_from_slice(first);
            bytes[first.len()..length].copy_from_slice(then);
            retry_on_intr(|| net::send(&self.socket, &bytes[..length], flags))
        } else {
            let buffers = [IoSlice::new(first), IoSlice::new(then)];
            let mut control = SendAncillaryBuffer::default();
            retry_on_intr(|| net::sendmsg(&self.socket, &buffers, &mut control, flags))
        };
        match sent {
            Err(Errno::AGAIN) => Ok(0),
            result => result,
        }
    }

    /// The socket: for what the kernel sends by itself, which with TLS there is not; and for who waits for the connection, whatever
    /// goes through memory.
    pub fn connection(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What to wait for until more can be sent.
    pub fn writable(&self) -> (BorrowedFd<'_>, Events) {
        match self.sink() {
            Some(sink) => (sink.as_fd(), Events::READ),
            None => (self.connection(), Events::WRITE),
        }
    }

    /// Throws away what comes on the connection, a bounded amount of it; false: the peer has closed its side.
    pub fn drain(&self) -> bool {
        let mut bytes = [0; 16 << 10];
        // Others wait too.
        for _ in 0..16 {
            match self.receive_beside(&mut bytes, &mut []) {
                Ok(Received::Bytes(_)) => {}
                Ok(Received::Nothing) => return true,
                Ok(Received::End) | Err(_) => return false,
            }
        }
        true
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
            Some(tls) => tls.lock().flush(self.connection()),
            None => Ok(true),
        }
    }

    /// Whether there is something to receive, or the connection is over.
    pub fn has_arrived(&self) -> bool {
        !socket::is_silent(&self.socket) || self.has_more()
    }

    /// Whether a dialler whose HELLO is not answered yet has given the connection up: all that it may send is a REFUSAL. Under
    /// TLS nobody comes so far who does not listen.
    pub fn is_given_up(&self) -> bool {
        let mut next = [0; 1];
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match retry_on_intr(|| net::recv(&self.socket, &mut next, peek)) {
            Ok((0, _)) => true,
            Ok(_) => self.tls.is_none() && next == [Kind::Refusal as u8],
            Err(errno) => errno != Errno::AGAIN,
        }
    }

    /// Says that nothing more is sent.
    pub fn end(&self) {
        if let Some(tls) = &self.tls {
            tls.lock().end(self.connection());
        }
        // It fails only if the connection is gone already.
        let _ = net::shutdown(&self.socket, Shutdown::Write);
    }

    /// Ends both directions at once; whoever waits for the link wakes up.
    pub fn cut(&self) {
        if let Some(shared) = self.shared.get() {
            shared.cut();
        }
        let _ = net::shutdown(&self.socket, Shutdown::Both);
    }
}

/// What becomes readable when there may be something to receive.
impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source().map_or(self.connection(), Shared::as_fd)
    }
}

//! TCP sockets as this provider wants them: never blocking, never SIGPIPE.

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, ipproto, sockopt,
};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Begins to connect; the socket is writable when that is over, and [`outcome`] says how.
///
/// # Errors
/// What the system knows at once.
pub fn connect(to: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    match retry_on_intr(|| net::connect(&socket, &to)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// How connecting ended.
///
/// # Errors
/// It failed.
pub fn outcome(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::socket_error(socket)?
}

/// Sends a request at once, and lets the kernel look after a connection that lies idle.
///
/// # Errors
/// None that a connected socket gives.
pub fn tune(socket: impl AsFd) -> Result<(), Errno> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(60))
}

/// Receives what is there; 0: the other side has ended. `None`: nothing yet.
///
/// # Errors
/// The connection is lost.
pub fn receive(socket: impl AsFd, buf: &mut [u8]) -> Result<Option<usize>, Errno> {
    would_block(retry_on_intr(|| rustix::io::read(socket.as_fd(), &mut *buf)))
}

/// Whether a connection that should be silent is: neither bytes nor an end have come.
pub fn is_silent(socket: impl AsFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(retry_on_intr(|| net::recv(socket.as_fd(), &mut [0_u8; 1], flags)), Err(Errno::AGAIN))
}

/// Sends what fits. `None`: nothing does now.
///
/// # Errors
/// The connection is lost.
pub fn send(socket: impl AsFd, pieces: &[IoSlice<'_>]) -> Result<Option<usize>, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let nothing = || SendAncillaryBuffer::default();
    would_block(retry_on_intr(|| net::sendmsg(socket.as_fd(), pieces, &mut nothing(), flags)))
}

fn would_block(count: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match count {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

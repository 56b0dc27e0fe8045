//! TCP sockets: they never block and never raise SIGPIPE.

use crate::autotuning;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketFlags, SocketType,
    ipproto, sockopt,
};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The kernel's own limit on how many connections wait to be accepted.
const BACKLOG: i32 = 4096;
/// Keep-alive probes before a peer is given up.
const PROBES: u32 = 3;
/// How long a connection that nobody limits lies idle before it is probed.
const IDLE: Duration = Duration::from_secs(60);

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Makes a socket that listens. `receive` is the receive buffer of what it accepts, in bytes, at first.
///
/// # Errors
/// EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE.
pub fn listen(at: SocketAddr, receive: u32) -> Result<OwnedFd, Errno> {
    let socket = new(at)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    reserve(&socket, receive);
    net::bind(&socket, &at)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Takes a connection from a listener's queue.
///
/// # Errors
/// EAGAIN: there is none. EMFILE and the like.
pub fn accept(listener: impl AsFd) -> Result<OwnedFd, Errno> {
    net::accept_with(listener, FLAGS)
}

/// Begins to connect; the socket is writable when that is over, and [`outcome`] says how. `receive` is its receive buffer in
/// bytes at first, by default the system's.
///
/// # Errors
/// What the system knows at once.
pub fn connect(to: SocketAddr, receive: Option<u32>) -> Result<OwnedFd, Errno> {
    let socket = new(to)?;
    if let Some(bytes) = receive {
        reserve(&socket, bytes);
    }
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

/// Sends small messages at once, and finds a peer that vanished: after `peer_timeout`, or by the system's own measure.
///
/// # Errors
/// None that a connected socket gives.
pub fn tune(socket: impl AsFd, peer_timeout: Option<Duration>) -> Result<(), Errno> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    let Some(timeout) = peer_timeout else { return sockopt::set_tcp_keepidle(socket, IDLE) };
    let seconds = |time: Duration| Duration::from_secs(time.as_secs().clamp(1, 32_767));
    sockopt::set_tcp_keepidle(socket, seconds(timeout / 2))?;
    sockopt::set_tcp_keepintvl(socket, seconds(timeout / (2 * PROBES)))?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    sockopt::set_tcp_user_timeout(socket, u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX))
}

/// Receives what is there; 0: the other side has ended. `None`: nothing yet.
///
/// # Errors
/// The connection is lost.
pub fn receive(socket: impl AsFd, buf: &mut [u8]) -> Result<Option<usize>, Errno> {
    would_block(
        retry_on_intr(|| net::recv(socket.as_fd(), &mut *buf, RecvFlags::DONTWAIT)).map(|(count, _)| count),
    )
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

/// Whether neither bytes nor an end have come.
pub fn is_silent(socket: impl AsFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(retry_on_intr(|| net::recv(socket.as_fd(), &mut [0_u8; 1], flags)), Err(Errno::AGAIN))
}

/// The address at this end.
///
/// # Errors
/// None that a bound socket gives.
pub fn local(socket: impl AsFd) -> Result<SocketAddr, Errno> {
    plain(net::getsockname(socket)?)
}

/// The address at the other end.
///
/// # Errors
/// ENOTCONN: it is gone.
pub fn peer(socket: impl AsFd) -> Result<SocketAddr, Errno> {
    plain(net::getpeername(socket)?.ok_or(Errno::NOTCONN)?)
}

/// Whether an address is of this machine for certain.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn new(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    net::socket_with(family, SocketType::STREAM, FLAGS, Some(ipproto::TCP))
}

/// Asks for a receive buffer, at first. Beyond `net.core.rmem_max` the kernel gives that.
fn reserve(socket: impl AsFd, bytes: u32) {
    let _ = sockopt::set_socket_recv_buffer_size(&socket, bytes as usize);
    autotuning::resume(socket);
}

fn would_block(count: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match count {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn plain(address: SocketAddrAny) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(address)
}

//! TCP sockets as this provider wants them: never blocking, never SIGPIPE, with a watch on their peer.

use crate::settings::Windows;
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{self, AddressFamily, SocketAddrAny, SocketFlags, SocketType, ipproto};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The kernel's own limit on how many connections wait to be accepted.
const BACKLOG: i32 = 4096;
/// Keep-alive probes before a peer is given up.
const PROBES: u32 = 3;

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Makes a socket that listens. `receive` is the receive buffer of what it accepts, in bytes.
///
/// # Errors
/// EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE.
pub fn listen(at: SocketAddr, receive: u32) -> Result<OwnedFd, Errno> {
    let socket = net::socket_with(family(at), SocketType::STREAM, FLAGS, Some(ipproto::TCP))?;
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

/// Begins to connect; the socket is writable when that is over, and `sockopt::socket_error` says how.
///
/// # Errors
/// What the system knows at once.
pub fn connect(to: SocketAddr, receive: u32) -> Result<OwnedFd, Errno> {
    let socket = net::socket_with(family(to), SocketType::STREAM, FLAGS, Some(ipproto::TCP))?;
    reserve(&socket, receive);
    match net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Sends small frames at once, and finds a peer that vanished.
///
/// # Errors
/// None that a connected socket gives.
pub fn tune(socket: impl AsFd, peer_timeout: Duration) -> Result<(), Errno> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    let seconds = |time: Duration| Duration::from_secs(time.as_secs().clamp(1, 32_767));
    sockopt::set_tcp_keepidle(socket, seconds(peer_timeout / 2))?;
    sockopt::set_tcp_keepintvl(socket, seconds(peer_timeout / (2 * PROBES)))?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    sockopt::set_tcp_user_timeout(socket, u32::try_from(peer_timeout.as_millis()).unwrap_or(u32::MAX))
}

/// The window, at most as wanted, that fits into the socket's receive buffer: at first, and once grown.
///
/// What a slow reader leaves lying must fit there: a peer whose data the kernel cannot place counts as dead for
/// TCP_USER_TIMEOUT (tcp(7)), however well it is. The kernel's own figure is twice the payload.
pub fn window(socket: impl AsFd, wanted: Windows) -> Windows {
    let buffer = sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / 2;
    let buffer = u32::try_from(buffer).unwrap_or(u32::MAX);
    let fitting = |window: u32| window.min(buffer).max(netpipe::hello::WINDOW_MIN);
    Windows { first: fitting(wanted.first), most: fitting(wanted.most) }
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

fn plain(address: SocketAddrAny) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(address)
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// Asks for a receive buffer. Beyond `net.core.rmem_max` the kernel gives that: [`window`] looks at what came of it.
fn reserve(socket: impl AsFd, bytes: u32) {
    let _ = sockopt::set_socket_recv_buffer_size(socket, bytes as usize);
}

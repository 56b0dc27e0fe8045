//! Receive buffers that go on growing.
#![expect(unsafe_code, reason = "rustix does not know SO_BUF_LOCK")]

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};

/// Lets the kernel make a receive buffer larger whose size was set, up to `net.ipv4.tcp_rmem`, as a connection is found to need that.
/// Linux has taken a set size for the last word ever, and offers to take that back since 5.14; before, it stays as it is.
pub fn resume(socket: impl AsFd) {
    let nothing_set: c_int = 0;
    // SAFETY: the option's value is the int that is passed, with its size; the socket is open for as long as it is borrowed.
    unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BUF_LOCK,
            (&raw const nothing_set).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, socket, sockopt};

    fn is_locked(socket: impl AsFd) -> Option<bool> {
        let (mut what, mut size): (c_int, _) = (-1, size_of::<c_int>() as libc::socklen_t);
        // SAFETY: both are of the sizes that are said, and the kernel writes no more; the socket is open.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_BUF_LOCK,
                (&raw mut what).cast(),
                &raw mut size,
            )
        };
        (outcome == 0).then_some(what != 0)
    }

    #[test]
    fn a_size_that_was_set_is_kept_and_may_grow() {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 100_000).unwrap();
        let size = sockopt::socket_recv_buffer_size(&socket).unwrap();
        if is_locked(&socket).is_none() {
            return zvfs_test_support::skip("it needs Linux 5.14: SO_BUF_LOCK");
        }
        assert_eq!(is_locked(&socket), Some(true));
        resume(&socket);
        assert_eq!(is_locked(&socket), Some(false));
        assert_eq!(sockopt::socket_recv_buffer_size(&socket).unwrap(), size);
    }
}

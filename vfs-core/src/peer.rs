//! Who is at the other end of a Unix socket.
#![expect(
    unsafe_code,
    reason = "asks for a process's number too, which rustix takes for one that is never 0"
)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};

/// The effective user of the process that connected to a Unix socket, or that listened there, at that time (SO_PEERCRED), as this
/// process's user namespace numbers it. A process of another process namespace has a user too, though it has no number here.
///
/// # Errors
/// The system's: it is no such socket.
pub fn peer_user(socket: impl AsFd) -> io::Result<u32> {
    let mut peer = MaybeUninit::<libc::ucred>::zeroed();
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the kernel writes no more than `size` bytes there.
    let code = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            peer.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: three integers, of which each value is valid.
    Ok(unsafe { peer.assume_init() }.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_other_end_of_ones_own_socket_is_ones_own_users() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(peer_user(&one).unwrap(), rustix::process::geteuid().as_raw());
    }

    #[test]
    fn what_is_no_socket_has_nobody_there() {
        assert!(peer_user(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}

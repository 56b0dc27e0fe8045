//! The socket where two ends met: a byte there wakes the other one, and its end shows that the other one is gone.

use crate::error::Result;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, RecvFlags, SendFlags, Shutdown};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is sent to wake the other end; nobody looks at it.
const RING: &[u8] = &[1];

/// What there was to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Silence,
    /// It was rung.
    Ring,
    /// The other end is gone.
    End,
}

/// One end of it.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// Begins with the socket where the two met.
    pub fn new(socket: OwnedFd) -> Bell {
        Bell(socket)
    }

    /// Wakes the other end.
    pub fn ring(&self) {
        // Where it is full the other end has enough to hear; where it is gone, that shows when it is waited for.
        let _ = net::send(&self.0, RING, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }

    /// Hears one ring, if there is one, and has it counted.
    ///
    /// # Errors
    /// PROTO: it rang too often.
    pub fn hear(&self, rang: impl FnOnce() -> Result<()>) -> Result<Heard, Errno> {
        match retry_on_intr(|| net::recv(&self.0, &mut [0_u8; 8], RecvFlags::DONTWAIT)) {
            Ok((0, _)) => Ok(Heard::End),
            Ok(_) => rang().map(|()| Heard::Ring).map_err(|_| Errno::PROTO),
            Err(Errno::AGAIN) => Ok(Heard::Silence),
            Err(_) => Ok(Heard::End),
        }
    }

    /// Wakes both ends, for good.
    pub fn cut(&self) {
        let _ = net::shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

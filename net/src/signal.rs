//! What wakes a thread that waits: an eventfd.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Readable from [`raise`](Signal::raise) until [`clear`](Signal::clear).
#[derive(Debug)]
pub struct Signal(OwnedFd);

impl Signal {
    /// Makes one that is not raised.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<Signal, Errno> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Signal)
    }

    /// Makes it readable.
    pub fn raise(&self) {
        // It fails only when the count is at its end: then it is readable already.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable. Look at what was signalled after this, never before.
    pub fn clear(&self) {
        // It fails only if it was not raised.
        let _ = read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

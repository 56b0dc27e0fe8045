//! What a file lends, in tokio's reactor.
#![expect(unsafe_code, reason = "promises tokio that a lent descriptor stays open")]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use tokio::io::unix::AsyncFd;

/// The one descriptor that a file lends, for as long as it is open.
pub(crate) struct Lent(RawFd);

impl AsRawFd for Lent {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Has the reactor poll it.
pub(crate) fn register(fd: RawFd) -> io::Result<AsyncFd<Lent>> {
    // SAFETY: an interest's descriptor has one number and is open as long as its file, and an AsyncFile drops what this returns
    // before its file.
    Ok(unsafe { AsyncFd::register(Lent(fd)) }?)
}

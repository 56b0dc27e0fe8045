//! Open files of zvfs in tokio: [`AsyncFile`] is `AsyncRead` and `AsyncWrite` over a [`PolledFile`].
//!
//! A file with POLL (pipes, FIFOs, terminals, netpipes) costs no thread while it waits. Of any other the pool of its `Jobs` makes the
//! calls, as `PolledFile` says. The runtime needs its IO and time drivers (`enable_all`).

mod lent;

use lent::Lent;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use vfs_core::{Events, Finish, PolledFile, Result, Wanted};

/// A file of which tokio's tasks wait.
///
/// `shutdown` is COMMIT, and says whether all of it is complete. Without it a drop discards what needs one, and breaks a pipe. `flush`
/// does nothing: what was written is on its way. A cancel or a deadline of the file's control ends the next call, but wakes no task
/// that waits; tokio's own `timeout` does.
pub struct AsyncFile {
    // Before the file: the reactor lets go of the descriptor while it is open.
    reactor: Option<AsyncFd<Lent>>,
    timer: Option<Pin<Box<Sleep>>>,
    file: PolledFile,
}

impl fmt::Debug for AsyncFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncFile({:?})", self.file.capabilities())
    }
}

impl AsyncFile {
    /// Takes over a file, or one that is being opened: then the first call waits for it, and gives its error.
    pub fn new(file: PolledFile) -> AsyncFile {
        AsyncFile { reactor: None, timer: None, file }
    }

    /// The file, for calls without a wait.
    pub fn file(&self) -> &PolledFile {
        &self.file
    }

    /// Tries until something else than "not now" comes.
    fn poll_tried<T>(
        &mut self,
        context: &mut Context<'_>,
        wanted: Wanted,
        mut call: impl FnMut(&mut PolledFile) -> Result<Option<T>>,
    ) -> Poll<io::Result<T>> {
        loop {
            if let Some(value) = call(&mut self.file)? {
                return Poll::Ready(Ok(value));
            }
            let interest = self.file.interest(wanted)?;
            if interest.ready.is_empty() {
                let (fd, events, after) =
                    (interest.fd.map(|fd| fd.as_raw_fd()), interest.events, interest.after);
                ready!(self.poll_interest(context, fd, events, after))?;
            }
        }
    }

    /// Waits as an interest says.
    fn poll_interest(
        &mut self,
        context: &mut Context<'_>,
        fd: Option<RawFd>,
        events: Events,
        after: Option<Duration>,
    ) -> Poll<io::Result<()>> {
        if let Some(fd) = fd {
            let reactor = match &mut self.reactor {
                Some(reactor) => reactor,
                none => none.insert(lent::register(fd)?),
            };
            // What came is forgotten before the next try: whatever comes after that wakes the task.
            let mut came = false;
            if events.contains(Events::READ)
                && let Poll::Ready(guard) = reactor.poll_read_ready(context)
            {
                guard?.clear_ready();
                came = true;
            }
            if events.contains(Events::WRITE)
                && let Poll::Ready(guard) = reactor.poll_write_ready(context)
            {
                guard?.clear_ready();
                came = true;
            }
            if came {
                return Poll::Ready(Ok(()));
            }
        }
        let Some(after) = after else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(after)));
        timer.as_mut().reset(Instant::now() + after);
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for AsyncFile {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = ready!(
            self.get_mut().poll_tried(context, Wanted::READ, |file| file.try_read(buf.initialize_unfilled()))
        )?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AsyncFile {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_tried(context, Wanted::WRITE, |file| file.try_write(buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_tried(context, Wanted::FINISH, |file| file.try_finish(Finish::Commit))
    }
}

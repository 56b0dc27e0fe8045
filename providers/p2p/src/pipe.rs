//! What an open file and the tasks that serve it share: an end, and what wakes the file when something has happened to it.

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::{Events, Result};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::signal::Signal;

/// What a close gives to the last words: far longer than they take where the peer is there, far less than anybody notices.
const CLOSING: Duration = Duration::from_millis(50);

/// One end of a pipe, for its file and for its tasks.
pub struct Pipe<E> {
    signal: Signal,
    shared: Mutex<Shared<E>>,
}

struct Shared<E> {
    /// The file waits for news of the other side.
    awaited: bool,
    end: E,
}

impl<E> Pipe<E> {
    /// Makes one that no task knows yet.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(end: E) -> Result<Pipe<E>, Errno> {
        Ok(Pipe { signal: Signal::new()?, shared: Mutex::new(Shared { awaited: false, end }) })
    }

    /// Looks at the end, or changes it for its file.
    pub fn with<T>(&self, change: impl FnOnce(&mut E) -> T) -> T {
        change(&mut self.shared.lock().end)
    }

    /// Tells the end of something that has happened. The file looks at it afterwards if it waits.
    pub fn tell<T>(&self, tell: impl FnOnce(&mut E) -> T) -> T {
        let mut shared = self.shared.lock();
        let outcome = tell(&mut shared.end);
        if std::mem::take(&mut shared.awaited) {
            self.signal.raise();
        }
        outcome
    }

    /// Waits as a caller until `ready` gives something. It is asked again after each news.
    ///
    /// # Errors
    /// ECANCELED, ETIMEDOUT.
    pub fn wait_until<T>(
        &self,
        caller: &Caller,
        doing: &str,
        wanted: impl Fn(&E) -> WaitedFor,
        mut ready: impl FnMut(&mut E) -> Option<T>,
    ) -> Result<T> {
        loop {
            {
                let mut shared = self.shared.lock();
                let attempt = ready(&mut shared.end);
                shared.awaited = attempt.is_none();
                if let Some(value) = attempt {
                    return Ok(value);
                }
            }
            caller.wait(self.signal.as_fd(), Events::READ, doing, || wanted(&self.shared.lock().end))?;
            self.signal.clear();
        }
    }

    /// Waits until something is so, if it becomes so in time: `wait` waits for a descriptor, and says whether to go on.
    pub fn settle(
        &self,
        limit: Duration,
        is_so: impl Fn(&E) -> bool,
        wait: impl Fn(BorrowedFd<'_>, Duration) -> bool,
    ) {
        let until = Instant::now() + limit;
        loop {
            {
                let mut shared = self.shared.lock();
                shared.awaited = !is_so(&shared.end);
                if !shared.awaited {
                    return;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !wait(self.signal.as_fd(), left) {
                return;
            }
            self.signal.clear();
        }
    }

    /// Gives a file that is closing a moment for its last words: a process may end right after its last close, and with it all tasks.
    pub fn part(&self, has_taken_leave: impl Fn(&E) -> bool) {
        self.settle(CLOSING, has_taken_leave, |fd, left| {
            let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&left)).is_ok()
        });
    }
}

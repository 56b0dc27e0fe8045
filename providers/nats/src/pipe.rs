//! What a file and the service share: an end, and what wakes the file when something has happened to it.

use async_nats::Subject;
use netpipe::Reason;
use netpipe::lossy::End;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use vfs_core::{Code, Events, Result};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;
use zvfs_net::signal::Signal;

/// What a close gives to the last words: far longer than they take where the server is there, far less than anybody notices.
const CLOSING: Duration = Duration::from_millis(50);

/// What a file tells the service.
#[derive(Debug)]
pub enum Command {
    /// There is another end.
    Open(Arc<Pipe<dyn End>>),
    /// An end has something to send, or to wish.
    Look(u64),
    /// The instance stops.
    Stop,
}

/// A pipe's name, as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What its reader hears.
    pub reader: Subject,
    /// What its writers hear.
    pub writers: Subject,
    /// Where names are kept.
    pub key: String,
}

/// One end of a pipe, for its file and for the service.
pub struct Pipe<E: ?Sized> {
    /// Unique within the instance.
    pub id: u64,
    /// What it is called.
    pub name: Named,
    service: UnboundedSender<Command>,
    signal: Signal,
    shared: Mutex<Shared<E>>,
}

struct Shared<E: ?Sized> {
    /// The file waits for news of the other side.
    awaited: bool,
    /// The file waits for its last words to be gone.
    parting: bool,
    /// The service is about to look.
    looked_for: bool,
    end: E,
}

impl<E: End> Pipe<E> {
    /// Makes one that the service does not know yet.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(id: u64, name: Named, service: UnboundedSender<Command>, end: E) -> Result<Pipe<E>, Errno> {
        let shared = Mutex::new(Shared { awaited: false, parting: false, looked_for: false, end });
        Ok(Pipe { id, name, service, signal: Signal::new()?, shared })
    }

    /// Does something to the end, for its file. The service looks at it afterwards.
    pub fn change<T>(&self, change: impl FnOnce(&mut E) -> T) -> T {
        let mut shared = self.shared.lock();
        let outcome = change(&mut shared.end);
        self.call(&mut shared);
        outcome
    }

    /// Looks at the end.
    pub fn look<T>(&self, look: impl FnOnce(&E) -> T) -> T {
        look(&self.shared.lock().end)
    }

    /// The file was closed: from now on, and not only when the service looks, nobody meets this end.
    ///
    /// A process may end right after its last close, and with it the service. So a moment is given to what is said last.
    pub fn close(&self, has_taken_leave: impl Fn(&E) -> bool) {
        self.change(|end| end.close(Instant::now()));
        self.settle(CLOSING, has_taken_leave, |fd, left| {
            let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&left)).is_ok()
        });
    }

    /// The service is there as long as its pipes are, or has told them that it is not.
    fn tell(&self, command: Command) {
        let _ = self.service.send(command);
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
                self.call(&mut shared);
                if let Some(value) = attempt {
                    return Ok(value);
                }
            }
            caller.wait(self.signal.as_fd(), Events::READ, doing, || self.look(&wanted))?;
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
                shared.parting = !is_so(&shared.end);
                if !shared.parting {
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

    /// Has the service look at the end.
    fn call(&self, shared: &mut Shared<E>) {
        if !std::mem::replace(&mut shared.looked_for, true) {
            self.tell(Command::Look(self.id));
        }
    }
}

impl<E: End + ?Sized> Pipe<E> {
    /// Tells the end of something that has happened. The file looks at it afterwards if it waits.
    pub fn tell_end<T>(&self, tell: impl FnOnce(&mut E) -> T) -> T {
        let mut shared = self.shared.lock();
        let outcome = tell(&mut shared.end);
        if std::mem::take(&mut shared.awaited) {
            self.signal.raise();
        }
        outcome
    }

    /// Takes what the end wants and sends. That is no news to the file, which would only ask again.
    pub fn serve<T>(&self, serve: impl FnOnce(&mut E) -> T) -> T {
        let mut shared = self.shared.lock();
        shared.looked_for = false;
        let outcome = serve(&mut shared.end);
        if std::mem::take(&mut shared.parting) {
            self.signal.raise();
        }
        outcome
    }
}

/// Why a pipe cannot go on, for a file's calls.
pub fn of_reason(why: &Reason) -> Failure {
    Failure::new(Code::from_raw(why.errno().into()), why.to_string())
}

impl<E: ?Sized> fmt::Debug for Pipe<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe({}, {})", self.id, self.name.key)
    }
}

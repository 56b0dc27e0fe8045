//! The context of threads of ours: they must not use a file's, which ends with the file.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vfs_core::{CancelFn, Code, Context, ContextCalls, Error, Events, Result};

/// Ends what waits with its context.
#[derive(Clone)]
pub struct Stop(Arc<Switch>);

struct Switch {
    stopped: AtomicBool,
    /// Readable once it is stopped, and for good: nobody reads it.
    wake: OwnedFd,
}

impl Stop {
    /// One that nobody has used yet.
    ///
    /// # Errors
    /// EMFILE and the like.
    pub fn new() -> Result<Stop, Errno> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop(Arc::new(Switch { stopped: AtomicBool::new(false), wake })))
    }

    /// The context that it ends.
    pub fn context(&self) -> Context {
        Context::new(self.0.clone())
    }

    /// Ends every wait, with ECANCELED.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        // A counter of 1 always fits.
        let _ = rustix::io::write(&self.0.wake, &1_u64.to_ne_bytes());
    }
}

impl ContextCalls for Switch {
    fn status(&self) -> Result<()> {
        if self.stopped.load(Ordering::SeqCst) { Err(Error::from(Code::ECANCELED)) } else { Ok(()) }
    }

    fn time_left(&self) -> Option<Duration> {
        None
    }

    fn set_on_cancel(&self, _: Option<CancelFn>) -> Result<()> {
        Err(Error::new(Code::ENOTSUP, "nobody asks for this here"))
    }

    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events> {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            let wake = self.wake.as_fd();
            let mut polled = [
                PollFd::from_borrowed_fd(wake, PollFlags::IN),
                PollFd::from_borrowed_fd(fd.unwrap_or(wake), flags(events)),
            ];
            let most = 1 + usize::from(fd.is_some());
            match poll(&mut polled[..most], timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::from(std::io::Error::from(errno))),
            }
            self.status()?;
            let came = if fd.is_some() { polled[1].revents() } else { PollFlags::empty() };
            if !came.is_empty() {
                return Ok(events_of(came));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Events::empty());
            }
        }
    }
}

const PAIRS: [(PollFlags, Events); 4] = [
    (PollFlags::IN, Events::READ),
    (PollFlags::OUT, Events::WRITE),
    (PollFlags::ERR, Events::ERROR),
    (PollFlags::HUP, Events::HANGUP),
];

fn flags(events: Events) -> PollFlags {
    let mut flags = PollFlags::empty();
    for (flag, _) in PAIRS.iter().filter(|(_, event)| events.contains(*event)) {
        flags |= *flag;
    }
    flags & (PollFlags::IN | PollFlags::OUT)
}

fn events_of(flags: PollFlags) -> Events {
    let came = PAIRS.iter().filter(|(flag, _)| flags.contains(*flag));
    came.fold(Events::empty(), |events, (_, event)| events | *event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_wait_ends_when_it_is_stopped_and_every_later_one_at_once() {
        let stop = Stop::new().unwrap();
        let context = stop.context();
        let waiter = thread::spawn(move || {
            let (silent, _keep) = rustix::pipe::pipe().unwrap();
            let first = context.wait(Some(silent.as_fd()), Events::READ, None).unwrap_err();
            (first.code(), context.sleep(Duration::from_secs(3600)).unwrap_err().code())
        });
        stop.stop();
        assert_eq!(waiter.join().unwrap(), (Code::ECANCELED, Code::ECANCELED));
    }

    #[test]
    fn a_wait_ends_with_what_came_or_after_its_limit() {
        let context = Stop::new().unwrap().context();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let wait = |limit| context.wait(Some(reader.as_fd()), Events::READ, Some(limit)).unwrap();
        assert!(wait(Duration::from_millis(1)).is_empty());
        rustix::io::write(&writer, b"x").unwrap();
        assert_eq!(wait(Duration::from_secs(3600)), Events::READ);
        drop(writer);
        assert!(wait(Duration::from_secs(3600)).contains(Events::HANGUP));
    }
}

//! What a file's calls wait for, and one poll of what they wait on.

use super::Log;
use super::clock::{nanoseconds, timespec};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::flags::Events;
use crate::lock::Mutex;
use crate::printable::is_printable;
use crate::waiting::Waiting;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// After this time a wait is said in the log, once.
const LASTING: Duration = Duration::from_secs(5);

/// A provider's text is cut here: it goes into one line.
const TEXT_MAX: usize = 500;

/// The wait that the provider stated last.
#[derive(Default)]
pub(super) struct Waits {
    stated: Mutex<Option<Stated>>,
    /// Whether there is one, and whether the log knows it: spares calls and waits the lock.
    word: AtomicU8,
}

/// Nothing is waited for.
const NOTHING: u8 = 0;
/// There is a wait that the log does not know.
const UNSAID: u8 = 1;
/// There is one that was logged.
const SAID: u8 = 2;

struct Stated {
    waiting: Waiting,
    /// It has ended, because the control did.
    over: bool,
    /// The thread that stated it.
    by: ThreadId,
}

impl Waits {
    /// Takes the provider's word: a wait begins, goes on (the same object again) or is over. One that is over is kept for the
    /// call's error if `keep` says so.
    pub(super) fn state(&self, object: Option<&str>, refusal: Option<&str>, keep: bool) {
        let mut stated = self.stated.lock();
        let Some(object) = object.map(line) else {
            self.word.store(NOTHING, Ordering::Relaxed);
            match &mut *stated {
                Some(stated) if keep => stated.over = true,
                stated => *stated = None,
            }
            return;
        };
        let refusal = refusal.map(line);
        match &mut *stated {
            Some(Stated { waiting, over: false, .. }) if waiting.object == object => {
                waiting.refusal = refusal.or(waiting.refusal.take());
            }
            stated => {
                let waiting = Waiting { refusal, ..Waiting::new(object) };
                *stated = Some(Stated { waiting, over: false, by: thread::current().id() });
                self.word.store(UNSAID, Ordering::Relaxed);
            }
        }
    }

    /// The wait in progress.
    pub(super) fn now(&self) -> Option<Waiting> {
        let stated = self.stated.lock();
        stated.as_ref().filter(|stated| !stated.over).map(|stated| stated.waiting.clone())
    }

    /// The wait that a call's end interrupted.
    pub(super) fn take(&self) -> Option<Waiting> {
        let mut stated = self.stated.lock();
        match &*stated {
            Some(Stated { over: true, .. }) => stated.take().map(|stated| stated.waiting),
            stated => stated.as_ref().map(|stated| stated.waiting.clone()),
        }
    }

    /// Whether anything was stated and not taken back.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.word.load(Ordering::Relaxed) != NOTHING
    }

    /// Drops what the calling thread stated: its call is over. Another's may go on.
    #[cold]
    pub(super) fn forget_own(&self) {
        let mut stated = self.stated.lock();
        if stated.take_if(|stated| stated.by == thread::current().id()).is_some() {
            self.word.store(NOTHING, Ordering::Relaxed);
        }
    }

    /// Says a wait that has lasted. Returns the nanoseconds after which to ask again.
    pub(super) fn say_in(&self, log: &Log) -> Option<u64> {
        if self.word.load(Ordering::Relaxed) != UNSAID {
            return None;
        }
        let waiting = self.now()?;
        let left = LASTING.saturating_sub(waiting.since.elapsed());
        if !left.is_zero() {
            return Some(nanoseconds(left));
        }
        if self.word.compare_exchange(UNSAID, SAID, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            log.lasting(&waiting);
        }
        None
    }

    /// As if the wait had begun so long before.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        if let Some(stated) = &mut *self.stated.lock() {
            stated.waiting.since = stated.waiting.since.checked_sub(by).expect("a clock that old");
        }
    }
}

/// A provider's text as a part of one line: it may quote a peer.
fn line(text: &str) -> String {
    let shown = text.chars().take(TEXT_MAX);
    shown.map(|character| if is_printable(character) { character } else { ' ' }).collect()
}

/// Polls a descriptor, if there is one, beside the alarm, for at most `limit` nanoseconds. `None`: nothing came to it.
pub(super) fn poll_once(
    alarm: BorrowedFd<'_>,
    fd: Option<BorrowedFd<'_>>,
    events: Events,
    limit: Option<u64>,
) -> Result<Option<Events>> {
    let timeout = limit.map(timespec);
    let alarm = PollFd::from_borrowed_fd(alarm, PollFlags::IN);
    let mut polled = match fd {
        Some(fd) => [PollFd::from_borrowed_fd(fd, poll_flags(events)), alarm],
        None => [alarm.clone(), alarm],
    };
    let from = usize::from(fd.is_none());
    match poll(&mut polled[from..], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(Error::from(std::io::Error::from(errno))),
    }
    let came = if from == 0 { polled[0].revents() } else { PollFlags::empty() };
    if came.contains(PollFlags::NVAL) {
        return Err(Error::new(Code::EBADF, "wait: not an open file descriptor"));
    }
    Ok((!came.is_empty()).then(|| events_of(came)))
}

fn poll_flags(events: Events) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, events.contains(Events::READ));
    flags.set(PollFlags::OUT, events.contains(Events::WRITE));
    flags
}

fn events_of(flags: PollFlags) -> Events {
    [
        (PollFlags::IN, Events::READ),
        (PollFlags::OUT, Events::WRITE),
        (PollFlags::ERR, Events::ERROR),
        (PollFlags::HUP, Events::HANGUP),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(Events::empty(), |events, (_, event)| events | event)
}

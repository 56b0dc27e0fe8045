//! What the service thread waits for: descriptors by number, and points in time.

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Events taken at once; more stay for the next round.
const EVENTS: usize = 64;

/// An epoll set and a heap of timers.
#[derive(Debug)]
pub struct Reactor<T> {
    epoll: OwnedFd,
    next_key: u64,
    /// Timers are not taken back: whoever sets one looks again when it fires.
    timers: BinaryHeap<Reverse<Due<T>>>,
}

#[derive(Debug)]
struct Due<T> {
    at: Instant,
    serial: u64,
    what: T,
}

impl<T> Reactor<T> {
    /// Makes one that waits for nothing.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<Reactor<T>, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Reactor { epoll, next_key: 0, timers: BinaryHeap::new() })
    }

    /// A number for a descriptor.
    pub fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    /// Watches a descriptor for input, and for room to write.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC.
    pub fn watch(&self, fd: impl AsFd, key: u64, read: bool, write: bool) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, EventData::new_u64(key), flags(read, write))
    }

    /// Changes what a descriptor is watched for.
    pub fn change(&self, fd: impl AsFd, key: u64, read: bool, write: bool) {
        // It fails only for a descriptor that is not watched.
        let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(key), flags(read, write));
    }

    /// Watches a descriptor for input, and for room to write, until the next event.
    pub fn watch_once(&self, fd: impl AsFd, key: u64, write: bool) {
        let flags = flags(true, write) | EventFlags::ONESHOT;
        let (fd, data) = (fd.as_fd(), EventData::new_u64(key));
        if epoll::modify(&self.epoll, fd, data, flags) == Err(Errno::NOENT) {
            let _ = epoll::add(&self.epoll, fd, data, flags);
        }
    }

    /// Watches a descriptor no more.
    pub fn forget(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Sets a timer.
    pub fn at(&mut self, at: Instant, what: T) {
        self.next_key += 1;
        self.timers.push(Reverse(Due { at, serial: self.next_key, what }));
    }

    /// Takes a timer whose time has come.
    pub fn due(&mut self) -> Option<T> {
        let now = Instant::now();
        self.timers.peek().filter(|Reverse(timer)| timer.at <= now)?;
        self.timers.pop().map(|Reverse(timer)| timer.what)
    }

    /// Waits for descriptors or the next timer, `limit` at most; gives the keys of what is ready.
    ///
    /// # Errors
    /// None that a valid set gives.
    pub fn wait(&self, limit: Option<Duration>) -> Result<Vec<u64>, Errno> {
        let next =
            self.timers.peek().map(|Reverse(timer)| timer.at.saturating_duration_since(Instant::now()));
        let limit = match (next, limit) {
            (Some(next), Some(limit)) => Some(next.min(limit)),
            (next, limit) => next.or(limit),
        };
        let timeout = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        let mut events: [MaybeUninit<Event>; EVENTS] = [const { MaybeUninit::uninit() }; EVENTS];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((ready, _)) => Ok(ready.iter().map(|event| event.data.u64()).collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }
}

fn flags(read: bool, write: bool) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, read);
    flags.set(EventFlags::OUT, write);
    flags
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Due<T>) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Due<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Due<T>) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

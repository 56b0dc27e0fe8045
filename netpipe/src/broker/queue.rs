//! The event queue: epoll, told only what changes.

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// The event queue.
#[derive(Debug)]
pub(super) struct Queue(OwnedFd);

/// What the queue was told of a connection; `None`: it is not in the queue.
pub(super) type Watched = Option<EventFlags>;

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Has the queue report other events of a connection than before.
    pub(super) fn watch(
        &self,
        source: impl AsFd,
        key: u64,
        was: &mut Watched,
        wanted: Watched,
    ) -> io::Result<()> {
        if *was == wanted {
            return Ok(());
        }
        let data = EventData::new_u64(key);
        match (*was, wanted) {
            (None, Some(flags)) => epoll::add(&self.0, source, data, flags)?,
            (Some(_), Some(flags)) => epoll::modify(&self.0, source, data, flags)?,
            (Some(_), None) => epoll::delete(&self.0, source)?,
            (None, None) => {}
        }
        *was = wanted;
        Ok(())
    }

    /// Waits for events, as many as there is room for, or until `until`.
    pub(super) fn wait(&self, events: &mut Vec<epoll::Event>, until: Option<Instant>) -> io::Result<()> {
        events.clear();
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().min(3600) as i64, tv_nsec: left.subsec_nanos().into() }
        });
        match epoll::wait(&self.0, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

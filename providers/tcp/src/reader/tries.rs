//! The reading end for a host with an event loop: `zvfs.poll/1`.

use super::{Awaited, Reader, State};
use crate::link::Link;
use crate::upstream::Upstream;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use vfs_core::{Events, Interest, Result, Wanted};

/// One descriptor for the file's life, with what is awaited now in it.
pub(super) struct Lent {
    epoll: OwnedFd,
    on: Option<Awaited>,
}

impl Lent {
    /// Awaits nothing of a connection any more: what comes, comes elsewhere.
    pub(super) fn forget(&mut self, link: &Link) {
        // It fails if that was not awaited.
        let _ = epoll::delete(&self.epoll, link.connection());
        self.on = self.on.take().filter(|on| !matches!(on, Awaited::Upstream(_)));
    }
}

impl Reader {
    /// What must happen before a try is worth it.
    pub(super) fn next_try(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        // What has ended, broken, or never was says so at once.
        if !matches!(self.state, State::Open) || wanted != Wanted::READ {
            return Ok(Interest::ready(wanted));
        }
        if self.pipe.has_arrivals() {
            self.admit()?;
        }
        let Some(awaited) = self.awaited()? else { return Ok(Interest::ready(wanted)) };
        if self.has_unreported() {
            self.report();
        }
        self.lend(awaited).map_err(|errno| self.cannot_wait(errno))?;
        Ok(match &self.lent {
            Some(lent) => Interest::event(lent.epoll.as_fd(), Events::READ),
            None => Interest::ready(wanted),
        })
    }

    /// Puts what is awaited into the lent set, in place of what was.
    fn lend(&mut self, awaited: Awaited) -> Result<(), Errno> {
        let lent = match &mut self.lent {
            Some(lent) => lent,
            none => none.insert(Lent { epoll: epoll::create(CreateFlags::CLOEXEC)?, on: None }),
        };
        if lent.on.as_ref().is_some_and(|on| on.is(&awaited)) {
            return Ok(());
        }
        let earlier = lent.on.replace(awaited);
        let Some(Lent { epoll, on: Some(awaited) }) = &self.lent else { return Ok(()) };
        if let Some(earlier) = earlier {
            // It fails only if the kernel did that already.
            let _ = epoll::delete(epoll, self.fd(&earlier));
        }
        let added = epoll::add(epoll, self.fd(awaited), EventData::new_u64(0), EventFlags::IN);
        if let (Err(_), Some(lent)) = (&added, &mut self.lent) {
            lent.on = None;
        }
        added
    }
}

impl Awaited {
    fn is(&self, other: &Awaited) -> bool {
        match (self, other) {
            (Awaited::Upstream(one), Awaited::Upstream(other)) => Arc::<Upstream>::ptr_eq(one, other),
            (Awaited::All, Awaited::All) | (Awaited::Signal, Awaited::Signal) => true,
            _ => false,
        }
    }
}

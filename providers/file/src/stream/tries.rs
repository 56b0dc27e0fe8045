//! A stream's calls for a host that has no thread to let wait: `zvfs.poll/1`.

use super::{STEP, Stream};
use crate::failure::wrong_direction;
use crate::transfer::Mode;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{DupFlags, Errno, dup3};
use std::os::fd::{AsFd, OwnedFd};
use vfs_core::{Events, Finish, Interest, Result, Wanted};

impl Stream {
    /// What must happen before a try is worth it. What fails, or has ended, says so at once.
    pub(super) fn awaits(&mut self, wanted: Wanted) -> Interest<'_> {
        let Some(fd) = &self.fd else {
            // There is nothing to poll of a FIFO that nobody reads.
            return match self.awaited {
                Some(_) if !wanted.contains(Wanted::READ) => Interest::time(STEP),
                _ => Interest::ready(wanted),
            };
        };
        if self.mode == Mode::Memory || wanted.contains(Wanted::FINISH) {
            return Interest::ready(wanted);
        }
        let mut events = Events::empty();
        for (wants, goes, event) in [
            (Wanted::READ, self.readable && !self.ended, Events::READ),
            (Wanted::WRITE, self.writable && !self.finished, Events::WRITE),
        ] {
            match wanted.contains(wants) {
                true if goes => events |= event,
                true => return Interest::ready(wants),
                false => {}
            }
        }
        self.lent = true;
        Interest::event(fd.as_fd(), events)
    }

    pub(super) fn read_now(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.check_readable()?;
        while let (false, Some(fd)) = (self.ended, &self.fd) {
            match self.mode.try_read(fd, buf) {
                // A FIFO without a writer says "end" to read, from the first moment on.
                Ok(0) if matches!(self.mode, Mode::Own { pipe: true }) && !hung_up(fd)? => return Ok(None),
                Ok(0) => self.ended = true,
                Ok(count) => return Ok(Some(count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(self.fail("read", errno)),
            }
        }
        Ok(Some(0))
    }

    pub(super) fn write_now(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.check_writable("write")?;
        if !self.connect(false)? {
            return Ok(None);
        }
        while let Some(fd) = &self.fd {
            match self.mode.try_write(fd, buf) {
                Ok(count) => return Ok(Some(count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(self.fail("write", errno)),
            }
        }
        Err(wrong_direction("write", &self.shown, true))
    }

    pub(super) fn finish_now(&mut self, how: Finish) -> Result<Option<()>> {
        if self.writable {
            self.finished = true;
            let heard = self.awaited.is_none() || self.connect(false)?;
            if !heard && how == Finish::Commit {
                return Ok(None);
            }
            self.hang_up()?;
        }
        Ok(Some(()))
    }

    /// Closes the writing side, so that the reader sees the end. If somebody polls it, its number stays taken until the file is
    /// closed: it could become another file's, which would then be taken out of that poller.
    pub(super) fn hang_up(&mut self) -> Result<()> {
        if let (true, Some(fd)) = (self.lent, &mut self.fd) {
            let nothing = eventfd(0, EventfdFlags::CLOEXEC);
            nothing
                .and_then(|nothing| dup3(nothing, fd, DupFlags::CLOEXEC))
                .map_err(|errno| self.fail("end", errno))?;
            self.spent = self.fd.take();
        }
        self.fd = None;
        Ok(())
    }
}

/// Whether a writer has been there, and none is.
fn hung_up(fd: &OwnedFd) -> Result<bool> {
    let mut polled = [PollFd::new(fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&now))).map_err(std::io::Error::from)?;
    let came = polled[0].revents();
    Ok(came.contains(PollFlags::HUP) && !came.contains(PollFlags::IN))
}

//! What a file that is written takes when it is opened, and gives back at its end: the lock that keeps other writers out, and
//! room.

use super::{OFFSET_MAX, Regular};
use crate::failure::fail;
use rustix::fs::{
    FallocateFlags, FlockOperation, Timespec, Timestamps, fallocate, flock, fstat, ftruncate, futimens,
};
use rustix::io::{Errno, retry_on_intr};
use std::os::fd::OwnedFd;
use vfs_core::{Code, Error, OpenFlags, Request, Result};

impl Regular {
    /// Makes a file that is written in place ready: keeps other writers out, makes sure of the room, and only then empties it
    /// if asked to. What fails leaves it as it was.
    ///
    /// # Errors
    /// EBUSY: somebody else writes it. Those of [`reserve`](Regular::reserve).
    pub fn begin(&mut self, request: &Request<'_>) -> Result<()> {
        if self.flags.contains(OpenFlags::WRITE) {
            lock(&self.fd, FlockOperation::NonBlockingLockExclusive, &self.shown)?;
            self.locked = true;
        }
        self.reserve(request)?;
        if self.flags.contains(OpenFlags::TRUNCATE) {
            retry_on_intr(|| ftruncate(&self.fd, 0)).map_err(|errno| self.fail("open", errno))?;
            // That gave the room back as well. Only another program that takes it in this very moment can make this fail.
            self.reserve(request)?;
        }
        Ok(())
    }

    /// Reserves what PREALLOCATE asks for, without showing it: the size stays.
    ///
    /// # Errors
    /// ENOSPC, EFBIG: no room. ENOTSUP: the file system cannot reserve.
    pub fn reserve(&mut self, request: &Request<'_>) -> Result<()> {
        let size = request.expected_size().unwrap_or(0);
        if size == 0 || !self.flags.contains(OpenFlags::PREALLOCATE) {
            return Ok(());
        }
        let reserve = || match fallocate(&self.fd, FallocateFlags::KEEP_SIZE, 0, size) {
            Err(Errno::INVAL) if size > OFFSET_MAX => Err(Errno::FBIG),
            result => result,
        };
        let before = fstat(&self.fd).map_err(|errno| self.fail("open", errno))?;
        let reserved = retry_on_intr(reserve);
        if reserved.is_err() {
            self.give_back(&before);
        }
        match reserved {
            Ok(()) => {
                self.reserved = size;
                Ok(())
            }
            Err(Errno::OPNOTSUPP) => {
                let shown = &self.shown;
                let text = format!(
                    "open {shown}: this file system cannot reserve {size} bytes: open it without PREALLOCATE"
                );
                Err(Error::new(Code::ENOTSUP, text))
            }
            Err(errno) => Err(fail(&format!("reserve {size} bytes for"), &self.shown, errno)),
        }
    }

    /// Gives back what a reservation that failed half-way took, without showing that it was there; best effort.
    fn give_back(&self, before: &rustix::fs::Stat) {
        let grown = fstat(&self.fd).is_ok_and(|now| now.st_blocks > before.st_blocks);
        if grown && let Ok(size) = u64::try_from(before.st_size) {
            let _ = ftruncate(&self.fd, size);
            let time = |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
            let last_access = time(before.st_atime, before.st_atime_nsec);
            let last_modification = time(before.st_mtime, before.st_mtime_nsec);
            let _ = futimens(&self.fd, &Timestamps { last_access, last_modification });
        }
    }

    /// Gives back what was reserved and not written, and lets other writers in. Best effort: it is the end.
    pub(super) fn release(&mut self) {
        if std::mem::take(&mut self.reserved) > 0
            && let Ok(stat) = fstat(&self.fd)
            && let Ok(size) = u64::try_from(stat.st_size)
        {
            let _ = ftruncate(&self.fd, size);
        }
        // By hand, since a process forked meanwhile would hold the lock as long as its copy of the descriptor.
        if std::mem::take(&mut self.locked) {
            let _ = flock(&self.fd, FlockOperation::NonBlockingUnlock);
        }
    }
}

/// Takes a lock without waiting for it.
///
/// # Errors
/// EBUSY: somebody else has it. ENOTSUP: the file system has none.
pub fn lock(fd: &OwnedFd, operation: FlockOperation, shown: &str) -> Result<()> {
    match retry_on_intr(|| flock(fd, operation)) {
        Ok(()) => Ok(()),
        Err(Errno::AGAIN) => {
            Err(Error::new(Code::EBUSY, format!("open {shown}: somebody else is writing it")).retryable())
        }
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
            let text = format!("open {shown}: this file system has no locks to keep a second writer out");
            Err(Error::new(Code::ENOTSUP, text))
        }
        Err(errno) => Err(fail("lock", shown, errno)),
    }
}

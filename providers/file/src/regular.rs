//! Regular files.
//!
//! The position is our own, and every transfer is one pread or pwrite: so read, write, seek and the lease share it, and none
//! costs a system call of its own.

mod room;

use crate::claims::Claim;
use crate::confine::Roots;
use crate::failure::{fail, wrong_direction};
use crate::pending::Pending;
use crate::{status, times};
pub use room::lock;
use rustix::fs::{Advice, fadvise, fdatasync, fstat, ftruncate};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};
use std::io::SeekFrom;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use vfs_core::{
    Capabilities, Code, Context, Direction, Error, Events, File, Finish, Flush, Lease, OpenFlags, Request,
    Result, Stat, seek_position,
};

/// The largest offset of a file.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// What Linux reads ahead of any file, unless its administrator says otherwise.
const READ_AHEAD: i64 = 128 << 10;

/// An open regular file.
pub struct Regular {
    fd: OwnedFd,
    context: Context,
    shown: Box<str>,
    flags: OpenFlags,
    position: u64,
    /// Nobody else writes: the lock is held.
    locked: bool,
    /// Bytes reserved at open; what lies beyond the size is given back at the end.
    reserved: u64,
    /// The time that it is to have, whatever is written.
    modified: Option<SystemTime>,
    /// How the writing side ended.
    finished: Option<Finish>,
    /// The name, for the run that writes it.
    _claim: Option<Claim>,
    /// Not visible under its name yet.
    pending: Option<Pending>,
    /// Where the name lies, if this open may have made it: SYNC makes the name durable too.
    unsynced_name: Option<(Arc<Roots>, PathBuf)>,
}

impl Regular {
    /// Takes over an open file, and its name's claim as long as it is written.
    pub fn new(fd: OwnedFd, claim: Option<Claim>, request: &Request<'_>, flags: OpenFlags) -> Regular {
        Regular {
            fd,
            context: request.context().clone(),
            shown: request.shown().into(),
            flags,
            position: 0,
            locked: false,
            reserved: 0,
            modified: None,
            finished: None,
            _claim: claim,
            pending: None,
            unsynced_name: None,
        }
    }

    /// Tells the kernel how it will be read; `size`: its bytes. A small one comes as a whole, whatever is said.
    pub fn advise(&self, size: i64) {
        let advice =
            match (self.flags.contains(OpenFlags::SEQUENTIAL), self.flags.contains(OpenFlags::RANDOM)) {
                (true, false) => Advice::Sequential,
                (false, true) => Advice::Random,
                _ => return,
            };
        if self.flags.contains(OpenFlags::READ) && size > READ_AHEAD {
            let _ = fadvise(&self.fd, 0, None, advice); // a hint
        }
    }

    /// The kernel's file.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Makes it appear under its name on COMMIT only.
    pub fn pending(mut self, pending: Pending) -> Regular {
        self.pending = Some(pending);
        self
    }

    /// Remembers where the name lies, for SYNC.
    pub fn remember_name(&mut self, roots: &Arc<Roots>, path: &Path) {
        self.unsynced_name = Some((roots.clone(), path.to_owned()));
    }

    fn fail(&self, doing: &str, errno: Errno) -> Error {
        fail(doing, &self.shown, errno)
    }

    fn check_writable(&self, doing: &str) -> Result<()> {
        if self.flags.contains(OpenFlags::WRITE) && self.finished.is_none() {
            return Ok(());
        }
        Err(wrong_direction(doing, &self.shown, self.finished.is_some()))
    }

    fn check_readable(&self) -> Result<()> {
        if self.flags.contains(OpenFlags::READ) {
            return Ok(());
        }
        Err(wrong_direction("read", &self.shown, false))
    }

    /// O_APPEND moves the kernel's position behind what was written; ours follows it.
    fn append(&mut self, buf: &[u8]) -> Result<usize> {
        let count = self.transfer("write", Events::WRITE, || rustix::io::write(&self.fd, buf))?;
        self.position = rustix::fs::tell(&self.fd).map_err(|errno| self.fail("write", errno))?;
        Ok(count)
    }

    /// Some files of /proc are regular and take no pwrite: the kernel's position goes along.
    fn write_in_sequence(&self, buf: &[u8]) -> Result<usize> {
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(self.position))
            .map_err(|errno| self.fail("write", errno))?;
        self.transfer("write", Events::WRITE, || rustix::io::write(&self.fd, buf))
    }

    /// Makes a call until it is neither interrupted nor told to wait (some files of /proc do).
    #[inline]
    fn transfer(
        &self,
        doing: &str,
        events: Events,
        mut call: impl FnMut() -> Result<usize, Errno>,
    ) -> Result<usize> {
        loop {
            match call() {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.context.wait(Some(self.fd.as_fd()), events, None)?;
                }
                Err(errno) => return Err(self.fail(doing, errno)),
            }
        }
    }
}

impl File for Regular {
    fn capabilities(&self) -> Capabilities {
        // A disk is never waited for by poll: its calls count as not blocking.
        let mut capabilities =
            Capabilities::SEEKABLE | Capabilities::STAT | Capabilities::FD | Capabilities::CANCEL;
        if self.flags.contains(OpenFlags::READ) {
            capabilities |= Capabilities::READABLE | Capabilities::POSITIONAL_READ;
        }
        if self.flags.contains(OpenFlags::WRITE) {
            capabilities |= Capabilities::WRITABLE | Capabilities::TRUNCATABLE | Capabilities::TIMES;
            // With O_APPEND Linux's pwrite appends, whatever the offset.
            if !self.flags.contains(OpenFlags::APPEND) {
                capabilities |= Capabilities::POSITIONAL_WRITE;
            }
        }
        capabilities
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = self.read_at(buf, self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        if self.flags.contains(OpenFlags::APPEND) {
            self.check_writable("write")?;
            return self.append(buf);
        }
        let count = match self.write_at(buf, self.position) {
            Err(error) if error.code() == Code::ESPIPE => self.write_in_sequence(buf)?,
            count => count?,
        };
        self.position += count as u64;
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.position = seek_position(&self.shown, to, self.position, || {
            let size = fstat(&self.fd).map_err(|errno| self.fail("seek", errno))?.st_size;
            Ok(u64::try_from(size).unwrap_or(0))
        })?;
        Ok(self.position)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.check_writable("truncate")?;
        if size > OFFSET_MAX {
            return Err(self.fail("truncate", Errno::FBIG));
        }
        retry_on_intr(|| ftruncate(&self.fd, size)).map_err(|errno| self.fail("truncate", errno))
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        if level == Flush::Push || !self.flags.contains(OpenFlags::WRITE) {
            return Ok(());
        }
        let synced = match &mut self.pending {
            Some(pending) => pending.sync(&self.fd),
            None => retry_on_intr(|| fdatasync(&self.fd)),
        };
        synced.map_err(|errno| self.fail("sync", errno))?;
        if let Some((roots, path)) = &self.unsynced_name {
            let place = roots.place(path, true).and_then(|place| place.sync());
            place.map_err(|errno| self.fail("sync the folder of", errno))?;
            self.unsynced_name = None;
        }
        Ok(())
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        if !self.flags.contains(OpenFlags::WRITE) {
            return Ok(());
        }
        if self.finished == Some(Finish::Discard) && how != Finish::Discard {
            return Err(Error::new(Code::EINVAL, format!("finish {}: it was discarded", self.shown)));
        }
        self.finished = Some(how);
        self.release();
        if let (Finish::Commit, Some(time)) = (how, self.modified) {
            times::set(&self.fd, time).map_err(|errno| self.fail("set the time of", errno))?;
        }
        match (how, self.pending.take()) {
            (Finish::Commit, Some(pending)) => {
                pending.commit(&self.fd).map_err(|errno| self.fail("commit", errno))
            }
            (Finish::End, pending) => {
                self.pending = pending;
                Ok(())
            }
            // DISCARD: dropped just now, and so removed. In place, what was written stays.
            _ => Ok(()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.check_readable()?;
        self.transfer("read", Events::READ, || match pread(&self.fd, &mut *buf, offset) {
            // The kernel refuses a range that would end beyond the largest offset; a file has nothing there.
            Err(Errno::INVAL) if beyond(offset, buf.len()) => match OFFSET_MAX.checked_sub(offset) {
                None | Some(0) => Ok(0),
                Some(room) => pread(&self.fd, &mut buf[..room as usize], offset),
            },
            result => result,
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.check_writable("write")?;
        if self.flags.contains(OpenFlags::APPEND) {
            let text = format!("write_at {}: a file opened to append is written only at its end", self.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        }
        self.transfer("write", Events::WRITE, || match pwrite(&self.fd, buf, offset) {
            Err(Errno::INVAL) if beyond(offset, buf.len()) => Err(Errno::FBIG),
            result => result,
        })
    }

    fn stat(&mut self) -> Result<Stat> {
        fstat(&self.fd).map(|stat| status::of(&stat)).map_err(|errno| self.fail("stat", errno))
    }

    fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.check_writable("set the time of")?;
        // At once, so that what the file system refuses is known before anything is written; and again once all is.
        times::set(&self.fd, time).map_err(|errno| self.fail("set the time of", errno))?;
        self.modified = Some(time);
        Ok(())
    }

    fn lease(&mut self, direction: Direction) -> Result<Lease<'_>> {
        match direction {
            Direction::Read => self.check_readable()?,
            Direction::Write => self.check_writable("write")?,
        }
        if direction == Direction::Write && self.flags.contains(OpenFlags::APPEND) {
            let text = format!("lease {}: a file opened to append has no offsets to write at", self.shown);
            return Err(Error::new(Code::ENOTSUP, text));
        }
        Ok(Lease { fd: self.fd.as_fd(), offset: Some(self.position), limit: OFFSET_MAX - self.position })
    }

    fn advance(&mut self, _direction: Direction, count: u64) -> Result<()> {
        match self.position.checked_add(count) {
            Some(position) if position <= OFFSET_MAX => {
                self.position = position;
                Ok(())
            }
            _ => Err(Error::new(Code::EINVAL, format!("advance {}: by {count} bytes", self.shown))),
        }
    }
}

impl Drop for Regular {
    fn drop(&mut self) {
        self.release();
    }
}

fn beyond(offset: u64, count: usize) -> bool {
    offset.checked_add(count as u64).is_none_or(|end| end > OFFSET_MAX)
}

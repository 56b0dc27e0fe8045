//! An open file, and the calls of it that may overlap.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use rustix::fs::{FileType, fstat};
use std::io::SeekFrom;
use std::os::fd::{BorrowedFd, OwnedFd};
use vfs_core::process::wire::{FileCall, Reply};
use vfs_core::{Capabilities, Code, Direction, Error, File, Result};

/// The provider's file. Positional calls may overlap each other, and no other calls: whoever has another one in progress is told so.
pub(super) struct HeldFile {
    file: RwLock<Box<dyn File>>,
    writes: bool,
}

/// What a call gives.
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// A kernel file, to go with it.
    pub(super) lent: Option<OwnedFd>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        Answer { reply, lent: None }
    }
}

impl HeldFile {
    pub(super) fn new(file: Box<dyn File>) -> HeldFile {
        let writes = file.capabilities().contains(Capabilities::WRITABLE);
        HeldFile { file: RwLock::new(file), writes }
    }

    /// Whether it can be written.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    fn exclusive(&self) -> Result<RwLockWriteGuard<'_, Box<dyn File>>> {
        self.file.try_write().ok_or_else(busy)
    }

    fn shared(&self) -> Result<RwLockReadGuard<'_, Box<dyn File>>> {
        self.file.try_read().ok_or_else(busy)
    }

    /// Makes one call. `bytes` are those that it moves.
    ///
    /// # Errors
    /// EBUSY: it overlaps another. The provider's.
    pub(super) fn call(&self, call: FileCall, bytes: &mut [u8]) -> Result<Answer> {
        Ok(Answer::from(match call {
            FileCall::Read { .. } => Reply::Number(self.exclusive()?.read(bytes)? as u64),
            FileCall::Write { .. } => Reply::Number(self.exclusive()?.write(bytes)? as u64),
            FileCall::ReadAt { offset, .. } => Reply::Number(self.shared()?.read_at(bytes, offset)? as u64),
            FileCall::WriteAt { offset, .. } => Reply::Number(self.shared()?.write_at(bytes, offset)? as u64),
            FileCall::Seek(to) => Reply::Number(self.exclusive()?.seek(SeekFrom::from(to))?),
            FileCall::Tell => Reply::Number(self.exclusive()?.tell()?),
            FileCall::Truncate { size } => done(self.exclusive()?.truncate(size))?,
            FileCall::Flush(level) => done(self.exclusive()?.flush(level))?,
            FileCall::Finish(how) => done(self.exclusive()?.finish(how))?,
            FileCall::SetModified(time) => done(self.exclusive()?.set_modified(time.get()?))?,
            FileCall::Stat => Reply::Stat((&self.exclusive()?.stat()?).into()),
            FileCall::Advance { direction, count } => done(self.exclusive()?.advance(direction, count))?,
            FileCall::Lease(direction) => return lease(&mut **self.exclusive()?, direction),
        }))
    }
}

pub(super) fn busy() -> Error {
    Error::new(Code::EBUSY, "another call of the file is in progress")
}

fn done(result: Result<()>) -> Result<Reply> {
    result.map(|()| Reply::Done)
}

/// The host takes descriptors of regular files only.
fn lease(file: &mut dyn File, direction: Direction) -> Result<Answer> {
    let lease = file.lease(direction)?;
    if !is_regular(lease.fd) {
        return Err(Error::new(Code::ENOTSUP, "lease: only a regular file is lent to another process"));
    }
    let reply = Reply::Lease { offset: lease.offset, limit: lease.limit };
    let lent: OwnedFd = lease.fd.try_clone_to_owned()?;
    Ok(Answer { reply, lent: Some(lent) })
}

fn is_regular(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

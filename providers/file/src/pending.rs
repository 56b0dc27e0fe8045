//! A file without its name: COMMIT puts it there, or over what is there.

use crate::attributes;
use crate::hidden::Hidden;
use crate::place::Place;
use rustix::fs::{FlockOperation, flock, fsync};
use rustix::io::{Errno, retry_on_intr};
use std::os::fd::OwnedFd;

/// A file on its way to its name. Dropped before COMMIT, it goes away.
#[derive(Debug)]
pub struct Pending {
    /// Its name meanwhile, where the file system knows no file without one.
    pub hidden: Option<Hidden>,
    pub target: Place,
    pub exclusive: bool,
    /// A SYNC came: the COMMIT is to be durable.
    pub synced: bool,
    /// The file to be replaced, with a shared lock: keeps writers in place out, but not other pending ones.
    pub replaced: Option<OwnedFd>,
}

impl Pending {
    /// Makes what was written so far durable, and asks COMMIT to do the same with the name.
    pub fn sync(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        self.synced = true;
        retry_on_intr(|| fsync(fd))
    }

    /// Puts the file under its name.
    pub fn commit(mut self, fd: &OwnedFd) -> Result<(), Errno> {
        if let Some(old) = &self.replaced {
            // Again: they may have been changed since it was opened.
            attributes::copy(old, fd)?;
        }
        if self.synced {
            retry_on_intr(|| fsync(fd))?;
        }
        self.publish(fd)?;
        if self.synced { self.target.sync() } else { Ok(()) }
    }

    fn publish(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None => {
                if self.replaced.is_none() {
                    match self.target.link(fd) {
                        // Made by somebody else since.
                        Err(Errno::EXIST) if !self.exclusive => {}
                        result => return result,
                    }
                }
                Hidden::link(&self.target, fd)?
            }
        };
        let renamed = hidden.rename(&self.target, self.exclusive);
        // By hand: a process forked meanwhile holds a copy of the descriptor.
        let _ = flock(fd, FlockOperation::NonBlockingUnlock);
        renamed
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // By hand, as above.
        if let Some(replaced) = &self.replaced {
            let _ = flock(replaced, FlockOperation::NonBlockingUnlock);
        }
    }
}

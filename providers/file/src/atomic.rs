//! Files that appear under their name on COMMIT: written under a hidden name beside it, then renamed.

use crate::confine::{NEW_FILE, Roots};
use crate::failure::fail;
use crate::place::Place;
use crate::provider::{kernel_flags, unsupported};
use crate::regular::{Regular, lock};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, fsync};
use rustix::io::{Errno, retry_on_intr};
use rustix::rand::{GetRandomFlags, getrandom};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use vfs_core::{Code, Error, OpenFlags, Request, Result};

/// Linux's limit on a name, in bytes.
const NAME_MAX: usize = 255;

/// A random name that is taken is tried again so often; 64 random bits never need it.
const TRIES: u32 = 16;

/// A temporary file on its way to its name. Dropped before COMMIT, it goes away.
#[derive(Debug)]
pub struct Pending {
    temporary: Place,
    target: Place,
    exclusive: bool,
    /// A SYNC came: the COMMIT is to be durable.
    synced: bool,
    /// The file to be replaced, with a shared lock: keeps writers in place out, but not other pending ones.
    replaced: Option<OwnedFd>,
    committed: bool,
}

/// Opens a file that is not visible until COMMIT. A symbolic link is followed below the roots: what it leads to is replaced.
///
/// # Errors
/// ENOENT: absent, and no CREATE. EEXIST: there, and EXCLUSIVE. EBUSY: it is being written in place. ENOTSUP: a FIFO or device.
pub fn open(roots: &Roots, path: &Path, request: &Request<'_>, flags: OpenFlags) -> Result<Regular> {
    let failed = |errno| fail("open", request.shown(), errno);
    let target = roots.place(path, true).map_err(failed)?;
    let replaced = match target.kind().map_err(failed)? {
        None if !flags.contains(OpenFlags::CREATE) => return Err(failed(Errno::NOENT)),
        None => None,
        Some(_) if flags.contains(OpenFlags::EXCLUSIVE) => return Err(failed(Errno::EXIST)),
        Some(FileType::RegularFile) => Some(guard(&target, request)?),
        Some(FileType::Fifo | FileType::CharacterDevice) => return Err(cannot(request)),
        Some(other) => return Err(unsupported(other, request)),
    };

    let mode = match &replaced {
        // Not the set-uid bits: the new file may be another user's.
        Some(old) => Some(Mode::from_raw_mode(fstat(old).map_err(failed)?.st_mode & 0o777)),
        None => None,
    };
    let access = kernel_flags(flags).difference(OFlags::CREATE | OFlags::EXCL);
    let (temporary, fd) = temporary(&target, access, mode).map_err(failed)?;
    let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
    let pending = Pending { temporary, target, exclusive, synced: false, replaced, committed: false };
    let mut file = Regular::new(fd, request, flags).pending(pending);
    file.reserve(request)?;
    Ok(file)
}

/// Says that what is at hand has no name to appear under.
pub fn cannot(request: &Request<'_>) -> Error {
    let shown = request.shown();
    Error::new(
        Code::ENOTSUP,
        format!("open {shown}: only a regular file can be atomic: open it without ATOMIC"),
    )
}

impl Pending {
    /// Makes what was written so far durable, and asks COMMIT to do the same with the name.
    pub fn sync(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        self.synced = true;
        retry_on_intr(|| fsync(fd))
    }

    /// Puts the file under its name.
    pub fn commit(mut self, fd: &OwnedFd) -> Result<(), Errno> {
        if self.synced {
            retry_on_intr(|| fsync(fd))?;
        }
        self.temporary.rename(&self.target, self.exclusive)?;
        self.committed = true;
        if self.synced { self.target.sync() } else { Ok(()) }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.committed {
            let _ = self.temporary.remove();
        }
        // By hand: a process forked meanwhile holds a copy of the descriptor.
        if let Some(replaced) = &self.replaced {
            let _ = flock(replaced, FlockOperation::NonBlockingUnlock);
        }
    }
}

/// Opens the file to be replaced for writing, which asks for that permission, and locks it.
fn guard(target: &Place, request: &Request<'_>) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let failed = |errno| fail("open", request.shown(), errno);
    let fd = target.open(flags).map_err(failed)?;
    match FileType::from_raw_mode(fstat(&fd).map_err(failed)?.st_mode) {
        FileType::RegularFile => {}
        _ => return Err(cannot(request)),
    }
    lock(&fd, FlockOperation::NonBlockingLockShared, request.shown())?;
    Ok(fd)
}

/// Creates the temporary file, with the mode of the one it replaces.
fn temporary(target: &Place, access: OFlags, mode: Option<Mode>) -> Result<(Place, OwnedFd), Errno> {
    let mut tries = 0;
    loop {
        let place = target.sibling(hidden(target.name())?)?;
        match place.create(access, mode.map_or(NEW_FILE, |_| Mode::RUSR | Mode::WUSR)) {
            Err(Errno::EXIST) if tries < TRIES => tries += 1,
            Err(errno) => return Err(errno),
            Ok(fd) => {
                if let Some(mode) = mode
                    && let Err(errno) = fchmod(&fd, mode)
                {
                    let _ = place.remove();
                    return Err(errno);
                }
                return Ok((place, fd));
            }
        }
    }
}

/// `.name.zvfs-0123456789abcdef`, with the name cut where it would grow too long.
fn hidden(name: &OsStr) -> Result<OsString, Errno> {
    let mut random = [0; 8];
    retry_on_intr(|| getrandom(&mut random, GetRandomFlags::empty()))?;
    let tail = format!(".zvfs-{:016x}", u64::from_ne_bytes(random));
    let name = name.as_bytes();
    let kept = name.len().min(NAME_MAX - 1 - tail.len());
    Ok(OsString::from_vec([b".", &name[..kept], tail.as_bytes()].concat()))
}

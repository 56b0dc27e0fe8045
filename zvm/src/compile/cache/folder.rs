//! The cache's folder: every access goes through its descriptor, follows no link, and asks who owns what.

use super::place::{OTHERS, TEMPORARY, at, own, place, refused, temporary};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::fs::{fstat, futimens, mkdirat, openat, renameat, statat, unlinkat};
use rustix::process::geteuid;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use vfs_core::{Code, Error, Result};

/// How entries end.
pub(super) const SUFFIX: &str = ".zvm";
/// After this time nobody is writing such a file any more.
const STALE: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder, or makes it.
    pub(super) fn open(path: &Path) -> Result<Folder> {
        let (parent, name) = place(path)?;
        let path = parent.join(&name);
        match mkdirat(CWD, &path, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(system(errno, &path)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = openat(CWD, &path, flags, Mode::empty()).map_err(|errno| match errno {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => {
                refused(&path, "is a link or not a folder: name the folder itself")
            }
            errno => system(errno, &path),
        })?;
        let stat = fstat(&descriptor).map_err(|errno| system(errno, &path))?;
        own(&path, stat.st_uid, stat.st_mode, "chmod 700")?;
        Ok(Folder { descriptor, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens an entry.
    ///
    /// # Errors
    /// ENOENT; EACCES: it is not a regular file of the user's own that is closed to all others.
    pub(super) fn read(&self, name: &str) -> Result<File> {
        // NONBLOCK: a FIFO in its place must not hold the caller.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP) => return Err(Error::new(Code::EACCES, "it is a link")),
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::new(Code::EACCES, "it is not a regular file"));
        }
        if metadata.uid() != geteuid().as_raw() || metadata.mode() & OTHERS != 0 {
            return Err(Error::new(Code::EACCES, "others own it or can access it"));
        }
        Ok(file)
    }

    /// Writes an entry: it is there whole or not at all, whoever else writes it too.
    pub(super) fn write(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
        let temporary = temporary()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file =
            File::from(openat(&self.descriptor, &*temporary, flags, mode).map_err(io::Error::from)?);
        let written = fill(&mut file)
            .and_then(|()| Ok(renameat(&self.descriptor, &*temporary, &self.descriptor, name)?));
        if written.is_err() {
            self.remove(&temporary);
        }
        Ok(written?)
    }

    /// Removes an entry, if it is there. A folder in its place stays.
    pub(super) fn remove(&self, name: &str) {
        // What can't be removed is verified again the next time, and refused again.
        let _ = unlinkat(&self.descriptor, name, AtFlags::empty());
    }

    /// Removes the entries that were not used for the longest time until the others fit, and what writers left behind.
    pub(super) fn shrink(&self, limit: u64) -> Result<()> {
        let (mut entries, mut kept) = (Vec::new(), 0);
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        for entry in Dir::read_from(&self.descriptor).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            // It may be gone already.
            let Ok(stat) = statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if name.starts_with(TEMPORARY) && now - stat.st_mtime > STALE.as_secs() as i64 {
                self.remove(name);
            } else if name.ends_with(SUFFIX) {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                kept += size;
                entries.push(((stat.st_mtime, stat.st_mtime_nsec), name.to_owned(), size));
            }
        }
        entries.sort();
        for (_, name, size) in entries {
            if kept <= limit {
                break;
            }
            self.remove(&name);
            kept -= size;
        }
        Ok(())
    }
}

/// Marks an entry as used now. It stays valid if that fails.
pub(super) fn touch(file: &File) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = futimens(file, &Timestamps { last_access: now, last_modification: now });
}

fn system(errno: rustix::io::Errno, path: &Path) -> Error {
    at(errno.into(), path)
}

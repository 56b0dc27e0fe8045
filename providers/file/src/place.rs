//! A name in a folder that was reached safely: what is done to it cannot be led elsewhere.

use crate::times;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, RenameFlags, fstat, fstatfs, fsync, linkat,
    mkdirat, openat, renameat, renameat_with, statat, unlinkat, utimensat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// New files: what the umask leaves of this.
pub const NEW_FILE: Mode = Mode::from_raw_mode(0o666);
/// The same for new folders.
const NEW_FOLDER: Mode = Mode::from_raw_mode(0o777);

/// A file that is removed by somebody else each time is opened so often.
const TRIES: u32 = 100;

/// A folder, and a name in it.
#[derive(Debug)]
pub struct Place {
    /// Opened for its path only; shared with other names in it.
    folder: Arc<OwnedFd>,
    /// Without `/`, neither `.` nor `..`.
    name: OsString,
}

impl Place {
    /// Names a file of a folder.
    pub fn new(folder: OwnedFd, name: OsString) -> Place {
        Place { folder: Arc::new(folder), name }
    }

    /// The name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The folder's device and inode.
    pub fn folder(&self) -> Result<(u64, u64), Errno> {
        fstat(&*self.folder).map(|stat| (stat.st_dev, stat.st_ino))
    }

    /// Opens the file that is there; a symbolic link is ELOOP.
    pub fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags.difference(OFlags::CREATE | OFlags::EXCL) | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| openat(&*self.folder, &self.name, flags, Mode::empty()))
    }

    /// Creates the file; EEXIST if anything is there.
    pub fn create(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        retry_on_intr(|| openat(&*self.folder, &self.name, flags, mode))
    }

    /// Opens the file, or creates it, and says which (`true`: created). `exclusive`: only creates.
    pub fn open_or_create(&self, flags: OFlags, exclusive: bool) -> Result<(OwnedFd, bool), Errno> {
        for _ in 0..TRIES {
            match self.create(flags, NEW_FILE) {
                Err(Errno::EXIST) if !exclusive => {}
                result => return result.map(|fd| (fd, true)),
            }
            match self.open(flags) {
                Err(Errno::NOENT) => {}
                result => return result.map(|fd| (fd, false)),
            }
        }
        Err(Errno::NOENT)
    }

    /// Makes a folder of this name; EEXIST if anything is there.
    pub fn make_folder(&self) -> Result<(), Errno> {
        mkdirat(&*self.folder, &self.name, NEW_FOLDER)
    }

    /// The kind of what is there, links not followed; `None`: nothing.
    pub fn kind(&self) -> Result<Option<FileType>, Errno> {
        match statat(&*self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether it lies in /proc, where a symbolic link is followed by what it stands for and not by its text.
    pub fn is_in_proc(&self) -> bool {
        fstatfs(&*self.folder).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC)
    }

    /// Another name in the same folder.
    pub fn sibling(&self, name: OsString) -> Place {
        Place { folder: self.folder.clone(), name }
    }

    /// Creates a file of the folder that has no name yet.
    ///
    /// # Errors
    /// EOPNOTSUPP: the file system has no such files, or no way to [`link`](Place::link) them. Old kernels say EISDIR.
    pub fn nameless(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags.difference(OFlags::CREATE | OFlags::EXCL) | OFlags::TMPFILE | OFlags::CLOEXEC;
        static HAS_PROC: AtomicBool = AtomicBool::new(false);
        let fd = retry_on_intr(|| openat(&*self.folder, ".", flags, mode))?;
        if !HAS_PROC.load(Ordering::Relaxed) {
            // Without /proc it could never be given a name.
            statat(CWD, path_of(&fd), AtFlags::empty()).map_err(|_| Errno::OPNOTSUPP)?;
            HAS_PROC.store(true, Ordering::Relaxed);
        }
        Ok(fd)
    }

    /// Gives a file this name; EEXIST if anything is there.
    pub fn link(&self, file: &OwnedFd) -> Result<(), Errno> {
        linkat(CWD, path_of(file), &*self.folder, &self.name, AtFlags::SYMLINK_FOLLOW)
    }

    /// Removes the name, whatever file it stands for; a directory is EISDIR.
    pub fn remove(&self) -> Result<(), Errno> {
        unlinkat(&*self.folder, &self.name, AtFlags::empty())
    }

    /// Removes the name of an empty folder; anything else is ENOTDIR.
    pub fn remove_folder(&self) -> Result<(), Errno> {
        unlinkat(&*self.folder, &self.name, AtFlags::REMOVEDIR)
    }

    /// Sets the time of what is there; of a symbolic link its own.
    pub fn set_modified(&self, time: SystemTime) -> Result<(), Errno> {
        match self.set_modified_by_name(time) {
            // In a process behind walls it is allowed of an open file only.
            Err(Errno::PERM) => match self.kind()? {
                Some(FileType::RegularFile | FileType::Directory) => {
                    let opened = self.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY);
                    times::set(&opened.map_err(|_| Errno::PERM)?, time)
                }
                Some(_) => Err(Errno::PERM),
                None => Err(Errno::NOENT),
            },
            set => set,
        }
    }

    fn set_modified_by_name(&self, time: SystemTime) -> Result<(), Errno> {
        let (folder, name, own) = (&*self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        times::set_by(time, |times| utimensat(folder, name, times, own), || statat(folder, name, own))
    }

    /// Whether the name stands for this file.
    pub fn is(&self, file: &OwnedFd) -> bool {
        statat(&*self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|there| Ok((there, fstat(file)?)))
            .is_ok_and(|(there, here)| (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
    }

    /// Removes the name if it still stands for this file; best effort.
    pub fn remove_if(&self, file: &OwnedFd) {
        if self.is(file) {
            let _ = self.remove();
        }
    }

    /// Puts this file in the place of another name of the same folder, at once. `exclusive`: EEXIST if that is there.
    pub fn rename(&self, target: &Place, exclusive: bool) -> Result<(), Errno> {
        if !exclusive {
            return renameat(&*self.folder, &self.name, &*target.folder, &target.name);
        }
        match renameat_with(&*self.folder, &self.name, &*target.folder, &target.name, RenameFlags::NOREPLACE)
        {
            // Not every file system has it; a second link is refused by all if the name is there.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(&*self.folder, &self.name, &*target.folder, &target.name, AtFlags::empty())?;
                let _ = self.remove();
                Ok(())
            }
            result => result,
        }
    }

    /// Makes the folder's names durable.
    pub fn sync(&self) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| openat(self.folder.as_fd(), ".", flags, Mode::empty()))?;
        retry_on_intr(|| fsync(&folder))
    }
}

/// The kernel's own path of an open file: the way to link one without a name that needs no privilege.
fn path_of(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

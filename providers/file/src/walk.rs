//! A path, walked name by name with a descriptor for each folder on the way: what openat2 does, in system calls that every
//! kernel and every seccomp filter allows.
//!
//! No symbolic link is ever followed by the kernel here: each is read through a descriptor and its text walked in turn. `..`
//! goes back to the folder that was come from, so that a folder moved meanwhile cannot lead above the root.

use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::{Errno, retry_on_intr};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Linux's own limit on links in one path.
const LINKS_MAX: u32 = 40;

/// Linux's own limit on a path's bytes, with its NUL.
const PATH_MAX: usize = 4096;

/// Folders open at a time: a path must not use up the host's descriptors.
const DEPTH_MAX: usize = 256;

/// A path on its way.
#[derive(Debug)]
pub struct Walk<'r> {
    root: BorrowedFd<'r>,
    /// What the root is called, for absolute links; `None`: it is `/`, and nothing can lead out.
    names_of_root: Option<&'r [PathBuf]>,
    /// The folders below the root that lead here.
    folders: Vec<OwnedFd>,
    /// The names still to go, the next one last.
    names: Vec<OsString>,
    /// How many links may still come.
    links_left: u32,
}

impl<'r> Walk<'r> {
    /// Starts at a root, and stays below it. Without names of its own it is `/`: absolute links and `..` at the root lead to it. If it
    /// follows no links, one in the path is ELOOP.
    ///
    /// # Errors
    /// ENAMETOOLONG.
    pub fn new(
        root: BorrowedFd<'r>,
        names_of_root: Option<&'r [PathBuf]>,
        follows_links: bool,
        path: &Path,
    ) -> Result<Walk<'r>, Errno> {
        let links_left = if follows_links { LINKS_MAX } else { 0 };
        let mut walk = Walk { root, names_of_root, folders: Vec::new(), names: Vec::new(), links_left };
        walk.prepend(path.as_os_str().as_bytes())?;
        Ok(walk)
    }

    /// Where the walk is.
    pub fn here(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or(self.root, |fd| fd.as_fd())
    }

    /// Goes on until one name is left. `None`: the path ended in a folder, which is here.
    ///
    /// # Errors
    /// EXDEV: leads out. ENOENT, ENOTDIR, ELOOP, EACCES.
    pub fn last_name(&mut self) -> Result<Option<OsString>, Errno> {
        while let Some(name) = self.names.pop() {
            match name.as_bytes() {
                b"" | b"." => {}
                b".." => {
                    if self.folders.pop().is_none() && self.names_of_root.is_some() {
                        return Err(Errno::XDEV);
                    }
                }
                _ if self.names.is_empty() => return Ok(Some(name)),
                _ => self.enter(&name)?,
            }
        }
        Ok(None)
    }

    /// If the name here is a symbolic link, goes on to where it leads.
    ///
    /// # Errors
    /// As [`last_name`](Walk::last_name), but a name that is not there is not a link.
    pub fn follow(&mut self, name: &OsStr) -> Result<bool, Errno> {
        let fd = match self.look(name) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno),
        };
        let link = kind(&fd)? == FileType::Symlink;
        if link {
            self.read_link(&fd)?;
        }
        Ok(link)
    }

    /// Opens what the path names.
    ///
    /// # Errors
    /// As [`last_name`](Walk::last_name), and those of open.
    pub fn open(mut self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        loop {
            let Some(name) = self.last_name()? else {
                return retry_on_intr(|| openat(self.here(), ".", flags, mode));
            };
            match retry_on_intr(|| openat(self.here(), &name, flags | OFlags::NOFOLLOW, mode)) {
                // With O_PATH a link is opened, with O_DIRECTORY it is ENOTDIR, else ELOOP.
                Ok(fd) if flags.contains(OFlags::PATH) && kind(&fd)? == FileType::Symlink => {
                    self.read_link(&fd)?;
                }
                Err(errno @ (Errno::LOOP | Errno::NOTDIR)) => {
                    if !self.follow(&name)? {
                        if errno == Errno::NOTDIR {
                            return Err(errno);
                        }
                        // It was a link a moment ago.
                        self.count_link()?;
                        self.names.push(name);
                    }
                }
                result => return result,
            }
        }
    }

    /// Goes down one folder, or to where a link leads.
    fn enter(&mut self, name: &OsStr) -> Result<(), Errno> {
        let fd = self.look(name)?;
        match kind(&fd)? {
            FileType::Directory if self.folders.len() < DEPTH_MAX => {
                self.folders.push(fd);
                Ok(())
            }
            FileType::Directory => Err(Errno::NAMETOOLONG),
            FileType::Symlink => self.read_link(&fd),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// Opens a name as it is, link or not, without touching what it is.
    fn look(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| openat(self.here(), name, flags, Mode::empty()))
    }

    /// Puts the text of a link before the names still to go. It is read from the descriptor, so that nobody can swap it.
    fn read_link(&mut self, link: &OwnedFd) -> Result<(), Errno> {
        self.count_link()?;
        let text = readlinkat(link, "", Vec::new())?.into_bytes();
        if !text.starts_with(b"/") {
            return self.prepend(&text);
        }
        self.folders.clear();
        match self.names_of_root {
            None => self.prepend(&text),
            // From the root's own descriptor on, so that it leads out as little as the same path from outside.
            Some(names) => {
                let path = Path::new(OsStr::from_bytes(&text));
                let rest = names.iter().find_map(|name| beneath(name, path)).ok_or(Errno::XDEV)?;
                self.prepend(rest.as_os_str().as_bytes())
            }
        }
    }

    fn count_link(&mut self) -> Result<(), Errno> {
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::LOOP)?;
        Ok(())
    }

    fn prepend(&mut self, path: &[u8]) -> Result<(), Errno> {
        if path.len() >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        // An empty name after a last `/` stays: it says that what is before it must be a folder.
        self.names.extend(path.rsplit(|byte| *byte == b'/').map(|name| OsString::from_vec(name.to_vec())));
        Ok(())
    }
}

/// What follows a folder in a path, `..` and all; `None`: the path does not begin with it.
pub fn beneath<'p>(folder: &Path, path: &'p Path) -> Option<Cow<'p, Path>> {
    let rest = path.strip_prefix(folder).ok()?;
    // strip_prefix drops a last `/` or `/.`, which says that a directory is meant.
    let text = path.as_os_str().as_bytes();
    if text.ends_with(b"/") || text.ends_with(b"/.") || rest.as_os_str().is_empty() {
        return Some(Cow::Owned(rest.join(".")));
    }
    Some(Cow::Borrowed(rest))
}

fn kind(fd: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

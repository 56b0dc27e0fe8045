//! Path to descriptor, below the operator's roots.
//!
//! Two ways lead there: openat2, where the kernel itself keeps the path below the root, and [`Walk`], name by name, where
//! openat2 is missing or a seccomp filter refuses it, which is found out once, at start, and where it refuses an absolute link.

use crate::place::{NEW_FILE, Place};
use crate::walk::{Walk, beneath};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, fcntl_dupfd_cloexec, retry_on_intr};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::iter;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The kernel resolves: nothing leads out, and no link of /proc jumps over the root.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// openat2 answers EAGAIN when some rename or mount on the machine got between it and a `..`. After so many tries the walk,
/// which no stranger's rename disturbs, takes over.
const TRIES: u32 = 16;

/// The same, and no link is followed at all.
const LINKLESS: ResolveFlags = BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// The folders that paths must lie below.
#[derive(Debug)]
pub struct Roots(Vec<Root>);

#[derive(Debug)]
struct Root {
    /// As the operator wrote it: paths are compared with this text. Behind it what the kernel calls it: absolute links may
    /// begin with either.
    names: Vec<PathBuf>,
    fd: OwnedFd,
    lookup: Lookup,
    /// Symbolic links are followed, as long as they don't lead out.
    follows_links: bool,
}

/// How a path is kept below a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The root is `/`: nothing can lead out.
    Unconfined,
    /// openat2.
    Kernel,
    /// Name by name.
    Walk,
}

impl Roots {
    /// Opens the roots, and finds out how to stay below them. None at all: everything is allowed, as with `/`.
    ///
    /// # Errors
    /// The path that cannot be opened as a directory, and why.
    pub fn new<'p>(paths: impl Iterator<Item = &'p Path>) -> Result<Roots, (&'p Path, Errno)> {
        let paths: Vec<&Path> = paths.collect();
        let whole = Path::new("/");
        if paths.is_empty() || paths.contains(&whole) {
            return Roots::with(&[whole], |_| Lookup::Unconfined);
        }
        Roots::with(&paths, Lookup::confined)
    }

    /// One folder as the only root, in which no symbolic link is followed. It is looked up here itself, links and all.
    ///
    /// # Errors
    /// As [`open`](Roots::open). ENOTDIR.
    pub fn within(&self, folder: &Path) -> Result<Roots, Errno> {
        let fd = self.open(folder, OFlags::PATH | OFlags::DIRECTORY)?;
        let lookup = match self.0.first().map(|root| root.lookup) {
            Some(lookup @ (Lookup::Kernel | Lookup::Walk)) => lookup,
            Some(Lookup::Unconfined) | None => Lookup::confined(&fd),
        };
        Ok(Roots(vec![Root { names: vec![folder.to_owned()], fd, lookup, follows_links: false }]))
    }

    /// Opens the roots, with the way to stay below them given.
    pub fn with<'p>(
        paths: &[&'p Path],
        lookup: impl Fn(&OwnedFd) -> Lookup,
    ) -> Result<Roots, (&'p Path, Errno)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut roots = Vec::new();
        for path in paths {
            let fd = retry_on_intr(|| rustix::fs::open(*path, flags, Mode::empty()))
                .and_then(above_standard)
                .map_err(|errno| (*path, errno))?;
            let lookup = lookup(&fd);
            // Where the system cannot tell its own name for it, the written one is enough.
            let names = iter::once((*path).to_owned()).chain(path.canonicalize()).collect();
            roots.push(Root { names, fd, lookup, follows_links: true });
        }
        // The innermost first: a link that leads out of it may still lie below an outer one.
        roots.sort_by_key(|root| std::cmp::Reverse(root.written().components().count()));
        Ok(Roots(roots))
    }

    /// Opens a path. The descriptor is none of 0 to 2, and closes on exec.
    ///
    /// # Errors
    /// EXDEV: it lies below no root, or leads out of it. Else the kernel's own.
    pub fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        self.each(path, |root, rest| root.open(rest, flags)).and_then(above_standard)
    }

    /// Finds the folder that a path lies in. `follow`: if the last name is a symbolic link, where that leads.
    ///
    /// # Errors
    /// EISDIR: the path ends in `/`, `.` or `..`. Else as [`open`](Roots::open).
    pub fn place(&self, path: &Path, follow: bool) -> Result<Place, Errno> {
        self.each(path, |root, rest| {
            if let Some(place) = root.place(rest)
                && (!follow || place.kind() != Ok(Some(FileType::Symlink)))
            {
                return Ok(place);
            }
            let mut walk = root.walk(rest)?;
            loop {
                let name = walk.last_name()?.ok_or(Errno::ISDIR)?;
                if !follow || !walk.follow(&name)? {
                    return Ok(Place::new(fcntl_dupfd_cloexec(walk.here(), 3)?, name));
                }
            }
        })
    }

    /// Makes the folders of a path that are missing: all but its last name. None is made only to be left again by `..`: what the
    /// path means would depend on whether it was opened before.
    pub fn make_folders(&self, path: &Path) -> Result<(), Errno> {
        let Some(folder) = path.parent() else { return Ok(()) };
        match self.open(folder, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) if folder.file_name().is_some() => {}
            opened => return opened.map(drop),
        }
        self.make_folders(folder)?;
        match self.place(folder, true)?.make_folder() {
            // Somebody else was faster.
            Err(Errno::EXIST) => Ok(()),
            made => made,
        }
    }

    /// Tries each root that the path lies below, as written.
    fn each<T>(
        &self,
        path: &Path,
        mut attempt: impl FnMut(&Root, &Path) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        for root in &self.0 {
            if let Some(rest) = root.rest(path) {
                match attempt(root, &rest) {
                    Err(Errno::XDEV) => {}
                    result => return result,
                }
            }
        }
        Err(Errno::XDEV)
    }
}

impl Lookup {
    /// The way below a folder that the system has.
    fn confined(folder: &OwnedFd) -> Lookup {
        let probe = openat2(folder, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), LINKLESS);
        if probe.is_ok() { Lookup::Kernel } else { Lookup::Walk }
    }
}

impl Root {
    fn written(&self) -> &Path {
        &self.names[0]
    }

    /// What follows the root in a path, `..` and all; `None`: the path does not begin with it.
    fn rest<'p>(&self, path: &'p Path) -> Option<Cow<'p, Path>> {
        match self.lookup {
            Lookup::Unconfined => Some(Cow::Borrowed(path)),
            Lookup::Kernel | Lookup::Walk => beneath(self.written(), path),
        }
    }

    fn open(&self, rest: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mode = if flags.contains(OFlags::CREATE) { NEW_FILE } else { Mode::empty() };
        match self.lookup {
            Lookup::Unconfined => return retry_on_intr(|| openat(&self.fd, rest, flags, mode)),
            Lookup::Kernel => {
                let resolve = if self.follows_links { BENEATH } else { LINKLESS };
                for _ in 0..TRIES {
                    match openat2(&self.fd, rest, flags, mode, resolve) {
                        Err(Errno::AGAIN | Errno::INTR) => {}
                        // An absolute link may lead back below the root, which the kernel does not look at.
                        Err(Errno::XDEV) => break,
                        result => return result,
                    }
                }
            }
            Lookup::Walk => {}
        }
        self.walk(rest)?.open(flags, mode)
    }

    /// The place of a path by one call, where the kernel finds its folder. `None`: name by name it may be found, or why not.
    fn place(&self, rest: &Path) -> Option<Place> {
        let text = rest.as_os_str().as_bytes();
        let (folder, name) = match text.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&text[..=at], &text[at + 1..]),
            None => (b".".as_slice(), text),
        };
        if matches!(name, b"" | b"." | b"..") || self.lookup == Lookup::Walk {
            return None;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = self.open(Path::new(OsStr::from_bytes(folder)), flags).and_then(above_standard).ok()?;
        Some(Place::new(folder, OsStr::from_bytes(name).to_owned()))
    }

    fn walk(&self, rest: &Path) -> Result<Walk<'_>, Errno> {
        let names = (self.lookup != Lookup::Unconfined).then_some(self.names.as_slice());
        Walk::new(self.fd.as_fd(), names, self.follows_links, rest)
    }
}

/// Moves a descriptor above the standard streams: in a host that closed one of them, a file of ours must not become
/// `/dev/stdout`.
fn above_standard(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { fcntl_dupfd_cloexec(fd, 3) }
}

#[cfg(test)]
mod tests;

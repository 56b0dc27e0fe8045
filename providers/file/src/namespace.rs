//! Work on names: stat, list, remove, folders, and the times of what is there.

use crate::failure::{fail, read_only};
use crate::path::{self, Standard};
use crate::place::Place;
use crate::provider::Files;
use crate::status;
use crate::stream::Stream;
use crate::times;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, fstat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use vfs_core::{Code, Entry, Error, File, Name, Namespace, Request, Result, Stat};

impl Namespace for Files {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let path = path::of_request(request)?;
        if let Some(standard) = Standard::of_path(&path) {
            return Stream::standard(standard, request)?.stat();
        }
        let stat = self.roots(request)?.open(&path, OFlags::PATH).and_then(fstat);
        stat.map(|stat| status::of(&stat)).map_err(|errno| fail("stat", request.shown(), errno))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        self.names(request, &mut self.host.entries(request.shown(), each))
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let failed = |errno| fail("list", request.shown(), errno);
        let path = path::of_request(request)?;
        if Standard::of_path(&path).is_some() {
            return Err(failed(Errno::NOTDIR));
        }
        let folder = self.roots(request)?.open(&path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
        for entry in Dir::read_from(&folder).map_err(failed)? {
            request.context().status()?;
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // Where a link leads is not known without asking; what was removed meanwhile is not there.
            let stat = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => None,
                Ok(stat) => Some(status::of(&stat)),
                Err(Errno::NOENT) => continue,
                Err(_) => None,
            };
            if each(Name { bytes: name.to_bytes(), stat: stat.as_ref() }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        // Of a symbolic link the link, not what it leads to.
        self.change("remove", request, &path::of_request(request)?, |place| place.remove())
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        let made = self.change("make folder", request, &folder(request)?, |place| place.make_folder());
        made.map_err(|error| match error.code() {
            // A path that ends in a folder: the root, or `..`.
            Code::EISDIR => Error::new(Code::EEXIST, format!("make folder {}: it is there", request.shown())),
            _ => error,
        })
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        self.change("remove folder", request, &folder(request)?, |place| place.remove_folder())
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        let (doing, path) = ("set the time of", folder(request)?);
        self.check_change(doing, request, &path)?;
        let roots = self.roots(request)?;
        let set = match roots.place(&path, true) {
            // It ends in no name: a root, or `..`.
            Err(Errno::ISDIR) => roots
                .open(&path, OFlags::RDONLY | OFlags::DIRECTORY)
                .and_then(|folder| times::set(&folder, time)),
            place => place.and_then(|place| place.set_modified(time)),
        };
        set.map_err(|errno| fail(doing, request.shown(), errno))
    }
}

impl Files {
    /// Changes what stands under a name, which is not followed if it is a link.
    fn change(
        &self,
        doing: &str,
        request: &Request<'_>,
        path: &Path,
        change: impl FnOnce(&Place) -> Result<(), Errno>,
    ) -> Result<()> {
        self.check_change(doing, request, path)?;
        let changed = self.roots(request)?.place(path, false).and_then(|place| change(&place));
        changed.map_err(|errno| fail(doing, request.shown(), errno))
    }

    fn check_change(&self, doing: &str, request: &Request<'_>, path: &Path) -> Result<()> {
        if Standard::of_path(path).is_some() {
            let text = format!("{doing} {}: it is the host's own stream", request.shown());
            return Err(Error::new(Code::EPERM, text));
        }
        if self.read_only {
            return Err(read_only(doing, request));
        }
        Ok(())
    }
}

/// The path of a folder, without the slashes at its end, which say no more than that.
fn folder(request: &Request<'_>) -> Result<PathBuf> {
    let path = path::of_request(request)?;
    let bytes = path.as_os_str().as_bytes();
    let length = bytes.iter().rposition(|byte| *byte != b'/').map_or(bytes.len(), |last| last + 1);
    Ok(Path::new(OsStr::from_bytes(&bytes[..length])).to_owned())
}

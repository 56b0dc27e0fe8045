//! Work on names: stat, list, remove.

use crate::confine::Roots;
use crate::failure::{fail, read_only};
use crate::path::{self, Standard};
use crate::provider::Files;
use crate::status;
use crate::stream::Stream;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, fstat, statat};
use rustix::io::Errno;
use std::ops::ControlFlow;
use vfs_core::{Code, Entry, Error, File, Level, Name, Namespace, Request, Result, Stat};

impl Namespace for Files {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let path = path::of_request(request)?;
        if let Some(standard) = Standard::of_path(&path) {
            return Stream::standard(standard, request)?.stat();
        }
        let stat = self.roots.open(&path, OFlags::PATH).and_then(fstat);
        stat.map(|stat| status::of(&stat)).map_err(|errno| fail("stat", request.shown(), errno))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        self.names(request, &mut |name| match name.entry() {
            Some(entry) => each(entry),
            None => {
                let (shown, name) = (request.shown(), String::from_utf8_lossy(name.bytes));
                let text = format!("list {shown}: left out {name:?}, which is not UTF-8");
                self.host.log(Level::Warning, &text);
                ControlFlow::Continue(())
            }
        })
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let failed = |errno| fail("list", request.shown(), errno);
        let path = path::of_request(request)?;
        if Standard::of_path(&path).is_some() {
            return Err(failed(Errno::NOTDIR));
        }
        let folder = self.roots.open(&path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
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
        let path = path::of_request(request)?;
        if Standard::of_path(&path).is_some() {
            let text = format!("remove {}: it is the host's own stream", request.shown());
            return Err(Error::new(Code::EPERM, text));
        }
        if self.read_only {
            return Err(read_only("remove", request));
        }
        remove(&self.roots, &path).map_err(|errno| fail("remove", request.shown(), errno))
    }
}

/// Removes a name; of a symbolic link the link, not what it leads to.
fn remove(roots: &Roots, path: &std::path::Path) -> Result<(), Errno> {
    roots.place(path, false)?.remove()
}

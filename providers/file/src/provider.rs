//! The provider, and what an opened path becomes.

use crate::atomic;
use crate::claims::Claim;
use crate::confine::Roots;
use crate::failure::{fail, fail_to_make, read_only, unsupported};
use crate::flags::{self, kernel_flags};
use crate::path::{self, Standard};
use crate::place::Place;
use crate::regular::Regular;
use crate::stream::Stream;
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use vfs_core::{
    Code, File, Host, Info, Instance, Namespace, OpenFlags, Provider, Request, Result, Scope, Setting,
    SettingKind, Settings,
};

/// The provider `file`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileProvider;

impl Provider for FileProvider {
    fn info(&self) -> Info {
        Info::new("file", env!("CARGO_PKG_VERSION"), "files, FIFOs and character devices of this machine")
            .supported_flags(flags::SUPPORTED)
            .setting(
                Setting::new("root", SettingKind::Path, "paths must be below one of these, as written here")
                    .list()
                    .default_value("/"),
            )
            .setting(
                Setting::new("read-only", SettingKind::Boolean, "refuses to write, create or remove")
                    .default_value("false"),
            )
            .setting(
                Setting::new(
                    "run",
                    SettingKind::Text,
                    "the run that opens: no two writers of one run may have the same name",
                )
                .scope(Scope::OPEN),
            )
            .setting(
                Setting::new(
                    "make-folders",
                    SettingKind::Boolean,
                    "an open that may create a file makes the folders of its path that are missing",
                )
                .scope(Scope::OPEN),
            )
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        let roots = Roots::new(settings.texts("root").map(Path::new))
            .map_err(|(path, errno)| fail("start file: root", &path.display().to_string(), errno))?;
        Ok(Box::new(Files { host, roots: Arc::new(roots), read_only: settings.boolean("read-only") }))
    }
}

/// One configuration.
pub struct Files {
    pub(crate) host: Host,
    pub(crate) roots: Arc<Roots>,
    pub(crate) read_only: bool,
}

impl Instance for Files {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let path = path::of_request(request)?;
        if let Some(standard) = Standard::of_path(&path) {
            return Ok(Box::new(Stream::standard(standard, request)?));
        }
        let flags = flags::with_direction(request.flags());
        if self.read_only && flags.contains(OpenFlags::WRITE) {
            return Err(read_only("open", request));
        }
        match self.open_path(&path, request, flags) {
            // Only now: most files of many lie in a folder that is there.
            Err(error)
                if error.code() == Code::ENOENT
                    && flags.contains(OpenFlags::CREATE)
                    && request.settings().boolean("make-folders") =>
            {
                let made = self.roots.make_folders(&path);
                made.map_err(|errno| fail("make the folders of", request.shown(), errno))?;
                self.open_path(&path, request, flags)
            }
            opened => opened,
        }
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Files {
    fn open_path(&self, path: &Path, request: &Request<'_>, flags: OpenFlags) -> Result<Box<dyn File>> {
        if flags.contains(OpenFlags::ATOMIC) {
            return Ok(Box::new(atomic::open(&self.roots, path, request, flags)?));
        }
        let claim = self.claim(path, request, flags)?;
        match self.open_fd(path, flags) {
            Ok((fd, created)) => self.opened(fd, created, claim, path, request, flags),
            Err(Errno::NXIO) => self.refused(path, request, flags),
            Err(errno) => Err(fail_to_make(request, flags, errno)),
        }
    }

    /// Claims the name of a regular file, or of one to be made, for the run that writes it.
    fn claim(&self, path: &Path, request: &Request<'_>, flags: OpenFlags) -> Result<Option<Claim>> {
        if !flags.contains(OpenFlags::WRITE) || request.settings().text("run").is_none() {
            return Ok(None);
        }
        // What has no such name is the open's to tell.
        let Ok(place) = self.roots.place(path, true) else { return Ok(None) };
        match place.kind() {
            Ok(None | Some(FileType::RegularFile)) => Claim::of(&place, request),
            _ => Ok(None),
        }
    }

    /// Opens a path. With PREALLOCATE, which may fail afterwards, also says where it created a file.
    fn open_fd(&self, path: &Path, flags: OpenFlags) -> Result<(OwnedFd, Option<Place>), Errno> {
        let kernel = kernel_flags(flags);
        if !flags.contains(OpenFlags::CREATE | OpenFlags::PREALLOCATE) {
            return Ok((self.roots.open(path, kernel)?, None));
        }
        let place = self.roots.place(path, true)?;
        let (fd, created) = place.open_or_create(kernel, flags.contains(OpenFlags::EXCLUSIVE))?;
        Ok((fd, created.then_some(place)))
    }

    fn opened(
        &self,
        fd: OwnedFd,
        created: Option<Place>,
        claim: Option<Claim>,
        path: &Path,
        request: &Request<'_>,
        flags: OpenFlags,
    ) -> Result<Box<dyn File>> {
        let stat = fstat(&fd).map_err(|errno| fail("open", request.shown(), errno))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let mut file = Regular::new(fd, claim, request, flags);
                file.advise(stat.st_size);
                if let Err(error) = file.begin(request) {
                    if let Some(place) = created {
                        place.remove_if(file.fd());
                    }
                    return Err(error);
                }
                if flags.contains(OpenFlags::CREATE) {
                    file.remember_name(&self.roots, path);
                }
                Box::new(file)
            }
            FileType::Fifo => Box::new(Stream::fifo(Some(fd), &self.roots, path, request, flags)?),
            FileType::CharacterDevice => Box::new(Stream::device(fd, &stat, request, flags)),
            other => return Err(unsupported(other, request)),
        })
    }

    /// ENXIO is a FIFO that nobody reads yet, a socket, or a device without its hardware.
    fn refused(&self, path: &Path, request: &Request<'_>, flags: OpenFlags) -> Result<Box<dyn File>> {
        let look = || {
            let fd = self.roots.open(path, OFlags::PATH)?;
            fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode))
        };
        match look() {
            Ok(FileType::Fifo) => Ok(Box::new(Stream::fifo(None, &self.roots, path, request, flags)?)),
            Ok(FileType::CharacterDevice) => Err(fail("open", request.shown(), Errno::NXIO)),
            Ok(other) => Err(unsupported(other, request)),
            Err(errno) => Err(fail("open", request.shown(), errno)),
        }
    }
}

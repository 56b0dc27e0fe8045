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
            .setting(
                Setting::new(
                    "within",
                    SettingKind::Text,
                    "the folder, by its descriptor, that it must lie in: from there on no symbolic link is followed",
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
        let roots = self.roots(request)?;
        let opening = Opening { roots: &roots, path: &path, request, flags };
        match opening.open() {
            // Only now: most files of many lie in a folder that is there.
            Err(error)
                if error.code() == Code::ENOENT
                    && flags.contains(OpenFlags::CREATE)
                    && request.settings().boolean("make-folders") =>
            {
                let made = roots.make_folders(&path);
                made.map_err(|errno| fail("make the folders of", request.shown(), errno))?;
                opening.open()
            }
            opened => opened,
        }
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Files {
    /// Where the path of a request is looked up: below the operator's roots, or in the folder below them that the request names.
    pub(crate) fn roots(&self, request: &Request<'_>) -> Result<Arc<Roots>> {
        let Some(folder) = path::within(request)? else { return Ok(self.roots.clone()) };
        let roots = self.roots.within(&folder);
        roots.map(Arc::new).map_err(|errno| fail("open the folder of", request.shown(), errno))
    }
}

/// One open: of what, and where it is looked up.
struct Opening<'a> {
    roots: &'a Arc<Roots>,
    path: &'a Path,
    request: &'a Request<'a>,
    flags: OpenFlags,
}

impl Opening<'_> {
    fn open(&self) -> Result<Box<dyn File>> {
        if self.flags.contains(OpenFlags::ATOMIC) {
            return Ok(Box::new(atomic::open(self.roots, self.path, self.request, self.flags)?));
        }
        let claim = self.claim()?;
        match self.open_fd() {
            Ok((fd, created)) => self.opened(fd, created, claim),
            Err(Errno::NXIO) => self.refused(),
            Err(errno) => Err(fail_to_make(self.request, self.flags, errno)),
        }
    }

    /// Claims the name of a regular file, or of one to be made, for the run that writes it.
    fn claim(&self) -> Result<Option<Claim>> {
        if !self.flags.contains(OpenFlags::WRITE) || self.request.settings().text("run").is_none() {
            return Ok(None);
        }
        // What has no such name is the open's to tell.
        let Ok(place) = self.roots.place(self.path, true) else { return Ok(None) };
        match place.kind() {
            Ok(None | Some(FileType::RegularFile)) => Claim::of(&place, self.request),
            _ => Ok(None),
        }
    }

    /// Opens the path. With PREALLOCATE, which may fail afterwards, also says where it created a file.
    fn open_fd(&self) -> Result<(OwnedFd, Option<Place>), Errno> {
        let kernel = kernel_flags(self.flags);
        if !self.flags.contains(OpenFlags::CREATE | OpenFlags::PREALLOCATE) {
            return Ok((self.roots.open(self.path, kernel)?, None));
        }
        let place = self.roots.place(self.path, true)?;
        let (fd, created) = place.open_or_create(kernel, self.flags.contains(OpenFlags::EXCLUSIVE))?;
        Ok((fd, created.then_some(place)))
    }

    fn opened(&self, fd: OwnedFd, created: Option<Place>, claim: Option<Claim>) -> Result<Box<dyn File>> {
        let Opening { request, flags, .. } = *self;
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
                    file.remember_name(self.roots, self.path);
                }
                Box::new(file)
            }
            FileType::Fifo => Box::new(self.fifo(Some(fd))?),
            FileType::CharacterDevice => Box::new(Stream::device(fd, &stat, request, flags)),
            other => return Err(unsupported(other, request)),
        })
    }

    /// ENXIO is a FIFO that nobody reads yet, a socket, or a device without its hardware.
    fn refused(&self) -> Result<Box<dyn File>> {
        let look = || {
            let fd = self.roots.open(self.path, OFlags::PATH)?;
            fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode))
        };
        let failed = |errno| Err(fail("open", self.request.shown(), errno));
        match look() {
            Ok(FileType::Fifo) => Ok(Box::new(self.fifo(None)?)),
            Ok(FileType::CharacterDevice) => failed(Errno::NXIO),
            Ok(other) => Err(unsupported(other, self.request)),
            Err(errno) => failed(errno),
        }
    }

    fn fifo(&self, fd: Option<OwnedFd>) -> Result<Stream> {
        Stream::fifo(fd, self.roots, self.path, self.request, self.flags)
    }
}

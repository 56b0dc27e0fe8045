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
        match self.open_path(&roots, &path, request, flags) {
            // Only now: most files of many lie in a folder that is there.
            Err(error)
                if error.code() == Code::ENOENT
                    && flags.contains(OpenFlags::CREATE)
                    && request.settings().boolean("make-folders") =>
            {
                let made = roots.make_folders(&path);
                made.map_err(|errno| fail("make the folders of", request.shown(), errno))?;
                self.open_path(&roots, &path, request, flags)
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

    fn open_path(
        &self,
        roots: &Arc<Roots>,
        path: &Path,
        request: &Request<'_>,
        flags: OpenFlags,
    ) -> Result<Box<dyn File>> {
        if flags.contains(OpenFlags::ATOMIC) {
            return Ok(Box::new(atomic::open(roots, path, request, flags)?));
        }
        let claim = claim(roots, path, request, flags)?;
        match open_fd(roots, path, flags) {
            Ok((fd, created)) => opened(roots, fd, (created, claim), path, request, flags),
            Err(Errno::NXIO) => refused(roots, path, request, flags),
            Err(errno) => Err(fail_to_make(request, flags, errno)),
        }
    }
}

/// Claims the name of a regular file, or of one to be made, for the run that writes it.
fn claim(roots: &Roots, path: &Path, request: &Request<'_>, flags: OpenFlags) -> Result<Option<Claim>> {
    if !flags.contains(OpenFlags::WRITE) || request.settings().text("run").is_none() {
        return Ok(None);
    }
    // What has no such name is the open's to tell.
    let Ok(place) = roots.place(path, true) else { return Ok(None) };
    match place.kind() {
        Ok(None | Some(FileType::RegularFile)) => Claim::of(&place, request),
        _ => Ok(None),
    }
}

/// Opens a path. With PREALLOCATE, which may fail afterwards, also says where it created a file.
fn open_fd(roots: &Roots, path: &Path, flags: OpenFlags) -> Result<(OwnedFd, Option<Place>), Errno> {
    let kernel = kernel_flags(flags);
    if !flags.contains(OpenFlags::CREATE | OpenFlags::PREALLOCATE) {
        return Ok((roots.open(path, kernel)?, None));
    }
    let place = roots.place(path, true)?;
    let (fd, created) = place.open_or_create(kernel, flags.contains(OpenFlags::EXCLUSIVE))?;
    Ok((fd, created.then_some(place)))
}

fn opened(
    roots: &Arc<Roots>,
    fd: OwnedFd,
    (created, claim): (Option<Place>, Option<Claim>),
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
                file.remember_name(roots, path);
            }
            Box::new(file)
        }
        FileType::Fifo => Box::new(Stream::fifo(Some(fd), roots, path, request, flags)?),
        FileType::CharacterDevice => Box::new(Stream::device(fd, &stat, request, flags)),
        other => return Err(unsupported(other, request)),
    })
}

/// ENXIO is a FIFO that nobody reads yet, a socket, or a device without its hardware.
fn refused(
    roots: &Arc<Roots>,
    path: &Path,
    request: &Request<'_>,
    flags: OpenFlags,
) -> Result<Box<dyn File>> {
    let look = || {
        let fd = roots.open(path, OFlags::PATH)?;
        fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode))
    };
    match look() {
        Ok(FileType::Fifo) => Ok(Box::new(Stream::fifo(None, roots, path, request, flags)?)),
        Ok(FileType::CharacterDevice) => Err(fail("open", request.shown(), Errno::NXIO)),
        Ok(other) => Err(unsupported(other, request)),
        Err(errno) => Err(fail("open", request.shown(), errno)),
    }
}

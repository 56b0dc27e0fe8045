//! ATOMIC: opens a file that appears under its name on COMMIT.

use crate::attributes;
use crate::claims::Claim;
use crate::confine::Roots;
use crate::failure::{fail, fail_to_make, only_in_place, unsupported};
use crate::flags::kernel_flags;
use crate::hidden::{self, Hidden};
use crate::pending::Pending;
use crate::place::{NEW_FILE, Place};
use crate::regular::{Regular, lock};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, StatxAttributes, StatxFlags, fstat, statx,
};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use vfs_core::{Code, OpenFlags, Request, Result};

/// Opens a file that is not visible until COMMIT. A symbolic link is followed below the roots: what it leads to is replaced.
///
/// # Errors
/// ENOENT: absent, and no CREATE. EEXIST: there, and EXCLUSIVE. EBUSY: it is being written in place. ENOTSUP: what is there
/// can only be written in place, and why.
pub fn open(roots: &Roots, path: &Path, request: &Request<'_>, flags: OpenFlags) -> Result<Regular> {
    let failed = |errno| fail("open", request.shown(), errno);
    let made = |errno| fail_to_make(request, flags, errno);
    let mut target = roots.place(path, false).map_err(made)?;
    let mut kind = target.kind().map_err(failed)?;
    if kind == Some(FileType::Symlink) {
        // A link of the kernel's, as /dev/fd/3, leads to what is open, whatever that has for a name: >(...) has none.
        if target.is_in_proc() {
            return Err(only_in_place(request, "it is an open descriptor"));
        }
        target = roots.place(path, true).map_err(made)?;
        kind = target.kind().map_err(failed)?;
    }
    let replaced = match kind {
        None if !flags.contains(OpenFlags::CREATE) => return Err(failed(Errno::NOENT)),
        None => None,
        Some(_) if flags.contains(OpenFlags::EXCLUSIVE) => return Err(failed(Errno::EXIST)),
        Some(FileType::RegularFile) => Some(guard(&target, request)?),
        Some(FileType::Fifo) => return Err(only_in_place(request, "it is a FIFO")),
        Some(FileType::CharacterDevice) => return Err(only_in_place(request, "it is a device")),
        Some(other) => return Err(unsupported(other, request)),
    };
    let claim = Claim::of(&target, request)?;
    if replaced.is_some() {
        hidden::sweep_if_likely(&target);
    }
    let access = kernel_flags(flags).difference(OFlags::CREATE | OFlags::EXCL);
    let mode = if replaced.is_some() { Mode::RUSR | Mode::WUSR } else { NEW_FILE };
    let (fd, hidden) = match (create(&target, access, mode), &replaced) {
        (Ok(created), _) => created,
        (Err(errno), Some(_)) if !is_shortage(errno) => {
            let why = Code::from_raw(errno.raw_os_error().into()).text();
            return Err(only_in_place(request, format_args!("its folder accepts no new file ({why})")));
        }
        (Err(errno), _) => return Err(fail_to_make(request, flags, errno)),
    };
    if let Some(old) = &replaced {
        attributes::copy(old, &fd).map_err(|errno| {
            let text = Code::from_raw(errno.raw_os_error().into()).text();
            only_in_place(
                request,
                format_args!("a new file cannot have its owner, permissions and attributes ({text})"),
            )
        })?;
    }
    let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
    let pending = Pending { hidden, target, exclusive, synced: false, replaced };
    let mut file = Regular::new(fd, claim, request, flags).pending(pending);
    file.reserve(request)?;
    Ok(file)
}

/// Opens the file to be replaced for writing, which asks for that permission, and locks it. It must be one that can be
/// replaced as a whole.
fn guard(target: &Place, request: &Request<'_>) -> Result<OwnedFd> {
    let failed = |errno| fail("open", request.shown(), errno);
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = match target.open(OFlags::WRONLY | flags) {
        // A program that runs: the permission was found good, and replacing it disturbs nobody.
        Err(Errno::TXTBSY) => target.open(OFlags::RDONLY | flags),
        result => result,
    };
    let fd = fd.map_err(failed)?;
    let stat = fstat(&fd).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(only_in_place(request, "it is no longer a regular file"));
    }
    if stat.st_nlink > 1 {
        let why = format!("it has {} names (hard links), and only one would be replaced", stat.st_nlink);
        return Err(only_in_place(request, why));
    }
    if is_mount_point(&fd) {
        return Err(only_in_place(request, "it is mounted there, and cannot be renamed over"));
    }
    lock(&fd, FlockOperation::NonBlockingLockShared, request.shown())?;
    Ok(fd)
}

/// Whether a file was bind-mounted on its name. Kernels before 5.8 do not say; there COMMIT fails with EBUSY.
fn is_mount_point(fd: &OwnedFd) -> bool {
    statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Creates the file: without a name, or under a hidden one where there is no other way.
fn create(target: &Place, access: OFlags, mode: Mode) -> Result<(OwnedFd, Option<Hidden>), Errno> {
    match target.nameless(access, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            hidden::sweep(target);
            Hidden::create(target, access, mode).map(|(hidden, fd)| (fd, Some(hidden)))
        }
        result => result.map(|fd| (fd, None)),
    }
}

/// Whether there is no room for a new file, which is no reason to write over the old one.
fn is_shortage(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::IO
    )
}

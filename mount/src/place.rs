//! The folder that a tree is shown at: what must be so before, and how it is unmounted.

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statfs, statx};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vfs_core::{Code, Descriptor, Error, Result, Shown};

/// The kernel's number for such file systems: FUSE_SUPER_MAGIC.
const FUSE: u64 = 0x6573_5546;

/// The folder, as an absolute path.
///
/// # Errors
/// ENOENT, ENOTDIR; EBUSY: something is mounted there by FUSE; ENOTCONN: it is a mount whose program is gone.
pub fn find(folder: &Path) -> Result<PathBuf> {
    let failed = |error: Error| error.context(format!("mount on {}", folder.display()));
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => {
            if is_served(folder) {
                let text = format!(
                    "something is mounted there: unmount it by `fusermount3 -u {}`, as root by `umount`",
                    folder.display()
                );
                return Err(failed(Error::new(Code::EBUSY, text)));
            }
            fs::canonicalize(folder).map_err(|error| failed(error.into()))
        }
        Ok(_) => Err(failed(Error::new(Code::ENOTDIR, "not a folder"))),
        Err(error) if error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()) => {
            let text = format!(
                "the program that served it is gone: unmount it by `fusermount3 -u {}`, as root by `umount`",
                folder.display()
            );
            Err(failed(Error::new(Code::ENOTCONN, text)))
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// Whether a folder is the whole of what another program serves by FUSE; `false` where the kernel does not say (before 5.8).
fn is_served(folder: &Path) -> bool {
    let is_root = statx(CWD, folder, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|known| known.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    is_root && statfs(folder).is_ok_and(|known| known.f_type as u64 == FUSE)
}

/// The number of the device that a mount stands for. It asks the kernel only: nothing may serve the mount yet.
pub fn device(folder: &Path) -> Option<(u32, u32)> {
    let known = statx(CWD, folder, AtFlags::STATX_DONT_SYNC, StatxFlags::empty()).ok()?;
    Some((known.stx_dev_major, known.stx_dev_minor))
}

/// Refuses a folder that lies in the tree that it would show: whoever goes through that would never come to an end.
///
/// # Errors
/// EINVAL: it does.
pub fn refuse_within(folder: &Path, descriptor: &str) -> Result<()> {
    let path = match Descriptor::parse(descriptor)? {
        parsed if parsed.is_bare_path() => descriptor,
        parsed if parsed.scheme().eq_ignore_ascii_case("file") => parsed.rest(),
        _ => return Ok(()),
    };
    // What is percent-encoded is not found: then a program that goes through it comes to the end of what a path may be long.
    match fs::canonicalize(path) {
        Ok(shown) if folder.starts_with(&shown) => {
            let (at, shown) = (folder.display(), Shown(descriptor));
            let text =
                format!("mount {shown} on {at}: the folder lies in what it would show: take one outside");
            Err(Error::new(Code::EINVAL, text))
        }
        _ => Ok(()),
    }
}

/// How a folder was unmounted.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmounted {
    /// Nobody uses it.
    Whole,
    /// It has no name any more; what is open in it stays until it is closed.
    InUse,
}

/// Unmounts a folder; where it is in use, it loses its name.
///
/// # Errors
/// The system's.
pub fn leave(folder: &Path) -> Result<Unmounted> {
    match unmount(folder, UnmountFlags::empty()) {
        Ok(()) => Ok(Unmounted::Whole),
        // Not mounted: somebody else was faster.
        Err(Errno::INVAL | Errno::NOENT) => Ok(Unmounted::Whole),
        Err(Errno::BUSY) => {
            let failed = |error: Errno| Error::from(std::io::Error::from(error)).context("unmount");
            unmount(folder, UnmountFlags::DETACH).map_err(failed)?;
            Ok(Unmounted::InUse)
        }
        // Only root may: a program of root's does it for the user who mounted it.
        Err(_) if fusermount(folder, &["-u", "-q"])? => Ok(Unmounted::Whole),
        Err(_) if fusermount(folder, &["-u", "-q", "-z"])? => Ok(Unmounted::InUse),
        Err(error) => Err(Error::from(std::io::Error::from(error))
            .context(format!("unmount {}, by fusermount3 too", folder.display()))),
    }
}

fn fusermount(folder: &Path, options: &[&str]) -> Result<bool> {
    let program = OsString::from("fusermount3");
    let status = Command::new(&program)
        .args(options)
        .arg("--")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Ok(status
        .map_err(|error| Error::from(error).context("start fusermount3, of Debian's package fuse3"))?
        .success())
}

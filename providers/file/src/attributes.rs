//! What a file that takes another's place takes over from it: owner, group, permissions, access list, extended attributes.
//!
//! Not the set-id bits, nor file capabilities: a new content must not run with the old one's privileges. Writing in place
//! clears them too.

use rustix::fs::{
    Gid, Mode, Uid, XattrFlags, fchmod, fchown, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query,
    fremovexattr, fsetxattr, fstat,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// The access list, which a new file may have inherited from its folder.
const ACCESS_LIST: &CStr = c"system.posix_acl_access";

/// Attributes of the content, or of the privileges that go with it.
const LEFT_BEHIND: [&CStr; 3] = [c"security.capability", c"security.ima", c"security.evm"];

/// Makes one file's attributes those of another.
///
/// # Errors
/// EPERM, EACCES: this process may not. ENOTSUP: the file system has them for one of the two only.
pub fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let (old, new) = (fstat(from)?, fstat(to)?);
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
        fchown(to, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)))?;
    }
    let names = names(from)?;
    for name in names.iter().filter(|name| !LEFT_BEHIND.contains(&name.as_c_str())) {
        let value = value(from, name)?;
        if !value_is(to, name, &value) {
            fsetxattr(to, name.as_c_str(), &value, XattrFlags::empty())?;
        }
    }
    if !names.iter().any(|name| name.as_c_str() == ACCESS_LIST) {
        match fremovexattr(to, ACCESS_LIST) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) | Ok(()) => {}
            Err(errno) => return Err(errno),
        }
    }
    // Last: neither a new owner nor an access list changes them afterwards.
    fchmod(to, Mode::from_raw_mode(old.st_mode & 0o777))
}

/// The names of a file's extended attributes; none where the file system has none.
fn names(file: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let size = match flistxattr_query(file) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(0) => return Ok(Vec::new()),
        size => size?,
    };
    let mut list = vec![0; size];
    let size = flistxattr(file, &mut list)?;
    Ok(list[..size].split_inclusive(|byte| *byte == 0).filter_map(c_string).collect())
}

fn c_string(bytes: &[u8]) -> Option<CString> {
    CStr::from_bytes_with_nul(bytes).ok().map(CStr::to_owned)
}

fn value(file: &OwnedFd, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; fgetxattr_query(file, name)?];
    let size = fgetxattr(file, name, &mut value)?;
    value.truncate(size);
    Ok(value)
}

/// Whether there is nothing to set, as with a label that every file of the folder gets and that only the system may set.
fn value_is(file: &OwnedFd, name: &CStr, wanted: &[u8]) -> bool {
    value(file, name).is_ok_and(|value| value == wanted)
}

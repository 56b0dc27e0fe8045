//! Files that hold a secret: read only if nobody else can read or change them.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::host::loader::trust;
use rustix::process::geteuid;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The rights that nobody but the owner may have: others none, the group none to change it.
const FORBIDDEN: u32 = 0o027;

/// Reads a secret from a file, as it stands there. The caller wipes it.
///
/// # Errors
/// EACCES: others may read or change it, or it belongs to somebody who is neither the user nor root. EINVAL: not a regular
/// file. EFBIG: more than `limit` bytes. What the system says where it cannot be read.
pub fn read_secret_file(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let file = open_private(path)?;
    // Never moved while it grows: pieces of it would stay behind.
    let mut bytes = Vec::with_capacity(limit + 1);
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(Error::new(Code::EFBIG, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Opens a file with a secret in it, if nobody else can read or change it.
///
/// # Errors
/// As [`read_secret_file`].
pub(crate) fn open_private(path: &Path) -> Result<File> {
    let file = trust::open(path)?;
    let status = file.metadata()?;
    let refuse = |code, text: &str| Err(Error::new(code, text.to_owned()));
    if !status.is_file() {
        return refuse(Code::EINVAL, "not a regular file");
    }
    if status.mode() & FORBIDDEN != 0 {
        return refuse(Code::EACCES, "others may read or change it: chmod 600");
    }
    if status.uid() != 0 && status.uid() != geteuid().as_raw() {
        return refuse(Code::EACCES, "it belongs to another user: chown it to this user, or to root");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_what_nobody_else_can_read_or_change_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "secret\n").unwrap();
        for (mode, code) in [
            (0o600, None),
            (0o400, None),
            (0o640, None),
            (0o604, Some(Code::EACCES)),
            (0o620, Some(Code::EACCES)),
            (0o644, Some(Code::EACCES)),
            (0o602, Some(Code::EACCES)),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret_file(&path, 100);
            assert_eq!(read.as_ref().err().map(Error::code), code, "{mode:o}");
            assert!(code.is_some() || read.unwrap() == b"secret\n");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret_file(&path, 7).unwrap(), b"secret\n");
        assert_eq!(read_secret_file(&path, 6).unwrap_err().code(), Code::EFBIG);
        assert_eq!(read_secret_file(folder.path(), 6).unwrap_err().code(), Code::EINVAL);
        assert_eq!(read_secret_file(&folder.path().join("none"), 6).unwrap_err().code(), Code::ENOENT);
    }

    #[test]
    fn a_fifo_does_not_hold_whoever_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(read_secret_file(&path, 6).unwrap_err().code(), Code::EINVAL);
    }
}

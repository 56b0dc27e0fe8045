//! Whether a file that chooses or is code could have been changed by somebody who may not.

use crate::host::loader::Refusal;
use rustix::process::{getegid, geteuid};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

const STICKY: u32 = 0o1000;
const GROUP_WRITE: u32 = 0o020;
const WORLD_WRITE: u32 = 0o002;

/// Opens a file that is to be checked. A FIFO in its place must not hold the caller.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Whether there is anything at a path. A dangling link is there; a path that leads through one, or through a folder that cannot
/// be searched, is an error: nobody knows what is behind it.
pub(crate) fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            // Absent, unless the folder is a link that leads nowhere.
            Some(folder) if fs::metadata(folder).is_err() && is_there(folder)? => Err(error),
            _ => Ok(false),
        },
        Err(error) => Err(error),
    }
}

/// Checks an open file and every folder above its canonical path: owned by root or the user, and writable by nobody else.
/// A set-uid process trusts root only.
pub(crate) fn check(path: &Path, file: &File) -> Result<(), Refusal> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| Refusal::Unreadable { path, source: source.into() }
    };
    let metadata = file.metadata().map_err(unreadable(path))?;
    if !metadata.is_file() {
        return Err(Refusal::NotRegular { path: path.to_owned() });
    }
    let user = (geteuid().as_raw(), getegid().as_raw());
    check_one(path, &metadata, user)?;
    for folder in path.ancestors().skip(1) {
        check_one(folder, &fs::metadata(folder).map_err(unreadable(folder))?, user)?;
    }
    Ok(())
}

/// Checks one of them, for a user with a group.
fn check_one(path: &Path, metadata: &Metadata, (user, user_group): (u32, u32)) -> Result<(), Refusal> {
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    if owner != 0 && (owner != user || process_is_privileged()) {
        return Err(Refusal::Owner { path: path.to_owned(), owner });
    }
    // In a sticky folder nobody can replace another's entry; the entry itself is checked on its own.
    if metadata.is_dir() && mode & STICKY != 0 {
        return Ok(());
    }
    if mode & WORLD_WRITE != 0 {
        return Err(Refusal::WorldWritable { path: path.to_owned() });
    }
    let owners_own = group == 0 && owner == 0 || group == user_group && owner == user;
    if mode & GROUP_WRITE != 0 && !owners_own {
        return Err(Refusal::GroupWritable { path: path.to_owned(), group });
    }
    Ok(())
}

/// Whether this process runs with more rights than who started it (set-uid, set-gid, file capabilities).
#[expect(unsafe_code, reason = "no safe crate in use wraps getauxval")]
pub(crate) fn process_is_privileged() -> bool {
    // SAFETY: getauxval reads the process's own auxiliary vector and has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn file_with(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("x");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn checked(path: &Path) -> Result<(), Refusal> {
        check(path, &File::open(path).unwrap())
    }

    #[test]
    fn ones_own_file_is_trusted() {
        let (_folder, path) = file_with(0o644);
        checked(&path).unwrap();
        let (_folder, path) = file_with(0o664);
        checked(&path).unwrap();
    }

    #[test]
    fn what_others_can_change_is_refused_with_the_mend() {
        let (_folder, path) = file_with(0o646);
        let refusal = checked(&path).unwrap_err();
        assert!(matches!(refusal, Refusal::WorldWritable { .. }));
        assert!(refusal.to_string().contains("chmod o-w"), "{refusal}");

        let (folder, path) = file_with(0o644);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o757)).unwrap();
        assert!(matches!(checked(&path), Err(Refusal::WorldWritable { .. })));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1757)).unwrap();
        checked(&path).unwrap();
    }

    #[test]
    fn a_folder_is_not_a_library() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        assert!(matches!(checked(&path), Err(Refusal::NotRegular { .. })));
    }
}

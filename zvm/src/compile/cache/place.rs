//! Where the cache's files may be: below folders that nobody else can change, under names that nobody guesses, and the user's alone.

use rustix::process::geteuid;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use vfs_core::{Code, Error, Result};

/// How files begin that are being written.
pub(super) const TEMPORARY: &str = ".new-";
/// Nobody else may do anything.
pub(super) const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;
const WRITABLE: u32 = 0o022;

/// Splits a path into the canonical folder above, which is made if need be, and a name; checks all folders above.
pub(super) fn place(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let path = std::path::absolute(path)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused(&path, "is the root: name a folder of its own"));
    };
    if !parent.is_dir() {
        // What is there must be fit before anything is made in it.
        if let Some(there) = parent.ancestors().find(|folder| folder.exists()) {
            check_above(&fs::canonicalize(there).map_err(|error| at(error, there))?)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| at(error, parent))?;
    }
    let parent = fs::canonicalize(parent).map_err(|error| at(error, parent))?;
    check_above(&parent)?;
    Ok((parent, name.into()))
}

/// Checks a folder and all above it.
fn check_above(folder: &Path) -> Result<()> {
    let user = geteuid().as_raw();
    for folder in folder.ancestors() {
        let metadata = fs::metadata(folder).map_err(|error| at(error, folder))?;
        let (owner, mode) = (metadata.uid(), metadata.mode());
        if owner != 0 && owner != user {
            return Err(refused(folder, &format!("belongs to user {owner}: choose a place of your own")));
        }
        if mode & STICKY == 0 && mode & WRITABLE != 0 && !owners_own_group(&metadata) {
            return Err(refused(folder, "is writable by others: chmod go-w it, or choose another place"));
        }
    }
    Ok(())
}

/// Group write is as good as the owner's where the group is the owner's own, as many systems set it up.
fn owners_own_group(metadata: &fs::Metadata) -> bool {
    let own = metadata.gid() == rustix::process::getegid().as_raw() && metadata.uid() == geteuid().as_raw();
    metadata.mode() & 0o002 == 0 && (own || metadata.uid() == 0 && metadata.gid() == 0)
}

/// Checks that something is the user's alone.
pub(super) fn own(path: &Path, owner: u32, mode: u32, mend: &str) -> Result<()> {
    if owner != geteuid().as_raw() {
        return Err(refused(path, &format!("belongs to user {owner}: choose a place of your own")));
    }
    if mode & OTHERS != 0 {
        return Err(refused(path, &format!("is accessible to others: {mend} it")));
    }
    Ok(())
}

/// A name that nobody else has.
pub(super) fn temporary() -> Result<String> {
    let bytes: [u8; 12] = random()?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{TEMPORARY}{text}"))
}

pub(super) fn refused(path: &Path, text: &str) -> Error {
    Error::new(Code::EACCES, format!("cache of compiled programs: {} {text}", path.display()))
}

pub(super) fn at(error: io::Error, path: &Path) -> Error {
    Error::from(error).context(format!("cache of compiled programs: {}", path.display()))
}

/// Bytes that nobody guesses.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::from(io::Error::from(errno)).context("get random bytes")),
        }
    }
    Ok(bytes)
}

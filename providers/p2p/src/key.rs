//! This side's key: kept in a file that only its owner can read, and made there at the first use.

use iroh::SecretKey;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use vfs_core::{Code, Error, Result};

/// The rights that nobody but the owner may have.
const FORBIDDEN: u32 = 0o077;
/// A key in hexadecimal digits, and a newline.
const LENGTH_MAX: u64 = 66;

/// Reads the key of a file, or makes a new one there. The public key is kept beside it, in a file called as the other one and `.pub`.
///
/// # Errors
/// EACCES: others may read the file, or it is another user's. EINVAL: no key is in it. What the system says.
pub fn load(path: &Path) -> Result<SecretKey> {
    let key = read(path).or_else(|error| match error.code() {
        // Somebody else may make one at the same time: the file is there whole or not at all, and the first one counts.
        Code::ENOENT => make(path).map_err(|error| told(&error, "make", path)).and_then(|()| read(path)),
        _ => Err(error),
    })?;
    // Whoever uses the key need not be able to write beside it, and `zvfs cat p2p:` shows it all the same.
    let _ = show(path, &key);
    Ok(key)
}

fn read(path: &Path) -> Result<SecretKey> {
    let refuse = |code, text: &str| Err(Error::new(code, format!("read the key {}: {text}", path.display())));
    let file = open_at_once(path).map_err(|error| told(&error, "read", path))?;
    let status = file.metadata().map_err(|error| told(&error, "read", path))?;
    if !status.is_file() {
        return refuse(Code::EINVAL, "not a regular file");
    }
    if status.mode() & FORBIDDEN != 0 {
        return refuse(Code::EACCES, "others may read or change it: chmod 600");
    }
    if status.uid() != 0 && status.uid() != geteuid().as_raw() {
        return refuse(Code::EACCES, "it belongs to another user: chown it to this user, or to root");
    }
    let mut text = String::new();
    file.take(LENGTH_MAX).read_to_string(&mut text).map_err(|error| told(&error, "read", path))?;
    let Ok(key) = text.trim_end().parse::<SecretKey>() else {
        return refuse(Code::EINVAL, "not a key: remove the file, and a new one is made");
    };
    Ok(key)
}

/// Opens what is there to read: a FIFO in its place must not hold the caller.
fn open_at_once(path: &Path) -> io::Result<File> {
    Ok(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Makes a key, and gives it the name that it is looked for under when it is whole.
fn make(path: &Path) -> io::Result<()> {
    let key = SecretKey::generate();
    let new = beside(path, &format!(".{}.new", std::process::id()));
    let linked = write(&new, 0o600, &digits(&key.to_bytes())).and_then(|()| fs::hard_link(&new, path));
    // It may not have come to be.
    let _ = fs::remove_file(&new);
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// Has the file beside a key show the public one.
fn show(path: &Path, key: &SecretKey) -> io::Result<()> {
    let (place, line) = (beside(path, ".pub"), key.public().to_string());
    let mut shown = String::new();
    let read = open_at_once(&place).and_then(|file| file.take(LENGTH_MAX).read_to_string(&mut shown));
    if read.is_ok() && shown.trim_end() == line {
        return Ok(());
    }
    let new = beside(path, &format!(".pub.{}.new", std::process::id()));
    write(&new, 0o644, &line)?;
    fs::rename(&new, &place)
}

/// Writes a line.
fn write(path: &Path, mode: u32, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    writeln!(file, "{line}")?;
    file.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn told(error: &io::Error, doing: &str, path: &Path) -> Error {
    let code = error.raw_os_error().map_or(Code::EIO, |number| Code::from_raw(number.into()));
    Error::new(code, format!("{doing} the key {}: {}", path.display(), code.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_its_public_part_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = load(&path).unwrap();
        assert_eq!(load(&path).unwrap().public(), key.public());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let shown = fs::read_to_string(folder.path().join("key.pub")).unwrap();
        assert_eq!(shown, format!("{}\n", key.public()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_public_part_that_is_gone_or_another_ones_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, shown) = (folder.path().join("key"), folder.path().join("key.pub"));
        let line = format!("{}\n", load(&path).unwrap().public());
        fs::remove_file(&shown).unwrap();
        load(&path).unwrap();
        assert_eq!(fs::read_to_string(&shown).unwrap(), line);
        fs::write(&shown, "another\n").unwrap();
        load(&path).unwrap();
        assert_eq!(fs::read_to_string(&shown).unwrap(), line);
    }

    /// The start waited for ever for somebody to write.
    #[test]
    fn a_fifo_is_no_key_and_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let path = zvfs_test_support::fifo(path);
        let error = load(&path).unwrap_err();
        assert!(
            error.code() == Code::EINVAL && error.chain().contains("not a regular file"),
            "{}",
            error.chain()
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_so_is_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        load(&path).unwrap();
        for mode in [0o644, 0o640, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(load(&path).unwrap_err().code(), Code::EACCES, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "S3CRET").unwrap();
        let error = load(&path).unwrap_err();
        assert!(error.code() == Code::EINVAL && !error.chain().contains("S3CRET"), "{}", error.chain());
        let absent = load(&folder.path().join("none/key")).unwrap_err();
        assert_eq!(absent.code(), Code::ENOENT);
        assert_eq!(load(folder.path()).unwrap_err().code(), Code::EINVAL);
    }
}

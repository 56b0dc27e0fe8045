//! The file that reports go to, where something else may be writing to the same one.

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Opens the place of the reports: a regular file of its own starts anew; whatever this process has open already, as
/// /dev/stdout names it, goes on where that is; and so does what is no regular file.
pub fn create(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(open(path, flags, Mode::from_raw_mode(0o666))?);
    let (stdout, stderr) = (io::stdout(), io::stderr());
    for stream in [stdout.as_fd(), stderr.as_fd()] {
        if is_same(&file, stream)? {
            // Its position is shared: what both write follows each other.
            return Ok(File::from(stream.try_clone_to_owned()?));
        }
    }
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && !is_open_here(&file, &stat)? {
        file.set_len(0)?;
    }
    Ok(file)
}

fn is_same(file: &File, stream: BorrowedFd<'_>) -> io::Result<bool> {
    let (own, other) = (fstat(file)?, fstat(stream)?);
    Ok(identity(&own) == identity(&other))
}

/// Whether another descriptor of this process is of the same file: one that it was started with.
fn is_open_here(file: &File, stat: &Stat) -> io::Result<bool> {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;
    let own = file.as_raw_fd().to_string();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // One that was closed meanwhile, as the listing's own, is of no file.
        let Ok(other) = fs::metadata(entry.path()) else { continue };
        if entry.file_name() != own.as_str() && (other.dev(), other.ino()) == identity(stat) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

//! Whether a source and a target are one file, as far as they lend a kernel file.

use crate::file::Direction;
use crate::flags::Capabilities;
use crate::host::open::OpenFile;
use rustix::fs::{FileType, fstat, tell};

/// A regular file of the kernel, and where it is read or written next.
struct Spot {
    file: (u64, u64),
    position: u64,
}

/// Whether a source and a target, or what may become one, are one file of the kernel, as far as they lend one: to empty the target would
/// empty both.
pub fn same_file(source: &mut OpenFile, target: &mut OpenFile) -> bool {
    let Some(read) = spot(source, Direction::Read) else { return false };
    let written = spot(target, Direction::Write).or_else(|| spot(target, Direction::Read));
    written.is_some_and(|written| written.file == read.file)
}

/// Whether a copy would read what it writes, and so never end, as in `cat x >> x`.
pub(super) fn feeds_itself(source: &mut OpenFile, target: &mut OpenFile, limit: Option<u64>) -> bool {
    if !(source.capabilities() & target.capabilities()).contains(Capabilities::FD) {
        return false;
    }
    let Some(read) = spot(source, Direction::Read) else { return false };
    let written = match spot(target, Direction::Write) {
        Some(written) if written.file == read.file => written.position,
        Some(_) => return false,
        None => match appended(source, target) {
            Some(end) => end,
            None => return false,
        },
    };
    read.position < written && limit.is_none_or(|limit| written - read.position < limit)
}

fn spot(file: &mut OpenFile, direction: Direction) -> Option<Spot> {
    let lease = file.lease(direction).ok()?;
    let stat = fstat(lease.fd).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let position = lease.offset.or_else(|| tell(lease.fd).ok())?;
    regular.then_some(Spot { file: (stat.st_dev, stat.st_ino), position })
}

/// The end of a target that is the source. What is opened to append is not lent, so the two are told apart by the tags of
/// their content.
fn appended(source: &mut OpenFile, target: &mut OpenFile) -> Option<u64> {
    let (read, written) = (source.stat().ok()?, target.stat().ok()?);
    written.size.filter(|_| !read.version.is_empty() && read.version == written.version)
}

//! Where a kernel file has data, and where holes.

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, fstat, seek, tell};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What the kernel counts a file's blocks in, whatever its file system's are.
const BLOCK: u64 = 512;

/// What begins at an offset, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Data { until: u64 },
    Hole { until: u64 },
}

/// Looks at a regular file from `offset` on. What a file system does not say counts as data, and so does a file of which as many blocks
/// are there as its size takes: asking for holes costs a small one more than its copy.
///
/// A hole is only what was one when it was looked for. Behind the size that the file had before that, somebody may have written since.
///
/// The kernel tells by moving the descriptor's own position, which belongs to whoever lent it: so that is put back.
pub(super) fn extent(fd: BorrowedFd<'_>, offset: u64) -> Extent {
    let all = Extent::Data { until: u64::MAX };
    let Ok(stat) = fstat(fd) else { return all };
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
    if blocks.saturating_mul(BLOCK) >= size {
        return all;
    }
    let Ok(position) = tell(fd) else { return all };
    let extent = match seek(fd, SeekFrom::Data(offset)) {
        Ok(data) if data > offset => Extent::Hole { until: data },
        Ok(_) => Extent::Data { until: seek(fd, SeekFrom::Hole(offset)).unwrap_or(u64::MAX) },
        // No data from here on: a hole up to the end, if that is not here.
        Err(Errno::NXIO) if size > offset => Extent::Hole { until: size },
        Err(_) => all,
    };
    let _ = seek(fd, SeekFrom::Start(position));
    extent
}

/// Whether nothing of a file lies at or behind `offset`, so that it can grow by a hole.
pub(super) fn ends_before(fd: BorrowedFd<'_>, offset: u64) -> bool {
    fstat(fd).is_ok_and(|stat| u64::try_from(stat.st_size).is_ok_and(|size| size <= offset))
}

/// Makes a hole in a file, whose size stays. Returns whether the file system can.
pub(super) fn clear(fd: BorrowedFd<'_>, offset: u64, count: u64) -> bool {
    fallocate(fd, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, count).is_ok()
}

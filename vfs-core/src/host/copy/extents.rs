//! Where a kernel file has data, and where holes.

use rustix::fs::{SeekFrom, fstat, seek, tell};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What begins at an offset, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Data { until: u64 },
    Hole { until: u64 },
}

/// Looks at a regular file from `offset` on. What a file system does not say counts as data.
///
/// The kernel tells by moving the descriptor's own position, which belongs to whoever lent it: so that is put back.
pub(super) fn extent(fd: BorrowedFd<'_>, offset: u64) -> Extent {
    let Ok(position) = tell(fd) else { return Extent::Data { until: u64::MAX } };
    let extent = match seek(fd, SeekFrom::Data(offset)) {
        Ok(data) if data > offset => Extent::Hole { until: data },
        Ok(_) => Extent::Data { until: seek(fd, SeekFrom::Hole(offset)).unwrap_or(u64::MAX) },
        // No data from here on: a hole up to the end, if that is not here.
        Err(Errno::NXIO) => match fstat(fd).map(|stat| u64::try_from(stat.st_size).unwrap_or(0)) {
            Ok(size) if size > offset => Extent::Hole { until: size },
            _ => Extent::Data { until: u64::MAX },
        },
        Err(_) => Extent::Data { until: u64::MAX },
    };
    let _ = seek(fd, SeekFrom::Start(position));
    extent
}

/// Whether nothing of a file lies at or behind `offset`, so that it can grow by a hole.
pub(super) fn ends_before(fd: BorrowedFd<'_>, offset: u64) -> bool {
    fstat(fd).is_ok_and(|stat| u64::try_from(stat.st_size).is_ok_and(|size| size <= offset))
}

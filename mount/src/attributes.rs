//! What the kernel is told of a file.

use fuser::{FileAttr, FileType, INodeNo};
use rustix::process::{getgid, getuid};
use std::time::SystemTime;
use vfs_core::{Kind, Stat};

/// What programs read and write at once if they ask: as much as the kernel reads ahead.
const BLOCK: u32 = 128 << 10;

/// What holds for all files of a folder: whose they are, and what may be done with them.
pub struct Look {
    uid: u32,
    gid: u32,
    write: bool,
    /// The time of whatever has none.
    since: SystemTime,
}

impl Look {
    /// The caller's files.
    pub fn new(write: bool) -> Look {
        Look { uid: getuid().as_raw(), gid: getgid().as_raw(), write, since: SystemTime::now() }
    }

    /// The attributes of a file with this number.
    pub fn of(&self, ino: u64, shape: FileType, stat: &Stat) -> FileAttr {
        let size = stat.size.unwrap_or(0);
        let time = stat.modified.unwrap_or(self.since);
        let perm = match (shape, self.write) {
            (FileType::Directory, false) => 0o555,
            (FileType::Directory, true) => 0o755,
            (_, false) => 0o444,
            (_, true) => 0o644,
        };
        FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: shape,
            perm,
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }
}

/// What a file below a folder looks like. What is neither a file nor a folder looks like a socket: programs that go through a tree
/// pass it by, and one that opens it gets ENXIO at once. (The kernel would open a FIFO by itself, and wait there.)
pub fn shape(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::Regular | Kind::Unknown => FileType::RegularFile,
        Kind::Stream | Kind::Device | Kind::Terminal => FileType::Socket,
    }
}

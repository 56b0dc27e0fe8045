//! What `stat` says of a kernel file.

use rustix::fs::{FileType, major};
use std::time::{Duration, SystemTime};
use vfs_core::{Kind, Stat};

/// Translates the kernel's status.
pub fn of(stat: &rustix::fs::Stat) -> Stat {
    let kind = kind(stat);
    let known = Stat::of_kind(kind);
    let known = match modified(stat) {
        Some(time) if kind == Kind::Regular || kind == Kind::Directory => known.modified(time),
        _ => known,
    };
    if kind != Kind::Regular {
        return known;
    }
    // The time of the last change of status moves with each write, and nobody can set it back as touch(1) does the other.
    let tag = format!(
        "{:x}-{:x}-{:x}.{:x}-{:x}.{:x}-{:x}",
        stat.st_dev,
        stat.st_ino,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec,
        stat.st_size
    );
    known.size(u64::try_from(stat.st_size).unwrap_or(0)).version(tag)
}

/// Tells the kind by type, and a terminal by its device number, so that nothing needs to be opened.
fn kind(stat: &rustix::fs::Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::Regular,
        FileType::Directory => Kind::Directory,
        FileType::Fifo | FileType::Socket => Kind::Stream,
        FileType::CharacterDevice => match major(stat.st_rdev) {
            // Linux's devices.txt: 4 tty and ttyS, 5 the controlling terminal and the console, 136 to 143 pts.
            4 | 5 | 136..=143 => Kind::Terminal,
            _ => Kind::Device,
        },
        _ => Kind::Unknown,
    }
}

fn modified(stat: &rustix::fs::Stat) -> Option<SystemTime> {
    let nanoseconds = Duration::from_nanos(stat.st_mtime_nsec);
    let seconds = Duration::from_secs(stat.st_mtime.unsigned_abs());
    let whole = if stat.st_mtime < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)?
    };
    whole.checked_add(nanoseconds)
}

//! The time of the last change, where somebody sets it.

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, fstat, futimens};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

/// File systems round down, none by more: FAT counts in so much.
const ROUNDED_MOST: Duration = Duration::from_secs(2);

/// Sets the time of an open file.
///
/// # Errors
/// EOVERFLOW: the file system cannot hold it. EPERM: the file is somebody else's.
pub fn set(file: &OwnedFd, time: SystemTime) -> Result<(), Errno> {
    set_by(time, |times| futimens(file, times), || fstat(file))
}

/// The same by other calls: one that sets, and one that looks.
///
/// # Errors
/// As [`set`].
pub fn set_by(
    time: SystemTime,
    set: impl Fn(&Timestamps) -> Result<(), Errno>,
    look: impl FnOnce() -> Result<rustix::fs::Stat, Errno>,
) -> Result<(), Errno> {
    let wanted = timespec(time)?;
    set(&modified(wanted))?;
    // The kernel takes what the file system cannot hold for the nearest that it can, and says nothing.
    let found = look()?;
    let rounded = wanted.tv_sec - found.st_mtime;
    if (0..=ROUNDED_MOST.as_secs() as i64).contains(&rounded) {
        return Ok(());
    }
    let _ = set(&modified(Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }));
    Err(Errno::OVERFLOW)
}

/// The time of the last access stays.
fn modified(time: Timespec) -> Timestamps {
    let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access: unchanged, last_modification: time }
}

/// Seconds rounded down, and the nanoseconds that follow.
fn timespec(time: SystemTime) -> Result<Timespec, Errno> {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).map_err(|_| Errno::OVERFLOW);
    Ok(match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => Timespec { tv_sec: seconds(after)?, tv_nsec: after.subsec_nanos().into() },
        Err(before) => {
            let before = before.duration();
            match before.subsec_nanos() {
                0 => Timespec { tv_sec: -seconds(before)?, tv_nsec: 0 },
                nanos => Timespec { tv_sec: -seconds(before)? - 1, tv_nsec: (1_000_000_000 - nanos).into() },
            }
        }
    })
}

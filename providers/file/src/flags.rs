//! Open flags: which are supported, and what they are to the kernel.

use rustix::fs::OFlags;
use vfs_core::OpenFlags;

/// Those that an open may have.
pub const SUPPORTED: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE)
    .union(OpenFlags::TRUNCATE)
    .union(OpenFlags::EXCLUSIVE)
    .union(OpenFlags::APPEND)
    .union(OpenFlags::ATOMIC)
    .union(OpenFlags::PREALLOCATE)
    .union(OpenFlags::SEQUENTIAL)
    .union(OpenFlags::RANDOM);

/// Decides the direction where the request leaves it to the descriptor.
pub fn with_direction(flags: OpenFlags) -> OpenFlags {
    let both = OpenFlags::READ | OpenFlags::WRITE;
    if flags.intersects(both) {
        flags
    } else if flags.without(OpenFlags::HINTS).is_empty() {
        flags | OpenFlags::READ
    } else {
        flags | OpenFlags::WRITE
    }
}

/// The kernel's flags. Never O_TRUNC: a file is emptied only once its lock is held. O_NONBLOCK so that neither a FIFO nor
/// a device holds the caller in open; it means nothing to a regular file.
pub fn kernel_flags(flags: OpenFlags) -> OFlags {
    let mut kernel = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    kernel |= match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    };
    kernel.set(OFlags::CREATE, flags.contains(OpenFlags::CREATE));
    kernel.set(OFlags::EXCL, flags.contains(OpenFlags::EXCLUSIVE));
    kernel.set(OFlags::APPEND, flags.contains(OpenFlags::APPEND));
    kernel
}

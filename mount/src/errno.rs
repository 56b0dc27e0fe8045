//! Errors, as programs see them.

use fuser::Errno;
use vfs_core::{Code, Error};

/// Linux's last number. What lies beyond is ours, and no program knows it.
const LAST: i32 = 133;

/// The number that a program gets.
pub fn of(error: &Error) -> Errno {
    match error.code() {
        // Whoever reads a file expects none of these. ENOSYS would have the kernel never make such a call again.
        Code::ETIMEDOUT | Code::ECANCELED | Code::EINTR | Code::EAGAIN | Code::ENOSYS => Errno::EIO,
        code if code.raw() > LAST => Errno::EIO,
        code => Errno::from_i32(code.raw()),
    }
}

/// Whether an error is an answer as any folder gives it, and nobody needs more words than its number.
pub fn is_ordinary(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::ENOENT
            | Code::EEXIST
            | Code::EISDIR
            | Code::ENOTDIR
            | Code::EACCES
            | Code::EPERM
            | Code::EROFS
            | Code::ENOTEMPTY
            | Code::ESTALE
            | Code::EXDEV
    )
}

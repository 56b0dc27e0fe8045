//! The results of `zvm.h`: -1 or NULL is a failure, and errno says which.

use std::cell::RefCell;
use std::ffi::c_int;
use std::ptr;
use vfs_core::boundary::Out;
use vfs_core::{Code, Error, Result};

thread_local! {
    /// The calling thread's last failure.
    static LAST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Looks at the calling thread's last failure, if there was one.
pub fn with_last(look: impl FnOnce(&Error)) {
    // At the end of a thread there is nobody left to ask.
    let _ = LAST.try_with(|last| last.borrow().as_ref().map(look));
}

/// A result whose failure sets errno and is kept for whoever asks for its text.
#[repr(transparent)]
pub struct Errno<T>(T);

impl<V, T: Out<V> + Failure> Out<V> for Errno<T> {
    fn of(value: V) -> Result<Errno<T>> {
        T::of(value).map(Errno)
    }

    fn failed(error: Error) -> Errno<T> {
        // Our own numbers, which Linux has no words for, are its EIO.
        let code = if error.code().raw() < 4096 { error.code() } else { Code::EIO };
        // SAFETY: the C library's own variable of this thread.
        unsafe { *libc::__errno_location() = code.raw() as c_int };
        let _ = LAST.try_with(|last| *last.borrow_mut() = Some(error));
        Errno(T::FAILED)
    }
}

/// What can say that a call failed, and no more.
pub trait Failure {
    const FAILED: Self;
}

impl Failure for c_int {
    const FAILED: c_int = -1;
}

impl Failure for i64 {
    const FAILED: i64 = -1;
}

impl<T> Failure for *const T {
    const FAILED: *const T = ptr::null();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_minus_one_or_null_with_errno() {
        let error = || Error::from(Code::EPIPE);
        assert_eq!(<Errno<i64> as Out<u64>>::failed(error()).0, -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(Code::EPIPE.raw()));
        assert!(<Errno<*const u8> as Out<*const u8>>::failed(error()).0.is_null());
    }
}

//! What every function that the other side calls has in common: the panic guard, and arguments that are checked.
#![expect(unsafe_code, reason = "turns the other side's pointers into slices and descriptors")]

use crate::abi;
use crate::code::Code;
use crate::error::{Error, Result};
use std::any::Any;
use std::ffi::c_void;
use std::io::SeekFrom;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs one call: an error goes out as code and text, a panic as EIO, and poisons the file it ran on.
pub(crate) fn guarded(
    err: *mut abi::Error,
    poisoned: Option<&AtomicBool>,
    call: impl FnOnce() -> Result<i64>,
) -> i64 {
    if poisoned.is_some_and(|poisoned| poisoned.load(Ordering::Relaxed)) {
        return fail(
            err,
            &Error::new(Code::EIO, "an earlier call panicked; close the file and open it anew"),
        );
    }
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(count)) => count,
        Ok(Err(error)) => fail(err, &error),
        Err(panic) => {
            if let Some(poisoned) = poisoned {
                poisoned.store(true, Ordering::Relaxed);
            }
            fail(err, &Error::new(Code::EIO, format!("the provider panicked: {}", panic_text(&*panic))))
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

#[cold]
#[inline(never)]
pub(crate) fn fail(err: *mut abi::Error, error: &Error) -> i64 {
    // SAFETY: the ABI says that err is NULL or a host's zvfs_error that nobody else uses during the call.
    if let Some(err) = unsafe { err.as_mut() } {
        err.set(error);
    }
    -i64::from(error.code().raw())
}

pub(crate) fn position(position: u64) -> Result<i64> {
    i64::try_from(position).map_err(|_| Error::new(Code::EOVERFLOW, "the position is beyond 2^63"))
}

/// Where a seek goes.
pub(crate) fn seek_from(offset: i64, whence: u32) -> Result<SeekFrom> {
    let before = |_| Error::new(Code::EINVAL, "seek: before the start");
    match whence {
        abi::SEEK_SET => Ok(SeekFrom::Start(u64::try_from(offset).map_err(before)?)),
        abi::SEEK_CUR => Ok(SeekFrom::Current(offset)),
        abi::SEEK_END => Ok(SeekFrom::End(offset)),
        _ => Err(Error::new(Code::EINVAL, format!("seek: unknown whence {whence}"))),
    }
}

/// # Safety
/// `fd` is negative, or open for `'a`.
pub(crate) unsafe fn lent<'a>(fd: i32) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Error::new(Code::EBADF, "splice: not a file descriptor"));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The header's word on a buffer that cannot be one.
fn buffer(doing: &str, buf: *const c_void, n: u64) -> Result<()> {
    match buf.is_null() {
        true => Err(Error::new(Code::EFAULT, format!("{doing}: the buffer of {n} bytes is NULL"))),
        false if n > isize::MAX as u64 => {
            Err(Error::new(Code::EINVAL, format!("{doing}: a buffer of {n} bytes")))
        }
        false => Ok(()),
    }
}

/// # Safety
/// buf[0..n] is writable for `'a`, and used by nobody else.
pub(crate) unsafe fn bytes_mut<'a>(buf: *mut c_void, n: u64) -> Result<&'a mut [u8]> {
    buffer("read", buf, n)?;
    // SAFETY: not NULL, not too large, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(buf.cast(), n as usize) })
}

/// # Safety
/// buf[0..n] is readable for `'a`, and changed by nobody.
pub(crate) unsafe fn bytes<'a>(buf: *const c_void, n: u64) -> Result<&'a [u8]> {
    buffer("write", buf, n)?;
    // SAFETY: not NULL, not too large, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(buf.cast(), n as usize) })
}

/// # Safety
/// `out` is NULL or a place for a pointer.
pub(crate) unsafe fn hand_out<T, O>(out: *mut *mut O, made: T) -> Result<i64> {
    // SAFETY: the caller's promise.
    let out = unsafe { out.as_mut() }.ok_or_else(|| Error::new(Code::EINVAL, "out is NULL"))?;
    *out = Box::into_raw(Box::new(made)).cast();
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    /// One side of the house answered EINVAL and the other EFAULT, and no header said which.
    #[test]
    fn a_null_buffer_is_efault() {
        // SAFETY: NULL is refused before anything is made of it.
        let (read, write) = unsafe { (bytes_mut(null_mut(), 1), bytes(null(), 1)) };
        assert_eq!(read.map_err(|error| error.code()), Err(Code::EFAULT));
        assert_eq!(write.map_err(|error| error.code()), Err(Code::EFAULT));
    }
}

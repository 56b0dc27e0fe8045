//! From C's values to Rust's: each checked as far as it can be.

use crate::channel::Callbacks;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::{ptr, slice};
use vfs_core::{Code, Error, Result};

/// The largest struct that is believed: as for a provider's.
const STRUCT_MAX: u64 = 64 << 10;

/// `zvm_session_options`.
#[repr(C)]
pub struct Options {
    pub struct_size: u64,
    pub configuration: *const c_char,
    pub worker: *const c_char,
    pub cache_folder: *const c_char,
    pub cache_key: *const c_char,
    pub job: *const c_char,
}

pub fn null(name: &str) -> Error {
    Error::new(Code::EINVAL, format!("{name} is NULL"))
}

/// A string, or `None` for NULL.
///
/// # Safety
/// `value` is NULL or points to a terminated string that stays for `'a`.
pub unsafe fn text<'a>(value: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(value) }.to_str();
    text.map(Some).map_err(|_| Error::new(Code::EINVAL, format!("{name} is not UTF-8")))
}

/// So many bytes.
///
/// # Safety
/// `value` is NULL or points to `size` bytes that stay for `'a`.
pub unsafe fn bytes<'a>(value: *const u8, size: u64, name: &str) -> Result<&'a [u8]> {
    match usize::try_from(size) {
        Ok(0) => Ok(&[]),
        Ok(_) if value.is_null() => Err(null(name)),
        // SAFETY: the caller's promise; no object is larger than this.
        Ok(size) if size <= isize::MAX as usize => Ok(unsafe { slice::from_raw_parts(value, size) }),
        _ => Err(Error::new(Code::EINVAL, format!("{name}: {size} bytes is no size"))),
    }
}

/// The caller's struct; what its version did not have is zero. One of a newer version must be zero where this one ends, since
/// what it asks for would not happen.
///
/// # Safety
/// `value` is NULL or points to a struct as large as its first field says.
pub unsafe fn growing<T: Growing>(value: *const T, name: &str) -> Result<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise: a struct begins with its size.
    let size = unsafe { value.cast::<u64>().read() };
    if !(T::FIRST..=STRUCT_MAX).contains(&size) {
        let text = format!("{name}: struct_size is {size}: set it to sizeof, {} or more", T::FIRST);
        return Err(Error::new(Code::EINVAL, text));
    }
    let known = size_of::<T>().min(size as usize);
    // SAFETY: the caller's promise: bytes of a C struct whose maker set it to zero, as the header says.
    let unknown = unsafe { slice::from_raw_parts(value.cast::<u8>().add(known), size as usize - known) };
    if unknown.iter().any(|byte| *byte != 0) {
        let text =
            format!("{name}: uses a field that this libzvm ({}) does not know", env!("CARGO_PKG_VERSION"));
        return Err(Error::new(Code::EINVAL, text));
    }
    let mut own = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` bytes are within both; they don't overlap, for one of them was just made.
    unsafe { ptr::copy_nonoverlapping(value.cast::<u8>(), own.as_mut_ptr().cast(), known) };
    // SAFETY: T is Growing: every field may be zero, and the caller's are what the header says.
    Ok(Some(unsafe { own.assume_init() }))
}

/// A struct of the header that begins with its size.
///
/// # Safety
/// `repr(C)`, and zero is a value of every field.
pub unsafe trait Growing {
    /// The size that it had in the library's first version.
    const FIRST: u64;
}

// SAFETY: a number and pointers.
unsafe impl Growing for Options {
    const FIRST: u64 = 48;
}
// SAFETY: a number, a pointer, and functions that may be absent.
unsafe impl Growing for Callbacks {
    const FIRST: u64 = 48;
}

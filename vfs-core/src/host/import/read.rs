//! Reads what a library's pointers lead to. The errors are defects, in words.
#![expect(unsafe_code, reason = "reads the other side's structs")]

use crate::boundary::{Growing, copied, read};
use std::ffi::c_char;

/// More elements than this in a NULL-terminated list means that the terminator is missing.
const LIST_MAX: usize = 1024;

/// Copies what this version knows of a struct of the library's.
///
/// # Safety
/// `from` is NULL or points to a struct that is as large as its first field says.
pub(super) unsafe fn copy_struct<T: Growing>(from: *const T, name: &str) -> Result<T, String> {
    // SAFETY: the caller's promise.
    unsafe { read(from, name) }.map_err(|error| error.to_string())
}

/// # Safety
/// `from` is NULL or a terminated string.
pub(super) unsafe fn text(from: *const c_char, what: &str) -> Result<String, String> {
    // SAFETY: the caller's promise.
    unsafe { copied(from, what) }.map_err(|error| error.to_string())
}

/// # Safety
/// `from` is NULL or a terminated string.
pub(super) unsafe fn optional(from: *const c_char, what: &str) -> Result<Option<String>, String> {
    if from.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { text(from, what) }.map(Some)
}

/// The elements of a NULL-terminated list.
///
/// # Safety
/// `from` is NULL or points to such a list.
pub(super) unsafe fn list<T>(from: *const *const T, what: &str) -> Result<Vec<*const T>, String> {
    if from.is_null() {
        return Err(format!("{what} is NULL"));
    }
    let mut elements = Vec::new();
    for at in 0..LIST_MAX {
        // SAFETY: no element before this one was the terminator.
        let element = unsafe { *from.add(at) };
        if element.is_null() {
            return Ok(elements);
        }
        elements.push(element);
    }
    Err(format!("{what}: no NULL after {LIST_MAX} elements"))
}

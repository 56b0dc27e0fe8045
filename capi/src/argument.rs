//! From C's values to Rust's, beyond what every C boundary has: lists of pairs, and the slots behind C's pointers.

use crate::pool::{Exclusive, Kind, Shared, Slot};
use std::ffi::c_char;
use vfs_core::boundary::{Argument, null, text};
use vfs_core::{Code, Error, Result};

/// A NULL-terminated list of "name=value".
pub struct Pairs(pub Vec<(String, String)>);

impl Argument for Pairs {
    type C = *const *const c_char;

    unsafe fn check(value: *const *const c_char, name: &'static str) -> Result<Pairs> {
        if value.is_null() {
            return Err(null(name));
        }
        let mut pairs = Vec::new();
        for at in 0.. {
            // SAFETY: the caller's promise: a list whose last element is NULL, and none before this one was.
            let element = unsafe { *value.add(at) };
            // SAFETY: an element of the list is a terminated string.
            let Some(text) = unsafe { text(element, name) }? else { break };
            match text.split_once('=') {
                Some((key, value)) if !key.is_empty() => pairs.push((key.to_owned(), value.to_owned())),
                _ => {
                    // Not the text: it may be a secret.
                    return Err(Error::new(Code::EINVAL, format!("{name}[{at}]: write name=value")));
                }
            }
        }
        Ok(Pairs(pairs))
    }
}

/// The slot behind a pointer.
pub struct Object<T: Kind>(&'static Slot<T>);

impl<T: Kind> Object<T> {
    pub fn slot(self) -> &'static Slot<T> {
        self.0
    }
}

impl<T: Kind> Argument for Object<T> {
    type C = *const Slot<T>;

    unsafe fn check(value: *const Slot<T>, name: &'static str) -> Result<Object<T>> {
        // SAFETY: the caller's promise: NULL, or a pointer that this library gave.
        let slot = unsafe { Slot::behind(value) }.map_err(|error| named(error, name))?;
        slot.map(Object).ok_or_else(|| null(name))
    }
}

impl<T: Kind> Argument for Exclusive<T> {
    type C = *const Slot<T>;

    unsafe fn check(value: *const Slot<T>, name: &'static str) -> Result<Exclusive<T>> {
        // SAFETY: the caller's promise is the same.
        unsafe { Object::check(value, name) }?.0.exclusive().map_err(|error| named(error, name))
    }
}

impl<T: Kind> Argument for Shared<T> {
    type C = *const Slot<T>;

    unsafe fn check(value: *const Slot<T>, name: &'static str) -> Result<Shared<T>> {
        // SAFETY: the caller's promise is the same.
        unsafe { Object::check(value, name) }?.0.shared().map_err(|error| named(error, name))
    }
}

#[cold]
fn named(error: Error, name: &'static str) -> Error {
    error.context(name)
}

//! From C's values to Rust's: each checked as far as it can be.

use crate::pool::{Exclusive, Kind, Shared, Slot};
use crate::structs::Growing;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::slice;
use vfs_core::{Code, Error, Result};

/// A parameter of an exported function.
pub trait Argument: Sized {
    /// What C passes.
    type C;

    /// Checks it. `name` is the parameter's, for messages.
    ///
    /// # Safety
    /// A pointer is NULL or points to what the header says, valid during the call.
    unsafe fn check(value: Self::C, name: &'static str) -> Result<Self>;
}

#[cold]
pub fn null(name: &'static str) -> Error {
    Error::new(Code::EINVAL, format!("{name} is NULL"))
}

macro_rules! as_it_is {
    ($($type:ty)*) => {$(
        impl Argument for $type {
            type C = $type;

            unsafe fn check(value: $type, _: &'static str) -> Result<$type> {
                Ok(value)
            }
        }
    )*};
}

// Numbers mean what they mean; a `*mut c_void` is the caller's own and only passed back to him.
as_it_is! { u32 u64 i32 i64 *mut c_void }

impl<F: Copy> Argument for Option<Callback<F>> {
    type C = Option<F>;

    unsafe fn check(value: Option<F>, _: &'static str) -> Result<Option<Callback<F>>> {
        Ok(value.map(Callback))
    }
}

impl<F: Copy> Argument for Callback<F> {
    type C = Option<F>;

    unsafe fn check(value: Option<F>, name: &'static str) -> Result<Callback<F>> {
        value.map(Callback).ok_or_else(|| null(name))
    }
}

/// A function of the caller's.
#[derive(Clone, Copy)]
pub struct Callback<F>(pub F);

/// A string.
impl Argument for &str {
    type C = *const c_char;

    unsafe fn check(value: *const c_char, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { <Option<&str>>::check(value, name) }?.ok_or_else(|| null(name))
    }
}

/// A string that may be left out.
impl Argument for Option<&str> {
    type C = *const c_char;

    unsafe fn check(value: *const c_char, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise: NULL, or a terminated string.
        unsafe { text(value, name) }
    }
}

/// Borrows a string; for as long as the caller says.
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

/// A NULL-terminated list of "name=value", or NULL.
pub struct Pairs(pub Option<Vec<(String, String)>>);

impl Argument for Pairs {
    type C = *const *const c_char;

    unsafe fn check(value: *const *const c_char, name: &'static str) -> Result<Pairs> {
        if value.is_null() {
            return Ok(Pairs(None));
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
        Ok(Pairs(Some(pairs)))
    }
}

/// Where a result goes.
pub struct Place<'a, T>(&'a mut T);

impl<T> Place<'_, T> {
    pub fn put(self, value: T) {
        *self.0 = value;
    }
}

impl<'a, T: Plain> Argument for Place<'a, T> {
    type C = *mut T;

    unsafe fn check(value: *mut T, name: &'static str) -> Result<Place<'a, T>> {
        // SAFETY: the caller's promise: NULL, or a place of his own; T is a pointer or a number, so it may hold any bits.
        unsafe { value.as_mut() }.map(Place).ok_or_else(|| null(name))
    }
}

/// What a place may hold: any bits are a value.
pub trait Plain {}
impl Plain for u64 {}
impl<T> Plain for *const T {}

/// The caller's struct of options, or NULL; what the caller's version did not have is zero.
impl<T: Growing> Argument for Option<T> {
    type C = *const T;

    unsafe fn check(value: *const T, name: &'static str) -> Result<Option<T>> {
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promise: a struct as large as its first field says.
        unsafe { T::read(value, name) }.map(Some)
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
        // SAFETY: the caller's promise is the same.
        unsafe { <Option<Object<T>>>::check(value, name) }?.ok_or_else(|| null(name))
    }
}

impl<T: Kind> Argument for Option<Object<T>> {
    type C = *const Slot<T>;

    unsafe fn check(value: *const Slot<T>, name: &'static str) -> Result<Option<Object<T>>> {
        // SAFETY: the caller's promise: NULL, or a pointer that this library gave.
        let slot = unsafe { Slot::behind(value) }.map_err(|error| named(error, name))?;
        Ok(slot.map(Object))
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

/// The caller's memory to read from; its size is another parameter.
pub struct Source<'a>(*const c_void, PhantomData<&'a [u8]>);

impl Argument for Source<'_> {
    type C = *const c_void;

    unsafe fn check(value: *const c_void, _: &'static str) -> Result<Self> {
        Ok(Source(value, PhantomData))
    }
}

impl<'a> Source<'a> {
    /// The bytes.
    ///
    /// # Safety
    /// NULL, or n bytes are readable during the call and nobody changes them.
    pub unsafe fn bytes(self, n: u64) -> Result<&'a [u8]> {
        let n = count(self.0, n)?;
        // SAFETY: not NULL where n is not 0, and the caller's promise.
        Ok(if n == 0 { &[] } else { unsafe { slice::from_raw_parts(self.0.cast(), n) } })
    }
}

/// The caller's memory to write to; its size is another parameter.
pub struct Target<'a>(*mut c_void, PhantomData<&'a mut [u8]>);

impl Argument for Target<'_> {
    type C = *mut c_void;

    unsafe fn check(value: *mut c_void, _: &'static str) -> Result<Self> {
        Ok(Target(value, PhantomData))
    }
}

impl<'a> Target<'a> {
    /// The bytes. They may be uninitialised: whoever gets them only writes.
    ///
    /// # Safety
    /// NULL, or n bytes are writable during the call and nobody else uses them.
    pub unsafe fn bytes(self, n: u64) -> Result<&'a mut [u8]> {
        let n = count(self.0, n)?;
        // SAFETY: not NULL where n is not 0, and the caller's promise.
        Ok(if n == 0 { &mut [] } else { unsafe { slice::from_raw_parts_mut(self.0.cast(), n) } })
    }
}

fn count(buf: *const c_void, n: u64) -> Result<usize> {
    if buf.is_null() && n != 0 {
        return Err(Error::new(Code::EFAULT, format!("buf is NULL, and n is {n}")));
    }
    // No slice is larger.
    usize::try_from(n.min(isize::MAX as u64)).map_err(|_| Error::from(Code::EOVERFLOW))
}

/// Sets the calling thread's errno.
pub fn set_errno(code: Code) {
    // SAFETY: the C library's own variable of this thread.
    unsafe { *libc::__errno_location() = code.raw() as c_int };
}

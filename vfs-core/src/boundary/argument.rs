//! From C's values to Rust's: each checked as far as it can be.
#![expect(unsafe_code, reason = "turns the other side's pointers into references and slices")]

use crate::boundary::time::Time;
use crate::code::Code;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::slice;

/// A parameter of a function that C calls.
pub trait Argument: Sized {
    /// What C passes.
    type C;

    /// Checks it. `name` is the parameter's, for messages.
    ///
    /// # Safety
    /// A pointer is NULL or points to what the header says, valid during the call.
    ///
    /// # Errors
    /// EINVAL: NULL, or something that it cannot be.
    unsafe fn check(value: Self::C, name: &'static str) -> Result<Self>;
}

/// The error for a NULL where something belongs.
#[cold]
pub fn null(name: &str) -> Error {
    Error::new(Code::EINVAL, format!("{name} is NULL"))
}

macro_rules! as_it_is {
    ($($type:ty)*) => {$(
        impl Argument for $type {
            type C = $type;

            #[inline]
            unsafe fn check(value: $type, _: &'static str) -> Result<$type> {
                Ok(value)
            }
        }
    )*};
}

// Numbers mean what they mean; a `*mut c_void` is the caller's own and only passed back to him.
as_it_is! { u32 u64 i32 i64 *mut c_void }

impl Argument for Time {
    type C = i64;

    unsafe fn check(value: i64, _: &'static str) -> Result<Time> {
        Time::of(value)
    }
}

/// What may be NULL.
pub trait Null {
    /// Whether it is.
    fn is_null(&self) -> bool;
}

impl<T> Null for *const T {
    fn is_null(&self) -> bool {
        (*self).is_null()
    }
}

impl<T> Null for *mut T {
    fn is_null(&self) -> bool {
        (*self).is_null()
    }
}

impl<F> Null for Option<F> {
    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// An argument that may be left out.
impl<T: Argument<C: Null>> Argument for Option<T> {
    type C = T::C;

    unsafe fn check(value: T::C, name: &'static str) -> Result<Option<T>> {
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promise is the same.
        unsafe { T::check(value, name) }.map(Some)
    }
}

/// An argument whose failure is the function's to judge.
impl<T: Argument> Argument for Result<T> {
    type C = T::C;

    unsafe fn check(value: T::C, name: &'static str) -> Result<Result<T>> {
        // SAFETY: the caller's promise is the same.
        Ok(unsafe { T::check(value, name) })
    }
}

/// A function of the caller's.
#[derive(Clone, Copy)]
pub struct Callback<F>(pub F);

impl<F> Argument for Callback<F> {
    type C = Option<F>;

    unsafe fn check(value: Option<F>, name: &'static str) -> Result<Callback<F>> {
        value.map(Callback).ok_or_else(|| null(name))
    }
}

/// A string.
impl Argument for &str {
    type C = *const c_char;

    unsafe fn check(value: *const c_char, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise: NULL, or a terminated string.
        unsafe { text(value, name) }?.ok_or_else(|| null(name))
    }
}

/// A string to be shown, whatever its bytes are.
impl Argument for Cow<'_, str> {
    type C = *const c_char;

    unsafe fn check(value: *const c_char, name: &'static str) -> Result<Self> {
        if value.is_null() {
            return Err(null(name));
        }
        // SAFETY: not NULL, so the caller's promise: a terminated string.
        Ok(unsafe { CStr::from_ptr(value) }.to_string_lossy())
    }
}

/// Borrows a string, for as long as the caller says; `None` for NULL.
///
/// # Safety
/// `value` is NULL or points to a terminated string that stays as it is for `'a`.
///
/// # Errors
/// EINVAL: it is not UTF-8.
pub unsafe fn text<'a>(value: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(value) }.to_str();
    text.map(Some).map_err(|_| Error::new(Code::EINVAL, format!("{name} is not UTF-8")))
}

/// Copies a string.
///
/// # Safety
/// As for [`text`], during the call.
///
/// # Errors
/// EINVAL: NULL, or not UTF-8.
pub unsafe fn copied(value: *const c_char, name: &str) -> Result<String> {
    // SAFETY: the caller's promise is the same.
    unsafe { text(value, name) }?.map(str::to_owned).ok_or_else(|| null(name))
}

/// A file descriptor of the caller's, open during the call.
impl Argument for BorrowedFd<'_> {
    type C = i32;

    unsafe fn check(value: i32, name: &'static str) -> Result<Self> {
        if value < 0 {
            return Err(Error::new(Code::EBADF, format!("{name} is {value}, which is no file descriptor")));
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { BorrowedFd::borrow_raw(value) })
    }
}

/// What a pointer points to that C got from us and knows by a name only.
pub trait Behind {
    /// The header's name for it.
    type C;

    /// Gives it to C, which gives it back as a `Box`.
    fn hand_out(self) -> *mut Self::C
    where
        Self: Sized,
    {
        Box::into_raw(Box::new(self)).cast()
    }
}

/// One that is in use.
impl<T: Behind> Argument for &T {
    type C = *mut T::C;

    #[inline]
    unsafe fn check(value: *mut T::C, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's promise: NULL, or what was handed out and not given back.
        unsafe { value.cast::<T>().as_ref() }.ok_or_else(|| null(name))
    }
}

/// One that is given back.
impl<T: Behind> Argument for Box<T> {
    type C = *mut T::C;

    unsafe fn check(value: *mut T::C, name: &'static str) -> Result<Self> {
        if value.is_null() {
            return Err(null(name));
        }
        // SAFETY: not NULL, so the caller's promise: what `hand_out` gave, given back once, when nothing else uses it.
        Ok(unsafe { Box::from_raw(value.cast()) })
    }
}

/// Where a result goes.
pub struct Place<'a, T>(&'a mut T);

impl<T> Place<'_, T> {
    /// Puts it there.
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
impl<T> Plain for *mut T {}

/// The caller's memory to read from; its size is another parameter.
pub struct Input<'a>(*const c_void, PhantomData<&'a [u8]>);

impl Argument for Input<'_> {
    type C = *const c_void;

    #[inline]
    unsafe fn check(value: *const c_void, _: &'static str) -> Result<Self> {
        Ok(Input(value, PhantomData))
    }
}

impl<'a> Input<'a> {
    /// The bytes.
    ///
    /// # Safety
    /// NULL, or n bytes are readable during the call and nobody changes them.
    ///
    /// # Errors
    /// EFAULT: NULL, and n is not 0.
    #[inline]
    pub unsafe fn bytes(self, n: u64) -> Result<&'a [u8]> {
        let n = count(self.0, n)?;
        // SAFETY: not NULL where n is not 0, and the caller's promise.
        Ok(if n == 0 { &[] } else { unsafe { slice::from_raw_parts(self.0.cast(), n) } })
    }
}

/// The caller's memory to write to; its size is another parameter.
pub struct Output<'a>(*mut c_void, PhantomData<&'a mut [u8]>);

impl Argument for Output<'_> {
    type C = *mut c_void;

    #[inline]
    unsafe fn check(value: *mut c_void, _: &'static str) -> Result<Self> {
        Ok(Output(value, PhantomData))
    }
}

impl<'a> Output<'a> {
    /// The bytes. They may be uninitialised: whoever gets them only writes.
    ///
    /// # Safety
    /// NULL, or n bytes are writable during the call and nobody else uses them.
    ///
    /// # Errors
    /// EFAULT: NULL, and n is not 0.
    #[inline]
    pub unsafe fn bytes(self, n: u64) -> Result<&'a mut [u8]> {
        let n = count(self.0, n)?;
        // SAFETY: not NULL where n is not 0, and the caller's promise.
        Ok(if n == 0 { &mut [] } else { unsafe { slice::from_raw_parts_mut(self.0.cast(), n) } })
    }
}

#[inline]
fn count(buf: *const c_void, n: u64) -> Result<usize> {
    if buf.is_null() && n != 0 {
        return Err(no_buffer(n));
    }
    // No slice is larger.
    Ok(n.min(isize::MAX as u64) as usize)
}

#[cold]
fn no_buffer(n: u64) -> Error {
    Error::new(Code::EFAULT, format!("the buffer of {n} bytes is NULL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    /// One side of the house answered EINVAL and the other EFAULT, and no header said which.
    #[test]
    fn a_null_buffer_is_efault() {
        // SAFETY: NULL is refused before anything is made of it.
        let (read, write) =
            unsafe { (Output(null_mut(), PhantomData).bytes(1), Input(null(), PhantomData).bytes(1)) };
        assert_eq!(read.map_err(|error| error.code()), Err(Code::EFAULT));
        assert_eq!(write.map_err(|error| error.code()), Err(Code::EFAULT));
    }
}

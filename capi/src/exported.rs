//! How a function gets out of this library, and how its result does.

use crate::argument::set_errno;
use std::any::Any;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use vfs_core::{Code, Error, Result, abi};

/// Defines exported functions; nothing else in this crate does. Each argument becomes what its type's
/// [`Argument`](crate::argument::Argument) checks it into (that is where NULL and stale pointers are found) and is `mut`, the body runs
/// under a panic guard, and its error goes where the function's kind says:
///
/// - `fn f(a: A) -> i32`: has a last parameter `err`; code and text go there, the negative code is returned
/// - `fn f(a: A) -> T, plain`: has none; T's own word for failure is returned
/// - `fn f(a: A) -> T, errno`: likewise, and errno is set
macro_rules! exported {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty $(, $kind:ident)? $body:block)*) => {$(
        exported!(@define ($($kind)?) $name ($($arg: $type),*) $out, $body);
    )*};
    (@define () $name:ident ($($arg:ident: $type:ty),*) $out:ty, $body:block) => {
        #[allow(unsafe_code, reason = "the header's name for it; the linker knows no other of that name")]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            $($arg: <$type as $crate::argument::Argument>::C,)*
            err: *mut vfs_core::abi::Error
        ) -> $out {
            $crate::exported::to_error(err, || {
                // SAFETY: the header's promises on each argument: NULL, or what its type says, valid during the call.
                $(#[allow(unused_mut)] let mut $arg = unsafe { <$type as $crate::argument::Argument>::check($arg, stringify!($arg)) }?;)*
                $body
            })
        }
    };
    (@define (plain) $name:ident ($($arg:ident: $type:ty),*) $out:ty, $body:block) => {
        exported!(@without_err to_plain $name ($($arg: $type),*) $out, $body);
    };
    (@define (errno) $name:ident ($($arg:ident: $type:ty),*) $out:ty, $body:block) => {
        exported!(@without_err to_errno $name ($($arg: $type),*) $out, $body);
    };
    (@without_err $to:ident $name:ident ($($arg:ident: $type:ty),*) $out:ty, $body:block) => {
        #[allow(unsafe_code, reason = "the header's name for it; the linker knows no other of that name")]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: <$type as $crate::argument::Argument>::C),*) -> $out {
            $crate::exported::$to(|| {
                // SAFETY: the header's promises on each argument: NULL, or what its type says, valid during the call.
                $(#[allow(unused_mut)] let mut $arg = unsafe { <$type as $crate::argument::Argument>::check($arg, stringify!($arg)) }?;)*
                $body
            })
        }
    };
}
pub(crate) use exported;

/// What a function returns to C.
pub trait Out {
    /// What its body returns.
    type Value;
    fn of(value: Self::Value) -> Result<Self>
    where
        Self: Sized;
    /// A failure, where there is nothing but this value to say so.
    fn failed(error: &Error) -> Self;
}

impl Out for i32 {
    type Value = ();

    fn of((): ()) -> Result<i32> {
        Ok(0)
    }

    fn failed(error: &Error) -> i32 {
        -error.code().raw()
    }
}

impl Out for i64 {
    type Value = u64;

    fn of(value: u64) -> Result<i64> {
        i64::try_from(value).map_err(|_| Error::from(Code::EOVERFLOW))
    }

    fn failed(error: &Error) -> i64 {
        -i64::from(error.code().raw())
    }
}

impl Out for u64 {
    type Value = u64;

    fn of(value: u64) -> Result<u64> {
        Ok(value)
    }

    fn failed(_: &Error) -> u64 {
        0
    }
}

impl Out for () {
    type Value = ();

    fn of((): ()) -> Result<()> {
        Ok(())
    }

    fn failed(_: &Error) {}
}

impl Out for *const c_char {
    type Value = *const c_char;

    fn of(value: *const c_char) -> Result<*const c_char> {
        Ok(value)
    }

    fn failed(_: &Error) -> *const c_char {
        ptr::null()
    }
}

/// Runs a function's body, with an error for its caller's struct.
#[inline]
pub fn to_error<O: Out>(err: *mut abi::Error, body: impl FnOnce() -> Result<O::Value>) -> O {
    match guarded(body) {
        Ok(value) => value,
        Err(error) => {
            // SAFETY: the header: NULL, or the caller's own struct, valid during the call. It may be uninitialised, and every
            // field of it may hold any bits.
            if let Some(err) = unsafe { err.as_mut() } {
                err.struct_size = abi::Error::SIZE;
                err.set(&error);
            }
            O::failed(&error)
        }
    }
}

/// Runs a function's body, whose error is in its value.
#[inline]
pub fn to_plain<O: Out>(body: impl FnOnce() -> Result<O::Value>) -> O {
    guarded(body).unwrap_or_else(|error| O::failed(&error))
}

/// What a function of `zvm.h` returns: -1 or NULL is a failure, and errno says which.
pub trait PosixOut {
    type Value;
    const FAILED: Self;
    fn of(value: Self::Value) -> Self;
}

impl PosixOut for c_int {
    type Value = ();
    const FAILED: c_int = -1;

    fn of((): ()) -> c_int {
        0
    }
}

impl PosixOut for i64 {
    type Value = usize;
    const FAILED: i64 = -1;

    fn of(value: usize) -> i64 {
        value as i64
    }
}

impl<T: 'static> PosixOut for *const T {
    type Value = &'static T;
    const FAILED: *const T = ptr::null();

    fn of(value: &'static T) -> *const T {
        value
    }
}

/// Runs a function's body, with an error for errno and for whoever asks for the text.
pub fn to_errno<O: PosixOut>(body: impl FnOnce() -> Result<O::Value>) -> O {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    match result {
        Ok(value) => O::of(value),
        Err(error) => {
            // Our own numbers, which Linux has no words for, are its EIO.
            set_errno(if error.code().raw() < 4096 { error.code() } else { Code::EIO });
            crate::netpipe::remember(error);
            O::FAILED
        }
    }
}

#[inline]
fn guarded<O: Out>(body: impl FnOnce() -> Result<O::Value>) -> Result<O> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result.and_then(O::of),
        Err(panic) => Err(panicked(&*panic)),
    }
}

/// A defect of ours, or of a provider of the program's own: it must not unwind into C.
#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text");
    Error::new(Code::EIO, format!("libzvfs panicked, which is a defect of it: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        let mut err = abi::Error { struct_size: 0, code: 0, flags: 7, message: [1; 1000] };
        let code: i32 = to_error(&raw mut err, || panic!("that was {}", 1));
        assert_eq!((code, err.code, err.flags, err.struct_size), (-5, 5, 0, abi::Error::SIZE));
        let text: Vec<u8> =
            err.message.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
        assert!(String::from_utf8(text).unwrap().ends_with("a defect of it: that was 1"));
        assert_eq!(to_plain::<u64>(|| panic!("x")), 0);
        assert_eq!(to_errno::<i64>(|| panic!("x")), -1);
    }

    #[test]
    fn success_leaves_the_error_alone() {
        let mut err = abi::Error { struct_size: 9, code: 8, flags: 7, message: [1; 1000] };
        assert_eq!(to_error::<i64>(&raw mut err, || Ok(3)), 3);
        assert_eq!((err.struct_size, err.code, err.flags, err.message), (9, 8, 7, [1; 1000]));
        assert_eq!(to_error::<i64>(ptr::null_mut(), || Err(Error::from(Code::EPIPE))), -32);
        assert_eq!(to_error::<i64>(ptr::null_mut(), || Ok(u64::MAX)), -75);
    }
}

//! The macro, and how a function's result goes out.
#![expect(unsafe_code, reason = "writes the caller's error")]

use crate::abi;
use crate::code::Code;
use crate::error::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Defines functions that C can call; nothing else in the project does. Each argument becomes what its type's
/// [`Argument`](crate::boundary::Argument) checks it into (that is where NULL is found) and is `mut`; the body runs under a panic
/// guard and returns a [`Result`], whose value becomes what C gets by [`Out`](crate::boundary::Out). A function has a last parameter
/// `err`, where the error goes, unless it is `plain`: then the returned value alone tells. One that is plain and takes nothing is
/// safe to call.
///
/// `by` names whose they are, for the text of a panic; `exported by` gives them their names in the library's table of symbols.
#[doc(hidden)]
#[macro_export]
macro_rules! extern_c {
    (exported by $side:literal: $($functions:tt)*) => {
        $crate::extern_c! { @each
            [#[allow(unsafe_code, reason = "the header's name for it, and no other symbol's")] #[unsafe(no_mangle)]]
            $side $($functions)*
        }
    };
    (by $side:literal: $($functions:tt)*) => { $crate::extern_c! { @each [] $side $($functions)* } };
    (@each $symbol:tt $side:literal $(
        $(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $out:ty $(, $plain:ident)? $body:block
    )*) => {$(
        $crate::extern_c! { @one $symbol $side [$($plain)?] [$(#[$doc])* $vis] $name ($($arg: $type),*) $out, $body }
    )*};
    (@one [$($symbol:tt)*] $side:literal [plain] [$($head:tt)*] $name:ident () $out:ty, $body:block) => {
        $($symbol)*
        $($head)* extern "C" fn $name() -> $out {
            $crate::boundary::guarded($side, ::std::ptr::null_mut(), || $body)
        }
    };
    (@one [$($symbol:tt)*] $side:literal [plain] [$($head:tt)*] $name:ident ($($arg:ident: $type:ty),*) $out:ty, $body:block) => {
        $($symbol)*
        $($head)* unsafe extern "C" fn $name($($arg: <$type as $crate::boundary::Argument>::C),*) -> $out {
            $crate::extern_c! { @guarded $side, ::std::ptr::null_mut(), ($($arg: $type),*), $body }
        }
    };
    (@one [$($symbol:tt)*] $side:literal [] [$($head:tt)*] $name:ident ($($arg:ident: $type:ty),*) $out:ty, $body:block) => {
        $($symbol)*
        $($head)* unsafe extern "C" fn $name(
            $($arg: <$type as $crate::boundary::Argument>::C,)* err: *mut $crate::abi::Error
        ) -> $out {
            $crate::extern_c! { @guarded $side, err, ($($arg: $type),*), $body }
        }
    };
    (@guarded $side:literal, $err:expr, ($($arg:ident: $type:ty),*), $body:block) => {
        $crate::boundary::guarded($side, $err, || {
            // SAFETY: the header's promises on each argument: NULL, or what its type says, valid during the call.
            $(#[allow(unused_mut)] let mut $arg = unsafe { <$type as $crate::boundary::Argument>::check($arg, stringify!($arg)) }?;)*
            $body
        })
    };
}

/// What a function returns to C, where its body returns a `V`.
pub trait Out<V>: Sized {
    /// The body's value in C's form.
    ///
    /// # Errors
    /// EOVERFLOW: it has none.
    fn of(value: V) -> Result<Self>;

    /// What says that the call failed.
    fn failed(error: Error) -> Self;
}

impl Out<()> for i32 {
    #[inline]
    fn of((): ()) -> Result<i32> {
        Ok(0)
    }

    fn failed(error: Error) -> i32 {
        -error.code().raw()
    }
}

impl Out<u32> for i32 {
    fn of(value: u32) -> Result<i32> {
        i32::try_from(value).map_err(|_| beyond())
    }

    fn failed(error: Error) -> i32 {
        -error.code().raw()
    }
}

impl<V> Out<V> for i64
where
    i64: TryFrom<V>,
{
    #[inline]
    fn of(value: V) -> Result<i64> {
        i64::try_from(value).map_err(|_| beyond())
    }

    fn failed(error: Error) -> i64 {
        -i64::from(error.code().raw())
    }
}

/// What a call came to that does not wait; `None` is EAGAIN, which is no failure: no text goes with it.
pub struct Tried<T>(pub Option<T>);

impl Out<Tried<usize>> for i64 {
    #[inline]
    fn of(value: Tried<usize>) -> Result<i64> {
        value.0.map_or(Ok(-i64::from(Code::EAGAIN.raw())), <i64 as Out<usize>>::of)
    }

    fn failed(error: Error) -> i64 {
        <i64 as Out<usize>>::failed(error)
    }
}

impl Out<Tried<()>> for i32 {
    fn of(value: Tried<()>) -> Result<i32> {
        Ok(value.0.map_or(-Code::EAGAIN.raw(), |()| 0))
    }

    fn failed(error: Error) -> i32 {
        <i32 as Out<()>>::failed(error)
    }
}

#[cold]
fn beyond() -> Error {
    Error::new(Code::EOVERFLOW, "the result is larger than its type")
}

impl Out<u64> for u64 {
    #[inline]
    fn of(value: u64) -> Result<u64> {
        Ok(value)
    }

    fn failed(_: Error) -> u64 {
        0
    }
}

impl Out<()> for () {
    fn of((): ()) -> Result<()> {
        Ok(())
    }

    fn failed(_: Error) {}
}

impl<T> Out<*const T> for *const T {
    fn of(value: *const T) -> Result<*const T> {
        Ok(value)
    }

    fn failed(_: Error) -> *const T {
        ptr::null()
    }
}

/// Runs a function's body: an error goes out as code and text, a panic as EIO. For [`extern_c!`](crate::extern_c) only.
#[inline]
pub fn guarded<V, O: Out<V>>(side: &str, err: *mut abi::Error, body: impl FnOnce() -> Result<V>) -> O {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result.and_then(O::of).unwrap_or_else(|error| failed(err, error)),
        Err(panic) => failed(err, panicked(side, &*panic)),
    }
}

#[cold]
#[inline(never)]
fn failed<V, O: Out<V>>(err: *mut abi::Error, error: Error) -> O {
    // SAFETY: the headers: NULL, or the caller's own struct, which nobody else uses during the call. It may be uninitialised, and
    // every field of it may hold any bits.
    if let Some(err) = unsafe { err.as_mut() } {
        err.set(&error);
    }
    O::failed(error)
}

/// It must not unwind into C.
#[cold]
fn panicked(side: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text");
    Error::new(Code::EIO, format!("{side} panicked, which is a defect in it: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    extern_c! { by "the sample":
        fn half(number: u64) -> i64 {
            match number {
                13 => panic!("that was {number}"),
                odd if odd % 2 == 1 => Err(Error::from(Code::EDOM)),
                even => Ok(even / 2),
            }
        }
        fn number(number: u64) -> u64, plain {
            if number == 13 { panic!("x") } else { Ok(number) }
        }
    }

    fn error() -> abi::Error {
        abi::Error { struct_size: 9, code: 8, flags: 7, message: [1; 1000] }
    }

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        let mut err = error();
        // SAFETY: a function of this test with an error of its own.
        assert_eq!(unsafe { half(13, &raw mut err) }, -5);
        assert_eq!((err.code, err.flags, err.struct_size), (5, 0, abi::Error::SIZE));
        let text: Vec<u8> =
            err.message.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "the sample panicked, which is a defect in it: that was 13"
        );
        // SAFETY: as above; it takes no error.
        assert_eq!(unsafe { (number(13), number(14)) }, (0, 14));
    }

    #[test]
    fn success_leaves_the_error_alone() {
        let mut err = error();
        // SAFETY: a function of this test with an error of its own, or none.
        let results = unsafe { [half(6, &raw mut err), half(3, ptr::null_mut())] };
        assert_eq!(results, [3, -33]);
        assert_eq!((err.struct_size, err.code, err.flags, err.message), (9, 8, 7, [1; 1000]));
        assert!(<i64 as Out<u64>>::of(u64::MAX).is_err_and(|error| error.code() == Code::EOVERFLOW));
    }
}

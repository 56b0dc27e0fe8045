//! What every call of the other side has in common: the buffer for its error's text, and what its result means.
#![expect(unsafe_code, reason = "lends the thread's error buffer to the other side")]

use crate::abi;
use crate::code::Code;
use crate::error::{Error, Result};
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_char;

/// The text of a call in progress.
struct Buffer {
    error: UnsafeCell<abi::Error>,
    /// A layer's call is in progress, and this one is of its inner file: what the layer has said must stay.
    busy: Cell<bool>,
}

const EMPTY: abi::Error = abi::Error { struct_size: abi::Error::SIZE, code: 0, flags: 0, message: [0; 1000] };

thread_local! {
    /// One a thread: clearing a new one for every call would cost more than the call.
    static BUFFER: Buffer = const { Buffer { error: UnsafeCell::new(EMPTY), busy: Cell::new(false) } };
}

/// Makes one call and reads its result: a count, or the error that the other side wrote.
pub(crate) fn call(function: impl FnOnce(*mut abi::Error) -> i64) -> Result<u64> {
    BUFFER.with(|buffer| {
        if buffer.busy.get() {
            return nested(function);
        }
        let error = buffer.error.get();
        // SAFETY: the buffer is this thread's, and not busy: nobody refers to it.
        unsafe {
            (*error).struct_size = abi::Error::SIZE;
            (*error).code = 0;
            (*error).flags = 0;
            if (*error).message[0] != 0 {
                wipe(&mut (*error).message);
            }
        }
        buffer.busy.set(true);
        let returned = function(error);
        buffer.busy.set(false);
        match u64::try_from(returned) {
            Ok(count) => Ok(count),
            // SAFETY: the call is over, so nobody writes the buffer.
            Err(_) => Err(unsafe { (*error).take(returned) }),
        }
    })
}

/// Clears what an earlier call said: the next one may copy a text without its end.
#[cold]
#[inline(never)]
fn wipe(message: &mut [c_char]) {
    message.fill(0);
}

/// A call within a call, with a buffer of its own.
#[cold]
#[inline(never)]
fn nested(function: impl FnOnce(*mut abi::Error) -> i64) -> Result<u64> {
    let mut error = EMPTY;
    let returned = function(&raw mut error);
    u64::try_from(returned).map_err(|_| error.take(returned))
}

/// Makes one call that may say "not now", which is `None`.
pub(crate) fn attempt(function: impl FnOnce(*mut abi::Error) -> i64) -> Result<Option<u64>> {
    let mut again = false;
    let moved = call(|err| {
        let returned = function(err);
        again = returned == -i64::from(Code::EAGAIN.raw());
        if again { 0 } else { returned }
    })?;
    Ok((!again).then_some(moved))
}

/// Makes one call that returns 0, a negative code, or "not now", which is `None`.
pub(crate) fn attempt_status(function: impl FnOnce(*mut abi::Error) -> i32) -> Result<Option<()>> {
    attempt(|err| function(err).into())?.map(zero).transpose()
}

/// Makes one call that returns 0 or a negative code. A positive number is most likely an errno without its sign: taking it for
/// success would lose a failed COMMIT.
pub(crate) fn call_status(function: impl FnOnce(*mut abi::Error) -> i32) -> Result<()> {
    zero(call(|err| function(err).into())?)
}

fn zero(returned: u64) -> Result<()> {
    match returned {
        0 => Ok(()),
        number => Err(broken_rule(&format!("it returned {number} instead of 0 or a negative code"))),
    }
}

/// A provider broke a rule of the header.
#[cold]
#[inline(never)]
pub(crate) fn broken_rule(what: &str) -> Error {
    Error::new(Code::EIO, format!("the provider broke a rule: {what}"))
}

//! What every call of a provider has in common: its error's text, forks, and serialised libraries.
#![expect(unsafe_code, reason = "lends the thread's error buffer to the provider")]

use crate::abi;
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use std::cell::UnsafeCell;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often a call that waits for its turn looks whether it was cancelled.
const TURN: Duration = Duration::from_millis(20);

thread_local! {
    /// The text of the call in progress. One a thread: clearing a new one for every call would cost more than the call.
    static ERROR: UnsafeCell<abi::Error> = const {
        UnsafeCell::new(abi::Error { struct_size: abi::Error::SIZE, code: 0, flags: 0, message: [0; 1000] })
    };
}

/// Makes one call and reads its result: a count, or the error that the provider wrote.
pub(crate) fn call(provider: impl FnOnce(*mut abi::Error) -> i64) -> Result<u64> {
    let buffer = ERROR.with(UnsafeCell::get);
    // SAFETY: the buffer is this thread's, and no reference to it is alive: a nested call of a layer takes its text out before
    // it returns, so that an outer call finds the buffer free again.
    unsafe {
        (*buffer).struct_size = abi::Error::SIZE;
        (*buffer).code = 0;
        (*buffer).flags = 0;
        (*buffer).message[0] = 0;
    }
    let returned = provider(buffer);
    match u64::try_from(returned) {
        Ok(count) => Ok(count),
        // SAFETY: the provider's call is over, so nobody writes the buffer.
        Err(_) => Err(unsafe { (*buffer).take(returned) }),
    }
}

/// Makes one call that returns 0 or a negative code. A positive number is most likely an errno without its sign: taking it for
/// success would lose a failed COMMIT.
pub(crate) fn call_status(provider: impl FnOnce(*mut abi::Error) -> i32) -> Result<()> {
    match call(|err| provider(err).into())? {
        0 => Ok(()),
        number => Err(broken_rule(&format!("it returned {number} where 0 or a negative code belongs"))),
    }
}

/// A provider broke a rule of the header.
#[cold]
#[inline(never)]
pub(crate) fn broken_rule(what: &str) -> Error {
    Error::new(Code::EIO, format!("the provider broke a rule: {what}"))
}

/// Takes a serialised library's turn; the wait for it ends on a cancel or the deadline.
pub(crate) fn turn<'a>(
    serial: &'a ReentrantMutex<()>,
    context: &Context,
) -> Result<ReentrantMutexGuard<'a, ()>> {
    loop {
        if let Some(turn) = serial.try_lock_for(TURN) {
            return Ok(turn);
        }
        context.status()?;
    }
}

/// Counts forks: a child's number differs from its parent's.
static FORKS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The number of forks between the first process and this one.
pub(crate) fn forks() -> u32 {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is safe in a child of a threaded process. Were it not registered
        // (no memory), forks would go unnoticed, as for any library.
        unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
    });
    FORKS.load(Ordering::Relaxed)
}

/// The same on the hot path, where the watch is known to be on.
pub(crate) fn forks_now() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

//! Which process this is: what a parent made is not its child's.
#![expect(unsafe_code, reason = "registers a function that a fork calls")]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

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

//! Which process this is: what a parent made is not its child's.
#![expect(
    unsafe_code,
    reason = "registers a function that a fork calls, and keeps what each process made for ever"
)]

use crate::extern_c;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// Counts forks: a child's number differs from its parent's.
static FORKS: AtomicU32 = AtomicU32::new(0);

extern_c! { by "the host":
    fn count_fork() -> (), plain {
        FORKS.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A number that differs between a process and those that it is forked off: whoever keeps it with what he makes knows later
/// whether that is his process's own.
pub fn forks() -> u32 {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    // No `Once`: a child could wait in it for a thread that only its parent has. Registered twice it counts twice, which is
    // as good.
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: the handler only adds to an atomic, which is safe in a child of a threaded process. Were it not registered
        // (no memory), forks would go unnoticed, as for any library.
        unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
        WATCHED.store(true, Ordering::Release);
    }
    forks_now()
}

/// The same on the hot path, where the watch is known to be on.
#[inline]
pub fn forks_now() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// A value that each process has of its own. A forked child leaves its parent's alone, for a lock in it may be held by a thread
/// that only the parent has, and makes one at its first use. Never waits; a process's value stays for the rest of its life.
#[derive(Debug)]
pub struct PerProcess<T: 'static>(AtomicPtr<Owned<T>>);

#[derive(Debug)]
struct Owned<T> {
    forks: u32,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// No process has one yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// This process's. Threads that come together may each make one; only one of them is kept.
    pub fn get_or_make(&self, make: impl Fn() -> T) -> &'static T {
        let forks = forks();
        loop {
            let known = self.0.load(Ordering::Acquire);
            // SAFETY: NULL or what a turn of this loop leaked.
            match unsafe { known.as_ref() } {
                Some(owned) if owned.forks == forks => return &owned.value,
                _ => {}
            }
            let new = Box::into_raw(Box::new(Owned { forks, value: make() }));
            if self.0.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: made above, and given to nobody.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    /// This process's, if it has one.
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: NULL or what `get_or_make` leaked.
        let owned = unsafe { self.0.load(Ordering::Acquire).as_ref() }?;
        (owned.forks == forks()).then_some(&owned.value)
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn all_threads_of_a_process_get_the_same_value() {
        static VALUE: PerProcess<Box<u32>> = PerProcess::new();
        assert!(VALUE.get().is_none());
        let threads: Vec<_> = (0..8)
            .map(|number| thread::spawn(move || &raw const **VALUE.get_or_make(|| Box::new(number)) as usize))
            .collect();
        let places: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(places.iter().all(|place| *place == places[0]));
        assert_eq!(VALUE.get().map(|value| &raw const **value as usize), Some(places[0]));
    }
}

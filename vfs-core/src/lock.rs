//! Locks that a thread can wait for while a library loads.
//!
//! They are std's, without poison. parking_lot gives a thread that waits for the first time a thread-local value with a destructor,
//! and registering that takes the dynamic linker's lock, which a constructor that never returns keeps: no control would end that.

pub(crate) use std::sync::MutexGuard;
use std::sync::{self, PoisonError};
#[cfg(feature = "host")]
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

#[derive(Default)]
pub(crate) struct Condvar(sync::Condvar);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "host")]
    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condvar {
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits no longer than this.
    #[cfg(feature = "host")]
    pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
        self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    #[cfg(feature = "host")]
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

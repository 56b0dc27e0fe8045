//! A call that a thread makes for a file, and the descriptor that becomes readable when it is back.

use super::jobs::Seat;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::lock::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Readable from the return of an errand until its result is taken. One for all errands of a file.
#[derive(Clone)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    pub(super) fn new() -> Result<Bell> {
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Bell(Arc::new(made.map_err(|errno| Error::from(io::Error::from(errno)))?)))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn ring(&self) {
        // It fails only when the count is at its end: then it is readable already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        // It fails only if it was not rung.
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

/// A call on its way. Dropped before it is back, its result is dropped by the thread that makes it.
pub(super) struct Errand<T> {
    result: Arc<Mutex<Option<Result<T>>>>,
    bell: Bell,
}

impl<T: Send + 'static> Errand<T> {
    /// Begins it. A panic becomes EIO.
    pub(super) fn begin(seat: Seat, bell: &Bell, call: impl FnOnce() -> T + Send + 'static) -> Errand<T> {
        let errand = Errand { result: Arc::default(), bell: bell.clone() };
        let (result, bell) = (errand.result.clone(), bell.clone());
        seat.begin(move || {
            let came = catch_unwind(AssertUnwindSafe(call));
            let came = came.map_err(|_| Error::new(Code::EIO, "the call panicked on its thread"));
            // Under the lock: whoever takes the result has heard the bell, and hushes it.
            let mut place = result.lock();
            *place = Some(came);
            bell.ring();
        });
        errand
    }

    /// Takes what it brought back; `None`: it is on its way.
    pub(super) fn take(&self) -> Option<Result<T>> {
        let mut place = self.result.lock();
        let came = place.take()?;
        self.bell.hush();
        Some(came)
    }
}

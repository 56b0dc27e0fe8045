//! The threads of an instance, counted, so that it can be waited for that the last one has gone.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

/// The threads of an instance. Clones are the same.
#[derive(Clone, Default)]
pub struct Workers(Arc<(Mutex<usize>, Condvar)>);

/// Counts a thread off when it ends, also by a panic.
struct Worker(Workers);

impl Workers {
    /// Starts a thread.
    ///
    /// # Errors
    /// The system has none left.
    pub fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        *self.count() += 1;
        let worker = Worker(self.clone());
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _worker = worker;
                work();
            })
            .map(|_| ())
    }

    /// Waits until all have ended, at most so long.
    pub fn wait(&self, limit: Duration) {
        let gone = self.0.1.wait_timeout_while(self.count(), limit, |count| *count > 0);
        drop(gone.unwrap_or_else(PoisonError::into_inner));
    }

    fn count(&self) -> std::sync::MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        *self.0.count() -= 1;
        self.0.0.1.notify_all();
    }
}

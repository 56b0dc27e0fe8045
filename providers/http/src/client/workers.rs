//! The threads of an instance, counted, so that it can be waited for that the last one has gone.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
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
        *self.0.0.lock() += 1;
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
        self.0.1.wait_while_for(&mut self.0.0.lock(), |count| *count > 0, limit);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        *self.0.0.0.lock() -= 1;
        self.0.0.1.notify_all();
    }
}

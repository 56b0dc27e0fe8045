//! A stuck test fails instead of hanging.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// What a test may take; far beyond what it needs on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test's body on a thread of its own, and fails if it is not done in time.
pub fn bounded<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        let value = body();
        // Nobody listens any more if it came too late.
        let _ = done.send(());
        value
    });
    match wait.recv_timeout(LIMIT) {
        // Disconnected: it panicked, which joining says better.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        }
        Err(RecvTimeoutError::Timeout) => panic!("not done after {LIMIT:?}"),
    }
}

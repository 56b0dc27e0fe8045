//! Calls that may block, on threads of their own, never longer than a limit.

use std::fmt::Display;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Far beyond what anything takes on a busy machine; what is not done by then is stuck.
pub const LIMIT: Duration = Duration::from_secs(120);

/// What is not over by then waits.
const WAITS: Duration = Duration::from_millis(150);

/// What a call gets that was released: less than any timeout of a provider, which would end it too.
const RELEASED: Duration = Duration::from_secs(20);

/// Runs a call on a thread of its own; its result comes through the channel.
pub fn in_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, result) = channel();
    // If nobody waits any more, the test has failed already.
    thread::spawn(move || done.send(call()));
    result
}

/// Runs a call that must not wait for ever.
#[track_caller]
pub fn bounded<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    within(LIMIT, call)
}

/// Runs a call that must not take longer than this. If it panics, so does the caller.
#[track_caller]
pub fn within<T: Send + 'static>(limit: Duration, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        let result = call();
        // Nobody listens any more if it came too late.
        let _ = done.send(());
        result
    });
    match wait.recv_timeout(limit) {
        // Disconnected: it panicked, which joining says better.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        }
        Err(RecvTimeoutError::Timeout) => panic!("not done after {limit:?}"),
    }
}

/// Runs a call that must wait; then `release` must end it.
#[track_caller]
pub fn waits_until<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
    release: impl FnOnce(),
) -> T {
    let outcome = in_thread(call);
    assert!(matches!(outcome.recv_timeout(WAITS), Err(RecvTimeoutError::Timeout)), "it did not wait");
    release();
    outcome.recv_timeout(RELEASED).expect("it is still waiting")
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: impl Display, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "still not so: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

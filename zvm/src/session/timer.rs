//! The one thread of the process that knows when sessions are due: most end before, and cost no thread for that.

use super::watch::Watch;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

/// It only waits, and starts others.
const STACK: usize = 256 << 10;

static TIMER: Timer = Timer {
    state: Mutex::new(State { process: 0, number: 0, due: BTreeMap::new() }),
    changed: Condvar::new(),
};

struct Timer {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Where the thread runs: a forked child has none of its parent's.
    process: u32,
    number: u64,
    due: BTreeMap<(Instant, u64), Weak<Watch>>,
}

/// A session's entry. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Entry((Instant, u64));

/// Sees to it that a session is stopped at its deadline.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn watch(watch: &Arc<Watch>, deadline: Instant) -> io::Result<Entry> {
    let mut state = TIMER.state.lock();
    let process = std::process::id();
    if state.process != process {
        thread::Builder::new().name("zvm-timer".into()).stack_size(STACK).spawn(|| TIMER.run())?;
        state.process = process;
    }
    state.number += 1;
    let key = (deadline, state.number);
    let first = state.due.keys().next().is_none_or(|first| key < *first);
    state.due.insert(key, Arc::downgrade(watch));
    drop(state);
    if first {
        TIMER.changed.notify_all();
    }
    Ok(Entry(key))
}

impl Drop for Entry {
    fn drop(&mut self) {
        TIMER.state.lock().due.remove(&self.0);
    }
}

impl Timer {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            match state.due.keys().next().copied() {
                None => self.changed.wait(&mut state),
                Some((at, number)) if at <= Instant::now() => {
                    let watch = state.due.remove(&(at, number));
                    drop(state);
                    if let Some(watch) = watch.and_then(|watch| watch.upgrade()) {
                        watch.overdue();
                    }
                    state = self.state.lock();
                }
                Some((at, _)) => {
                    self.changed.wait_until(&mut state, at);
                }
            }
        }
    }
}

//! The one thread of the process that knows when sessions are due: most end before, and cost no thread for that.

use super::watch::Watch;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;
use vfs_core::PerProcess;

/// It only waits, and starts others.
const STACK: usize = 256 << 10;

static TIMER: PerProcess<Timer> = PerProcess::new();

#[derive(Debug, Default)]
struct Timer {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// There is the thread.
    started: bool,
    number: u64,
    due: BTreeMap<(Instant, u64), Weak<Watch>>,
}

/// A session's entry. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Entry {
    timer: &'static Timer,
    key: (Instant, u64),
}

/// Sees to it that a session is stopped at its deadline.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn watch(watch: &Arc<Watch>, deadline: Instant) -> io::Result<Entry> {
    let timer = TIMER.get_or_make(Timer::default);
    let mut state = timer.state.lock();
    if !state.started {
        thread::Builder::new().name("zvm-timer".into()).stack_size(STACK).spawn(|| timer.run())?;
        state.started = true;
    }
    state.number += 1;
    let key = (deadline, state.number);
    let first = state.due.keys().next().is_none_or(|first| key < *first);
    state.due.insert(key, Arc::downgrade(watch));
    drop(state);
    if first {
        timer.changed.notify_all();
    }
    Ok(Entry { timer, key })
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.timer.state.lock().due.remove(&self.key);
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

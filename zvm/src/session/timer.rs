//! The one thread of the process that sees to it that sessions end in time: it stops those that are due, and reports those that
//! were stopped and do not end.
//!
//! It runs before the first session does, calls no provider, and takes std's locks only: a thread that starts, or waits for one
//! of parking_lot's for the first time, needs the loader's lock, which a library keeps whose constructor does not return.

use crate::guest::nudge;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::PerProcess;

/// How often a stopped session is looked after, and its guest interrupted anew: one interruption may come in the very moment when
/// the last was answered.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// It only waits, and starts others.
const STACK: usize = 256 << 10;

/// What is seen to.
pub(super) trait Timed: Debug + Send + Sync {
    /// Called once the deadline has come. It must not wait.
    fn overdue(self: Arc<Self>);

    /// Called at each tick once it is guarded, until it returns true: it has a report.
    fn tick(&self) -> bool;
}

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
    /// And it has all that it needs of the loader.
    runs: bool,
    number: u64,
    due: BTreeMap<(Instant, u64), Weak<dyn Timed>>,
    /// Those that were stopped, until each has a report.
    stopped: Vec<Arc<dyn Timed>>,
}

/// A session's entry. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Entry {
    timer: &'static Timer,
    key: (Instant, u64),
}

/// Sees to it that a session is stopped at a deadline.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn watch(session: Weak<dyn Timed>, deadline: Instant) -> io::Result<Entry> {
    let timer = Timer::running()?;
    let mut state = timer.lock();
    state.number += 1;
    let key = (deadline, state.number);
    let first = state.due.keys().next().is_none_or(|first| key < *first);
    state.due.insert(key, session);
    drop(state);
    if first {
        timer.changed.notify_all();
    }
    Ok(Entry { timer, key })
}

/// Sees to it that a session that was stopped is reported.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn guard(session: Arc<dyn Timed>) -> io::Result<()> {
    let timer = Timer::running()?;
    timer.lock().stopped.push(session);
    timer.changed.notify_all();
    Ok(())
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.timer.lock().due.remove(&self.key);
    }
}

impl Timer {
    /// This process's, whose thread runs.
    fn running() -> io::Result<&'static Timer> {
        let timer = TIMER.get_or_make(Timer::default);
        let mut state = timer.lock();
        if !state.started {
            thread::Builder::new().name("zvm-timer".into()).stack_size(STACK).spawn(|| timer.run())?;
            state.started = true;
        }
        while !state.runs {
            state = timer.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        Ok(timer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // What a session's controls and counters are locked by for a moment is parking_lot's: its first wait is here.
        let first = parking_lot::Mutex::new(());
        parking_lot::Condvar::new().wait_for(&mut first.lock(), Duration::from_millis(1));
        let mut state = self.lock();
        state.runs = true;
        self.changed.notify_all();
        let mut tick = Instant::now();
        loop {
            let now = Instant::now();
            let due = state.due.keys().next().copied();
            if let Some(key) = due.filter(|(at, _)| *at <= now) {
                let session = state.due.remove(&key);
                drop(state);
                if let Some(session) = session.and_then(|session| session.upgrade()) {
                    session.overdue();
                }
                state = self.lock();
            } else if !state.stopped.is_empty() && tick <= now {
                let mut stopped = std::mem::take(&mut state.stopped);
                drop(state);
                nudge();
                stopped.retain(|session| !session.tick());
                tick = Instant::now() + TICK;
                state = self.lock();
                state.stopped.append(&mut stopped);
            } else {
                let ticks = (!state.stopped.is_empty()).then_some(tick);
                state = match due.map(|(at, _)| at).into_iter().chain(ticks).min() {
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Some(at) => {
                        let left = at.saturating_duration_since(now);
                        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
        }
    }
}

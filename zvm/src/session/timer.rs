//! The one thread of the process that sees to it that sessions end in time: it stops those that are due, and reports those that
//! were stopped and do not end.
//!
//! It runs before the first session does, calls no provider, and takes std's locks only: a thread that starts, or waits for one
//! of parking_lot's for the first time, needs the loader's lock, which a library keeps whose constructor does not return.

use super::threads::spawn;
use crate::guest::nudge;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
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
    schedule: Mutex<Schedule>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Schedule {
    /// There is the thread.
    started: bool,
    /// And it has all that it needs of the loader.
    runs: bool,
    number: u64,
    /// When its thread will look again by itself; `None`: never. Most deadlines are later than an older session's, which is forgotten by
    /// then: to wake the thread for each would be two switches a session.
    looks_at: Option<Instant>,
    due: BTreeMap<(Instant, u64), Weak<dyn Timed>>,
    /// Those that were stopped, until each has a report.
    stopped: Vec<Arc<dyn Timed>>,
}

/// A session's deadline. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Deadline {
    timer: &'static Timer,
    key: (Instant, u64),
}

/// Sees to it that a session is stopped at a deadline. The session waits for the thread first, by [`Deadline::wait_for_thread`].
///
/// # Errors
/// The thread cannot be started.
pub(super) fn watch(session: Weak<dyn Timed>, deadline: Instant) -> io::Result<Deadline> {
    let timer = Timer::started()?;
    let mut schedule = timer.lock();
    schedule.number += 1;
    let key = (deadline, schedule.number);
    schedule.due.insert(key, session);
    let too_late = schedule.looks_at.is_none_or(|at| deadline < at);
    drop(schedule);
    if too_late {
        timer.changed.notify_all();
    }
    Ok(Deadline { timer, key })
}

/// Sees to it that a session that was stopped is reported.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn guard(session: Arc<dyn Timed>) -> io::Result<()> {
    let timer = Timer::started()?;
    timer.lock().stopped.push(session);
    timer.changed.notify_all();
    Ok(())
}

impl Deadline {
    /// Returns once the thread runs that keeps it. Of the process's first session only, whose own thread can start meanwhile, does this
    /// wait.
    pub(super) fn wait_for_thread(&self) {
        let mut schedule = self.timer.lock();
        while !schedule.runs {
            schedule = self.timer.changed.wait(schedule).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.timer.lock().due.remove(&self.key);
    }
}

impl Timer {
    /// This process's, whose thread was started.
    fn started() -> io::Result<&'static Timer> {
        let timer = TIMER.get_or_make(Timer::default);
        let mut schedule = timer.lock();
        if !schedule.started {
            spawn("zvm-timer", STACK, || timer.run())?;
            schedule.started = true;
        }
        drop(schedule);
        Ok(timer)
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        // Nothing panics while it is held.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // What a session's controls and counters are locked by for a moment is parking_lot's: its first wait is here. It makes what
        // the thread needs for one, and is over at once, since the process's first session waits for this.
        let first = parking_lot::Mutex::new(());
        parking_lot::Condvar::new().wait_for(&mut first.lock(), Duration::ZERO);
        let mut schedule = self.lock();
        schedule.runs = true;
        self.changed.notify_all();
        let mut tick = Instant::now();
        loop {
            let now = Instant::now();
            let due = schedule.due.keys().next().copied();
            if let Some(key) = due.filter(|(at, _)| *at <= now) {
                let session = schedule.due.remove(&key);
                drop(schedule);
                if let Some(session) = session.and_then(|session| session.upgrade()) {
                    session.overdue();
                }
                schedule = self.lock();
            } else if !schedule.stopped.is_empty() && tick <= now {
                let mut stopped = std::mem::take(&mut schedule.stopped);
                drop(schedule);
                nudge();
                stopped.retain(|session| !session.tick());
                tick = Instant::now() + TICK;
                schedule = self.lock();
                schedule.stopped.append(&mut stopped);
            } else {
                let ticks = (!schedule.stopped.is_empty()).then_some(tick);
                schedule.looks_at = due.map(|(at, _)| at).into_iter().chain(ticks).min();
                schedule = match schedule.looks_at {
                    None => self.changed.wait(schedule).unwrap_or_else(PoisonError::into_inner),
                    Some(at) => {
                        let left = at.saturating_duration_since(now);
                        self.changed.wait_timeout(schedule, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
        }
    }
}

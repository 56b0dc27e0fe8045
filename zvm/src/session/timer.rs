//! What sees to it that sessions end in time: it stops those that are due, and reports those that were stopped and do not end. For most
//! that is the one thread of the process; a host's thread that waits for its only session does it meanwhile itself, since a thread costs
//! a short session a tenth of its time.
//!
//! Either way that thread runs before the session does, calls no provider, and takes std's locks only: a thread that starts, or waits for
//! one of parking_lot's for the first time, needs the loader's lock, which a library keeps whose constructor does not return.

use super::threads::spawn;
use crate::guest::nudge;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::Timespec;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
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

/// Sees to sessions.
#[derive(Debug)]
pub(super) struct Timer {
    schedule: Mutex<Schedule>,
    changed: Condvar,
    /// Of one that a host's thread runs, in poll(2): readable once it has to look. `None`: a thread of its own runs it.
    hosts: Option<OwnedFd>,
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
    /// When they are looked after next.
    tick: Option<Instant>,
}

/// A session's deadline. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Deadline {
    timer: Arc<Timer>,
    key: (Instant, u64),
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
    /// The process's, which a thread of its own runs from the first use on.
    pub(super) fn of_process() -> Arc<Timer> {
        static TIMER: PerProcess<Arc<Timer>> = PerProcess::new();
        TIMER.get_or_make(|| Arc::new(Timer::new(None))).clone()
    }

    /// One that the calling thread will run, by [`run_until`](Timer::run_until), as long as anything is to be seen to.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn of_caller() -> io::Result<Arc<Timer>> {
        let timer = Timer::new(Some(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        timer.begin();
        Ok(Arc::new(timer))
    }

    fn new(hosts: Option<OwnedFd>) -> Timer {
        let schedule = Schedule { started: hosts.is_some(), ..Schedule::default() };
        Timer { schedule: Mutex::new(schedule), changed: Condvar::new(), hosts }
    }

    /// Sees to it that a session is stopped at a deadline. The session waits for the thread first, by [`Deadline::wait_for_thread`].
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn watch(
        self: &Arc<Self>,
        session: Weak<dyn Timed>,
        deadline: Instant,
    ) -> io::Result<Deadline> {
        let mut schedule = self.started()?;
        schedule.number += 1;
        let key = (deadline, schedule.number);
        schedule.due.insert(key, session);
        let too_late = schedule.looks_at.is_none_or(|at| deadline < at);
        drop(schedule);
        if too_late {
            self.wake();
        }
        Ok(Deadline { timer: self.clone(), key })
    }

    /// Sees to it that a session that was stopped is reported.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn guard(self: &Arc<Self>, session: Arc<dyn Timed>) -> io::Result<()> {
        self.started()?.stopped.push(session);
        self.wake();
        Ok(())
    }

    /// Has whoever runs it look anew.
    pub(super) fn wake(&self) {
        match &self.hosts {
            // Full, it is readable already.
            Some(hosts) => drop(rustix::io::write(hosts, &1u64.to_ne_bytes())),
            None => self.changed.notify_all(),
        }
    }

    /// The schedule, once there is a thread for it.
    fn started(self: &Arc<Self>) -> io::Result<MutexGuard<'_, Schedule>> {
        let mut schedule = self.lock();
        if !schedule.started {
            let timer = self.clone();
            spawn("zvm-timer", STACK, move || timer.run())?;
            schedule.started = true;
        }
        Ok(schedule)
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        // Nothing panics while it is held.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its thread does first.
    fn begin(&self) {
        // What a session's controls and counters are locked by for a moment is parking_lot's: its first wait is here. It makes what
        // the thread needs for one, and is over at once, since the process's first session waits for this.
        let first = parking_lot::Mutex::new(());
        parking_lot::Condvar::new().wait_for(&mut first.lock(), Duration::ZERO);
        self.lock().runs = true;
        self.changed.notify_all();
    }

    fn run(&self) {
        self.begin();
        loop {
            let (schedule, left) = self.see_to();
            drop(match left {
                None => self.changed.wait(schedule).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(schedule, left).unwrap_or_else(PoisonError::into_inner).0
                }
            });
        }
    }

    /// Runs it on the calling thread until something is so, whose change is told by [`wake`](Timer::wake). Calls `asked` once that
    /// descriptor is readable.
    pub(super) fn run_until(
        &self,
        is_over: impl Fn() -> bool,
        mut asks: Option<BorrowedFd<'_>>,
        asked: impl Fn(),
    ) {
        let Some(hosts) = &self.hosts else { return };
        loop {
            let (schedule, left) = self.see_to();
            drop(schedule);
            if is_over() {
                // Those that have their report hold it.
                self.lock().stopped.clear();
                return;
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let own = PollFd::from_borrowed_fd(hosts.as_fd(), PollFlags::IN);
            let other = PollFd::from_borrowed_fd(asks.unwrap_or(hosts.as_fd()), PollFlags::IN);
            let mut polled = [own, other];
            // What it fails for passes (a signal, no memory), and the next one tells.
            if poll(&mut polled, left.as_ref()).is_err() {
                continue;
            }
            if !polled[0].revents().is_empty() {
                let _ = rustix::io::read(hosts, &mut [0; 8]);
            }
            if !polled[1].revents().is_empty() && asks.take().is_some() {
                asked();
            }
        }
    }

    /// Does what is due now. Returns how long until something will be, if nothing changes before; `None`: nothing is foreseen.
    fn see_to(&self) -> (MutexGuard<'_, Schedule>, Option<Duration>) {
        let mut schedule = self.lock();
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
            } else if !schedule.stopped.is_empty() && schedule.tick.is_none_or(|tick| tick <= now) {
                let mut stopped = std::mem::take(&mut schedule.stopped);
                drop(schedule);
                nudge();
                stopped.retain(|session| !session.tick());
                schedule = self.lock();
                schedule.tick = Some(Instant::now() + TICK);
                schedule.stopped.append(&mut stopped);
            } else {
                let ticks = schedule.tick.filter(|_| !schedule.stopped.is_empty());
                schedule.looks_at = due.map(|(at, _)| at).into_iter().chain(ticks).min();
                let left = schedule.looks_at.map(|at| at.saturating_duration_since(now));
                return (schedule, left);
            }
        }
    }
}

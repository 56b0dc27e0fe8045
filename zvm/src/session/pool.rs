//! How many sessions a host runs at a time, and the threads that are kept for them.
//!
//! A thread that has ended a session takes the next one from the queue, so that under load few threads do the work of many, and none
//! sleeps between two sessions. A sleeper is woken only where no other is on its way: that one wakes the next if it leaves work in the
//! queue. So work never waits for a guest that spins, and a burst of sessions costs few wake-ups.
//!
//! To wake a thread costs as much as a small session. As long as sessions are short, those that run are left to take what waits, and one
//! of the sleepers watches: it looks from time to time, and takes what has waited for longer than that.
//!
//! The one that fell asleep last is woken first: its stack, and what its allocator keeps, are in a core's caches still. All in turn would
//! have none of that, and some would share the allocator's arena with the thread that starts sessions, and wait for each other there.
//!
//! Std's locks only, as all that lies on a session's way to its report: see `timer`.

use super::threads::spawn;
use super::{STACK, THREAD};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vfs_core::{Code, Error, Result};

/// How long a thread is kept that has nothing to do.
const KEPT: Duration = Duration::from_secs(30);
/// How long work may wait for threads that run short sessions, before another takes it; twice that, at the most.
const PATIENCE: Duration = Duration::from_micros(500);
/// What a session may take, on the average, to be short: some times as long as a thread takes to wake up.
const SHORT: Duration = Duration::from_micros(200);
/// One long session is enough for others to be long too.
const COUNTED: Duration = Duration::from_millis(10);

/// What a thread does for one session.
type Work = Box<dyn FnOnce() + Send>;

/// A limit on the sessions that run at a time, and as many threads, which are kept for the next ones. Clones are the same.
///
/// ```
/// # fn of(template: &zvm::Template) -> vfs_core::Result<()> {
/// let pool = zvm::SessionPool::new(100);
/// let running = template.session().permit(pool.permit()?).start();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionPool(Arc<Owner>);

/// The right to run one session. It ends with the session's report, or when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Owner>);

/// What the pool's clones and its permits have in common. With the last of them the threads end.
#[derive(Debug)]
struct Owner {
    limit: u32,
    /// Those that are in use.
    permits: AtomicU32,
    shared: Arc<Shared>,
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

/// A thread's own, by which it is woken.
#[derive(Debug, Default)]
struct Alarm {
    /// It was called, or the pool ends.
    rings: Condvar,
    /// It was called; changes under the lock.
    called: AtomicBool,
}

struct State {
    queue: VecDeque<Work>,
    threads: usize,
    /// Those that sleep, without those that were called. The last one is called first.
    asleep: VecDeque<Arc<Alarm>>,
    /// Threads that were woken or started, and have not looked into the queue yet.
    coming: usize,
    /// Those that do some work.
    running: usize,
    /// How much work was ever queued, and taken.
    queued: u64,
    taken: u64,
    /// How long a session takes, of late: long until some have shown that they are not.
    average: Duration,
    /// One of those that sleep looks from time to time.
    watching: bool,
    ended: bool,
}

impl SessionPool {
    /// A pool for so many sessions; it has no threads yet.
    pub fn new(limit: u32) -> SessionPool {
        SessionPool(Arc::new(Owner { limit, permits: AtomicU32::new(0), shared: Arc::default() }))
    }

    /// Takes the right to run a session.
    ///
    /// # Errors
    /// EMFILE: as many sessions run as may. One that was left behind counts until its thread is free.
    pub fn permit(&self) -> Result<Permit> {
        let Owner { limit, permits, .. } = &*self.0;
        let one_more = |used| (used < *limit).then_some(used + 1);
        match permits.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Ok(Permit(self.0.clone())),
            Err(_) => {
                let text =
                    format!("all {limit} jobs of the host are in use: start it when a session has ended");
                Err(Error::new(Code::EMFILE, text))
            }
        }
    }

    /// Has a thread do the work of a session that has a permit.
    ///
    /// # Errors
    /// There is no thread for it, and none can be made.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Owner { limit, shared, .. } = &*self.0;
        let mut state = shared.lock();
        state.queue.push_back(Box::new(work));
        state.queued += 1;
        // A thread for each session that is not over, but no more than there are permits: one whose permit is free looks into the
        // queue soon.
        if state.free() < state.queue.len() && state.threads < *limit as usize {
            let theirs = shared.clone();
            // It looks once the lock is free.
            if let Err(error) = spawn(THREAD, STACK, move || theirs.work()) {
                let work = state.queue.pop_back();
                state.queued -= 1;
                drop(state);
                drop(work);
                return Err(error);
            }
            state.threads += 1;
            state.coming += 1;
        } else if state.wants_a_thread() {
            shared.wake(state);
        }
        Ok(())
    }
}

impl Permit {
    /// Whose it is.
    pub(super) fn pool(&self) -> SessionPool {
        SessionPool(self.0.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.permits.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        state.asleep.iter().for_each(|alarm| alarm.rings.notify_one());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a thread, if one sleeps. Takes the lock and lets go of it first: whoever wakes wants it.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let Some(alarm) = state.asleep.pop_back() else { return };
        alarm.called.store(true, Ordering::Relaxed);
        state.coming += 1;
        drop(state);
        alarm.rings.notify_one();
    }

    /// A thread's life: one session after the other, until there is none for a while.
    fn work(&self) {
        let alarm = Arc::new(Alarm::default());
        let mut state = self.lock();
        state.coming -= 1;
        let mut takes = !state.is_served();
        loop {
            if takes && let Some(work) = state.queue.pop_front() {
                state.taken += 1;
                state.running += 1;
                match !state.queue.is_empty() && state.wants_a_thread() {
                    true => self.wake(state),
                    false => drop(state),
                }
                let start = Instant::now();
                work();
                let took = start.elapsed();
                state = self.lock();
                state.running -= 1;
                state.average = (7 * state.average + took.min(COUNTED)) / 8;
                continue;
            }
            state.asleep.push_back(alarm.clone());
            (state, takes) = match self.sleep(&alarm, state) {
                Some(woken) => woken,
                None => return,
            };
            state.coming -= 1;
        }
    }

    /// Waits for a call, or as the one that watches for work that has waited too long, and says whether to take some; `None`: the
    /// thread ends.
    fn sleep<'s>(
        &'s self,
        alarm: &Arc<Alarm>,
        mut state: MutexGuard<'s, State>,
    ) -> Option<(MutexGuard<'s, State>, bool)> {
        let idle = |state: &mut State| !alarm.called.load(Ordering::Relaxed) && !state.ended;
        let mut active = state.is_served();
        loop {
            let watches = active && !state.watching;
            let (queued, taken) = (state.queued, state.taken);
            if watches {
                // Others are called first: they do not watch.
                state.watching = true;
                state.wakes(alarm);
                state.asleep.push_front(alarm.clone());
            }
            let time = if watches { PATIENCE } else { KEPT };
            let slept = alarm.rings.wait_timeout_while(state, time, idle);
            (state, _) = slept.unwrap_or_else(PoisonError::into_inner);
            state.watching &= !watches;
            if alarm.called.swap(false, Ordering::Relaxed) {
                let takes = !state.is_served();
                return Some((state, takes));
            }
            // Some of what waited then waits still: those that run are not as short as they were, and nobody need watch them.
            let waits = watches && state.taken < queued;
            if waits {
                state.average = state.average.max(SHORT);
            }
            // Who leaves after a long sleep was counted on by what came just now.
            if waits || !watches && !state.ended && !state.queue.is_empty() {
                state.wakes(alarm);
                state.coming += 1;
                return Some((state, true));
            }
            if state.ended || !watches {
                state.wakes(alarm);
                state.threads -= 1;
                return None;
            }
            // What came meanwhile woke nobody, since this one watches.
            active = state.taken > taken || !state.queue.is_empty();
        }
    }
}

impl State {
    /// How many threads will look into the queue without ending a session first.
    fn free(&self) -> usize {
        self.asleep.len() + self.coming
    }

    /// A thread sleeps no more, which nobody has called.
    fn wakes(&mut self, alarm: &Arc<Alarm>) {
        self.asleep.retain(|other| !Arc::ptr_eq(other, alarm));
    }

    /// Whether those that run will soon take what waits.
    fn is_served(&self) -> bool {
        self.running > 0 && self.average < SHORT
    }

    /// Whether a sleeper is to be woken for what waits.
    fn wants_a_thread(&self) -> bool {
        self.coming == 0 && !(self.watching && self.is_served())
    }
}

impl Default for State {
    fn default() -> State {
        State {
            queue: VecDeque::new(),
            threads: 0,
            asleep: VecDeque::new(),
            coming: 0,
            running: 0,
            queued: 0,
            taken: 0,
            average: COUNTED,
            watching: false,
            ended: false,
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { queue, threads, asleep, .. } = self;
        write!(f, "{threads} threads, {} asleep, {} queued", asleep.len(), queue.len())
    }
}

#[cfg(test)]
mod tests;

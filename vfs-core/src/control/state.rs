//! Cancel and deadline, who follows them, and the function that a cancel runs.
//!
//! No lock is held while a cancel's function or a follower runs: either may take its time, and may ask about this control.

use super::Log;
use super::clock::{now, passed, timespec};
use super::limits::{CANCELLED, NEVER};
use super::waits::{Waits, poll_once};
use crate::code::Code;
use crate::context::{CancelFn, Follower, Limits, Origin};
use crate::error::{Error, Result};
use crate::flags::Events;
use crate::forks::{forks, forks_now};
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::waiting::Waiting;
use once_cell::sync::OnceCell;
use rustix::thread::{Pid, gettid};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(super) struct State {
    /// When calls end, by all limits together: what a call looks at before it begins.
    ends: AtomicU64,
    /// A timer that is readable while cancelled or past the deadline. Being level-triggered and never read, it wakes every
    /// waiter. Made by the first wait: most files never wait.
    alarm: OnceCell<OwnedFd>,
    /// The process that made it. A forked child shares the parent's timer and finds its locks as some thread held them.
    forks: u32,
    changing: Mutex<Changing>,
    /// Whether a cancel ever had a function to run: most files never wait in a way that needs one.
    had_on_cancel: AtomicBool,
    /// A cancel's function has returned.
    returned: Condvar,
    waits: Waits,
    /// What inner files inherit.
    pub(super) origin: Origin,
    log: Log,
}

struct Changing {
    own: Limits,
    /// What the leader said last.
    leader: Limits,
    /// The leader's count of its changes when it said that: an older word comes too late.
    heard: u64,
    /// While a DISCARD is in progress, these hold instead of the others.
    detached: Option<Limits>,
    /// Counts changes of all limits together.
    generation: u64,
    on_cancel: Option<CancelFn>,
    /// The thread that runs what was `on_cancel`.
    running: Option<Pid>,
    followers: Vec<Weak<dyn Follower>>,
}

/// What a change leaves to be done without the lock.
struct Told {
    on_cancel: Option<CancelFn>,
    followers: Vec<Arc<dyn Follower>>,
    generation: u64,
    limits: Limits,
}

impl Default for State {
    fn default() -> State {
        State::new(Origin::default(), Log::none())
    }
}

impl State {
    pub(super) fn new(origin: Origin, log: Log) -> State {
        State {
            ends: AtomicU64::new(NEVER),
            alarm: OnceCell::new(),
            forks: forks(),
            changing: Mutex::new(Changing {
                own: Limits::NONE,
                leader: Limits::NONE,
                heard: 0,
                detached: None,
                generation: 1,
                on_cancel: None,
                running: None,
                followers: Vec::new(),
            }),
            had_on_cancel: AtomicBool::new(false),
            returned: Condvar::default(),
            waits: Waits::default(),
            origin,
            log,
        }
    }
}

impl Follower for State {
    fn follow(&self, generation: u64, limits: Limits) {
        self.change(|changing| {
            if generation > changing.heard {
                changing.heard = generation;
                changing.leader = limits;
            }
        });
    }

    fn waiting(&self) -> Option<Waiting> {
        State::waiting(self)
    }
}

impl State {
    #[inline]
    pub(super) fn status(&self) -> Result<()> {
        match self.ends.load(Ordering::Acquire) {
            NEVER => Ok(()),
            ends => ended(ends),
        }
    }

    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.ends.load(Ordering::Acquire) == CANCELLED
    }

    pub(super) fn set_cancelled(&self, cancelled: bool) {
        self.change(|changing| {
            changing.own.cancelled = cancelled;
            if let Some(detached) = &mut changing.detached {
                detached.cancelled = cancelled;
            }
        });
    }

    pub(super) fn set_deadline(&self, at: Option<Instant>) {
        self.change(|changing| changing.own.set_deadline(at));
    }

    /// Nothing ends calls but this time, and a cancel of this very control, until `attach`.
    pub(super) fn detach(&self, until: Instant) {
        let mut limits = Limits::NONE;
        limits.set_deadline(Some(until));
        self.change(|changing| changing.detached = Some(limits));
    }

    pub(super) fn attach(&self) {
        self.change(|changing| changing.detached = None);
    }

    pub(super) fn time_left(&self) -> Option<Duration> {
        let deadline = match self.ends.load(Ordering::Acquire) {
            CANCELLED => self.lock().map_or(NEVER, |changing| changing.limits().deadline),
            ends => ends,
        };
        (deadline != NEVER).then(|| Duration::from_nanos(deadline.saturating_sub(now())))
    }

    pub(super) fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        self.check_process()?;
        // Whoever sets one has the file, as whoever closes it has: that is seen here.
        if function.is_none() && !self.had_on_cancel.load(Ordering::Acquire) {
            return Ok(());
        }
        self.had_on_cancel.store(true, Ordering::Release);
        let mut changing = self.changing.lock();
        let earlier = changing.on_cancel.take();
        // One that withdraws itself from within is not waited for: it would never return.
        while changing.running.is_some_and(|thread| thread != gettid()) {
            changing = self.returned.wait(changing);
        }
        let result = match function {
            Some(_) if changing.limits().cancelled => Err(Error::from(Code::ECANCELED)),
            function => {
                changing.on_cancel = function;
                Ok(())
            }
        };
        drop(changing);
        drop(earlier); // what it holds may run code of the provider's
        result
    }

    pub(super) fn wait(
        &self,
        fd: Option<BorrowedFd<'_>>,
        events: Events,
        limit: Option<Duration>,
    ) -> Result<Events> {
        let alarm = self.alarm()?;
        let until = limit.map(|limit| now().saturating_add(super::clock::nanoseconds(limit)));
        loop {
            self.status()?;
            let say_in = self.waits.say_in(&self.log);
            let left = until.map(|until| until.saturating_sub(now()));
            let came = poll_once(alarm, fd, events, left.into_iter().chain(say_in).min())?;
            // A cancel outranks readiness: the call should end either way.
            self.status()?;
            if let Some(came) = came {
                return Ok(came);
            }
            if until.is_some_and(|until| now() >= until) {
                return Ok(Events::empty());
            }
        }
    }

    pub(super) fn set_waiting(&self, object: Option<&str>, refusal: Option<&str>) {
        if self.check_process().is_ok() {
            // A wait that ended because the control did is what the call's error is about to name.
            let keep = self.status().is_err();
            self.waits.state(object, refusal, keep);
        }
    }

    /// Forgets what this thread's call, which is over, stated and did not take back.
    #[inline]
    pub(super) fn forget_wait(&self) {
        if self.waits.any() && self.check_process().is_ok() {
            self.waits.forget_own();
        }
    }

    /// The own wait, or the longest of a follower.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let followers = self.lock()?.living();
        let waits = followers.iter().filter_map(|follower| follower.waiting());
        waits.chain(self.waits.now()).min_by_key(|waiting| waiting.since)
    }

    pub(super) fn explain(&self, error: Error) -> Error {
        let (code, stopped) = (error.code(), self.status());
        if self.check_process().is_err() || !stopped.is_err_and(|stopped| stopped.code() == code) {
            return error; // the provider's own: a time of its own passed, the other side cancelled
        }
        let word = code.text();
        match self.waits.take() {
            Some(waiting) => error.context(format!("{word} waiting for {waiting}")),
            // As one text, so that the chain leaves out the word where the text has it.
            None => error.flattened().context(word),
        }
    }

    pub(super) fn lead(&self, follower: Weak<dyn Follower>) -> Result<()> {
        self.check_process()?;
        let Some(living) = follower.upgrade() else { return Ok(()) };
        let mut changing = self.changing.lock();
        if changing.followers.len() == changing.followers.capacity() {
            changing.followers.retain(|follower| follower.strong_count() > 0);
        }
        changing.followers.push(follower);
        let (generation, limits) = (changing.generation, changing.limits());
        drop(changing);
        living.follow(generation, limits);
        Ok(())
    }

    fn check_process(&self) -> Result<()> {
        if self.forks == forks_now() {
            return Ok(());
        }
        Err(Error::new(Code::EPERM, "the control belongs to the parent process: make a new one after a fork"))
    }

    /// `None` in a forked child: a thread that the child does not have may hold it.
    fn lock(&self) -> Option<MutexGuard<'_, Changing>> {
        self.check_process().is_ok().then(|| self.changing.lock())
    }

    /// Changes the limits, arms the alarm, then runs the cancel's function and tells the followers.
    fn change(&self, edit: impl FnOnce(&mut Changing)) {
        let Some(mut changing) = self.lock() else { return };
        let before = changing.limits();
        edit(&mut changing);
        let limits = changing.limits();
        if limits == before {
            return;
        }
        changing.generation += 1;
        self.ends.store(limits.ends(), Ordering::Release);
        self.arm(limits);
        let on_cancel = (limits.cancelled && !before.cancelled).then(|| changing.on_cancel.take()).flatten();
        changing.running = on_cancel.as_ref().map(|_| gettid()).or(changing.running);
        let (generation, followers) = (changing.generation, changing.living());
        drop(changing);
        self.tell(Told { on_cancel, followers, generation, limits });
    }

    fn tell(&self, told: Told) {
        if let Some(function) = told.on_cancel {
            let _returned = Returned(self);
            function();
        }
        told.followers.iter().for_each(|follower| follower.follow(told.generation, told.limits));
    }

    pub(super) fn alarm(&self) -> Result<BorrowedFd<'_>> {
        self.check_process()?;
        if let Some(alarm) = self.alarm.get() {
            return Ok(alarm.as_fd());
        }
        let changing = self.changing.lock();
        let alarm = self.alarm.get_or_try_init(|| {
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            timerfd_create(TimerfdClockId::Monotonic, flags)
                .map_err(|errno| Error::from(std::io::Error::from(errno)))
        })?;
        self.arm(changing.limits());
        Ok(alarm.as_fd())
    }

    /// Sets the alarm; the caller holds the lock. Setting a timer also clears that it had fired.
    fn arm(&self, limits: Limits) {
        let Some(alarm) = self.alarm.get() else { return };
        let at = match limits.ends() {
            CANCELLED => 1,
            NEVER => 0, // disarms
            deadline => deadline,
        };
        let never = timespec(0);
        let time = Itimerspec { it_interval: never, it_value: timespec(at) };
        // It fails for a bad descriptor, flag or time only, and none of the three can be.
        let _ = timerfd_settime(alarm, TimerfdTimerFlags::ABSTIME, &time);
    }

    #[cfg(test)]
    pub(super) fn waits(&self) -> &Waits {
        &self.waits
    }
}

/// Whether the time at which calls end has come.
fn ended(ends: u64) -> Result<()> {
    match ends {
        CANCELLED => Err(Error::from(Code::ECANCELED)),
        deadline if passed(deadline) => Err(Error::from(Code::ETIMEDOUT)),
        _ => Ok(()),
    }
}

impl Changing {
    /// All limits together.
    fn limits(&self) -> Limits {
        self.detached.unwrap_or_else(|| self.own.and(self.leader))
    }

    fn living(&self) -> Vec<Arc<dyn Follower>> {
        self.followers.iter().filter_map(Weak::upgrade).collect()
    }
}

/// A cancel's function has returned, or unwound.
struct Returned<'a>(&'a State);

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        self.0.changing.lock().running = None;
        self.0.returned.notify_all();
    }
}

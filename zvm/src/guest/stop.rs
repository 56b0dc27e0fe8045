//! The one switch that ends a guest from outside: at its Timeout, or because the session's control is cancelled.

use super::engine;
use crate::exit::{Failure, Stopped};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use vfs_core::Control;
use wasmtime::Engine;

/// Who stopped the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// The manifest's Timeout.
    Timeout = 1,
    /// The host.
    Cancelled = 2,
}

/// The switch. Clones are the same one; any thread may throw it, the first one counts, and it stays thrown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// 0: not thrown; else the reason.
    thrown: AtomicU8,
    /// What the session was at then, if it was more than its guest.
    at: OnceLock<String>,
    control: Control,
    // Std's, as all that the process's timer takes: see there.
    lock: Mutex<()>,
    woken: Condvar,
}

/// Interrupts whatever guests run. Every session of the process looks at its own switch then; those that were not meant go on.
pub(crate) fn nudge() {
    // Where there is no engine no guest runs, and one to come looks at its switch before it does. To make one here would be a
    // surprise for a process that only prepares sessions, to fork.
    engine::each(Engine::increment_epoch);
}

impl Stop {
    /// The switch of a session with this control.
    pub(crate) fn new(control: Control) -> Stop {
        Stop(Arc::new(Inner {
            thrown: AtomicU8::new(0),
            at: OnceLock::new(),
            control,
            lock: Mutex::new(()),
            woken: Condvar::new(),
        }))
    }

    /// What all that the session has open follows.
    pub(crate) fn control(&self) -> &Control {
        &self.0.control
    }

    /// Throws the switch: wakes who sleeps, and interrupts the guest. The control is the caller's to cancel: a provider's
    /// function may be what runs then. `at` is what the session is at, beside its guest. Returns whether this was the first time.
    pub(crate) fn throw(&self, reason: Reason, at: Option<String>) -> bool {
        {
            let _lock = self.lock();
            if let (None, Some(at)) = (self.thrown(), at) {
                self.0.at.get_or_init(|| at);
            }
            let first = self.0.thrown.compare_exchange(0, reason as u8, Ordering::SeqCst, Ordering::SeqCst);
            if first.is_err() {
                return false;
            }
            self.0.woken.notify_all();
        }
        nudge();
        true
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // What panics while it is held, asking whether something is so, leaves nothing half done.
        self.0.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the session must end, if it must. As cheap as two loads: the control is cancelled a moment before the switch is thrown
    /// for that, and refuses an open then.
    pub(crate) fn thrown(&self) -> Option<Reason> {
        match self.0.thrown.load(Ordering::SeqCst) {
            0 => self.0.control.is_cancelled().then_some(Reason::Cancelled),
            1 => Some(Reason::Timeout),
            _ => Some(Reason::Cancelled),
        }
    }

    /// What the session was at when the switch was thrown, if it was more than its guest.
    pub(super) fn at(&self) -> Option<&str> {
        self.0.at.get().map(String::as_str)
    }

    /// The session's failure, if the switch was thrown: `cancelled`, or `timeout` and what was waited for.
    pub(crate) fn failure(&self) -> Option<Failure> {
        Some(match self.thrown()? {
            Reason::Timeout => Failure::timeout(self.at()),
            Reason::Cancelled => Failure::stopped(Stopped::Cancelled, None),
        })
    }

    /// What a failure means once the switch may have been thrown: then it is only the echo of that, and good for telling what
    /// was in progress.
    pub(crate) fn echo(&self, failure: Failure) -> Failure {
        match self.failure() {
            None => failure,
            Some(own) if !own.is_timeout() || self.at().is_some() => own,
            Some(_) if failure.is_timeout() => failure,
            Some(_) => Failure::timeout(Some(failure.text())),
        }
    }

    /// Sleeps, but no longer than until the switch is thrown.
    pub(crate) fn sleep(&self, time: Duration) {
        self.wait(Some(time), || false);
    }

    /// Sleeps until something is so, whose change is told by [`wake`](Stop::wake); no longer than `time`, if that is given,
    /// nor than until the switch is thrown. Returns whether it is so.
    pub(crate) fn wait(&self, time: Option<Duration>, mut is_so: impl FnMut() -> bool) -> bool {
        let until = time.and_then(|time| Instant::now().checked_add(time));
        let mut lock = self.lock();
        while self.thrown().is_none() {
            if is_so() {
                return true;
            }
            lock = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.0.woken.wait(lock).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return false,
                Some(left) => self.0.woken.wait_timeout(lock, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        false
    }

    /// Lets those who wait look again.
    pub(crate) fn wake(&self) {
        let _lock = self.lock();
        self.0.woken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    #[test]
    fn a_timeout_says_what_was_in_progress_or_what_came_back() {
        let echo = || Failure::new(ExitCode::Io, "channel /x: read y: cancelled");
        let stop = Stop::default();
        assert_eq!(stop.echo(echo()), echo());
        stop.throw(Reason::Timeout, None);
        assert_eq!(stop.echo(echo()).text(), "timeout: channel /x: read y: cancelled");
        assert_eq!(stop.echo(stop.failure().unwrap()).text(), "timeout");
        let stop = Stop::default();
        stop.throw(Reason::Timeout, Some("compile the program".into()));
        assert_eq!(stop.echo(echo()).text(), "timeout: compile the program");
    }

    /// Found: an open that the control refused in the moment before the switch was thrown passed for a missing program.
    #[test]
    fn a_cancelled_control_counts_before_the_switch_is_thrown_for_it() {
        let stop = Stop::default();
        stop.control().cancel();
        let echo = Failure::new(ExitCode::Manifest, "program: open x: cancelled");
        assert_eq!(stop.echo(echo).text(), "cancelled");
    }

    #[test]
    fn a_sleeper_wakes_when_it_is_thrown() {
        let stop = Stop::default();
        let sleeper = {
            let stop = stop.clone();
            std::thread::spawn(move || stop.sleep(Duration::MAX))
        };
        stop.throw(Reason::Timeout, None);
        sleeper.join().unwrap();
    }

    #[test]
    fn who_waits_looks_again_when_woken() {
        let stop = Stop::default();
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let waiter = {
            let (stop, flag) = (stop.clone(), flag.clone());
            std::thread::spawn(move || stop.wait(None, || flag.load(Ordering::SeqCst)))
        };
        flag.store(true, Ordering::SeqCst);
        stop.wake();
        assert!(waiter.join().unwrap());
        assert!(!stop.wait(Some(Duration::ZERO), || false));
    }

    #[test]
    fn a_sleep_ends_by_itself() {
        let start = Instant::now();
        Stop::default().sleep(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5));
    }
}

//! Watches over a command's calls into providers: signals and `--timeout` cancel them, and end the process if a provider
//! ignores that.

use crate::exit::{Failure, number, of_signal, warn};
use crate::signals;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error};

/// How long a cancelled call may take: ten times what a provider with CANCEL gets.
const CANCEL_TIME: Duration = Duration::from_secs(1);
/// How long tidying up may take afterwards: a DISCARD's 5 s, and one more.
const TIDY_TIME: Duration = Duration::from_secs(6);
/// Patience is counted in waits of this, not read from the clock: while the process was stopped, by SIGSTOP say, time passed and
/// no call had any of it.
const WAIT: Duration = Duration::from_millis(10);

/// The watch over one command. Its controls are cancelled by a signal and share one deadline.
pub struct Watch {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    controls: Vec<Control>,
    signal: Option<i32>,
    /// The command's call came back with an error, and it tidies up.
    tidying: bool,
    /// There is nothing left that could be stuck.
    done: bool,
}

impl Watch {
    /// Starts the watch, and the time that the command has.
    pub fn start(timeout: Option<Duration>) -> Result<Watch, Failure> {
        let shared = Arc::new(Shared::default());
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let asked = shared.clone();
        signals::listen(move |signal| asked.interrupt(signal))?;
        if let Some(deadline) = deadline {
            let shared = shared.clone();
            spawn("timeout", move || shared.enforce(deadline, number(Code::ETIMEDOUT)))?;
        }
        Ok(Watch { shared, deadline })
    }

    /// A control for one descriptor.
    pub fn control(&self) -> Control {
        let control = Control::new();
        control.set_deadline(self.deadline);
        let mut state = self.shared.lock();
        if state.signal.is_some() {
            control.cancel();
        }
        state.controls.push(control.clone());
        control
    }

    /// Says that the call came back and only tidying up is left, which gets a time of its own.
    pub fn tidy(&self) {
        self.shared.lock().tidying = true;
        self.shared.changed.notify_all();
    }

    /// What the shell should hear of an error: the signal if one came first.
    pub fn failure(&self, error: Error) -> Failure {
        match self.shared.lock().signal {
            Some(signal) if error.code() == Code::ECANCELED => Failure::signal(signal),
            _ => Failure::from(error),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().done = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and every state of it is a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interrupt(self: &Arc<Self>, signal: i32) {
        let controls = {
            let mut state = self.lock();
            state.signal = Some(signal);
            state.controls.clone()
        };
        // The enforcer first: a provider's cancel function may be what hangs.
        let shared = self.clone();
        let now = Instant::now();
        if spawn("interrupt", move || shared.enforce(now, of_signal(signal))).is_err() {
            signals::leave(of_signal(signal));
        }
        controls.iter().for_each(Control::cancel);
    }

    /// Ends the process if the call, which is cancelled at `from`, does not come back, or tidying up takes too long.
    fn enforce(&self, from: Instant, code: u8) {
        self.wait_until(from, |state| state.tidying || state.done);
        if !self.wait(CANCEL_TIME, |state| state.tidying || state.done) {
            warn("a provider ignored its cancel: leaving it behind");
            signals::leave(code);
        }
        if !self.wait(TIDY_TIME, |state| state.done) {
            warn("a provider does not end its DISCARD: leaving it behind");
            signals::leave(code);
        }
    }

    /// Waits for something, to a time on the clock.
    fn wait_until(&self, until: Instant, come: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        while !come(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for something, with so much patience; returns whether it came.
    fn wait(&self, patience: Duration, come: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        for _ in 0..patience.as_millis() / WAIT.as_millis() {
            if come(&state) {
                return true;
            }
            state = self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        come(&state)
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|error| Error::from(error).context("start a thread").into())
}

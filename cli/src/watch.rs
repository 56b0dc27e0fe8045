//! Watches over a command's calls into providers: signals and `--timeout` cancel them, and end the process if a provider
//! ignores that.

use crate::exit::{self, Failure, number, of_signal, warn};
use crate::signals;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error, Registry, Shown, written_duration};

/// How long a cancelled call may take: twice what a provider's process gets, which its host then kills.
const CANCEL_TIME: Duration = Duration::from_secs(2);
/// How long tidying up may take afterwards: a DISCARD's 5 s, what a process gets to end it, and one second more.
const TIDY_TIME: Duration = Duration::from_secs(7);
/// How long the end may take once the data are complete: the 5 s that each side's process gets, which is then killed, and one more.
const CLOSE_TIME: Duration = Duration::from_secs(11);
/// Patience is counted in waits of this time, not read from a clock: a process that was stopped meanwhile, as by SIGSTOP, has let
/// time pass, and its threads had none of it.
const WAIT: Duration = Duration::from_millis(50);

/// The watch over one command, with the control that all it opens follows.
pub struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    /// A signal cancels it, and its deadline is that of `timeout`.
    root: Control,
    timeout: Option<Duration>,
    // Neither is parking_lot's: a thread's first wait for those needs the loader's lock, which may be what is never given back.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    files: Vec<Watched>,
    signal: Option<i32>,
    step: Step,
}

/// How far the command is.
#[derive(Clone, Default, PartialEq)]
enum Step {
    /// It moves data.
    #[default]
    Work,
    /// Its call came back with an error, and it tidies up.
    Tidy,
    /// Its data are complete, and it has a provider do what is said here, which can only take time.
    Close { doing: String, provider: String },
    /// There is nothing left that could be stuck.
    Done,
}

/// What a control is for.
struct Watched {
    shown: String,
    control: Control,
}

impl Watch {
    /// Starts the watch, and the time that the command has. Before anything is loaded.
    pub fn start(timeout: Option<Duration>) -> Result<Watch, Failure> {
        let root = Control::new();
        root.set_deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { root, timeout, state, changed });
        let (asked, enforcer) = (shared.clone(), shared.clone());
        signals::spawn("watch", move || enforcer.enforce())?;
        signals::listen(move |signal| asked.interrupt(signal))?;
        Ok(Watch { shared })
    }

    /// A control for one descriptor.
    pub fn control(&self, descriptor: &str) -> Control {
        let control = self.shared.root.follower();
        let shown = Shown(descriptor).to_string();
        self.shared.lock().files.push(Watched { shown, control: control.clone() });
        control
    }

    /// Forgets a descriptor's control: its files are closed. For a command that opens many.
    pub fn forget(&self, descriptor: &str) {
        let shown = Shown(descriptor).to_string();
        self.shared.lock().files.retain(|file| file.shown != shown);
    }

    /// Says that data move again, after another file's call came back with an error.
    pub fn work(&self) {
        self.shared.at(Step::Work);
    }

    /// Says that the call came back and only tidying up is left, which gets a time of its own.
    pub fn tidy(&self) {
        self.shared.at(Step::Tidy);
    }

    /// Says that the data are complete, and that a file is closed now: whatever becomes of that, the command has succeeded.
    pub fn closes(&self, registry: &Registry, descriptor: &str) {
        let provider = registry.leads_to(descriptor).unwrap_or_default();
        self.shared.at(Step::Close { doing: format!("close {}", Shown(descriptor)), provider });
    }

    /// Stops the providers, once the data are complete.
    pub fn stop(&self, registry: Registry) {
        registry.stop(|provider| {
            self.shared.at(Step::Close { doing: "stop the providers".into(), provider: provider.into() });
        });
    }

    /// What the shell should hear of an error: the signal if one came first.
    pub fn failure(&self, error: Error) -> Failure {
        match (error.code(), self.shared.lock().signal, self.shared.timeout) {
            (Code::ECANCELED, Some(signal), _) => Failure::signal(signal, None),
            // A provider's process that did not end its call was killed.
            (Code::EIO, Some(signal), _) => Failure::signal(signal, Some(&error)),
            (Code::ETIMEDOUT | Code::EIO, _, Some(timeout)) if self.shared.is_late() => {
                Failure::timeout(format!("--timeout {}: {}", written_duration(timeout), error.chain()))
            }
            _ => Failure::from(error),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.at(Step::Done);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and every state of it is a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, step: Step) {
        let mut state = self.lock();
        // Each of many files says so, and whoever waits here would wake up for each.
        if state.step != step {
            state.step = step;
            drop(state);
            self.changed.notify_all();
        }
    }

    fn is_late(&self) -> bool {
        self.time_left() == Some(Duration::ZERO)
    }

    fn time_left(&self) -> Option<Duration> {
        self.root.context().time_left()
    }

    fn interrupt(&self, signal: i32) {
        self.lock().signal = Some(signal);
        // The enforcer first: a provider's cancel function may be what hangs.
        self.changed.notify_all();
        self.root.cancel();
    }

    /// Waits for a signal or the deadline; then ends the process if the call does not come back, or what follows takes too long.
    fn enforce(&self) {
        let mut state = self.lock();
        while state.signal.is_none() && !self.is_late() {
            if state.step == Step::Done {
                return;
            }
            state = match self.time_left() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let (asked, code) = match (state.signal, self.timeout) {
            (Some(signal), _) => (format!("ended by signal {signal}"), of_signal(signal)),
            (None, timeout) => {
                let timeout = written_duration(timeout.unwrap_or_default());
                (format!("--timeout {timeout}: timed out"), number(Code::ETIMEDOUT))
            }
        };
        drop(state);
        match self.leaves(CANCEL_TIME, |step| *step == Step::Work) {
            Step::Work => self.leave(&asked, "ignored its cancel", code),
            Step::Tidy => {
                if self.leaves(TIDY_TIME, |step| *step == Step::Tidy) == Step::Tidy {
                    self.leave(&asked, "does not finish its DISCARD", code);
                }
            }
            Step::Close { .. } | Step::Done => {}
        }
        let closes = self.leaves(CLOSE_TIME, |step| matches!(step, Step::Close { .. }));
        if let Step::Close { doing, provider } = closes {
            warn(&format!(
                "{doing}: provider `{provider}` does not return, and is left behind; the data are complete"
            ));
            exit::leave(0);
        }
    }

    /// Waits until a step is over, or patience is. Returns the step that there is then.
    fn leaves(&self, patience: Duration, step: impl Fn(&Step) -> bool) -> Step {
        let mut state = self.lock();
        for _ in 0..patience.as_millis() / WAIT.as_millis() {
            if !step(&state.step) {
                break;
            }
            state = self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.step.clone()
    }

    /// Ends the process, with a line on what was asked, and who did not do it.
    fn leave(&self, asked: &str, why: &str, code: u8) -> ! {
        let state = self.lock();
        let waits = state.files.iter().find_map(|file| Some((file, file.control.waiting()?)));
        // Which of several holds the command nobody says: all are named.
        let open: Vec<String> = state.files.iter().map(|file| format!("`{}`", file.shown)).collect();
        let place = match waits {
            Some((file, waiting)) => format!(" at `{}`, waiting for {waiting}", file.shown),
            None if open.is_empty() => String::new(),
            None => format!(" at {}", open.join(" or ")),
        };
        warn(&format!("{asked}{place}: a provider {why}: leaving it behind"));
        exit::leave(code)
    }
}

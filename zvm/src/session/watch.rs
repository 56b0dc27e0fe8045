//! Sees to it that a session is reported in time, whatever holds its thread: one that is stopped gets a watchdog.

use crate::channel::Meter;
use crate::exit::{ExitCode, Failure};
use crate::guest::{Reason, Stop};
use crate::report::Report;
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long a provider may ignore its cancel.
const GRACE: Duration = Duration::from_secs(1);
/// How long the DISCARDs of a failed session may take: the 5 s that they get, and a second for the last to return.
const DISCARD_GRACE: Duration = Duration::from_secs(6);
/// The watchdog only waits.
const STACK: usize = 256 << 10;
/// How often a stopped guest is interrupted anew: one interruption may come in the very moment when the last was answered.
const NUDGE: Duration = Duration::from_millis(10);

/// How far a session's thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    /// It opens and reads the program.
    #[default]
    Load,
    Compile,
    /// It opens the channels.
    Open,
    /// The guest runs, or its channels end.
    Run,
}

/// What a session's thread, its watchdog and its owner share.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) stop: Stop,
    /// Set by the start.
    deadline: OnceLock<Instant>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// There is a thread to be watched.
    begun: bool,
    /// A watchdog was asked for before that.
    asked: bool,
    /// There is a watchdog.
    guarded: bool,
    /// Why what was written is being discarded, once it is; nothing else is waited for then.
    discarding: Option<Failure>,
    /// The counters, once there are channels.
    meters: Option<Arc<[Meter]>>,
    step: Step,
    report: Option<Report>,
}

impl Watch {
    /// The session begins now and must be over at `deadline`.
    pub(super) fn begin(self: &Arc<Self>, deadline: Instant) {
        self.deadline.get_or_init(|| deadline);
        let asked = {
            let mut progress = self.progress.lock();
            progress.begun = true;
            progress.asked
        };
        if asked {
            // Without a thread for it, the deadline's comes.
            let _ = self.guarded(None);
        }
    }

    /// When the session must be over; `None`: it has not begun.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// Stops the session.
    pub(super) fn stop(self: &Arc<Self>, reason: Reason) {
        // Before: a provider's cancel function may be what hangs. Without a thread for it, the deadline's comes.
        let _ = self.guarded(None);
        self.stop.throw(reason, self.place());
        // Under the lock: a watchdog that has looked at the switch already is then surely waiting.
        let _progress = self.progress.lock();
        self.changed.notify_all();
    }

    /// The deadline came.
    pub(super) fn overdue(self: &Arc<Self>) {
        if self.guarded(Some(Reason::Timeout)).is_err() {
            self.guard(Some(Reason::Timeout));
        }
    }

    /// Gives the session a watchdog, which stops it if there is a reason. If it has one, it is being stopped already.
    fn guarded(self: &Arc<Self>, reason: Option<Reason>) -> std::io::Result<()> {
        let mut progress = self.progress.lock();
        if progress.guarded || progress.report.is_some() {
            return Ok(());
        }
        if !progress.begun {
            progress.asked = true;
            return Ok(());
        }
        let watch = self.clone();
        let watchdog = thread::Builder::new().name("zvm-watchdog".into()).stack_size(STACK);
        watchdog.spawn(move || watch.guard(reason))?;
        progress.guarded = true;
        Ok(())
    }

    /// Why the session must end, if it must. Looks at the clock too: a COMMIT ends by its own deadline, a moment before the
    /// watchdog wakes.
    pub(super) fn stopped(self: &Arc<Self>) -> Option<Reason> {
        if self.stop.thrown().is_none() && self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
        {
            self.stop(Reason::Timeout);
        }
        self.stop.thrown()
    }

    /// Says how far the session's thread is.
    pub(super) fn at(&self, step: Step) {
        self.progress.lock().step = step;
    }

    /// What the session's thread is at beside its guest, for whoever stops it.
    fn place(&self) -> Option<String> {
        let progress = self.progress.lock();
        match progress.step {
            Step::Load | Step::Open => self.stop.controls().place(),
            Step::Compile => Some("compile the program".into()),
            Step::Run => progress.call(),
        }
    }

    /// Shows the channels' counters to whoever reports.
    pub(super) fn show(&self, meters: Arc<[Meter]>) {
        self.progress.lock().meters = Some(meters);
    }

    /// Says that from now on only DISCARD is waited for.
    pub(super) fn discarding(self: &Arc<Self>, why: Failure) {
        // Without a thread for it, the deadline's comes.
        let _ = self.guarded(None);
        self.progress.lock().discarding = Some(why);
        self.changed.notify_all();
    }

    /// The counters as far as they are known.
    pub(super) fn meters(&self) -> Option<Arc<[Meter]>> {
        self.progress.lock().meters.clone()
    }

    /// Reports the session, unless it was given up before.
    pub(super) fn finish(&self, report: Report) {
        self.progress.lock().report.get_or_insert(report);
        self.changed.notify_all();
    }

    /// Waits for the report.
    pub(super) fn wait(&self) -> Report {
        let mut progress = self.progress.lock();
        loop {
            match &progress.report {
                Some(report) => return report.clone(),
                None => self.changed.wait(&mut progress),
            }
        }
    }

    /// The watchdog's own work: ends when there is a report, which it writes itself for a session that doesn't.
    fn guard(&self, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.stop.throw(reason, self.place());
        }
        let mut progress = self.progress.lock();
        // Patience is counted in waits, not read from the clock: a process that was stopped meanwhile, as by SIGSTOP, has let
        // time pass, and its threads had none of it.
        for _ in 0..waits(GRACE) {
            if !progress.is_running() {
                break;
            }
            self.changed.wait_for(&mut progress, NUDGE);
            self.stop.nudge();
        }
        if progress.discarding.is_some() {
            for _ in 0..waits(DISCARD_GRACE) {
                if progress.report.is_some() {
                    break;
                }
                self.changed.wait_for(&mut progress, NUDGE);
            }
        }
        if progress.report.is_none() {
            let note = progress.left_behind();
            let running = Failure::new(ExitCode::Stopped, "the guest ran");
            let failure = progress.discarding.take().unwrap_or_else(|| self.stop.echo(running));
            let mut report = Report::failed(&failure, progress.meters.as_deref().unwrap_or_default());
            report.nondeterministic = true;
            report.notes.push(note);
            progress.report = Some(report);
            self.changed.notify_all();
        }
    }
}

/// How many waits fill a time.
fn waits(time: Duration) -> u128 {
    time.as_millis() / NUDGE.as_millis()
}

impl Progress {
    /// The call that a channel is in.
    fn call(&self) -> Option<String> {
        self.meters.as_deref().unwrap_or_default().iter().find_map(Meter::call)
    }

    /// What is worth telling of a session that is given up: what its thread is in, and when that ends.
    fn left_behind(&self) -> String {
        let (who, until) = match (self.step, self.call()) {
            (Step::Compile, _) => {
                ("the compiler, which cannot be stopped without a worker,".into(), "it ends")
            }
            (Step::Run, None) => (
                "an instruction of the guest over much memory, which cannot be interrupted,".into(),
                "it ends",
            ),
            (Step::Run, Some(call)) => (format!("a provider that ignores its cancel ({call})"), "it returns"),
            (Step::Load | Step::Open, _) => ("a provider that ignores its cancel".to_owned(), "it returns"),
        };
        format!(
            "the session did not stop when it was told to: {who} keeps its thread and memory until {until}"
        )
    }

    /// Whether the guest, or the provider of one of its calls, may still be at work.
    fn is_running(&self) -> bool {
        self.report.is_none() && self.discarding.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case report: the host took a guest's `memory.fill` of 4 GiB for "a provider that ignores its cancel, or a very large
    /// program". A provider's call that is stuck: `a_provider_that_ignores_its_cancel_is_left_behind`.
    #[test]
    fn who_holds_a_session_that_is_given_up_is_told() {
        for (step, state, words) in [
            (Step::Load, "timeout: open the program p:x", "a provider that ignores its cancel keeps"),
            (Step::Compile, "timeout: compile the program", "the compiler, which cannot be stopped"),
            (Step::Run, "timeout: the guest ran", "an instruction of the guest over much memory"),
        ] {
            let watch = Arc::new(Watch::default());
            watch.stop.controls().at("open the program p:x".into());
            watch.begin(Instant::now());
            watch.at(step);
            watch.overdue();
            let report = watch.wait();
            assert_eq!(report.state, state);
            assert!(report.notes[0].contains(words), "{report:?}");
        }
    }
}

//! Sees to it that a session is reported in time, whatever holds its thread: the timer looks after one that is stopped.

use super::threads::spawn;
use super::timer::{TICK, Timed, Timer};
use crate::channel::Meter;
use crate::exit::{ExitCode, Failure};
use crate::guest::{Reason, Stop};
use crate::report::{CpuTime, Report};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vfs_core::{Control, OnCancel};

/// How long a provider may ignore its cancel: twice what a provider's process gets, which is then killed, so that its call returns.
const GRACE: Duration = Duration::from_secs(2);
/// How long the DISCARDs of a failed session may take: the 5 s that they get, and those two for the last to return.
const DISCARD_GRACE: Duration = Duration::from_secs(7);
/// How long a close or a provider's stop may take once the session is over: the 5 s that a process gets for it, and those two.
const END_GRACE: Duration = Duration::from_secs(7);
/// What a provider's cancel function may need.
const STACK: usize = 256 << 10;

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

/// What a session's thread, the timer and the session's owner share.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) stop: Stop,
    /// What sees to it.
    pub(super) timer: Arc<Timer>,
    started: Instant,
    /// When the session must be over.
    pub(super) deadline: Instant,
    /// The run's name, for the report.
    job: Option<String>,
    /// What is odd in the manifest: whatever becomes of the session, it is told.
    warnings: Vec<String>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// The timer looks after it.
    guarded: bool,
    patience: Patience,
    /// Why what was written is being discarded, once it is; nothing else is waited for then.
    discarding: Option<Failure>,
    /// The report of a session that is over: nothing but closes, and stops of providers, is waited for then.
    over: Option<Report>,
    /// The provider that stops now.
    stopping: Option<String>,
    /// The counters, once there are channels.
    meters: Option<Arc<[Meter]>>,
    step: Step,
    /// What is being opened or read before there are channels.
    doing: Option<String>,
    report: Option<Arc<Report>>,
    /// How many wait for it: mostly none, and to wake nobody is a system call all the same.
    waiters: usize,
    on_end: OnEnd,
}

/// Called with the report.
type EndFn = Box<dyn FnOnce(Arc<Report>) + Send>;

/// What is called at the end, until it is.
#[derive(Default)]
pub(super) struct OnEnd(Option<EndFn>);

impl OnEnd {
    pub(super) fn new(call: impl FnOnce(Arc<Report>) + Send + 'static) -> OnEnd {
        OnEnd(Some(Box::new(call)))
    }

    /// The same, and another function after it.
    pub(super) fn and_then(self, next: impl FnOnce() + Send + 'static) -> OnEnd {
        OnEnd::new(move |report| {
            self.0.into_iter().for_each(|call| call(report.clone()));
            next();
        })
    }
}

impl fmt::Debug for OnEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnEnd").field(&self.0.is_some()).finish()
    }
}

impl Watch {
    /// Of a session that begins now, whose files follow `control`.
    pub(super) fn new(
        control: Control,
        timer: Arc<Timer>,
        deadline: Instant,
        job: Option<String>,
        warnings: Vec<String>,
        on_end: OnEnd,
    ) -> Arc<Watch> {
        let progress = Mutex::new(Progress { on_end, ..Progress::default() });
        let (stop, started, changed) = (Stop::new(control), Instant::now(), Condvar::new());
        Arc::new(Watch { stop, timer, started, deadline, job, warnings, progress, changed })
    }

    /// Stops the session once its control is cancelled, and before a file hears of that: a provider's cancel function may be
    /// what hangs. Until the guard is dropped.
    pub(super) fn follow(self: &Arc<Self>) -> Option<OnCancel> {
        let watch = self.clone();
        let followed = self.stop.control().context().on_cancel(move || watch.cancelled());
        followed.inspect_err(|_| self.cancelled()).ok()
    }

    fn cancelled(self: &Arc<Self>) {
        self.stop(Reason::Cancelled);
        // For good, also if what it follows is lifted.
        self.stop.control().cancel();
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Nothing panics while it is held.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the session, but leaves its files alone. Returns whether this was the first time.
    fn stop(self: &Arc<Self>, reason: Reason) -> bool {
        self.guarded();
        self.stop.throw(reason, self.place())
    }

    /// Has the session watched until it is reported.
    fn guarded(self: &Arc<Self>) {
        {
            let mut progress = self.lock();
            if progress.guarded || progress.report.is_some() {
                return;
            }
            progress.guarded = true;
        }
        // The thread for it runs: without one the session would not have been started.
        let _ = self.timer.guard(self.clone());
    }

    /// Why the session must end, if it must. Looks at the clock too: a COMMIT ends by its own deadline, a moment before the
    /// timer wakes.
    pub(super) fn stopped(self: &Arc<Self>) -> Option<Reason> {
        if self.stop.thrown().is_none() && Instant::now() >= self.deadline && self.stop(Reason::Timeout) {
            self.stop.control().cancel();
        }
        self.stop.thrown()
    }

    /// Says how far the session's thread is.
    pub(super) fn at(&self, step: Step) {
        self.lock().step = step;
    }

    /// Says what the session's thread opens or reads next.
    pub(super) fn doing(&self, what: String) {
        self.lock().doing = Some(what);
    }

    /// What the session's thread is at beside its guest, for whoever stops it.
    fn place(&self) -> Option<String> {
        let place = {
            let progress = self.lock();
            match progress.step {
                Step::Load | Step::Open => progress.doing.clone(),
                Step::Compile => return Some("compile the program".into()),
                Step::Run => progress.call().map(|(call, _)| call),
            }
        };
        match self.stop.control().waiting() {
            Some(waiting) => place.map(|place| format!("{place}: waited for {waiting}")),
            None => place,
        }
    }

    /// Shows the channels' counters to whoever reports.
    pub(super) fn show(&self, meters: Arc<[Meter]>) {
        self.lock().meters = Some(meters);
    }

    /// Says that from now on only DISCARD is waited for.
    pub(super) fn discarding(self: &Arc<Self>, why: Failure) {
        self.guarded();
        self.lock().discarding = Some(why);
    }

    /// Says that the session is over: whatever becomes of what follows, this is its report.
    pub(super) fn over(&self, report: Report) {
        self.lock().over = Some(report);
    }

    /// Reports a session that is [`over`](Watch::over), with all the time that its thread took, unless it was given up before.
    pub(super) fn finish_over(&self, cpu: CpuTime) {
        let mut progress = self.lock();
        if let Some(report) = progress.over.take() {
            self.tell(progress, Report { cpu, ..report });
        }
    }

    /// Says that a provider stops now, which gets a time of its own.
    pub(super) fn stopping(self: &Arc<Self>, provider: &str) {
        self.guarded();
        let mut progress = self.lock();
        progress.stopping = Some(provider.to_owned());
        progress.patience.ending = ticks(END_GRACE);
    }

    /// The counters as far as they are known.
    pub(super) fn meters(&self) -> Option<Arc<[Meter]>> {
        self.lock().meters.clone()
    }

    /// Reports the session, unless it was given up before.
    pub(super) fn finish(&self, report: Report) {
        let progress = self.lock();
        if progress.report.is_none() {
            self.tell(progress, report);
        }
    }

    fn tell(&self, mut progress: MutexGuard<'_, Progress>, mut report: Report) {
        report.notes.splice(0..0, self.warnings.iter().cloned());
        report.job = self.job.clone();
        report.elapsed = self.started.elapsed();
        let (on_end, report) = (progress.on_end.0.take(), Arc::new(report));
        progress.report = Some(report.clone());
        let is_awaited = progress.waiters > 0;
        drop(progress);
        if is_awaited {
            self.changed.notify_all();
        }
        if let Some(call) = on_end {
            call(report);
        }
    }

    /// Whether there is the report.
    pub(super) fn is_reported(&self) -> bool {
        self.lock().report.is_some()
    }

    /// Ends the session for a reason of its host's, who must not be held up by a provider's cancel function.
    pub(super) fn end(self: &Arc<Self>, reason: Reason) {
        if !self.stop(reason) {
            return;
        }
        let control = self.stop.control().clone();
        if spawn("zvm-cancel", STACK, move || control.cancel()).is_err() {
            self.stop.control().cancel();
        }
    }

    /// Waits for the report.
    pub(super) fn wait(&self) -> Report {
        let mut progress = self.lock();
        progress.waiters += 1;
        loop {
            match &progress.report {
                Some(report) => return Report::clone(report),
                None => progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Timed for Watch {
    fn overdue(self: Arc<Self>) {
        self.end(Reason::Timeout);
    }

    /// Looks after a session that was stopped, and writes the report of one that does not end.
    ///
    /// Patience is counted in ticks, not read from the clock: a process that was stopped meanwhile, as by SIGSTOP, has let time
    /// pass, and its threads had none of it.
    fn tick(&self) -> bool {
        let mut progress = self.lock();
        if progress.report.is_some() {
            return true;
        }
        let left = progress.patience_left();
        if *left > 0 {
            *left -= 1;
            return false;
        }
        let note = progress.left_behind();
        let mut report = match progress.over.take() {
            Some(report) => report,
            None => {
                let running = Failure::new(ExitCode::Stopped, "the guest ran");
                let failure = progress.discarding.take().unwrap_or_else(|| self.stop.echo(running));
                let report = Report::failed(&failure, progress.meters.as_deref().unwrap_or_default());
                Report { nondeterministic: true, ..report }
            }
        };
        report.left_behind = true;
        report.notes.push(note);
        self.tell(progress, report);
        true
    }
}

/// How many ticks the thread of a session that was stopped has left.
#[derive(Debug)]
struct Patience {
    /// While the guest, or the provider of one of its calls, is at work.
    running: u128,
    /// Once what was written is being discarded.
    discarding: u128,
    /// Once the session is over.
    ending: u128,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { running: ticks(GRACE), discarding: ticks(DISCARD_GRACE), ending: ticks(END_GRACE) }
    }
}

/// How many ticks fill a time.
fn ticks(time: Duration) -> u128 {
    time.as_millis() / TICK.as_millis()
}

impl Progress {
    /// The call that a channel is in, and its provider.
    fn call(&self) -> Option<(String, &str)> {
        let meters = self.meters.as_deref().unwrap_or_default();
        meters.iter().find_map(|meter| Some((meter.call()?, &*meter.provider)))
    }

    /// How long what its thread does now may take.
    fn patience_left(&mut self) -> &mut u128 {
        match (&self.over, &self.discarding) {
            (Some(_), _) => &mut self.patience.ending,
            (None, Some(_)) => &mut self.patience.discarding,
            (None, None) => &mut self.patience.running,
        }
    }

    /// What is worth telling of a session that is given up: what its thread is in, and when that ends.
    fn left_behind(&self) -> String {
        if let Some(provider) = &self.stopping {
            return format!(
                "provider `{provider}` did not stop within {} s: it keeps the session's thread and memory until it does",
                END_GRACE.as_secs()
            );
        }
        let (who, until) = match (self.step, self.call()) {
            (Step::Compile, _) => {
                ("the compiler, which cannot be stopped without a worker,".into(), "it ends")
            }
            (Step::Run, None) => (
                "an instruction of the guest over a large memory range, which cannot be interrupted,".into(),
                "it ends",
            ),
            (Step::Run, Some((call, provider))) => {
                (format!("provider {provider}, which ignores its cancel ({call}),"), "it returns")
            }
            (Step::Load | Step::Open, _) => ("a provider that ignores its cancel".to_owned(), "it returns"),
        };
        format!("the session did not stop when asked to: {who} keeps its thread and memory until {until}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that begins now, and whose time is over.
    fn watch_of(control: Control) -> Arc<Watch> {
        let timer = Timer::of_process();
        Watch::new(control, timer, Instant::now(), None, Vec::new(), OnEnd::default())
    }

    #[test]
    fn a_cancel_ends_files_of_before_and_after_for_good_and_the_first_reason_counts() {
        let host = Control::new();
        let watch = watch_of(host.follower());
        let _follows = watch.follow();
        let before = watch.stop.control().follower();
        assert!(!before.is_cancelled() && watch.stop.thrown().is_none());
        host.cancel();
        host.lift();
        watch.clone().overdue();
        assert!(before.is_cancelled() && watch.stop.control().follower().is_cancelled());
        assert_eq!(watch.stop.thrown(), Some(Reason::Cancelled));
        assert_eq!(watch.stop.failure().unwrap().text(), "cancelled");
    }

    /// A case report: the host took a guest's `memory.fill` of 4 GiB for "a provider that ignores its cancel, or a very large
    /// program". A provider's call that is stuck: `a_provider_that_ignores_its_cancel_is_left_behind`.
    #[test]
    fn who_holds_a_session_that_is_given_up_is_told() {
        for (step, state, words) in [
            (Step::Load, "timeout: open the program p:x", "a provider that ignores its cancel keeps"),
            (Step::Compile, "timeout: compile the program", "the compiler, which cannot be stopped"),
            (Step::Run, "timeout: the guest ran", "an instruction of the guest over a large memory range"),
        ] {
            let watch = watch_of(Control::new());
            watch.doing("open the program p:x".into());
            watch.at(step);
            watch.clone().overdue();
            let report = watch.wait();
            assert_eq!(report.state, state);
            assert!(report.notes[0].contains(words), "{report:?}");
        }
    }
}

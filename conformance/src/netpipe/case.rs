//! One check's two hosts, and calls that wait on threads of their own.

use super::bytes::{read_exactly, write_whole};
use super::subject::{Pair, Subject, Writers};
use crate::step::{Step, Stop};
use crate::steps::{ensure, refused};
use crate::task::Task;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, OpenFile, OpenFlags, OpenOptions, Registry};

/// A call that has slept for so long waits. One that waits longer than it should is not mistaken for one that does not.
const WAITS: Duration = Duration::from_millis(100);
/// For a call to end after a cancel: the rule is 100 ms, a loaded machine gets more.
pub(crate) const SLACK: Duration = Duration::from_secs(10);

/// Two hosts of one check: readers open in one of them, writers in the other.
pub(crate) struct Case<'a> {
    pub subject: &'a Subject,
    pub reading: Registry,
    pub writing: Registry,
}

impl<'a> Case<'a> {
    pub fn start(subject: &'a Subject) -> Step<Case<'a>> {
        Ok(Case { subject, reading: subject.host()?, writing: subject.host()? })
    }

    /// A fresh pipe of one writer.
    pub fn pipe(&self) -> Step<Pair> {
        self.subject.pipe(Writers::Exactly(1))
    }

    pub fn reader(&self, pair: &Pair) -> Step<OpenFile> {
        self.open(&self.reading, &pair.reader, OpenFlags::READ)
    }

    pub fn writer(&self, pair: &Pair) -> Step<OpenFile> {
        self.open(&self.writing, &pair.writer, OpenFlags::WRITE)
    }

    /// Opens; what waits on the file for longer than the subject's patience ends with ETIMEDOUT, not with the check.
    pub fn open(&self, host: &Registry, descriptor: &str, flags: OpenFlags) -> Step<OpenFile> {
        let file = host.open(descriptor, &OpenOptions::new(flags))?;
        file.control().set_deadline(Some(Instant::now() + self.subject.patience));
        Ok(file)
    }

    /// Both ends of a pipe, met: a byte went through.
    pub fn met(&self) -> Step<(OpenFile, OpenFile)> {
        let pair = self.pipe()?;
        let (mut reader, mut writer) = (self.reader(&pair)?, self.writer(&pair)?);
        meet(&mut reader, &mut writer)?;
        Ok((reader, writer))
    }

    /// Begins a call on a thread of its own.
    pub fn begin<T: Send + 'static>(
        &self,
        what: &'static str,
        call: impl FnOnce() -> Step<T> + Send + 'static,
    ) -> Step<Call<T>> {
        let (tasks, task) = channel();
        let (done, outcome) = channel();
        thread::Builder::new().name(what.to_owned()).spawn(move || {
            // The receivers are gone if the check has failed already.
            let _ = tasks.send(Task::current());
            let _ = done.send(call());
        })?;
        let task = task.recv().map_err(|_| Stop::Fail(format!("{what} panicked")))?;
        Ok(Call { what, patience: self.subject.patience, task, outcome })
    }
}

/// Sends a byte through, so that both ends know each other.
pub(crate) fn meet(reader: &mut OpenFile, writer: &mut OpenFile) -> Step {
    write_whole(writer, b"x")?;
    read_exactly(reader, 1).map(drop)
}

/// A call in progress.
pub(crate) struct Call<T> {
    what: &'static str,
    patience: Duration,
    task: Task,
    outcome: Receiver<Step<T>>,
}

impl<T> Call<T> {
    /// Checks that it waits.
    pub fn waits(&self) -> Step {
        self.waits_for(WAITS)
    }

    /// Checks that it waits for so long.
    pub fn waits_for(&self, time: Duration) -> Step {
        let what = self.what;
        match self.task.outcome(&self.outcome, time, self.patience) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Stop::Fail(format!("{what} panicked"))),
            Ok(Err(stop)) => Err(stop),
            Ok(Ok(_)) => Err(Stop::Fail(format!("{what} did not wait"))),
        }
    }

    /// Gives it a moment, to end or to go on.
    pub fn given_a_moment(self) -> Step<Call<T>> {
        let (done, again) = channel();
        match self.task.outcome(&self.outcome, WAITS, self.patience) {
            Err(RecvTimeoutError::Timeout) => Ok(self),
            Err(RecvTimeoutError::Disconnected) => Err(Stop::Fail(format!("{} panicked", self.what))),
            Ok(outcome) => {
                // The receiver is here.
                let _ = done.send(outcome);
                Ok(Call { outcome: again, ..self })
            }
        }
    }

    /// Its result, once it has ended.
    pub fn done(self) -> Step<T> {
        self.done_within(self.patience * 2)
    }

    fn done_within(&self, time: Duration) -> Step<T> {
        let what = self.what;
        match self.outcome.recv_timeout(time) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(Stop::Fail(format!("{what} still waits after {time:?}"))),
            Err(RecvTimeoutError::Disconnected) => Err(Stop::Fail(format!("{what} panicked"))),
        }
    }

    /// Its result, for something that may take as long as the whole check: the watchdog bounds it.
    pub fn done_at_last(self) -> Step<T> {
        let what = self.what;
        self.outcome.recv().map_err(|_| Stop::Fail(format!("{what} panicked")))?
    }
}

/// Waits for several calls, each by `done`. Where one fails others often do because of it, so one failure of each
/// kind of call is told, and one that was lost only if there is no other.
pub(crate) fn all_done(calls: impl IntoIterator<Item = Call<()>>, done: fn(Call<()>) -> Step) -> Step {
    let mut failures: Vec<(&str, String)> = Vec::new();
    for call in calls {
        let what = call.what;
        let known = failures.iter().any(|(other, _)| *other == what);
        match done(call) {
            Ok(()) => {}
            Err(Stop::Lost(_)) if known => {}
            Err(Stop::Fail(how) | Stop::Lost(how)) => {
                failures.retain(|(other, _)| *other != what);
                failures.push((what, how));
            }
            Err(skip) => return Err(skip),
        }
    }
    let told: Vec<_> = failures.iter().map(|(what, how)| format!("{what}: {how}")).collect();
    if told.is_empty() { Ok(()) } else { Err(Stop::Fail(told.join("; "))) }
}

impl<T> Call<vfs_core::Result<T>> {
    /// Cancels the file that the call waits on, and checks how and when it ends.
    pub fn cancelled(self, control: &Control) -> Step {
        let what = self.what;
        self.waits()?;
        let start = Instant::now();
        control.cancel();
        let result = self.done_within(SLACK)?;
        let took = start.elapsed();
        ensure!(took < SLACK, "{what} ended {took:?} after it was cancelled");
        refused(result, &[Code::ECANCELED], what)
    }
}

//! A template's program, read and compiled, or found compiled, ahead of any session.

use super::threads::spawn;
use super::timer::Timer;
use super::watch::{OnEnd, Watch};
use super::work::Work;
use super::{STACK, Template, claim_process};
use crate::exit::{ExitCode, Failure, Stopped, panic_text};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use vfs_core::{Control, Error};

/// How long a program may take to be read and compiled ahead of any session: a compiler in a process of its own may use 10 minutes
/// of CPU time.
const PREPARE_MAX: Duration = Duration::from_hours(1);

impl Template {
    /// Reads and compiles the program now, in nobody's time. A failure is not kept: the next session tries again.
    ///
    /// # Errors
    /// What a session's report would say: no such program, a bad one, one that starts with more than the manifest's Memory, a compiler that
    /// failed, cancelled.
    ///
    /// # Blocking
    /// For as long as that takes, an hour at most, or until `control` is cancelled. A compiler that cannot be stopped, see
    /// [`Compiler`](crate::Compiler), then goes on by itself.
    pub fn prepare(&self, control: &Control) -> Result<(), Failure> {
        self.work_ahead(control, Work::prepare)
    }

    /// The same, unless it would have to be compiled: it is ready, or compiled in the [`Cache`](crate::Cache). Returns whether it is ready now.
    /// For a host that compiles few programs at a time, and lets none wait that needs no compiler.
    ///
    /// # Errors
    /// What a session's report would say: no such program, one that is neither WebAssembly nor its text, cancelled.
    ///
    /// # Blocking
    /// For as long as the program and the cache take to be read, an hour at most, or until `control` is cancelled.
    pub fn load(&self, control: &Control) -> Result<bool, Failure> {
        self.work_ahead(control, Work::load)
    }

    fn work_ahead<T: Send + 'static>(
        &self,
        control: &Control,
        what: fn(&Work) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        claim_process().map_err(|error| Failure::new(ExitCode::Io, error.chain()))?;
        let deadline = Instant::now() + PREPARE_MAX;
        let timer = Timer::of_process();
        let watch = Watch::new(control.follower(), timer, deadline, None, Vec::new(), OnEnd::default());
        let timed =
            watch.timer.watch(Arc::downgrade(&watch) as _, deadline).map_err(|error| no_thread(&error))?;
        let follows = watch.follow();
        let work = Work { session: self.session(), watch };
        let (sender, result) = channel();
        let (control, cancelled) = (control.follower(), sender.clone());
        let cancel = control.context().on_cancel(move || {
            let _ = cancelled.send(Err(Failure::stopped(Stopped::Cancelled, None)));
        });
        if cancel.is_err() {
            return Err(Failure::stopped(Stopped::Cancelled, None));
        }
        let spawned = spawn("zvm-prepare", STACK, move || {
            timed.wait_for_thread();
            let result = catch_unwind(AssertUnwindSafe(|| what(&work))).unwrap_or_else(|panic| {
                Err(Failure::new(ExitCode::Io, format!("panic: {}", panic_text(&*panic))))
            });
            drop((timed, follows));
            let _ = sender.send(result);
        });
        spawned.map_err(|error| no_thread(&error))?;
        // One of the two is sent.
        result.recv().unwrap_or_else(|_| Err(Failure::stopped(Stopped::Cancelled, None)))
    }
}

fn no_thread(error: &io::Error) -> Failure {
    let text = format!("start the thread that compiles the program: {}", Error::no_thread(error));
    Failure::new(ExitCode::Memory, text)
}

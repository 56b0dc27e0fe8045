//! A session: one run of a guest under a manifest, on a thread of its own, with an end in any case.

mod checking;
mod cpu;
mod parts;
mod pool;
mod prepared;
mod preparing;
mod template;
mod threads;
mod timer;
mod watch;
mod work;

pub use pool::{Permit, SessionPool};
pub use template::Template;
pub use threads::signals_blocked;

use crate::channel::HostFiles;
use crate::exit::{ExitCode, Failure};
use crate::guest::{Invocation, Reason};
use crate::report::Report;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use threads::spawn;
use timer::Timer;
use vfs_core::{Code, Control, Error, forks};
use watch::{OnEnd, Watch};

/// The stack of a session's thread: the guest's part, and ample room for the compiler and the providers.
const STACK: usize = 8 << 20;
/// Its name.
const THREAD: &str = "zvm-session";

/// A run that has not started: a manifest, and what the host does for it. Any number may run side by side in a process: each has
/// one thread while it runs, and for a moment one more at its Timeout; engine, timer and compiled programs are shared. A
/// [`SessionPool`] bounds how many run at a time, and keeps their threads.
///
/// The engine installs process-wide handlers for the signals that a guest's faults raise; they pass on what isn't theirs. A
/// process that forks starts sessions in the child only, or in the parent only: see [`claim_process`].
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use zvm::{Manifest, Session};
///
/// /// Where a web server, say, collects its answer.
/// #[derive(Clone, Default)]
/// struct Answer(Arc<Mutex<Vec<u8>>>);
///
/// impl std::io::Write for Answer {
///     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
///         self.0.lock().unwrap().write(bytes)
///     }
///     fn flush(&mut self) -> std::io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let manifest = Manifest::parse(br#"
///     Version = 20140509
///     Program = /srv/jobs/echo.wasm
///     Memory = 65536, 0
///     Timeout = 10
///     Channel = /dev/null, /dev/stdin, 0, 100, 65536, 0, 0
///     Channel = /dev/null, /dev/stdout, 0, 0, 0, 100, 65536
///     Channel = /dev/null, /dev/stderr, 0, 0, 0, 100, 65536
/// "#)?;
/// let echo = br#"(module
///     (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
///     (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
///     (memory (export "memory") 1)
///     (func (export "_start")
///         (i32.store (i32.const 0) (i32.const 1024))
///         (i32.store (i32.const 4) (i32.const 4096))
///         (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
///         (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
/// let answer = Answer::default();
/// let report = Session::new(manifest)
///     .program(echo.as_slice())
///     .reader("/dev/stdin", &b"a request"[..])
///     .writer("/dev/stdout", answer.clone())
///     .writer("/dev/stderr", std::io::sink())
///     .run();
/// assert_eq!((report.exit_code.number(), report.state.as_str()), (0, "ok"));
/// assert_eq!(*answer.0.lock().unwrap(), b"a request");
/// # Ok::<(), zvm::Failure>(())
/// ```
#[derive(Debug)]
pub struct Session {
    /// What it may have in common with others.
    template: Template,
    /// What the guest is told beside what the manifest says.
    invocation: Invocation,
    /// By alias, in the place of the manifest's sources.
    host_files: HostFiles,
    /// The host's, which others may follow too; `None`: it has none.
    control: Option<Control>,
    /// The session's own, made by its host.
    own: Option<Control>,
    /// Of the pool whose thread it runs on; `None`: on one of its own.
    permit: Option<Permit>,
    on_end: OnEnd,
}

impl Session {
    /// Starts it, on a thread of its own or of its pool; the manifest's Timeout begins.
    pub fn start(self) -> Running {
        self.start_by(Ok(Timer::of_process()))
    }

    /// Starts it, with this timer to see to it, if there is one.
    fn start_by(mut self, timer: Result<Arc<Timer>, Failure>) -> Running {
        let (timer, possible) = match timer {
            Ok(timer) => (timer, Ok(())),
            Err(failure) => (Timer::of_process(), Err(failure)),
        };
        let control = self.own.take().or_else(|| Some(self.control.as_ref()?.follower())).unwrap_or_default();
        let manifest = self.template.manifest();
        let warnings = manifest.warnings.iter().map(ToString::to_string).collect();
        let timeout = manifest.timeout;
        // A manifest's timeout is at most 136 years.
        let deadline =
            Instant::now() + control.context().time_left().map_or(timeout, |left| left.min(timeout));
        let (job, on_end) = (self.template.options.job.clone(), mem::take(&mut self.on_end));
        let watch = Watch::new(control, timer, deadline, job, warnings, on_end);
        let claimed = || claim_process().map_err(|error| Failure::new(ExitCode::Io, error.chain()));
        if let Err(failure) = possible.and_then(|()| claimed()) {
            drop(self);
            watch.finish(Report::failed(&failure, &[]));
            return Running { watch };
        }
        let permit = self.permit.take();
        let pool = permit.as_ref().map(Permit::pool);
        let work = work::Work { session: self, watch: watch.clone() };
        let spawned = watch.timer.watch(Arc::downgrade(&watch) as _, deadline).and_then(|timed| {
            let follows = watch.follow();
            let run = move || {
                timed.wait_for_thread();
                work.run(permit);
                drop((timed, follows));
            };
            match pool {
                Some(pool) => pool.run(run),
                None => spawn(THREAD, STACK, run),
            }
        });
        if let Err(error) = spawned {
            let text = format!("start the session's thread: {}", Error::no_thread(&error));
            let failure = Failure::new(ExitCode::Memory, text);
            watch.finish(Report::failed(&failure, &[]));
        }
        Running { watch }
    }

    /// Runs it, and waits for its report.
    ///
    /// # Blocking
    /// As [`Running::wait`].
    pub fn run(self) -> Report {
        self.start().wait()
    }

    /// The same, for a host that waits for nothing else meanwhile but a reason to end it: `cancel` is a descriptor, and once it is
    /// readable the session ends as by its control. The calling thread sees to it that the session ends in time, which saves a short one
    /// the start of a thread for that, and its host that of one that hears of signals, say.
    ///
    /// # Blocking
    /// As [`Running::wait`].
    pub fn run_until(mut self, cancel: Option<BorrowedFd<'_>>) -> Report {
        let timer = Timer::of_caller().map_err(|error| {
            Failure::new(
                ExitCode::TooManyChannels,
                format!("make a descriptor to wait for the session: {error}"),
            )
        });
        if let Ok(timer) = &timer {
            let timer = timer.clone();
            self.on_end = mem::take(&mut self.on_end).and_then(move || timer.wake());
        }
        let Running { watch } = self.start_by(timer);
        watch.timer.run_until(|| watch.is_reported(), cancel, || watch.end(Reason::Cancelled));
        watch.wait()
    }
}

/// Claims this process for sessions, as each start does. The engine's threads and locks do not survive a fork, so sessions run in
/// a process or in those that are forked off it, not in both.
///
/// # Errors
/// EPERM: a process that this one was forked off ran sessions before.
pub fn claim_process() -> vfs_core::Result<()> {
    /// The forks of the first process that ran one, and 1; 0: none did.
    static CLAIMED: AtomicU32 = AtomicU32::new(0);
    let own = forks().wrapping_add(1);
    match CLAIMED.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst) {
        Err(other) if other != own => Err(Error::new(
            Code::EPERM,
            "sessions ran in the parent process before the fork: run them in the parent or in its children, not in both",
        )),
        _ => Ok(()),
    }
}

/// A session that was started. Dropping it leaves the session running.
#[derive(Debug)]
pub struct Running {
    watch: Arc<Watch>,
}

impl Running {
    /// Ends this session alone: a follower of the control that it was built with, for a cancel from any thread. See
    /// [`Session::control`].
    pub fn control(&self) -> &Control {
        self.watch.stop.control()
    }

    /// Waits for the session's end.
    ///
    /// # Blocking
    /// Until the manifest's Timeout, or a cancel, and a few seconds more: 1 s for the provider to heed it, and up to 6 s for
    /// what was written to be discarded. A provider that doesn't return by then keeps the session's thread, which is left
    /// behind; a process that runs nothing else should exit. The last session of a registry also waits for the stop of its
    /// providers, up to 7 s for each.
    pub fn wait(self) -> Report {
        self.watch.wait()
    }
}

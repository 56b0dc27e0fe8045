//! What many sessions have in common, made once.

use super::prepared::Prepared;
use super::watch::{OnEnd, Watch};
use super::work::Work;
use super::{STACK, Session, claim_process, timer};
use crate::channel::RunOptions;
use crate::compile::Compiler;
use crate::exit::{ExitCode, Failure, Stopped, panic_text};
use crate::manifest::Manifest;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Configuration, Control, Error, Registry};

/// How long a program may take to be read and compiled ahead of any session: a compiler in a process of its own may use 10 minutes
/// of CPU time.
const PREPARE_MAX: Duration = Duration::from_hours(1);

/// A manifest, what the host does for each session of it, and the program, which is read and compiled once. For servers: a session
/// of a template parses, hashes and copies nothing. Clones share all of it.
///
/// ```
/// # fn of(manifest: zvm::Manifest, program: Vec<u8>) {
/// let template = zvm::Template::new(manifest).program(program);
/// for request in ["a", "b"] {
///     let report = template.session().environment("REQUEST", request).run();
///     assert_eq!(report.exit_code.number(), 0);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) manifest: Arc<Manifest>,
    pub(super) registry: Registry,
    pub(super) options: Arc<RunOptions>,
    pub(super) compiler: Compiler,
    /// What the manifest names, or what the host gave in its place.
    pub(super) program: Arc<Prepared>,
}

impl Template {
    /// A template for sessions of a manifest.
    pub fn new(manifest: impl Into<Arc<Manifest>>) -> Template {
        Template {
            manifest: manifest.into(),
            registry: Registry::new(Configuration::default()),
            options: Arc::default(),
            compiler: Compiler::default(),
            program: Arc::default(),
        }
    }

    /// What its sessions are runs of.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// As [`Session::registry`].
    pub fn registry(mut self, registry: Registry) -> Template {
        self.registry = registry;
        self
    }

    /// As [`Session::options`].
    pub fn options(mut self, options: RunOptions) -> Template {
        self.options = Arc::new(options);
        self
    }

    /// As [`Session::compiler`].
    pub fn compiler(mut self, compiler: Compiler) -> Template {
        self.compiler = compiler;
        self
    }

    /// As [`Session::program`].
    pub fn program(mut self, bytes: impl Into<Vec<u8>>) -> Template {
        self.program = Arc::new(Prepared::given(bytes.into()));
        self
    }

    /// A session, to which the host adds what is this one's alone. The template's first one that gets so far reads and compiles the
    /// program, in its own time.
    pub fn session(&self) -> Session {
        Session::of(self.clone())
    }

    /// Reads and compiles the program now, in nobody's time. A failure is not kept: the next session tries again.
    ///
    /// # Errors
    /// What a session's report would say: no such program, a bad one, a compiler that failed, cancelled.
    ///
    /// # Blocking
    /// For as long as that takes, an hour at most, or until `control` is cancelled. A compiler that cannot be stopped, see
    /// [`Compiler`], then goes on by itself.
    pub fn prepare(&self, control: &Control) -> Result<(), Failure> {
        claim_process().map_err(|error| Failure::new(ExitCode::Io, error.chain()))?;
        let deadline = Instant::now() + PREPARE_MAX;
        let watch = Watch::new(control.follower(), deadline, None, Vec::new(), OnEnd::default());
        let timed = timer::watch(Arc::downgrade(&watch) as _, deadline).map_err(|error| no_thread(&error))?;
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
        let thread = thread::Builder::new().name("zvm-prepare".into()).stack_size(STACK);
        let spawned = thread.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| work.prepare())).unwrap_or_else(|panic| {
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

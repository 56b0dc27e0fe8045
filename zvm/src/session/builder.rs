//! What a session is made of.

use super::Session;
use super::watch::OnEnd;
use crate::channel::{Given, RunOptions};
use crate::compile::Compiler;
use crate::manifest::Manifest;
use crate::report::Report;
use std::io::{Read, Write};
use vfs_core::{Configuration, Context, Control, File, Registry};

/// Puts a session together: its manifest, and what the host does for it.
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
/// let report = Session::builder(manifest)
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
pub struct SessionBuilder {
    session: Session,
}

impl SessionBuilder {
    pub(super) fn new(manifest: Manifest) -> SessionBuilder {
        let session = Session {
            manifest,
            registry: Registry::new(Configuration::default()),
            options: RunOptions::new(),
            compiler: Compiler::default(),
            program: None,
            given: Given::default(),
            control: None,
            on_end: OnEnd::default(),
        };
        SessionBuilder { session }
    }

    /// Opens channels and program by this registry's providers. Without one, no provider is known: the host gives the
    /// program and every channel itself.
    pub fn registry(mut self, registry: Registry) -> SessionBuilder {
        self.session.registry = registry;
        self
    }

    /// What the run adds to its manifests.
    pub fn options(mut self, options: RunOptions) -> SessionBuilder {
        self.session.options = options;
        self
    }

    /// Ends the session by this control, which may be that of others too. Cancelled, the guest never runs on, what it wrote is
    /// discarded, and the report says `cancelled`, whatever is lifted later; before the start, nothing is opened. A deadline
    /// that it has at the start counts as the manifest's Timeout does, whichever comes first.
    pub fn control(mut self, control: &Control) -> SessionBuilder {
        self.session.control = Some(control.clone());
        self
    }

    /// Compiles the program by this compiler; by default on the session's thread, and nothing is kept on disk.
    pub fn compiler(mut self, compiler: Compiler) -> SessionBuilder {
        self.session.compiler = compiler;
        self
    }

    /// Runs these bytes, a WebAssembly binary or its text, instead of what the manifest's Program names.
    pub fn program(mut self, bytes: impl Into<Vec<u8>>) -> SessionBuilder {
        self.session.program = Some(bytes.into());
        self
    }

    /// Puts a reader in the place of a channel's sources: the descriptors are not opened, alias, type and quotas stay.
    ///
    /// The session's thread calls it, dropping it included, and it may call nothing of the session but a cancel. A call in
    /// progress cannot be interrupted: if the session is stopped it must come back by itself within a second, or the
    /// session is reported without it and its thread stays until it does.
    pub fn reader(self, alias: &str, reader: impl Read + Send + 'static) -> SessionBuilder {
        self.session.given.reader(alias, reader);
        self
    }

    /// Puts a writer in the place of a channel's targets, as [`reader`](SessionBuilder::reader) does. It is flushed when a
    /// session ends well, and just dropped when it fails: the report tells.
    pub fn writer(self, alias: &str, writer: impl Write + Send + 'static) -> SessionBuilder {
        self.session.given.writer(alias, writer);
        self
    }

    /// Puts a file with whatever capabilities it has in the place of a channel's sources, as
    /// [`reader`](SessionBuilder::reader) does: random access, both directions, an end of its own.
    pub fn file(self, alias: &str, file: Box<dyn File>) -> SessionBuilder {
        self.file_with(alias, |_| file)
    }

    /// As [`file`](SessionBuilder::file), made when the session opens its channels, with the context that says when to end: a
    /// file that waits or repeats does that only as long as [`Context::status`] lets it.
    pub fn file_with(
        self,
        alias: &str,
        make: impl FnOnce(&Context) -> Box<dyn File> + Send + 'static,
    ) -> SessionBuilder {
        self.session.given.file(alias, make);
        self
    }

    /// Calls a function with the report as soon as there is one, on the session's thread or on the one that watches all sessions: it
    /// must neither wait nor panic.
    pub fn on_end(mut self, call: impl FnOnce(&Report) + Send + 'static) -> SessionBuilder {
        self.session.on_end = OnEnd::new(call);
        self
    }

    /// The session, to be started.
    pub fn build(self) -> Session {
        self.session
    }

    /// Runs it, and waits for its report.
    ///
    /// # Blocking
    /// As [`Running::wait`](super::Running::wait).
    pub fn run(self) -> Report {
        self.session.run()
    }
}

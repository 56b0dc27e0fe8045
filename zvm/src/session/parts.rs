//! What a session is made of.

use super::pool::Permit;
use super::watch::OnEnd;
use super::{Session, Template};
use crate::channel::{HostFiles, RunOptions};
use crate::compile::Compiler;
use crate::guest::Invocation;
use crate::manifest::Manifest;
use crate::report::Report;
use std::io::{Read, Write};
use std::sync::Arc;
use vfs_core::{Context, Control, File, Registry};

impl Session {
    /// A run of a manifest, to which the functions below add what the host does for it. Opens nothing yet.
    pub fn new(manifest: impl Into<Arc<Manifest>>) -> Session {
        Session::of(Template::new(manifest))
    }

    /// A run of what a template has.
    pub(super) fn of(template: Template) -> Session {
        Session {
            template,
            invocation: Invocation::default(),
            host_files: HostFiles::default(),
            control: None,
            own: None,
            permit: None,
            on_end: OnEnd::default(),
        }
    }

    /// What it is a run of.
    pub fn manifest(&self) -> &Arc<Manifest> {
        self.template.manifest()
    }

    /// Opens channels and program by this registry's providers. Without one, no provider is known: the host gives the
    /// program and every channel itself.
    pub fn registry(mut self, registry: Registry) -> Session {
        self.template = self.template.registry(registry);
        self
    }

    /// What the run adds to its manifests.
    pub fn options(mut self, options: RunOptions) -> Session {
        self.template = self.template.options(options);
        self
    }

    /// Ends the session by this control, which may be that of others too. Cancelled, the guest never runs on, what it wrote is
    /// discarded, and the report says `cancelled`, whatever is lifted later; before the start, nothing is opened. A deadline
    /// that it has at the start counts as the manifest's Timeout does, whichever comes first.
    pub fn control(mut self, control: &Control) -> Session {
        self.control = Some(control.clone());
        self
    }

    /// The same with a control that is this session's alone, and of which nothing but a cancel is wanted: it is the session's own, and not
    /// followed by one.
    pub fn own_control(mut self, control: &Control) -> Session {
        self.own = Some(control.clone());
        self
    }

    /// Runs on a thread of a pool, which gave this permit.
    pub fn permit(mut self, permit: Permit) -> Session {
        self.permit = Some(permit);
        self
    }

    /// Compiles the program by this compiler; by default on the session's thread, and nothing is kept on disk.
    pub fn compiler(mut self, compiler: Compiler) -> Session {
        self.template = self.template.compiler(compiler);
        self
    }

    /// Runs these bytes, a WebAssembly binary or its text, instead of what the manifest's Program names.
    pub fn program(mut self, bytes: impl Into<Vec<u8>>) -> Session {
        self.template = self.template.program(bytes);
        self
    }

    /// Tells the guest this beside what the manifest says, in the place of what it was told before.
    pub fn invocation(mut self, invocation: Invocation) -> Session {
        self.invocation = invocation;
        self
    }

    /// Adds an argument after the manifest's Args, of any bytes but NUL.
    pub fn argument(mut self, text: impl AsRef<[u8]>) -> Session {
        self.invocation.argument(text.as_ref());
        self
    }

    /// Sets a variable of the guest's environment, in the place of the manifest's Env of this name: what a request says, which no
    /// line of a manifest can hold. Any bytes but NUL; a name has no `=`.
    pub fn environment(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Session {
        self.invocation.variable(name.as_ref(), value.as_ref());
        self
    }

    /// Puts a reader in the place of a channel's sources: the descriptors are not opened, alias, type and quotas stay.
    ///
    /// The session's thread calls it, dropping it included, and it may call nothing of the session but a cancel. A call in
    /// progress cannot be interrupted: if the session is stopped it must come back by itself within two seconds, or the
    /// session is reported without it and its thread stays until it does.
    pub fn reader(mut self, alias: impl Into<Arc<str>>, reader: impl Read + Send + 'static) -> Session {
        self.host_files.reader(alias, reader);
        self
    }

    /// Puts a writer in the place of a channel's targets, as [`reader`](Session::reader) does. It is flushed when a
    /// session ends well, and just dropped when it fails: the report tells.
    pub fn writer(mut self, alias: impl Into<Arc<str>>, writer: impl Write + Send + 'static) -> Session {
        self.host_files.writer(alias, writer);
        self
    }

    /// Puts a file with whatever capabilities it has in the place of a channel's sources, as
    /// [`reader`](Session::reader) does: random access, both directions, an end of its own.
    pub fn file(self, alias: impl Into<Arc<str>>, file: Box<dyn File>) -> Session {
        self.file_with(alias, |_| file)
    }

    /// As [`file`](Session::file), made when the session opens its channels, with the context that says when to end: a
    /// file that waits or repeats does that only as long as [`Context::status`] lets it.
    pub fn file_with(
        mut self,
        alias: impl Into<Arc<str>>,
        make: impl FnOnce(&Context) -> Box<dyn File> + Send + 'static,
    ) -> Session {
        self.host_files.file(alias, make);
        self
    }

    /// Calls a function with the report as soon as there is one, on the session's thread or on the one that watches all sessions: it
    /// must neither wait nor panic.
    pub fn on_end(mut self, call: impl FnOnce(Arc<Report>) + Send + 'static) -> Session {
        self.on_end = OnEnd::new(call);
        self
    }
}

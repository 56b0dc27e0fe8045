//! What many sessions have in common, made once.

use super::Session;
use super::prepared::Prepared;
use crate::channel::RunOptions;
use crate::compile::Compiler;
use crate::manifest::Manifest;
use std::sync::Arc;
use vfs_core::{Configuration, Registry};

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
}

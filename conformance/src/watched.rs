//! The subject's host, which notes what a layer asks it for.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use vfs_core::{Context, Entry, File, Host, HostCalls, Inner, Level, Name, OpenFlags, Result, Stat};

pub(crate) struct Watched {
    host: Host,
    opened: AtomicBool,
    /// Before each inner open a folder is made under its name, and removed: so nothing may be there.
    tries_folders: bool,
    makes_folders: AtomicBool,
}

impl Watched {
    pub fn new(host: Host) -> Watched {
        Watched {
            host,
            opened: AtomicBool::new(false),
            tries_folders: false,
            makes_folders: AtomicBool::new(false),
        }
    }

    /// The same, which finds out whether the provider beneath makes folders. For files that are not there.
    pub fn trying_folders(host: Host) -> Watched {
        Watched { tries_folders: true, ..Watched::new(host) }
    }

    /// Whether it was asked for a file: so the provider is a layer.
    pub fn was_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// Whether the provider beneath the layer makes folders.
    pub fn makes_folders(&self) -> bool {
        self.makes_folders.load(Ordering::Relaxed)
    }
}

impl HostCalls for Watched {
    fn name(&self) -> &str {
        self.host.name()
    }

    fn version(&self) -> &str {
        self.host.version()
    }

    fn log(&self, level: Level, text: &str) {
        self.host.log(level, text);
    }

    fn open(&self, context: &Context, descriptor: &str, how: &Inner) -> Result<Box<dyn File>> {
        self.opened.store(true, Ordering::Relaxed);
        if self.tries_folders && self.host.make_folder(context, descriptor, &Inner::default()).is_ok() {
            self.host.remove_folder(context, descriptor, &Inner::default())?;
            self.makes_folders.store(true, Ordering::Relaxed);
        }
        self.host.open(context, descriptor, how)
    }

    fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        self.host.supported_flags(context, descriptor)
    }

    fn stat(&self, context: &Context, descriptor: &str, how: &Inner) -> Result<Stat> {
        self.host.stat(context, descriptor, how)
    }

    fn list(
        &self,
        context: &Context,
        descriptor: &str,
        how: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.host.list(context, descriptor, how, each)
    }

    fn names(
        &self,
        context: &Context,
        descriptor: &str,
        how: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.host.names(context, descriptor, how, each)
    }

    fn remove(&self, context: &Context, descriptor: &str, how: &Inner) -> Result<()> {
        self.host.remove(context, descriptor, how)
    }

    fn make_folder(&self, context: &Context, descriptor: &str, how: &Inner) -> Result<()> {
        self.host.make_folder(context, descriptor, how)
    }

    fn remove_folder(&self, context: &Context, descriptor: &str, how: &Inner) -> Result<()> {
        self.host.remove_folder(context, descriptor, how)
    }

    fn set_modified(&self, context: &Context, descriptor: &str, how: &Inner, time: SystemTime) -> Result<()> {
        self.host.set_modified(context, descriptor, how, time)
    }
}

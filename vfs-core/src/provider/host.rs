//! A provider's handle on its host: the log, and, for a layer, files of other providers.

use crate::code::Code;
use crate::context::Context;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::file::{File, Stat};
use crate::flags::OpenFlags;
#[cfg(feature = "host")]
use crate::printable::is_printable;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that somebody must mend.
    Error = 10,
    /// Something is odd; work goes on.
    Warning = 20,
    /// What an operator may want to know.
    Info = 30,
    /// What an author may want to know.
    Debug = 40,
}

#[cfg(feature = "host")]
impl Level {
    /// Of a number that a provider gave: the nearest one that says no less.
    pub(crate) fn of(number: u32) -> Level {
        match number {
            0..=10 => Level::Error,
            11..=20 => Level::Warning,
            21..=30 => Level::Info,
            _ => Level::Debug,
        }
    }

    /// A provider's text for the log: one line, and nothing that a terminal would obey.
    pub(crate) fn line(text: &str) -> String {
        text.trim().replace(|character: char| !is_printable(character), " ")
    }
}

/// What stands behind a [`Host`].
pub trait HostCalls: Send + Sync {
    /// The host program's name.
    fn name(&self) -> &str;
    /// Its version.
    fn version(&self) -> &str;
    /// Writes one line to the host's log.
    fn log(&self, level: Level, text: &str);
    /// See [`Host::open`]. By default a host has no other providers.
    ///
    /// # Errors
    /// ENOTSUP: this host opens nothing for a provider.
    fn open(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }
    /// See [`Host::supported_flags`].
    ///
    /// # Errors
    /// As [`open`](HostCalls::open).
    fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        let _ = (context, descriptor);
        Err(opens_nothing())
    }
    /// See [`Host::stat`].
    ///
    /// # Errors
    /// As [`open`](HostCalls::open).
    fn stat(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }
    /// See [`Host::list`].
    ///
    /// # Errors
    /// As [`open`](HostCalls::open).
    fn list(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let _ = (context, descriptor, options, each);
        Err(opens_nothing())
    }
    /// See [`Host::remove`].
    ///
    /// # Errors
    /// As [`open`](HostCalls::open).
    fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }
}

pub(crate) fn opens_nothing() -> Error {
    Error::new(Code::ENOTSUP, "this host cannot open other providers' files: it has no `zvfs.host.open/1`")
}

/// In start the registry is in the middle of a provider's first use.
#[cfg(feature = "host")]
pub(crate) fn busy_in_start() -> Error {
    Error::new(Code::EBUSY, "not in start: open inner files when a file is opened")
}

/// How a layer opens an inner file.
#[derive(Clone, Debug, Default)]
pub struct Inner {
    pub(crate) flags: OpenFlags,
    pub(crate) expected_size: Option<u64>,
    pub(crate) settings: Vec<(String, String)>,
}

impl Inner {
    /// Opens with these flags; with neither `READ` nor `WRITE` the descriptor decides.
    pub fn new(flags: OpenFlags) -> Inner {
        Inner { flags, ..Inner::default() }
    }

    /// Says how many bytes will be written.
    pub fn expected_size(mut self, size: Option<u64>) -> Inner {
        self.expected_size = size;
        self
    }

    /// Gives a per-open setting; the inner provider must declare it with the scope `OPEN`.
    pub fn setting(mut self, name: impl Into<String>, text: impl Into<String>) -> Inner {
        self.settings.push((name.into(), text.into()));
        self
    }
}

/// The host that runs an instance.
#[derive(Clone)]
pub struct Host(Arc<dyn HostCalls>);

impl Host {
    /// Wraps a host's implementation.
    pub fn new(calls: Arc<dyn HostCalls>) -> Host {
        Host(calls)
    }

    /// The host program's name, such as `zvfs`.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The host program's version.
    pub fn version(&self) -> &str {
        self.0.version()
    }

    /// Writes one line to the host's log.
    pub fn log(&self, level: Level, text: &str) {
        self.0.log(level, text);
    }

    /// Opens a file of another provider, for a layer: a provider whose descriptor holds another one. `context` is that of
    /// the layer's own file, whose deadline and cancel the inner file shares. What a host checks of any open file it checks
    /// of this one. Drop it no later than the layer's file.
    ///
    /// # Errors
    /// EBUSY: in `start`. ELOOP: too many layers. EPROTONOSUPPORT, EACCES: a scheme that the host does not know, or may not
    /// load. ENOTSUP: this host opens nothing, or the provider does not honour a flag. Else the inner provider's.
    ///
    /// # Blocking
    /// As the inner provider.
    ///
    /// # Example
    /// ```
    /// # use vfs_core::{File, Host, Inner, OpenFlags, Request, Result};
    /// fn open(host: &Host, request: &Request<'_>) -> Result<Box<dyn File>> {
    ///     host.open(request.context(), request.rest(), &Inner::new(OpenFlags::READ))
    /// }
    /// ```
    pub fn open(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        self.0.open(context, descriptor, options)
    }

    /// Says which open flags the provider of a descriptor honours, so that a layer can leave out those that mean nothing to
    /// it: a pipe has nothing to create. May load that provider.
    ///
    /// # Errors
    /// As [`open`](Host::open), but for the inner provider's.
    pub fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        self.0.supported_flags(context, descriptor)
    }

    /// The status of a name of another provider's, for a layer that has names where its inner provider has. `context` is that of
    /// the layer's own call on a name, or of an open file; of `options` only the settings count.
    ///
    /// # Errors
    /// As [`open`](Host::open). ENOTSUP: the inner provider knows no status, or the host is older than this call.
    pub fn stat(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        self.0.stat(context, descriptor, options)
    }

    /// Calls `each` for every entry of a directory of another provider's, until it breaks off. Otherwise as [`stat`](Host::stat).
    ///
    /// # Errors
    /// As [`stat`](Host::stat); ENOTDIR.
    pub fn list(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.0.list(context, descriptor, options, each)
    }

    /// Removes a file of another provider's, never a directory. Otherwise as [`stat`](Host::stat).
    ///
    /// # Errors
    /// As [`stat`](Host::stat); EISDIR.
    pub fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.0.remove(context, descriptor, options)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} {})", self.name(), self.version())
    }
}

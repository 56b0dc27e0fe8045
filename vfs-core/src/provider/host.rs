//! A provider's host: the log, and, for a layer, files of other providers.

use crate::code::Code;
use crate::context::Context;
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::file::{File, Stat};
use crate::flags::OpenFlags;
#[cfg(feature = "host")]
use crate::printable::is_printable;
use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;
use std::time::SystemTime;

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

/// The host that runs an instance. A provider has it as a [`Host`].
///
/// The calls on other providers are for layers: providers whose descriptor holds another one. By default there are no others.
pub trait HostCalls: Send + Sync {
    /// The host program's name, such as `zvfs`.
    fn name(&self) -> &str;

    /// The host program's version.
    fn version(&self) -> &str;

    /// Writes one line to the host's log.
    fn log(&self, level: Level, text: &str);

    /// Opens a file of another provider. `context` is that of the layer's own file, whose deadline and cancel the inner file
    /// shares. What a host checks of any open file it checks of this one. Drop it no later than the layer's file.
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
    fn open(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }

    /// Says which open flags the provider of a descriptor honours, so that a layer can leave out those that mean nothing to
    /// it: a pipe has nothing to create. May load that provider.
    ///
    /// # Errors
    /// As [`open`](HostCalls::open), but for the inner provider's.
    fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        let _ = (context, descriptor);
        Err(opens_nothing())
    }

    /// The status of a name of another provider's, for a layer that has names where its inner provider has. `context` is that of
    /// the layer's own call on a name, or of an open file; of `options` only the settings count.
    ///
    /// # Errors
    /// As [`open`](HostCalls::open). ENOTSUP: the inner provider knows no status, or the host is older than this call.
    fn stat(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }

    /// Calls `each` for every entry of a directory of another provider's, until it breaks off. Otherwise as
    /// [`stat`](HostCalls::stat).
    ///
    /// # Errors
    /// As [`stat`](HostCalls::stat); ENOTDIR.
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

    /// As [`list`](HostCalls::list), with the names that are no UTF-8 too.
    ///
    /// # Errors
    /// As [`list`](HostCalls::list).
    fn names(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let _ = (context, descriptor, options, each);
        Err(opens_nothing())
    }

    /// Removes a file of another provider's, never a directory. Otherwise as [`stat`](HostCalls::stat).
    ///
    /// # Errors
    /// As [`stat`](HostCalls::stat); EISDIR.
    fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }

    /// Makes a folder of another provider's, and none above it. Otherwise as [`stat`](HostCalls::stat).
    ///
    /// # Errors
    /// As [`stat`](HostCalls::stat); EEXIST, ENOENT.
    fn make_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }

    /// Removes an empty folder of another provider's. Otherwise as [`stat`](HostCalls::stat).
    ///
    /// # Errors
    /// As [`stat`](HostCalls::stat); ENOTEMPTY, ENOTDIR.
    fn remove_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        let _ = (context, descriptor, options);
        Err(opens_nothing())
    }

    /// Sets the time of what another provider has under a name. Otherwise as [`stat`](HostCalls::stat).
    ///
    /// # Errors
    /// As [`stat`](HostCalls::stat); EOVERFLOW.
    fn set_modified(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        time: SystemTime,
    ) -> Result<()> {
        let _ = (context, descriptor, options, time);
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

/// A handle on the host that runs an instance; its calls are those of [`HostCalls`].
#[derive(Clone)]
pub struct Host(Arc<dyn HostCalls>);

impl Host {
    /// Wraps a host's implementation.
    pub fn new(calls: Arc<dyn HostCalls>) -> Host {
        Host(calls)
    }

    /// A host that has a log and no other providers.
    pub fn logging(
        name: &'static str,
        version: &'static str,
        log: impl Fn(Level, &str) + Send + Sync + 'static,
    ) -> Host {
        Host(Arc::new(Logging { name, version, log }))
    }

    /// What a provider with names that may not be UTF-8 calls its [`Namespace::names`](crate::Namespace::names) with, to implement
    /// [`Namespace::list`](crate::Namespace::list): `each` gets the others, and what is left out is a warning in the log. `shown` is the
    /// folder.
    pub fn entries<'a>(
        &'a self,
        shown: &'a str,
        each: &'a mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> impl FnMut(Name<'_>) -> ControlFlow<()> + 'a {
        move |name| match name.entry() {
            Some(entry) => each(entry),
            None => {
                let name = String::from_utf8_lossy(name.bytes);
                let text = format!("list {shown}: left out {name:?}, which is not UTF-8");
                self.log(Level::Warning, &text);
                ControlFlow::Continue(())
            }
        }
    }
}

struct Logging<F> {
    name: &'static str,
    version: &'static str,
    log: F,
}

impl<F: Fn(Level, &str) + Send + Sync> HostCalls for Logging<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> &str {
        self.version
    }

    fn log(&self, level: Level, text: &str) {
        (self.log)(level, text);
    }
}

impl Deref for Host {
    type Target = dyn HostCalls;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} {})", self.name(), self.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_listing_without_what_is_no_utf_8_says_so_in_the_log() {
        let logged = Arc::new(Mutex::new(Vec::new()));
        let log = logged.clone();
        let host =
            Host::logging("test", "1", move |level, text| log.lock().unwrap().push((level, text.to_owned())));
        let mut listed = Vec::new();
        let mut each = |entry: Entry<'_>| {
            listed.push(entry.name.to_owned());
            ControlFlow::Continue(())
        };
        let names = [&b"a"[..], b"\xff", b"b"].map(|bytes| Name { bytes, stat: None });
        assert!(names.into_iter().try_for_each(host.entries("x:/f", &mut each)).is_continue());
        assert_eq!(listed, ["a", "b"]);
        let text = "list x:/f: left out \"\u{fffd}\", which is not UTF-8".to_owned();
        assert_eq!(*logged.lock().unwrap(), [(Level::Warning, text)]);
    }
}

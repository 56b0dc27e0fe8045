//! Two of the three nouns, the same for who writes a provider and who uses one: [`Provider`], [`Instance`]; the third is
//! [`File`]. And a provider's handle on its [`Host`].
//!
//! `include/zvfs_provider.h` is the authority on what each call does; these are its words in Rust.

mod host;

use crate::code::Code;
use crate::context::Context;
use crate::descriptor::{Descriptor, Shown};
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::file::{File, Stat};
use crate::flags::OpenFlags;
use crate::settings::{Setting, Settings};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::SystemTime;

#[cfg(feature = "host")]
pub(crate) use host::busy_in_start;
pub(crate) use host::opens_nothing;
pub use host::{Host, HostCalls, Inner, Level};

/// A library that serves channels of one or more schemes.
pub trait Provider: Send + Sync {
    /// What the provider says of itself; the same at each call.
    fn info(&self) -> Info;

    /// Makes an instance of one configuration. Should not block: connect when a file is opened. Dropping the instance stops
    /// it: that delivers what was ENDed and joins its threads, within 5 s.
    ///
    /// # Errors
    /// Any: the configuration does not work.
    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>>;

    /// As [`start`](Provider::start), which ends early with the context where it can.
    #[doc(hidden)]
    fn start_under(&self, context: &Context, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        let _ = context;
        self.start(host, settings)
    }

    /// Whether this thread is in a call of a library that has one call at a time: a start must then be made on it, too.
    #[doc(hidden)]
    fn is_in_its_turn(&self) -> bool {
        false
    }
}

/// What a provider says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub struct Info {
    /// As in `libzvfs_<name>.so`: lower-case letters, digits, `-` and `_`, 1 to 32.
    pub name: String,
    /// The provider's own version, free text.
    pub version: String,
    /// One line.
    pub summary: String,
    /// At least one, lower case.
    pub schemes: Vec<String>,
    /// The settings that it understands.
    pub settings: Vec<Setting>,
    /// The open flags that it honours; the host refuses others before it calls.
    pub supported_flags: OpenFlags,
    /// Which calls may overlap.
    pub threads: Threads,
    /// Whether some of its files take times: it has `zvfs.times/1`. A host that needs that asks before it opens one.
    pub times: bool,
}

impl Info {
    /// A provider of one scheme, its own name, that reads, without settings and with independent files.
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Info {
        let name = name.into();
        Info {
            schemes: vec![name.clone()],
            name,
            version: version.into(),
            summary: summary.into(),
            settings: Vec::new(),
            supported_flags: OpenFlags::READ,
            threads: Threads::PerFile,
            times: true,
        }
    }

    /// Names the schemes, instead of the provider's own name.
    pub fn schemes<S: Into<String>>(mut self, schemes: impl IntoIterator<Item = S>) -> Info {
        self.schemes = schemes.into_iter().map(Into::into).collect();
        self
    }

    /// Names the open flags, instead of `READ`.
    pub fn supported_flags(mut self, flags: OpenFlags) -> Info {
        self.supported_flags = flags;
        self
    }

    /// Adds a setting.
    pub fn setting(mut self, setting: Setting) -> Info {
        self.settings.push(setting);
        self
    }

    /// Says which calls may overlap.
    pub fn threads(mut self, threads: Threads) -> Info {
        self.threads = threads;
        self
    }

    /// Says that no file of it takes a time.
    pub fn without_times(mut self) -> Info {
        self.times = false;
        self
    }
}

/// Which calls may overlap. The host sees to it; no call is bound to the thread of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
pub enum Threads {
    /// Files are independent; one file has one call at a time, but for positional ones.
    PerFile,
    /// One call at a time for an instance and its files.
    PerInstance,
    /// One call at a time for the library.
    PerLibrary,
}

/// One configuration of a provider. Dropped when all its files are closed.
pub trait Instance: Send + Sync {
    /// Opens a file. May block, best in [`Context::wait`].
    ///
    /// # Errors
    /// EBADF: a direction that the descriptor excludes. Else the provider's own. (Contradictory flags do not come here: host and
    /// [`export_provider!`](crate::export_provider) refuse them.)
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>>;

    /// Work on names rather than open files, if the provider has it.
    fn namespace(&self) -> Option<&dyn Namespace> {
        None
    }
}

/// Work on names: `zvfs.namespace/1`. Each gets a request with no flags.
pub trait Namespace {
    /// What is known of a name, without opening it.
    ///
    /// # Errors
    /// ENOENT, EACCES, the provider's own.
    fn stat(&self, request: &Request<'_>) -> Result<Stat>;

    /// Calls `each` for every entry of a directory, in no order, until it breaks off.
    ///
    /// # Errors
    /// ENOTDIR, ENOTSUP, the provider's own.
    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let _ = each;
        Err(Error::new(Code::ENOTSUP, format!("list {}: this provider cannot list", request.shown())))
    }

    /// As [`list`](Namespace::list), with the names that are no UTF-8 too: `zvfs.names/1`. For a provider that has such; by
    /// default those of `list`.
    ///
    /// # Errors
    /// As [`list`](Namespace::list).
    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        self.list(request, &mut |entry| each(entry.into()))
    }

    /// Removes a file, never a directory.
    ///
    /// # Errors
    /// EISDIR, ENOTSUP, the provider's own.
    fn remove(&self, request: &Request<'_>) -> Result<()> {
        Err(Error::new(Code::ENOTSUP, format!("remove {}: this provider cannot remove", request.shown())))
    }

    /// Makes a folder, and none above it: `zvfs.folders/1`.
    ///
    /// # Errors
    /// EEXIST: something has that name. ENOENT: the folder that it would lie in is not there. ENOTSUP, the provider's own.
    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        Err(no_folders("make folder", request))
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// ENOTEMPTY; ENOTDIR: it is no folder. ENOTSUP, the provider's own.
    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        Err(no_folders("remove folder", request))
    }

    /// Sets the time of what is there, a folder too: `zvfs.times/1`. Rounded down to what the store holds.
    ///
    /// # Errors
    /// ENOENT; EOVERFLOW: the store cannot hold it. ENOTSUP, the provider's own.
    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        let _ = time;
        let text = format!("set the time of {}: this provider sets none of a name", request.shown());
        Err(Error::new(Code::ENOTSUP, text))
    }
}

fn no_folders(doing: &str, request: &Request<'_>) -> Error {
    let text = format!("{doing} {}: this provider makes and removes no folders", request.shown());
    Error::new(Code::ENOTSUP, text)
}

/// What to open, and for whom.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    context: &'a Context,
    scheme: &'a str,
    descriptor: Descriptor<'a>,
    shown: Cow<'a, str>,
    flags: OpenFlags,
    expected_size: Option<u64>,
    settings: &'a Settings,
}

static NO_SETTINGS: Settings = Settings::none();

impl<'a> Request<'a> {
    /// A request with no flags and no settings. `scheme` is one that the provider declares.
    pub fn new(context: &'a Context, scheme: &'a str, descriptor: Descriptor<'a>) -> Request<'a> {
        Request::shown_as(context, scheme, descriptor, Shown(descriptor.as_written()).to_cow())
    }

    /// The same where the descriptor's form for messages is known.
    pub(crate) fn shown_as(
        context: &'a Context,
        scheme: &'a str,
        descriptor: Descriptor<'a>,
        shown: Cow<'a, str>,
    ) -> Request<'a> {
        Request {
            context,
            scheme,
            descriptor,
            shown,
            flags: OpenFlags::empty(),
            expected_size: None,
            settings: &NO_SETTINGS,
        }
    }

    /// Sets the open flags.
    pub fn with_flags(mut self, flags: OpenFlags) -> Request<'a> {
        self.flags = flags;
        self
    }

    /// Sets the number of bytes that will be written.
    pub fn with_expected_size(mut self, size: Option<u64>) -> Request<'a> {
        self.expected_size = size;
        self
    }

    /// Sets the per-open settings.
    pub fn with_settings(mut self, settings: &'a Settings) -> Request<'a> {
        self.settings = settings;
        self
    }

    /// Who waits; may be kept until the file is closed.
    pub fn context(&self) -> &'a Context {
        self.context
    }

    /// The scheme, lower case, one of those that the provider declares.
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// What follows the scheme and its colon; the whole of a bare path.
    pub fn rest(&self) -> &'a str {
        self.descriptor.rest()
    }

    /// The whole descriptor, as written.
    pub fn descriptor(&self) -> Descriptor<'a> {
        self.descriptor
    }

    /// The descriptor for messages: secrets hidden, control characters escaped.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The open flags.
    pub fn flags(&self) -> OpenFlags {
        self.flags
    }

    /// Bytes that will be written, if the host knows.
    pub fn expected_size(&self) -> Option<u64> {
        self.expected_size
    }

    /// The per-open settings: those of scope `OPEN`.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }
}

/// Whether a text is a provider's name: 1 to 32 lower-case letters, digits, `-` and `_`.
#[cfg(feature = "host")]
pub(crate) fn is_provider_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
}

//! From a descriptor to an open file: scheme, provider, instance.

mod first_use;
mod layers;
mod listing;
mod lookup;
mod opening;

use crate::boundary::Time;
use crate::code::Code;
use crate::control::Control;
use crate::descriptor::{Descriptor, is_scheme};
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::file::{Kind, Stat};
use crate::flags::OpenFlags;
use crate::forks::forks;
use crate::host::below::parent;
use crate::host::configuration::Configuration;
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::process::ProcessProvider;
use crate::host::standard_error::log_to_stderr;
use crate::host::walls::Walls;
use crate::host::work::Work;
use crate::lock::Mutex;
use crate::provider::{Host, Info, Level, Provider, is_provider_name};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use first_use::{Loaded, Resolved, Started, Then};
pub use listing::Listing;

/// The providers that a host may use, loaded and started at their first use, each once. Clones are the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    configuration: Configuration,
    host: Host,
    /// By provider name. Filled at first use; a failure is not kept, so that a mended installation works without a restart.
    libraries: Mutex<HashMap<String, Arc<Work<Loaded>>>>,
    /// By provider name, or by scheme for an alias with settings of its own.
    instances: Mutex<HashMap<String, Arc<Work<Started>>>>,
    /// By scheme as it was written, once its instance has started: what each further open needs. They are few, which a tree finds in less
    /// time than it takes to hash one.
    resolved: Mutex<BTreeMap<String, Arc<Resolved>>>,
    /// The process that made it: in a forked child its locks may be held by a thread that is not there.
    forks: u32,
}

impl Registry {
    /// A registry whose providers log errors and warnings to standard error. Loads nothing yet.
    pub fn new(configuration: Configuration) -> Registry {
        let log = |level, text: &str| {
            if level <= Level::Warning {
                log_to_stderr("zvfs", text);
            }
        };
        Registry::with_host(configuration, Host::logging("vfs-core", env!("CARGO_PKG_VERSION"), log))
    }

    /// A registry of a host with a name and a log of its own. Loads nothing yet.
    pub fn with_host(configuration: Configuration, host: Host) -> Registry {
        let (libraries, instances, resolved) = (Mutex::default(), Mutex::default(), Mutex::default());
        Registry(Arc::new(Shared { configuration, host, libraries, instances, resolved, forks: forks() }))
    }

    /// Adds a provider of the host's own, which no policy applies to.
    ///
    /// # Errors
    /// EEXIST: one of that name is in use, or was added with one of its schemes. EINVAL: a name or a scheme that is none.
    pub fn register(&self, provider: Box<dyn Provider>) -> Result<()> {
        let info = provider.info();
        let schemes = &info.schemes;
        if !is_provider_name(&info.name) || schemes.is_empty() || !schemes.iter().all(|text| is_scheme(text))
        {
            let text = format!(
                "register `{}` for {}: not a name with schemes",
                info.name.escape_debug(),
                schemes.join(", ").escape_debug()
            );
            return Err(Error::new(Code::EINVAL, text));
        }
        let name = info.name.clone();
        self.check_process()?;
        let mut libraries = self.0.libraries.lock();
        if libraries.get(&name).is_some_and(|work| !work.failed()) {
            let text = format!("register {name}: a provider of that name is in use");
            return Err(Error::new(Code::EEXIST, text));
        }
        if let Some(scheme) = schemes.iter().find(|scheme| added(&libraries, scheme).is_some()) {
            let text = format!("register {name}: a provider of scheme `{scheme}` is in use");
            return Err(Error::new(Code::EEXIST, text));
        }
        libraries.insert(name, Work::of(Loaded::own(provider, info)));
        drop(libraries);
        // It may serve what led to another one.
        self.0.resolved.lock().clear();
        Ok(())
    }

    /// Loads whatever provider a path holds, in a process of its own that may do what `walls` says: for tools that examine one.
    /// The operator's file has no say but where the program for it lies.
    ///
    /// # Errors
    /// As [`Library::load_any`](crate::Library::load_any). EIO: the process ended. ECANCELED, ETIMEDOUT: the control did.
    pub fn load_in_process(
        &self,
        library: &Path,
        walls: &Walls,
        control: &Control,
    ) -> Result<Box<dyn Provider>> {
        self.check_process()?;
        let program = self.0.configuration.process_program(&library.display().to_string())?;
        let file = (library, None, None);
        Ok(Box::new(ProcessProvider::load(&control.context(), program, file, walls, &|_| ())?))
    }

    /// Ends the host's use of the registry though files may be open still: instances that no file uses stop now, the others with
    /// their last file. An open after it starts its provider anew. (A dropped registry lives on in its open files, since a
    /// layer among them may open further ones.)
    ///
    /// # Blocking
    /// As the providers' stop: up to 5 s each, to deliver what was ended.
    pub fn release(&self) {
        if self.check_process().is_err() {
            return; // they are the parent's
        }
        let stopping = {
            let (mut resolved, mut instances) = (self.0.resolved.lock(), self.0.instances.lock());
            (std::mem::take(&mut *resolved), std::mem::take(&mut *instances))
        };
        // Without the locks: a stop may take its time.
        drop(stopping);
    }

    /// Drops this registry. If it was the last of its clones, and no file is open, the instances stop: `stopping` hears the name of the
    /// provider before each stop, so that a host can say which of them does not return.
    ///
    /// # Blocking
    /// As [`release`](Registry::release).
    pub fn stop(self, mut stopping: impl FnMut(&str)) {
        let Some(shared) = Arc::into_inner(self.0) else { return };
        drop(shared.resolved);
        for work in shared.instances.into_inner().into_values() {
            if let Some(started) = work.get() {
                stopping(&started.loaded.info.name);
            }
            drop(work);
        }
    }

    /// Opens a descriptor. Loads and starts its provider if this is the first use of it.
    ///
    /// # Errors
    /// EINVAL: not a descriptor, or a per-open setting that the provider doesn't take. ENOTSUP: a flag that it doesn't honour.
    /// A [`Refusal`](crate::Refusal) as the source: unknown scheme, or its provider is not installed (EPROTONOSUPPORT), not allowed (EACCES), broken
    /// (ELIBBAD). Else the provider's.
    ///
    /// # Blocking
    /// As the provider; the [`Control`](crate::Control) in `options` ends it.
    pub fn open(&self, descriptor: &str, options: &OpenOptions) -> Result<OpenFile> {
        self.opened(Descriptor::parse(descriptor)?, options)
    }

    /// Says whether a scheme leads somewhere: to an alias, to a provider that the operator names, or to a library in the
    /// folders. Loads nothing, and promises nothing of the library.
    pub fn knows(&self, scheme: &str) -> bool {
        self.0.configuration.knows(scheme)
            || self.check_process().is_ok()
                && added(&self.0.libraries.lock(), &scheme.to_ascii_lowercase()).is_some()
    }

    /// The name of the provider that a descriptor leads to, be it there or not. Loads nothing. `None`: not a descriptor.
    pub fn leads_to(&self, descriptor: &str) -> Option<String> {
        self.check_process().ok()?;
        let scheme = Descriptor::parse(descriptor).ok()?.scheme().to_ascii_lowercase();
        Some(self.resolve(&scheme).provider)
    }

    /// What the provider of a descriptor says of itself. A host leaves out the open flags that it does not support and that mean
    /// nothing to it: a pipe's provider has nothing to create or to empty. Opens nothing, but loads the provider if this is its
    /// first use; of `options` only the control counts, which ends that.
    ///
    /// # Errors
    /// As [`open`](Registry::open), but for the provider's.
    pub fn info(&self, descriptor: &str, options: &OpenOptions) -> Result<Info> {
        self.with_info(descriptor, options, Info::clone)
    }

    /// The open flags that the provider of a descriptor honours. Otherwise as [`info`](Registry::info), of which it copies no more.
    ///
    /// # Errors
    /// As [`info`](Registry::info).
    pub fn supported_flags(&self, descriptor: &str, options: &OpenOptions) -> Result<OpenFlags> {
        self.with_info(descriptor, options, |info| info.supported_flags)
    }

    fn with_info<T>(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        read: impl FnOnce(&Info) -> T,
    ) -> Result<T> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.controlled(descriptor, options, "open", |opening| {
            if let Some(resolved) = self.0.resolved.lock().get(descriptor.scheme()) {
                return Ok(read(&resolved.started.loaded.info));
            }
            let scheme = descriptor.scheme().to_ascii_lowercase();
            let provider = self.resolve(&scheme).provider;
            let how = (Then::Nothing, options.loads_on);
            let loaded = self.loaded(&provider, &scheme, how, &opening.context)?;
            Ok(read(&loaded.info))
        })
    }

    /// Asks for the status of a name, without opening it where the provider can; else opens it for reading.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOTSUP: the provider knows no status.
    pub fn stat(&self, descriptor: &str, options: &OpenOptions) -> Result<Stat> {
        match self.stat_name(descriptor, options) {
            Err(error) if error.code() == Code::ENOTSUP => {
                let descriptor = Descriptor::parse(descriptor)?;
                let options = OpenOptions { flags: OpenFlags::READ, ..options.clone() };
                let mut file = self.opened(descriptor, &options)?;
                file.stat().map_err(|error| error.context(format!("stat {descriptor}")))
            }
            result => result,
        }
    }

    /// Asks for the status of a name, and opens nothing: a pipe would break of it.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOTSUP: the provider says nothing of what is not open.
    pub fn stat_name(&self, descriptor: &str, options: &OpenOptions) -> Result<Stat> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.named(descriptor, options, "stat", |names, request| names.stat(request))
    }

    /// Calls `each` for every entry of a directory that is UTF-8, in the provider's order, until it breaks off.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOTDIR; ENOTSUP: the provider cannot list. EOVERFLOW: more than 256 MiB of names, each counted
    /// with 128 bytes for what is kept beside it: whoever serves the directory would otherwise decide how much memory is taken.
    pub fn list(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.listed(descriptor, options, |names, request, goes_on| {
            names.list(request, &mut |entry| match goes_on(entry.into()) {
                true => each(entry),
                false => ControlFlow::Break(()),
            })
        })
    }

    /// As [`list`](Registry::list), with the names that are no UTF-8 too.
    ///
    /// # Errors
    /// As [`list`](Registry::list).
    pub fn names(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.listed(descriptor, options, |names, request, goes_on| {
            names.names(request, &mut |name| if goes_on(name) { each(name) } else { ControlFlow::Break(()) })
        })
    }

    /// Removes a file, never a directory.
    ///
    /// # Errors
    /// As [`open`](Registry::open); EISDIR; ENOTSUP: the provider cannot remove.
    pub fn remove(&self, descriptor: &str, options: &OpenOptions) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.named(descriptor, options, "remove", |names, request| names.remove(request))
    }

    /// Makes a folder, and none above it.
    ///
    /// # Errors
    /// As [`open`](Registry::open); EEXIST: something has that name; ENOENT: the folder that it would lie in is not there; ENOTSUP:
    /// the provider makes no folders.
    pub fn make_folder(&self, descriptor: &str, options: &OpenOptions) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.named(descriptor, options, "make folder", |names, request| names.make_folder(request))
    }

    /// Makes a folder and those above it that are missing. One that is there, or that somebody else makes meanwhile, stays as it is.
    /// `made` gets those that were made, each after the one above it, also where that fails later.
    ///
    /// # Errors
    /// As [`make_folder`](Registry::make_folder); EEXIST: something else has that name.
    pub fn make_folders(
        &self,
        descriptor: &str,
        options: &OpenOptions,
        made: &mut Vec<String>,
    ) -> Result<()> {
        let last = match self.make_folder(descriptor, options) {
            Err(error) if error.code() == Code::ENOENT => match parent(descriptor) {
                Some(above) => {
                    self.make_folders(&above, options, made)?;
                    self.make_folder(descriptor, options)
                }
                None => Err(error),
            },
            last => last,
        };
        let is_there = || self.stat_name(descriptor, options).is_ok_and(|stat| stat.kind == Kind::Directory);
        match last {
            Ok(()) => made.push(descriptor.to_owned()),
            // Servers say this in many ways.
            Err(error) if error.code() != Code::ENOTSUP && is_there() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOTEMPTY; ENOTDIR: it is no folder; ENOTSUP: the provider removes no folders.
    pub fn remove_folder(&self, descriptor: &str, options: &OpenOptions) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.named(descriptor, options, "remove folder", |names, request| names.remove_folder(request))
    }

    /// Sets the time of what is there under a name, a folder too, rounded down to what the store holds.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOENT; EOVERFLOW: the store cannot hold it; ENOTSUP: the provider sets none.
    pub fn set_modified(&self, descriptor: &str, options: &OpenOptions, time: SystemTime) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        // What the ABI has no number for is refused for a host's own providers too.
        Time(time).ns()?;
        self.named(descriptor, options, "set the time of", |names, request| names.set_modified(request, time))
    }
}

/// The name of the host's own provider that serves a scheme.
fn added<'l>(libraries: &'l HashMap<String, Arc<Work<Loaded>>>, scheme: &str) -> Option<&'l str> {
    let serves = |loaded: &Arc<Loaded>| {
        loaded.path.is_none() && loaded.info.schemes.iter().any(|known| known == scheme)
    };
    libraries.iter().find(|(_, work)| work.get().is_some_and(serves)).map(|(name, _)| name.as_str())
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.0.configuration.provider_path()).finish()
    }
}

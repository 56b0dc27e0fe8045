//! From a descriptor to an open file: scheme, provider, instance.

mod given;
mod layers;
mod listing;
mod work;

use crate::code::Code;
use crate::context::{Context, Origin};
use crate::control::{Control, Log};
use crate::descriptor::{Descriptor, is_scheme};
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::file::Stat;
use crate::flags::{OpenFlags, Scope};
use crate::forks::{forks, forks_now};
use crate::host::configuration::{Configuration, Source, Written, built_in_alias};
use crate::host::loader::{Digest, Library, Refusal, trust};
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::standard_error::log_to_stderr;
use crate::provider::{
    Host, HostCalls, Info, Instance, Level, Namespace, Provider, Request, is_provider_name,
};
use crate::settings::{Setting, Settings};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layers::LayerHost;
pub use listing::Listing;
use work::Work;
pub use work::is_loading;

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
    /// The process that made it: in a forked child its locks may be held by a thread that is not there.
    forks: u32,
}

/// A provider with what it says of itself.
struct Loaded {
    provider: Box<dyn Provider>,
    info: Info,
    path: Option<PathBuf>,
}

struct Started {
    instance: Box<dyn Instance>,
    loaded: Arc<Loaded>,
}

/// Where a start is that nobody waits for any longer.
const STARTING: &str = "its start has not returned";

/// What a scheme resolves to.
struct Target {
    provider: String,
    /// The scheme that an alias gives the provider.
    alias_scheme: Option<String>,
    /// The alias's own settings; they make an instance of its own.
    alias_settings: Option<BTreeMap<String, Written>>,
    aliased: bool,
}

/// The log of a host that gave none: errors and warnings, on standard error.
struct StandardError;

impl HostCalls for StandardError {
    fn name(&self) -> &str {
        "vfs-core"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn log(&self, level: Level, text: &str) {
        if level <= Level::Warning {
            log_to_stderr("zvfs", text);
        }
    }
}

impl Registry {
    /// A registry whose providers log errors and warnings to standard error. Loads nothing yet.
    pub fn new(configuration: Configuration) -> Registry {
        Registry::with_host(configuration, Host::new(Arc::new(StandardError)))
    }

    /// A registry of a host with a name and a log of its own. Loads nothing yet.
    pub fn with_host(configuration: Configuration, host: Host) -> Registry {
        let (libraries, instances) = (Mutex::default(), Mutex::default());
        Registry(Arc::new(Shared { configuration, host, libraries, instances, forks: forks() }))
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
        libraries.insert(name, Work::of(Loaded { provider, info, path: None }));
        Ok(())
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
        let instances = std::mem::take(&mut *self.0.instances.lock());
        // Without the lock: a stop may take its time.
        drop(instances);
    }

    /// Opens a descriptor. Loads and starts its provider if this is the first use of it.
    ///
    /// # Errors
    /// EINVAL: not a descriptor, or a per-open setting that the provider doesn't take. ENOTSUP: a flag that it doesn't honour.
    /// A [`Refusal`] as the source: unknown scheme, or its provider is not installed (EPROTONOSUPPORT), not allowed (EACCES), broken
    /// (ELIBBAD). Else the provider's.
    ///
    /// # Blocking
    /// As the provider; the [`Control`] in `how` ends it.
    pub fn open(&self, descriptor: &str, how: &OpenOptions) -> Result<OpenFile> {
        let descriptor = Descriptor::parse(descriptor)?;
        self.opened(descriptor, how).map_err(|error| in_context(error, "open", descriptor))
    }

    /// Says which open flags the provider of a descriptor honours, so that a host can leave out those that mean nothing to it:
    /// a pipe's provider has nothing to create or to empty. Loads the provider if this is the first use of it; of `how` only the
    /// control counts, which ends that.
    ///
    /// # Errors
    /// As [`open`](Registry::open), but for the provider's.
    pub fn supported_flags(&self, descriptor: &str, how: &OpenOptions) -> Result<OpenFlags> {
        self.provider_of(descriptor, how).map(|loaded| loaded.info.supported_flags)
    }

    /// Says whether a scheme leads somewhere: to an alias, to a provider that the operator names, or to a library in the
    /// folders. Loads nothing, and promises nothing of the library.
    pub fn knows(&self, scheme: &str) -> bool {
        self.0.configuration.knows(scheme)
            || self.check_process().is_ok()
                && added(&self.0.libraries.lock(), &scheme.to_ascii_lowercase()).is_some()
    }

    /// What the provider of a descriptor says of itself. Opens nothing, but loads it if this is its first use; of `how` only the
    /// control counts, which ends that.
    ///
    /// # Errors
    /// As [`open`](Registry::open), but for the provider's.
    pub fn info(&self, descriptor: &str, how: &OpenOptions) -> Result<Info> {
        self.provider_of(descriptor, how).map(|loaded| loaded.info.clone())
    }

    /// Asks for the status of a name, without opening it where the provider can; else opens it for reading.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOTSUP: the provider knows no status.
    pub fn stat(&self, descriptor: &str, how: &OpenOptions) -> Result<Stat> {
        let descriptor = Descriptor::parse(descriptor)?;
        let stat = match self.named(descriptor, how, |names, request| names.stat(request)) {
            Err(error) if error.code() == Code::ENOTSUP => {
                let how = OpenOptions { flags: OpenFlags::READ, ..how.clone() };
                self.opened(descriptor, &how).and_then(|mut file| file.stat())
            }
            result => result,
        };
        stat.map_err(|error| in_context(error, "stat", descriptor))
    }

    /// Calls `each` for every entry of a directory that is UTF-8, in the provider's order, until it breaks off.
    ///
    /// # Errors
    /// As [`open`](Registry::open); ENOTDIR; ENOTSUP: the provider cannot list.
    pub fn list(
        &self,
        descriptor: &str,
        how: &OpenOptions,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.listed(descriptor, how, |names, request, goes_on| {
            names.list(request, &mut |entry| if goes_on() { each(entry) } else { ControlFlow::Break(()) })
        })
    }

    /// As [`list`](Registry::list), with the names that are no UTF-8 too.
    ///
    /// # Errors
    /// As [`list`](Registry::list).
    pub fn names(
        &self,
        descriptor: &str,
        how: &OpenOptions,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.listed(descriptor, how, |names, request, goes_on| {
            names.names(request, &mut |name| if goes_on() { each(name) } else { ControlFlow::Break(()) })
        })
    }

    /// Lists, and ends between two entries once the control says so.
    fn listed(
        &self,
        descriptor: &str,
        how: &OpenOptions,
        list: impl FnOnce(&dyn Namespace, &Request<'_>, &mut dyn FnMut() -> bool) -> Result<()>,
    ) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        let mut ended = Ok(());
        let listed = self.named(descriptor, how, |names, request| {
            list(names, request, &mut || {
                ended = request.context().status();
                ended.is_ok()
            })
        });
        let listed = listed.and(ended);
        listed.map_err(|error| in_context(error, "list", descriptor))
    }

    /// Removes a file, never a directory.
    ///
    /// # Errors
    /// As [`open`](Registry::open); EISDIR; ENOTSUP: the provider cannot remove.
    pub fn remove(&self, descriptor: &str, how: &OpenOptions) -> Result<()> {
        let descriptor = Descriptor::parse(descriptor)?;
        let removed = self.named(descriptor, how, |names, request| names.remove(request));
        removed.map_err(|error| in_context(error, "remove", descriptor))
    }

    fn provider_of(&self, descriptor: &str, how: &OpenOptions) -> Result<Arc<Loaded>> {
        let descriptor = Descriptor::parse(descriptor)?;
        let scheme = descriptor.scheme().to_ascii_lowercase();
        let loaded = self.controlled(descriptor, how, |_, context| {
            self.loaded(&self.resolve(&scheme).provider, &scheme, context)
        });
        loaded.map_err(|error| in_context(error, "open", descriptor))
    }

    fn opened(&self, descriptor: Descriptor<'_>, how: &OpenOptions) -> Result<OpenFile> {
        how.flags.check()?;
        self.with_request(descriptor, how, |started, request, control| {
            let unsupported =
                request.flags().without(started.loaded.info.supported_flags).without(OpenFlags::HINTS);
            if !unsupported.is_empty() {
                let name = &started.loaded.info.name;
                return Err(Error::new(
                    Code::ENOTSUP,
                    format!("provider `{name}` does not support {unsupported:?}"),
                ));
            }
            let registry = (how.depth == 0).then(|| self.0.clone() as Arc<dyn Any + Send + Sync>);
            OpenFile::open(&*started.instance, request, control.clone(), started.clone(), registry)
        })
    }

    /// Works on a name: opens nothing.
    pub(crate) fn named<T>(
        &self,
        descriptor: Descriptor<'_>,
        how: &OpenOptions,
        call: impl FnOnce(&dyn Namespace, &Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let how = OpenOptions { flags: OpenFlags::empty(), ..how.clone() };
        self.with_request(descriptor, &how, |started, request, _| {
            let name = &started.loaded.info.name;
            let names = started.instance.namespace();
            let absent = || Error::new(Code::ENOTSUP, format!("provider `{name}` does not support names"));
            call(names.ok_or_else(absent)?, request)
        })
    }

    fn with_request<T>(
        &self,
        descriptor: Descriptor<'_>,
        how: &OpenOptions,
        call: impl FnOnce(&Arc<Started>, &Request<'_>, &Control) -> Result<T>,
    ) -> Result<T> {
        self.controlled(descriptor, how, |control, context| {
            let written = descriptor.scheme().to_ascii_lowercase();
            let target = self.resolve(&written);
            let loaded = self.loaded(&target.provider, &written, context)?;
            let scheme = target.scheme(&written, &loaded.info)?;
            let started = self.started(&target, &written, &loaded, context)?;
            let settings = open_settings(&loaded.info.settings, how)?;
            control.status()?;
            let request = Request::new(context, &scheme, descriptor)
                .with_flags(how.flags)
                .with_expected_size(how.expected_size)
                .with_settings(&settings);
            call(&started, &request, control)
        })
    }

    /// Works under a control of its own, which follows the opener's.
    fn controlled<T>(
        &self,
        descriptor: Descriptor<'_>,
        how: &OpenOptions,
        work: impl FnOnce(&Control, &Context) -> Result<T>,
    ) -> Result<T> {
        self.check_process()?;
        let control = Control::new();
        how.leader.as_ref().map_or(Ok(()), |leader| control.follow(leader))?;
        control.status()?;
        let log = Log::new(self.0.host.clone(), descriptor.to_string());
        let context = control.context_of(Origin { depth: how.depth, offered: how.offered.clone() }, log);
        control.call_ended(work(&control, &context))
    }

    /// The operator's alias, the host's own provider of this scheme, the built-in alias, else the provider of the scheme's own
    /// name. No library is asked.
    fn resolve(&self, scheme: &str) -> Target {
        let configuration = &self.0.configuration;
        if !configuration.has_alias(scheme)
            && let Some(provider) = added(&self.0.libraries.lock(), scheme)
        {
            return Target::own(provider);
        }
        match configuration.alias(scheme) {
            Some(alias) => Target {
                provider: alias.provider,
                alias_scheme: alias.scheme.map(|scheme| scheme.to_ascii_lowercase()),
                alias_settings: alias.settings,
                aliased: true,
            },
            None => Target::own(scheme),
        }
    }

    /// Refuses a parent's registry in a forked child, before any lock of it is looked at.
    fn check_process(&self) -> Result<()> {
        if self.0.forks == forks_now() {
            return Ok(());
        }
        let text = "the registry belongs to the parent process: make a new registry after a fork";
        Err(Error::new(Code::EPERM, text))
    }

    fn loaded(&self, provider: &str, scheme: &str, context: &Context) -> Result<Arc<Loaded>> {
        self.check_process()?;
        let known = self.0.libraries.lock().get(provider).filter(|work| !work.failed()).cloned();
        let (work, path) = match known {
            Some(work) => (work, None),
            None => {
                // A stranger chooses schemes: what is not there is refused here, and leaves nothing behind.
                let path = self.library_of(provider, scheme)?;
                let mut libraries = self.0.libraries.lock();
                match libraries.get(provider).filter(|work| !work.failed()).cloned() {
                    Some(work) => (work, None),
                    None => {
                        let work = Work::new("it has not been read yet")?;
                        libraries.insert(provider.to_owned(), work.clone());
                        (work, Some(path))
                    }
                }
            }
        };
        if let Some(path) = path {
            let pinned = self.0.configuration.section(provider).and_then(|section| section.sha256);
            let (host, name) = (self.0.host.clone(), provider.to_owned());
            work.begin(move |work| load(&path, &name, pinned, &host, &|doing| work.doing(doing)));
        }
        let loaded = work.wait(context, format_args!("the library libzvfs_{provider}.so"));
        if work.failed() {
            let mut libraries = self.0.libraries.lock();
            if libraries.get(provider).is_some_and(|known| Arc::ptr_eq(known, &work)) {
                libraries.remove(provider);
            }
        }
        loaded
    }

    /// Where the library of a provider lies, if it may be loaded.
    fn library_of(&self, provider: &str, scheme: &str) -> Result<PathBuf> {
        let configuration = &self.0.configuration;
        let file = format!("libzvfs_{provider}.so");
        let found = self.find(&file)?;
        let allowed = configuration.allows(provider);
        let (scheme, folders) = (scheme.to_owned(), configuration.provider_path().to_vec());
        match found {
            Some(path) if allowed => Ok(path),
            Some(_) => Err(self.not_allowed(scheme, provider).into()),
            None if configuration.is_alias_of_alias(&scheme, provider) => {
                let served_by = built_in_alias(provider);
                Err(Refusal::AliasOfAlias { alias: scheme, named: provider.to_owned(), served_by }.into())
            }
            // An alias, or a section, says that the operator means this provider to be there.
            None if allowed && (configuration.has_alias(&scheme) || configuration.listed().is_some()) => {
                Err(Refusal::NotFound { provider: provider.to_owned(), file, folders }.into())
            }
            None if configuration.has_alias(&scheme) && !allowed => {
                Err(self.not_allowed(scheme, provider).into())
            }
            None => Err(Refusal::UnknownScheme { scheme, file, folders }.into()),
        }
    }

    /// The first library of this name in the folders. One that may be there, behind a folder that cannot be searched, is an
    /// error: the next folder's would be loaded in its place.
    fn find(&self, file: &str) -> Result<Option<PathBuf>, Refusal> {
        for folder in self.0.configuration.provider_path() {
            let path = folder.join(file);
            match trust::is_there(&path) {
                Ok(true) => return Ok(Some(path)),
                Ok(false) => {}
                Err(source) => return Err(Refusal::Unreadable { path, source: source.into() }),
            }
        }
        Ok(None)
    }

    fn not_allowed(&self, scheme: String, provider: &str) -> Refusal {
        let configuration = match self.0.configuration.source() {
            Source::File(path) => path.display().to_string(),
            _ => "the configuration".to_owned(),
        };
        Refusal::NotAllowed { scheme, provider: provider.to_owned(), configuration }
    }

    fn started(
        &self,
        target: &Target,
        scheme: &str,
        loaded: &Arc<Loaded>,
        context: &Context,
    ) -> Result<Arc<Started>> {
        let key = target.instance(scheme);
        let known = self.0.instances.lock().get(&key).filter(|work| !work.failed()).cloned();
        if let Some(Some(started)) = known.as_ref().map(|work| work.get()) {
            return Ok(started.clone());
        }
        let provider = &target.provider;
        let in_start = |error: Error| error.context(format!("start provider `{provider}`"));
        let work = match known {
            Some(work) => work,
            None => {
                let settings = self.settings(target, &loaded.info).map_err(in_start)?;
                let host = LayerHost::starting(self);
                let mut instances = self.0.instances.lock();
                match instances.get(&key).filter(|work| !work.failed()).cloned() {
                    Some(work) => work,
                    None => {
                        let work = Work::new(STARTING)?;
                        instances.insert(key, work.clone());
                        drop(instances);
                        loaded.begin_start(&work, host, settings);
                        work
                    }
                }
            }
        };
        let started = work.wait(context, format_args!("the start of provider `{provider}`"));
        started.map_err(|error| if work.failed() { in_start(error) } else { error })
    }
}

/// The name of the host's own provider that serves a scheme.
fn added<'l>(libraries: &'l HashMap<String, Arc<Work<Loaded>>>, scheme: &str) -> Option<&'l str> {
    let serves = |loaded: &Arc<Loaded>| {
        loaded.path.is_none() && loaded.info.schemes.iter().any(|known| known == scheme)
    };
    libraries.iter().find(|(_, work)| work.get().is_some_and(serves)).map(|(name, _)| name.as_str())
}

impl Loaded {
    /// Starts an instance: on a thread that can be left behind, but within a call of the provider.
    fn begin_start(self: &Arc<Self>, work: &Arc<Work<Started>>, host: Arc<LayerHost>, settings: Settings) {
        let loaded = self.clone();
        let start = move |_: &Work<Started>| {
            let instance = loaded.provider.start(Host::new(host.clone()), settings)?;
            host.set_started();
            Ok(Started { instance, loaded })
        };
        // Another thread would wait for the turn that this one has.
        if self.provider.is_in_its_turn() {
            work.clone().run(start);
        } else {
            work.begin(start);
        }
    }
}

fn load(
    path: &Path,
    provider: &str,
    pinned: Option<Digest>,
    host: &Host,
    doing: &dyn Fn(&'static str),
) -> Result<Loaded> {
    let library = Library::load_telling(path, provider, pinned, doing)?;
    let info = library.info();
    let text = format!("loaded {} {} from {}", info.name, info.version, library.path().display());
    host.log(Level::Debug, &text);
    let path = Some(library.path().to_owned());
    Ok(Loaded { info, path, provider: Box::new(library) })
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.0.configuration.provider_path()).finish()
    }
}

impl Target {
    /// The provider of the scheme's own name.
    fn own(scheme: &str) -> Target {
        Target { provider: scheme.to_owned(), alias_scheme: None, alias_settings: None, aliased: false }
    }

    /// What its instance is kept under. A colon is in no provider's name, so the two kinds of key never meet.
    fn instance(&self, scheme: &str) -> String {
        if self.alias_settings.is_some() { format!("{scheme}:") } else { self.provider.clone() }
    }

    /// The scheme that the provider sees.
    fn scheme(&self, written: &str, info: &Info) -> Result<String> {
        let declared = |scheme: &str| info.schemes.iter().any(|known| known == scheme);
        let scheme = match &self.alias_scheme {
            Some(scheme) => scheme.as_str(),
            None if declared(written) => return Ok(written.to_owned()),
            None if self.aliased => return Ok(info.schemes[0].clone()),
            None => written,
        };
        if declared(scheme) {
            return Ok(scheme.to_owned());
        }
        let (provider, scheme, schemes) = (info.name.clone(), scheme.to_owned(), info.schemes.clone());
        Err(Refusal::NotServed { provider, scheme, schemes }.into())
    }
}

/// Adds what was being done, unless the provider's own text names the object already.
fn in_context(error: Error, verb: &str, descriptor: Descriptor<'_>) -> Error {
    let shown = descriptor.to_string();
    if error.to_string().contains(&shown) { error } else { error.context(format!("{verb} {shown}")) }
}

/// The per-open settings: what the opener gave, and of what the host offers only what the provider declares.
fn open_settings(schema: &[Setting], how: &OpenOptions) -> Result<Settings> {
    let declared =
        |name: &str| schema.iter().any(|setting| setting.name == name && setting.scope.contains(Scope::OPEN));
    let mut given = how.settings.clone();
    for (name, text) in &how.offered {
        if declared(name) && !given.iter().any(|(known, _)| known == name) {
            given.push(((*name).to_owned(), text.clone()));
        }
    }
    Settings::check(schema, Scope::OPEN, &given)
}

//! The first use of a provider loads it, and the first use of a configuration starts an instance: each once.

use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::forks::forks_now;
use crate::host::configuration::open_settings;
use crate::host::loader::{Digest, Library};
use crate::host::process::{ProcessProvider, Program};
use crate::host::registry::Registry;
use crate::host::registry::layers::LayerHost;
use crate::host::registry::lookup::Target;
use crate::host::walls::Walls;
use crate::host::work::{Next, On, Work};
use crate::provider::{Host, Info, Instance, Level, Provider};
use crate::settings::Settings;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A provider with what it says of itself.
pub(super) struct Loaded {
    pub(super) provider: Box<dyn Provider>,
    pub(super) info: Info,
    /// `None`: it is the host's own.
    pub(super) path: Option<PathBuf>,
    in_process: bool,
}

pub(super) struct Started {
    pub(super) instance: Box<dyn Instance>,
    pub(super) loaded: Arc<Loaded>,
}

/// Where a scheme has led to, and leads as long as its instance is this registry's.
pub(super) struct Resolved {
    /// The scheme that the provider sees.
    pub(super) scheme: String,
    pub(super) started: Arc<Started>,
    /// Those of an open that nobody gives any: what most are. `None`: a default is not valid, which each open tells anew.
    pub(super) settings: Option<Settings>,
}

/// What is to come once a library is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// The start of the instance that the scheme leads to, on the thread that loaded it, unless that is in a process.
    Start,
}

impl Registry {
    /// Where a scheme leads, loaded and started if this is the first use.
    pub(super) fn resolved(&self, written: &str, on: On, context: &Context) -> Result<Arc<Resolved>> {
        if let Some(resolved) = self.0.resolved.lock().get(written) {
            return Ok(resolved.clone());
        }
        let scheme = written.to_ascii_lowercase();
        let target = self.resolve(&scheme);
        let loaded = self.loaded(&target.provider, &scheme, (Then::Start, on), context)?;
        let seen = target.scheme(&scheme, &loaded.info)?;
        let started = self.started(&target, &scheme, &loaded, on, context)?;
        let settings = open_settings(&loaded.info.settings, &[], &[]).ok();
        let resolved = Arc::new(Resolved { scheme: seen, started, settings });
        // Of the many ways to write it one is kept, or a stranger could have us keep all.
        if scheme == written {
            let mut known = self.0.resolved.lock();
            let instance =
                self.0.instances.lock().get(&target.instance(&scheme)).and_then(|work| work.get().cloned());
            // It may have been released meanwhile.
            if instance.is_some_and(|started| Arc::ptr_eq(&started, &resolved.started)) {
                known.insert(scheme, resolved.clone());
            }
        }
        Ok(resolved)
    }

    /// Refuses a parent's registry in a forked child, before any lock of it is looked at.
    pub(super) fn check_process(&self) -> Result<()> {
        if self.0.forks == forks_now() {
            return Ok(());
        }
        let text = "the registry belongs to the parent process: make a new registry after a fork";
        Err(Error::new(Code::EPERM, text))
    }

    pub(super) fn loaded(
        &self,
        provider: &str,
        scheme: &str,
        how: (Then, On),
        context: &Context,
    ) -> Result<Arc<Loaded>> {
        self.check_process()?;
        let object = format_args!("the library libzvfs_{provider}.so");
        let known = begun(&self.0.libraries.lock(), provider);
        let work = match known {
            Some(work) => work,
            None => {
                let _waits = (how.1 == On::Callers).then(|| context.waits_for(object));
                self.begin_load(provider, scheme, how)?
            }
        };
        let loaded = work.wait(context, object);
        if work.failed() {
            let mut libraries = self.0.libraries.lock();
            if libraries.get(provider).is_some_and(|known| Arc::ptr_eq(known, &work)) {
                libraries.remove(provider);
            }
        }
        loaded
    }

    fn begin_load(&self, provider: &str, scheme: &str, (then, on): (Then, On)) -> Result<Arc<Work<Loaded>>> {
        // A stranger chooses schemes: what is not there is refused here, and leaves nothing behind.
        let path = self.0.configuration.library_of(provider, scheme)?;
        let mut libraries = self.0.libraries.lock();
        if let Some(work) = begun(&libraries, provider) {
            return Ok(work);
        }
        let place = match self.0.configuration.walls(provider) {
            Some(walls) => Some((self.0.configuration.process_program(provider)?, walls.clone())),
            None => None,
        };
        let on = place_on(on, place.is_some());
        let work = new_work("it has not been read yet", place.is_some());
        libraries.insert(provider.to_owned(), work.clone());
        drop(libraries);
        let pinned = self.0.configuration.section(provider).and_then(|section| section.sha256);
        let (host, name) = (self.0.host.clone(), provider.to_owned());
        let (registry, scheme) = (Arc::downgrade(&self.0), scheme.to_owned());
        // What ends with those who wait for it is begun by one of them: he may have left between the load and the start.
        let starts = then == Then::Start && place.is_none();
        let start = move |loaded: &Arc<Loaded>| match starts {
            true => Registry(registry.upgrade()?).start_after_load(&scheme, loaded),
            false => None,
        };
        work.begin_then(on, move |work| load(&path, &name, pinned, place, &host, work), start);
        Ok(work)
    }

    /// The start of the instance that a scheme leads to, for the thread that loaded its library. What stands against it is found anew,
    /// and told, by who waits for it; so `None` is no failure.
    fn start_after_load(&self, scheme: &str, loaded: &Arc<Loaded>) -> Option<Next> {
        let target = self.resolve(scheme);
        target.scheme(scheme, &loaded.info).ok()?;
        let (work, start) = self.new_start(&target, target.instance(scheme), loaded).ok()?;
        let start = start?;
        Some(Box::new(move || work.run(start)))
    }

    pub(super) fn started(
        &self,
        target: &Target,
        scheme: &str,
        loaded: &Arc<Loaded>,
        on: On,
        context: &Context,
    ) -> Result<Arc<Started>> {
        let key = target.instance(scheme);
        let known = begun(&self.0.instances.lock(), &key);
        if let Some(Some(started)) = known.as_ref().map(|work| work.get()) {
            return Ok(started.clone());
        }
        let provider = &target.provider;
        let in_start = |error: Error| error.context(format!("start provider `{provider}`"));
        let object = format_args!("the start of provider `{provider}`");
        let work = match known {
            Some(work) => work,
            None => {
                let _waits = (on == On::Callers).then(|| context.waits_for(object));
                self.begin_start(target, key, loaded, on).map_err(in_start)?
            }
        };
        let started = work.wait(context, object);
        started.map_err(|error| if work.failed() { in_start(error) } else { error })
    }

    fn begin_start(
        &self,
        target: &Target,
        key: String,
        loaded: &Arc<Loaded>,
        on: On,
    ) -> Result<Arc<Work<Started>>> {
        let (work, start) = self.new_start(target, key, loaded)?;
        if let Some(start) = start {
            loaded.begin_start(&work, start, on);
        }
        Ok(work)
    }

    /// The start of an instance, and how it is done, unless another has begun it meanwhile.
    fn new_start(
        &self,
        target: &Target,
        key: String,
        loaded: &Arc<Loaded>,
    ) -> Result<(Arc<Work<Started>>, Option<Start>)> {
        let (settings, problems) = target.settings(&self.0.configuration, &loaded.info);
        problems.into_iter().next().map_or(Ok(()), Err)?;
        let host = LayerHost::starting(self);
        let mut instances = self.0.instances.lock();
        if let Some(work) = begun(&instances, &key) {
            return Ok((work, None));
        }
        let work = loaded.start_work();
        instances.insert(key, work.clone());
        Ok((work, Some(loaded.start(host, settings))))
    }
}

/// Starts an instance.
type Start = Box<dyn FnOnce(&Work<Started>) -> Result<Started> + Send>;

/// What is being done, or was done well: what failed is begun anew.
fn begun<T: Send + Sync + 'static>(works: &HashMap<String, Arc<Work<T>>>, key: &str) -> Option<Arc<Work<T>>> {
    works.get(key).filter(|work| !work.failed()).cloned()
}

impl Loaded {
    /// A provider of the host's own.
    pub(super) fn own(provider: Box<dyn Provider>, info: Info) -> Loaded {
        Loaded { provider, info, path: None, in_process: false }
    }

    /// The start of an instance, which is to be begun.
    pub(super) fn start_work(&self) -> Arc<Work<Started>> {
        new_work("its start has not returned", self.in_process)
    }

    /// What starts an instance.
    pub(super) fn start(self: &Arc<Self>, host: Arc<LayerHost>, settings: Settings) -> Start {
        let loaded = self.clone();
        Box::new(move |work| {
            let host_of_it = Host::new(host.clone());
            let instance = loaded.provider.start_under(&work.context(), host_of_it, settings)?;
            host.set_started();
            Ok(Started { instance, loaded })
        })
    }

    /// Does so: on a thread that can be left behind, but within a call of the provider.
    pub(super) fn begin_start(&self, work: &Arc<Work<Started>>, start: Start, on: On) {
        // Another thread would wait for the turn that this one has.
        if self.provider.is_in_its_turn() || place_on(on, self.in_process) == On::Callers {
            work.clone().run(start);
        } else {
            work.begin(start);
        }
    }
}

/// What a process does ends with it; what a library does in the host does not.
fn new_work<T: Send + Sync + 'static>(doing: &'static str, in_process: bool) -> Arc<Work<T>> {
    if in_process { Work::leavable(doing) } else { Work::new(doing) }
}

/// What a process does ends with whoever waits for it: so he waits, and another thread does it.
fn place_on(on: On, in_process: bool) -> On {
    if in_process { On::Own } else { on }
}

fn load(
    path: &Path,
    name: &str,
    pinned: Option<Digest>,
    place: Option<(Program, Walls)>,
    host: &Host,
    work: &Work<Loaded>,
) -> Result<Loaded> {
    let doing = |what| work.doing(what);
    let in_process = place.is_some();
    let (provider, path): (Box<dyn Provider>, PathBuf) = match place {
        None => {
            let library = Library::load_telling(path, name, pinned, &doing)?;
            let path = library.path().to_owned();
            (Box::new(library), path)
        }
        Some((program, walls)) => {
            let file = (path, Some(name), pinned);
            let provider = ProcessProvider::load(&work.context(), program, file, &walls, &doing)?;
            let path = provider.path().to_owned();
            (Box::new(provider), path)
        }
    };
    let info = provider.info();
    let whose = if in_process { " in a process" } else { "" };
    let text = format!("loaded {} {} from {}{whose}", info.name, info.version, path.display());
    host.log(Level::Debug, &text);
    Ok(Loaded { provider, info, path: Some(path), in_process })
}

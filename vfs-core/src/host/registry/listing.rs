//! What serves what, from which path, and why; and everything that is wrong with it.

use crate::code::Code;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::host::configuration::Source;
use crate::host::loader::trust;
use crate::host::registry::Registry;
use crate::host::registry::first_use::{Loaded, Then};
use crate::host::registry::layers::LayerHost;
use crate::host::registry::lookup::Target;
use crate::host::walls::Walls;
use crate::host::work::On;
use crate::provider::Info;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One provider that may load, or should and cannot.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// Where it was loaded from; `None`: it is the host's own, or it is broken.
    pub path: Option<PathBuf>,
    /// Why it may load, for a person.
    pub reason: String,
    /// What it may do in a process of its own; `None`: it runs in the host.
    pub walls: Option<Walls>,
    /// The operator's aliases that lead to it, as schemes.
    pub aliases: Vec<String>,
    /// What it says of itself, or why it cannot be used.
    pub info: Result<Info>,
    /// What is wrong with the settings of it and of its aliases, each with its place: an open would fail with it.
    pub problems: Vec<Error>,
}

impl Registry {
    /// Loads every provider that may load and lists it, by name. Starts and stops an instance of each configuration that is not
    /// started yet: that is how a provider says what is wrong with it.
    ///
    /// # Blocking
    /// As the libraries' constructors and the providers' start do. The control ends that: what is not known by then has the error,
    /// ECANCELED or ETIMEDOUT.
    pub fn providers(&self, control: &Control) -> Vec<Listing> {
        self.provider_names().iter().map(|name| self.provider(name, control)).collect()
    }

    /// The names of the providers that may load. Loads nothing.
    pub fn provider_names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.0.libraries.lock().keys().cloned().collect();
        match self.0.configuration.listed() {
            Some(listed) => names.extend(listed.map(str::to_owned)),
            None => {
                let folders = self.0.configuration.provider_path().iter();
                names.extend(folders.flat_map(|folder| names_in(folder).unwrap_or_default()));
            }
        }
        names.into_iter().collect()
    }

    /// What is wrong with the configuration as a whole: folders that cannot be read, aliases and `open` that lead nowhere. Loads nothing.
    pub fn problems(&self) -> Vec<Error> {
        let configuration = &self.0.configuration;
        let folders = configuration.provider_path().iter().filter_map(|folder| {
            let error = names_in(folder).err()?;
            Some(error.context(format!("provider-path {}", folder.display())))
        });
        let names = self.provider_names();
        let lost = |scheme: &str, provider: &str, place: String| {
            let lost = !names.iter().any(|name| name == provider);
            let refusal = lost.then(|| configuration.library_of(provider, scheme).err()).flatten()?;
            Some(Error::from(refusal).context(place))
        };
        let aliases = configuration.aliases().iter();
        let aliases =
            aliases.filter_map(|(scheme, alias)| lost(scheme, &alias.provider, format!("[alias] {scheme}")));
        let opens = names.iter().filter_map(|name| Some((name, &configuration.walls(name)?.open)));
        let opens = opens.flat_map(|(name, schemes)| schemes.iter().map(move |scheme| (name, scheme)));
        let opens = opens.filter_map(|(name, scheme)| {
            let place = format!("[provider.{name}] may = {{ open = [\"{scheme}\"] }}");
            lost(scheme, &self.resolve(scheme).provider, place)
        });
        folders.chain(aliases).chain(opens).collect()
    }

    /// Loads one provider and lists it, as [`providers`](Registry::providers) does.
    pub fn provider(&self, name: &str, control: &Control) -> Listing {
        let control = control.follower();
        let loaded = control
            .status()
            .and_then(|()| self.loaded(name, name, (Then::Nothing, On::Own), &control.context()));
        let loaded = loaded.map_err(|error| control.explain(error));
        let own = loaded.as_ref().is_ok_and(|loaded| loaded.path.is_none());
        let reason = match self.0.configuration.source() {
            _ if own => "the host's own".to_owned(),
            Source::File(path) => format!("[provider.{name}] in {}", path.display()),
            Source::Folders => "found in a folder of --provider-path".to_owned(),
            Source::Executable => "found beside this program".to_owned(),
        };
        let aliases = self.0.configuration.aliases().iter().filter(|(_, alias)| alias.provider == name);
        Listing {
            aliases: aliases.map(|(scheme, _)| scheme.clone()).collect(),
            path: loaded.as_ref().ok().and_then(|loaded| loaded.path.clone()),
            problems: loaded
                .as_ref()
                .map_or_else(|_| Vec::new(), |loaded| self.problems_of(name, loaded, &control)),
            info: loaded.map(|loaded| loaded.info.clone()),
            walls: self.0.configuration.walls(name).filter(|_| !own).cloned(),
            name: name.to_owned(),
            reason,
        }
    }

    /// Finds what is wrong with a provider's configurations before the first open does.
    fn problems_of(&self, name: &str, loaded: &Arc<Loaded>, control: &Control) -> Vec<Error> {
        let aliases = self.0.configuration.aliases().iter().filter(|(_, alias)| alias.provider == name);
        let aliased =
            aliases.map(|(scheme, _)| (format!("[alias] {scheme}"), scheme.as_str(), self.resolve(scheme)));
        let scheme = loaded.info.schemes.first().map_or(name, String::as_str);
        let own = (format!("[provider.{name}]"), scheme, Target::own(name));
        let (mut found, mut told) = (Vec::new(), BTreeSet::new());
        for (place, scheme, target) in [own].into_iter().chain(aliased) {
            let place = match self.0.configuration.source() {
                Source::File(path) => format!("{place} in {}", path.display()),
                _ => place,
            };
            // Each is told once. The provider's own come first: an alias's settings lie over them, and would be blamed for them.
            for problem in self.problems_of_target(scheme, &target, loaded, control) {
                if told.insert(problem.chain()) {
                    found.push(problem.context(place.clone()));
                }
            }
        }
        found
    }

    fn problems_of_target(
        &self,
        scheme: &str,
        target: &Target,
        loaded: &Arc<Loaded>,
        control: &Control,
    ) -> Vec<Error> {
        let (settings, wrong) = target.settings(&self.0.configuration, &loaded.info);
        let mut problems: Vec<Error> = target.scheme(scheme, &loaded.info).err().into_iter().collect();
        problems.extend(wrong);
        // An alias without settings of its own has no instance of its own either.
        let has_instance = target.alias.is_none() || target.has_settings();
        if problems.is_empty() && has_instance && !self.is_started(&target.instance(scheme)) {
            let object = format_args!("the start of provider `{}`", target.provider);
            let work = loaded.start_work();
            loaded.begin_start(&work, loaded.start(LayerHost::starting(self), settings), On::Own);
            let started = work.wait(&control.context(), object);
            problems.extend(started.err().map(|error| control.explain(error)));
        }
        problems
    }

    fn is_started(&self, instance: &str) -> bool {
        self.0.instances.lock().get(instance).is_some_and(|slot| slot.get().is_some())
    }
}

/// The providers whose libraries lie in a folder; none in one that is not there.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    if !trust::is_there(folder)? {
        return Err(Error::new(Code::ENOENT, "no such folder"));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let name = name.strip_prefix("libzvfs_").and_then(|name| name.strip_suffix(".so"));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}

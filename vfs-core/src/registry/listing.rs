//! What serves what, from which path, and why.

use crate::configuration::Source;
use crate::error::Result;
use crate::provider::Info;
use crate::registry::{Registry, Target};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

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
    /// The operator's aliases that lead to it, as schemes.
    pub aliases: Vec<String>,
    /// What it says of itself, or why it cannot be used.
    pub info: Result<Info>,
}

impl Registry {
    /// Loads every provider that may load and lists it, by name.
    pub fn providers(&self) -> Vec<Listing> {
        let mut names: BTreeSet<String> = self.0.libraries.lock().keys().cloned().collect();
        match self.0.configuration.listed() {
            Some(listed) => names.extend(listed.map(str::to_owned)),
            None => {
                names.extend(self.0.configuration.provider_path().iter().flat_map(|folder| names_in(folder)))
            }
        }
        names.into_iter().map(|name| self.listing(name)).collect()
    }

    /// Finds a wrong setting of the operator's before the first open does.
    fn check_settings(&self, name: &str, info: &Info) -> Result<()> {
        let aliases = self.0.configuration.aliases();
        let own = aliases.iter().filter(|(_, alias)| alias.provider == name && alias.settings.is_some());
        let aliased = own.map(|(scheme, _)| (format!("[alias] {scheme}"), self.resolve(scheme)));
        // The provider's own first: an alias's settings lie over them, and would be blamed for them.
        [(format!("[provider.{name}]"), Target::own(name))].into_iter().chain(aliased).try_for_each(
            |(place, target)| match self.settings(&target, info) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.context(match self.0.configuration.source() {
                    Source::File(path) => format!("{place} in {}", path.display()),
                    _ => place,
                })),
            },
        )
    }

    fn listing(&self, name: String) -> Listing {
        let loaded = self.loaded(&name, &name);
        let own = loaded.as_ref().is_ok_and(|loaded| loaded.path.is_none());
        let reason = match self.0.configuration.source() {
            _ if own => "the host's own".to_owned(),
            Source::File(path) => format!("[provider.{name}] in {}", path.display()),
            Source::Folders => "lies in a folder of --provider-path".to_owned(),
            Source::Executable => "lies beside this program".to_owned(),
        };
        let aliases = self.0.configuration.aliases().iter().filter(|(_, alias)| alias.provider == name);
        Listing {
            aliases: aliases.map(|(scheme, _)| scheme.clone()).collect(),
            path: loaded.as_ref().ok().and_then(|loaded| loaded.path.clone()),
            info: loaded.and_then(|loaded| {
                self.check_settings(&name, &loaded.info)?;
                Ok(loaded.info.clone())
            }),
            name,
            reason,
        }
    }
}

/// The providers whose libraries lie in a folder; one that cannot be read has none.
fn names_in(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_prefix("libzvfs_")?.strip_suffix(".so")?.to_owned())
    });
    names.collect()
}

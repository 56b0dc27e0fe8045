//! What a scheme leads to, where its provider's library lies, and whether that may be loaded.

use crate::host::configuration::{Alias, Configuration, Source, executable, folder_beside};
use crate::host::loader::{Refusal, trust};
use crate::host::process::Program;
use crate::provider::is_provider_name;
use std::path::PathBuf;

/// Schemes that an ordinary installation serves by a provider of another name. An operator's alias comes first.
const BUILT_IN_ALIASES: [(&str, &str); 8] = [
    ("ftps", "ftp"),
    ("https", "http"),
    ("netpipe", "tcp"),
    ("opaque", "tcp"),
    ("s3", "object"),
    ("gs", "object"),
    ("az", "object"),
    ("magnet", "torrent"),
];

/// What runs a provider in a process of its own.
const PROGRAM: &str = "zvfs-provider";

impl Configuration {
    /// Returns the name of the provider that a scheme leads to, and the scheme that an alias gives it there. It may be one
    /// that is not installed, or not allowed.
    pub fn leads_to(&self, scheme: &str) -> (String, Option<String>) {
        let scheme = scheme.to_ascii_lowercase();
        match self.alias(&scheme) {
            Some(alias) => (alias.provider, alias.scheme),
            None => (scheme, None),
        }
    }

    /// The alias of a scheme: the operator's first, then the built-in one.
    pub(crate) fn alias(&self, scheme: &str) -> Option<Alias> {
        let built_in = || {
            let provider = built_in_alias(scheme)?.to_owned();
            Some(Alias { provider, scheme: None, settings: None })
        };
        self.aliases.get(scheme).cloned().or_else(built_in)
    }

    /// Whether the operator wrote an alias for a scheme.
    pub(crate) fn has_alias(&self, scheme: &str) -> bool {
        self.aliases.contains_key(scheme)
    }

    /// Whether a scheme leads somewhere: an alias, a section, or a library in the folders. Loads nothing.
    pub(crate) fn knows(&self, scheme: &str) -> bool {
        let scheme = scheme.to_ascii_lowercase();
        self.alias(&scheme).is_some()
            || self.section(&scheme).is_some()
            || is_provider_name(&scheme)
                && self.provider_path.iter().any(|folder| folder.join(file_name(&scheme)).exists())
    }

    /// Where the library of the provider that a scheme led to lies, if it may be loaded.
    pub(crate) fn library_of(&self, provider: &str, scheme: &str) -> Result<PathBuf, Refusal> {
        let file = file_name(provider);
        let found = self.find_library(&file)?;
        let (allowed, has_alias) = (self.allows(provider), self.has_alias(scheme));
        let is_alias_of_alias = has_alias && scheme != provider && self.alias(provider).is_some();
        let (scheme, provider, folders) =
            (scheme.to_owned(), provider.to_owned(), self.provider_path.clone());
        match found {
            Some(path) if allowed => Ok(path),
            None if is_alias_of_alias => {
                let served_by = built_in_alias(&provider);
                Err(Refusal::AliasOfAlias { alias: scheme, named: provider, served_by })
            }
            // An alias, or a section, says that the operator means this provider to be there.
            None if allowed && (has_alias || self.providers.is_some()) => {
                Err(Refusal::NotFound { provider, file, folders })
            }
            None if allowed || !has_alias => Err(Refusal::UnknownScheme { scheme, file, folders }),
            _ => {
                let configuration = match &self.source {
                    Source::File(path) => path.display().to_string(),
                    _ => "the configuration".to_owned(),
                };
                Err(Refusal::NotAllowed { scheme, provider, configuration })
            }
        }
    }

    /// The program that runs a provider in a process: in the folders, else where an installation has it beside this executable.
    pub(crate) fn process_program(&self, provider: &str) -> Result<Program, Refusal> {
        let mut folders = self.provider_path.clone();
        folders.extend(executable().ok().map(|executable| folder_beside(&executable)));
        for folder in &folders {
            let path = folder.join(PROGRAM);
            match trust::is_there(&path) {
                Ok(true) => return Program::open(&path),
                Ok(false) => {}
                Err(source) => return Err(Refusal::Unreadable { path, source: source.into() }),
            }
        }
        Err(Refusal::NoProgram { provider: provider.to_owned(), folders })
    }

    pub(super) fn allows(&self, provider: &str) -> bool {
        self.providers.as_ref().is_none_or(|sections| sections.contains_key(provider))
    }

    /// The first library of this name in the folders. One that may be there, behind a folder that cannot be searched, is an
    /// error: the next folder's would be loaded in its place.
    fn find_library(&self, file: &str) -> Result<Option<PathBuf>, Refusal> {
        for folder in &self.provider_path {
            let path = folder.join(file);
            match trust::is_there(&path) {
                Ok(true) => return Ok(Some(path)),
                Ok(false) => {}
                Err(source) => return Err(Refusal::Unreadable { path, source: source.into() }),
            }
        }
        Ok(None)
    }
}

/// The provider that serves a scheme by a built-in alias.
fn built_in_alias(scheme: &str) -> Option<&'static str> {
    BUILT_IN_ALIASES.iter().find(|(known, _)| *known == scheme).map(|(_, provider)| *provider)
}

fn file_name(provider: &str) -> String {
    format!("libzvfs_{provider}.so")
}

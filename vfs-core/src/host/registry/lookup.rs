//! From a scheme to a provider, by an alias or by its own name.

use crate::error::{Error, Result};
use crate::host::configuration::{Alias, Configuration};
use crate::host::loader::Refusal;
use crate::host::registry::{Registry, added};
use crate::provider::Info;
use crate::settings::Settings;

/// What a scheme leads to.
pub(super) struct Target {
    pub(super) provider: String,
    /// The alias that leads there: the operator's or a built-in one.
    pub(super) alias: Option<Alias>,
}

impl Registry {
    /// The operator's alias, the host's own provider of this scheme, the built-in alias, else the provider of the scheme's own
    /// name. No library is asked.
    pub(super) fn resolve(&self, scheme: &str) -> Target {
        let configuration = &self.0.configuration;
        if !configuration.has_alias(scheme)
            && let Some(provider) = added(&self.0.libraries.lock(), scheme)
        {
            return Target::own(provider);
        }
        match configuration.alias(scheme) {
            Some(alias) => Target { provider: alias.provider.clone(), alias: Some(alias) },
            None => Target::own(scheme),
        }
    }
}

impl Target {
    /// The provider of the scheme's own name.
    pub(super) fn own(scheme: &str) -> Target {
        Target { provider: scheme.to_owned(), alias: None }
    }

    /// Whether an alias has settings of its own: they make an instance of its own.
    pub(super) fn has_settings(&self) -> bool {
        self.alias.as_ref().is_some_and(|alias| alias.settings.is_some())
    }

    /// What its instance is kept under. A colon is in no provider's name, so the two kinds of key never meet.
    pub(super) fn instance(&self, scheme: &str) -> String {
        if self.has_settings() { format!("{scheme}:") } else { self.provider.clone() }
    }

    /// What its instance starts with, and everything that is wrong with what was written.
    pub(super) fn settings(&self, configuration: &Configuration, info: &Info) -> (Settings, Vec<Error>) {
        configuration.instance_settings(&self.provider, self.alias.as_ref(), &info.settings)
    }

    /// The scheme that the provider sees.
    pub(super) fn scheme(&self, written: &str, info: &Info) -> Result<String> {
        let declared = |scheme: &str| info.schemes.iter().any(|known| known == scheme);
        let scheme = match &self.alias {
            Some(Alias { scheme: Some(scheme), .. }) => scheme,
            _ if declared(written) => written,
            Some(_) => &info.schemes[0],
            None => written,
        };
        if declared(scheme) {
            return Ok(scheme.to_owned());
        }
        let (provider, scheme, schemes) = (info.name.clone(), scheme.to_owned(), info.schemes.clone());
        Err(Refusal::NotServed { provider, scheme, schemes }.into())
    }
}

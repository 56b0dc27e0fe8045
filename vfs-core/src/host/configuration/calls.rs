//! A configuration made by calls: for a host that decides itself what may load.

use crate::descriptor::is_scheme;
use crate::error::Result;
use crate::host::configuration::{Alias, Configuration, ProviderSection, Source, Written, invalid};
use crate::host::loader::Digest;
use crate::host::walls::Walls;
use crate::provider::is_provider_name;
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Configuration {
    /// Allows nothing: the host says by further calls what may load, and from where.
    pub fn closed() -> Configuration {
        Configuration { providers: Some(BTreeMap::new()), ..Configuration::default() }
    }

    /// Adds a folder of providers, behind those that are there.
    ///
    /// # Errors
    /// EINVAL: not an absolute path.
    pub fn add_provider_path(&mut self, folder: impl Into<PathBuf>) -> Result<()> {
        let folder = folder.into();
        if !folder.is_absolute() {
            return Err(invalid(format!("provider folder {}: write an absolute path", folder.display())));
        }
        self.provider_path.push(folder);
        Ok(())
    }

    /// Lets a provider load, as a `[provider.<name>]` section does. Where all may load already, nothing changes.
    ///
    /// # Errors
    /// EINVAL: not a provider's name.
    pub fn allow(&mut self, provider: &str) -> Result<()> {
        named(provider)?;
        if let Some(sections) = &mut self.providers {
            sections.entry(provider.to_owned()).or_default();
        }
        Ok(())
    }

    /// Lets every provider in the folders load.
    ///
    /// # Errors
    /// EINVAL: there are sections already, whose pins and settings would be lost.
    pub fn allow_all(&mut self) -> Result<()> {
        if self.providers.as_ref().is_some_and(|sections| !sections.is_empty()) {
            return Err(invalid(
                "allow all: some providers are already named; name the others too".to_owned(),
            ));
        }
        self.providers = None;
        Ok(())
    }

    /// Lets a provider load if its library has this SHA-256.
    ///
    /// # Errors
    /// EINVAL: not a provider's name; all may load, so there is no list to pin in.
    pub fn pin(&mut self, provider: &str, sha256: Digest) -> Result<()> {
        named(provider)?;
        let Some(sections) = &mut self.providers else {
            return Err(invalid(format!(
                "pin `{provider}`: all providers may load; allow them by name instead"
            )));
        };
        sections.entry(provider.to_owned()).or_default().sha256 = Some(sha256);
        Ok(())
    }

    /// Lets a provider load, and runs it in a process of its own that may do no more than `walls` says.
    ///
    /// # Errors
    /// EINVAL: not a provider's name; not an absolute path; all may load, so there is no list to place it in.
    pub fn place_in_process(&mut self, provider: &str, walls: Walls) -> Result<()> {
        named(provider)?;
        if let Some(path) = walls.read.iter().chain(&walls.write).find(|path| !path.is_absolute()) {
            let path = path.display();
            return Err(invalid(format!("place `{provider}`: path {path}: write an absolute path")));
        }
        let Some(sections) = &mut self.providers else {
            return Err(invalid(format!(
                "place `{provider}`: all providers may load; allow them by name instead"
            )));
        };
        sections.entry(provider.to_owned()).or_default().walls = Some(walls);
        Ok(())
    }

    /// Gives a provider a setting, instead of whatever the configuration says. A secret may be given so: it then comes from the
    /// host, not from a file. This is no permission to load.
    ///
    /// # Errors
    /// EINVAL: not a provider's name. Whether it has such a setting shows when it is started.
    pub fn set(&mut self, provider: &str, setting: &str, text: &str) -> Result<()> {
        named(provider)?;
        self.forget(provider, setting);
        self.add_default(provider, setting, text);
        Ok(())
    }

    /// Adds a value to a setting that is a list.
    ///
    /// # Errors
    /// As [`set`](Configuration::set).
    pub fn append(&mut self, provider: &str, setting: &str, text: &str) -> Result<()> {
        named(provider)?;
        let mut texts = self.forget(provider, setting).map_or(Vec::new(), |written| written.texts());
        texts.push(text.to_owned());
        self.defaults
            .entry(provider.to_owned())
            .or_default()
            .insert(setting.to_owned(), Written::List(texts));
        Ok(())
    }

    /// Leads a scheme to a provider; with settings of its own (laid over the provider's) as an instance of its own. A setting
    /// that is given several times is a list. This is no permission to load.
    ///
    /// # Errors
    /// EINVAL: not a scheme, not a provider's name.
    pub fn add_alias(
        &mut self,
        scheme: &str,
        provider: &str,
        as_scheme: Option<&str>,
        settings: Option<&[(String, String)]>,
    ) -> Result<()> {
        named(provider)?;
        for scheme in [Some(scheme), as_scheme].into_iter().flatten() {
            if !is_scheme(scheme) {
                let shown = scheme.escape_debug();
                return Err(invalid(format!(
                    "alias `{shown}`: a scheme has 2 to 32 letters, digits, +, -, ."
                )));
            }
        }
        let settings = settings.map(|settings| {
            let mut written: BTreeMap<String, Written> = BTreeMap::new();
            for (name, text) in settings {
                let texts = written.remove(name).map(|earlier| earlier.texts());
                let value = match texts {
                    None => Written::Text(text.clone()),
                    Some(mut texts) => {
                        texts.push(text.clone());
                        Written::List(texts)
                    }
                };
                written.insert(name.clone(), value);
            }
            written
        });
        let alias =
            Alias { provider: provider.to_owned(), scheme: as_scheme.map(str::to_ascii_lowercase), settings };
        self.aliases.insert(scheme.to_ascii_lowercase(), alias);
        Ok(())
    }

    /// Takes out what was said of a setting, in the file and by calls; the later one counts.
    fn forget(&mut self, provider: &str, setting: &str) -> Option<Written> {
        let section = self.providers.as_mut().and_then(|sections| sections.get_mut(provider));
        let mut written = None;
        if let Some(ProviderSection { settings, .. }) = section {
            written = settings.remove(setting);
            for suffix in ["-file", "-env"] {
                settings.remove(&format!("{setting}{suffix}"));
            }
        }
        self.defaults.get_mut(provider).and_then(|settings| settings.remove(setting)).or(written)
    }

    /// Allows what lies in one folder, that of an installation or a build.
    pub(super) fn beside(folder: PathBuf) -> Configuration {
        Configuration { provider_path: vec![folder], source: Source::Executable, ..Configuration::default() }
    }
}

fn named(provider: &str) -> Result<()> {
    if is_provider_name(provider) {
        return Ok(());
    }
    Err(invalid(format!("`{}` is not a provider's name", provider.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn a_closed_configuration_allows_what_is_named() {
        let mut configuration = Configuration::closed();
        assert!(!configuration.allows("file"));
        configuration.allow("file").unwrap();
        assert!(configuration.allows("file") && !configuration.allows("mem"));
        assert_eq!(configuration.allow("../evil").unwrap_err().code(), Code::EINVAL);
        assert_eq!(configuration.allow_all().unwrap_err().code(), Code::EINVAL);
        let mut configuration = Configuration::closed();
        configuration.allow_all().unwrap();
        assert!(configuration.allows("mem"));
        configuration.add_provider_path("relative").unwrap_err();
    }

    #[test]
    fn a_provider_is_placed_in_a_process_by_a_call_as_by_the_file() {
        let read = "[provider.http]\nplace = \"process\"\nmay = { dns = true, read = [\"/etc/ssl\"] }";
        let read = Configuration::parse(read).unwrap();
        let walls = Walls { dns: true, read: vec!["/etc/ssl".into()], ..Walls::default() };
        let mut called = Configuration::closed();
        called.place_in_process("http", walls).unwrap();
        assert_eq!(called.section("http"), read.section("http"));
        assert!(called.allows("http") && called.walls("http").is_some() && called.walls("mem").is_none());
        let relative = Walls { write: vec!["cache".into()], ..Walls::default() };
        assert_eq!(called.place_in_process("http", relative).unwrap_err().code(), Code::EINVAL);
        called = Configuration::default();
        assert_eq!(called.place_in_process("http", Walls::default()).unwrap_err().code(), Code::EINVAL);
    }

    #[test]
    fn what_a_call_sets_replaces_what_the_file_says() {
        let mut configuration = Configuration::parse(
            "[provider.tcp]\nsettings = { secret-file = \"/k\", broker = \"a\", listen = [\"x\"] }",
        )
        .unwrap();
        configuration.set("tcp", "secret", "s").unwrap();
        configuration.set("tcp", "broker", "b").unwrap();
        configuration.append("tcp", "listen", "y").unwrap();
        let section = configuration.section("tcp").unwrap();
        assert!(section.settings.is_empty(), "{section:?}");
        let defaults = &configuration.defaults["tcp"];
        let set: Vec<_> = defaults.iter().map(|(name, written)| (name.as_str(), written.texts())).collect();
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(set, [("broker", list(&["b"])), ("listen", list(&["x", "y"])), ("secret", list(&["s"]))]);
    }

    #[test]
    fn an_alias_made_by_a_call_is_one_of_the_file() {
        let mut called = Configuration::closed();
        let settings = [("root", "/a"), ("root", "/b"), ("read-only", "true")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()));
        called.add_alias("DATA", "file", None, Some(&settings)).unwrap();
        let alias = called.alias("data").unwrap();
        let settings = alias.settings.unwrap();
        assert_eq!(settings["root"].texts(), ["/a", "/b"]);
        assert_eq!(settings["read-only"].texts(), ["true"]);
        assert!(called.knows("data") && called.knows("https") && !called.knows("file"));
        called.add_alias("a b", "file", None, None).unwrap_err();
    }
}

//! What the operator allows: which providers may load, from where, and with which settings.

mod calls;
mod document;
mod merge;
mod policy;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::host::loader::{Digest, trust};
use crate::host::walls::Walls;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub(crate) use merge::open_settings;
pub use merge::operator_setting;

/// The operator's file where nothing else is said.
const DEFAULT_FILE: &str = "/etc/zvfs/zvfs.toml";
/// A larger file is not one that a person wrote.
const FILE_MAX: u64 = 1 << 20;

/// Which providers a host may load, from which folders, and with which settings.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    provider_path: Vec<PathBuf>,
    /// `None`: whatever lies in `provider_path` may load.
    providers: Option<BTreeMap<String, ProviderSection>>,
    aliases: BTreeMap<String, Alias>,
    /// The host's own settings, by provider.
    defaults: BTreeMap<String, BTreeMap<String, Written>>,
    source: Source,
}

/// Where a configuration comes from: the reason in every listing and refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    /// Folders that somebody named.
    #[default]
    Folders,
    /// The folders of an installation or a build, next to this executable or library.
    Executable,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProviderSection {
    pub(crate) sha256: Option<Digest>,
    /// What it may do in a process of its own; `None`: it runs in the host.
    pub(crate) walls: Option<Walls>,
    pub(crate) settings: BTreeMap<String, Written>,
}

/// An alias: a provider under another scheme, perhaps as an instance of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) provider: String,
    pub(crate) scheme: Option<String>,
    pub(crate) settings: Option<BTreeMap<String, Written>>,
}

/// A setting's value as TOML has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<String>),
}

impl fmt::Debug for Written {
    /// A secret may stand here by mistake, and only the provider knows which setting is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Written {
    pub(crate) fn texts(&self) -> Vec<String> {
        match self {
            Written::Boolean(value) => vec![value.to_string()],
            Written::Integer(value) => vec![value.to_string()],
            Written::Text(value) => vec![value.clone()],
            Written::List(values) => values.clone(),
        }
    }
}

impl Configuration {
    /// Allows whatever provider lies in these folders, with default settings.
    pub fn with_provider_path(folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Configuration {
        Configuration {
            provider_path: folders.into_iter().map(Into::into).collect(),
            ..Configuration::default()
        }
    }

    /// Finds the configuration as every host of this library does.
    ///
    /// The file is `config`, else the environment's `ZVFS_CONFIG` (not in a set-uid program), else `/etc/zvfs/zvfs.toml` if it
    /// exists: one that cannot be reached is an error, not absent; never one in the current folder. `provider_path` comes before the file's folders. Without a file, what lies in
    /// `provider_path` is allowed; without that, what lies in the executable's folder if that is in a Cargo target tree, else in
    /// `../lib/zvfs` beside it.
    ///
    /// # Errors
    /// ENOENT: the named file is absent. EACCES: others than root and the user could change it. EINVAL: it is malformed.
    pub fn find(config: Option<&Path>, provider_path: &[PathBuf]) -> Result<Configuration> {
        Configuration::find_beside(config, provider_path, executable)
    }

    /// As [`find`](Configuration::find), for a host that is a library: where that lies counts, instead of the executable. `binary`
    /// is asked only if it matters.
    ///
    /// # Errors
    /// As [`find`](Configuration::find); what `binary` returns.
    pub fn find_beside(
        config: Option<&Path>,
        provider_path: &[PathBuf],
        binary: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Configuration> {
        let named = match config {
            Some(path) => Some(path.to_owned()),
            None if trust::process_is_privileged() => None,
            None => env::var_os("ZVFS_CONFIG").filter(|text| !text.is_empty()).map(PathBuf::from),
        };
        let file = match named {
            Some(path) => Some(path),
            None => default_file(Path::new(DEFAULT_FILE))?,
        };
        let mut configuration = match file {
            Some(path) => Configuration::read(&path)?,
            None if provider_path.is_empty() => Configuration::beside(folder_beside(&binary()?)),
            None => Configuration::default(),
        };
        configuration.provider_path.splice(0..0, provider_path.iter().cloned());
        Ok(configuration)
    }

    /// Reads an operator's file. It chooses code, so it is checked like a library.
    ///
    /// # Errors
    /// As [`find`](Configuration::find).
    pub fn read(path: &Path) -> Result<Configuration> {
        let doing = || format!("configuration {}", path.display());
        let path = path.canonicalize().map_err(|error| Error::from(error).context(doing()))?;
        let mut file = trust::open(&path).map_err(|error| Error::from(error).context(doing()))?;
        if file.metadata().map_err(|error| Error::from(error).context(doing()))?.is_dir() {
            return Err(Error::new(Code::EISDIR, "is a folder: name the file in it").context(doing()));
        }
        trust::check(&path, &file).map_err(|refusal| Error::from(refusal).context(doing()))?;
        let mut bytes = Vec::new();
        let size = file.by_ref().take(FILE_MAX + 1).read_to_end(&mut bytes);
        let size = size.map_err(|error| Error::from(error).context(doing()))?;
        if size as u64 > FILE_MAX {
            return Err(Error::new(Code::EFBIG, format!("larger than {FILE_MAX} bytes")).context(doing()));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            invalid(format!("line {line}: not UTF-8 text")).context(doing())
        })?;
        let mut configuration = Configuration::parse(text).map_err(|error| error.context(doing()))?;
        configuration.source = Source::File(path);
        Ok(configuration)
    }

    /// Parses the text of an operator's file.
    ///
    /// # Errors
    /// EINVAL, with the line: malformed TOML, an unknown key, a relative folder, a name that is none, one alias twice.
    pub fn parse(text: &str) -> Result<Configuration> {
        let document = document::parse(text)?;
        Ok(Configuration {
            provider_path: document.provider_path,
            providers: Some(document.providers),
            aliases: document.aliases,
            defaults: BTreeMap::new(),
            source: Source::Folders,
        })
    }

    /// Gives a provider a setting where the operator gives none: the host's own default, which may be a secret.
    pub fn add_default(
        &mut self,
        provider: impl Into<String>,
        setting: impl Into<String>,
        text: impl Into<String>,
    ) {
        self.defaults.entry(provider.into()).or_default().insert(setting.into(), Written::Text(text.into()));
    }

    /// Returns whether the operator gives a setting to what a scheme leads to, a secret from a file or the environment too. One that
    /// is `false` is as good as none.
    pub fn sets(&self, scheme: &str, setting: &str) -> bool {
        let scheme = scheme.to_ascii_lowercase();
        let (provider, own) = match self.alias(&scheme) {
            Some(alias) => (alias.provider, alias.settings),
            None => (scheme, None),
        };
        let is_meant =
            |key: &str| key.strip_prefix(setting).is_some_and(|rest| matches!(rest, "" | "-file" | "-env"));
        let given = |settings: &BTreeMap<String, Written>| {
            settings.iter().find(|(key, _)| is_meant(key)).map(|(_, value)| value.clone())
        };
        // An alias's own counts.
        let value = own.as_ref().and_then(given).or_else(|| given(&self.section(&provider)?.settings));
        value.is_some_and(|value| !matches!(value, Written::Boolean(false)))
    }

    pub(crate) fn provider_path(&self) -> &[PathBuf] {
        &self.provider_path
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The provider's section, if the operator wrote one.
    pub(crate) fn section(&self, provider: &str) -> Option<&ProviderSection> {
        self.providers.as_ref()?.get(provider)
    }

    /// What a provider may do in a process of its own; `None`: it runs in the host.
    pub(crate) fn walls(&self, provider: &str) -> Option<&Walls> {
        self.section(provider)?.walls.as_ref()
    }

    /// The names that have a section; `None`: there is no list, whatever lies in the folders may load.
    pub(crate) fn listed(&self) -> Option<impl Iterator<Item = &str>> {
        self.providers.as_ref().map(|sections| sections.keys().map(String::as_str))
    }

    pub(crate) fn aliases(&self) -> &BTreeMap<String, Alias> {
        &self.aliases
    }
}

/// The operator's file where nobody named one. It limits what may load, so only one that is certainly absent counts as none.
fn default_file(path: &Path) -> Result<Option<PathBuf>> {
    match trust::is_there(path) {
        Ok(there) => Ok(there.then(|| path.to_owned())),
        Err(error) => Err(Error::from(error).context(format!("configuration {}", path.display()))),
    }
}

fn executable() -> Result<PathBuf> {
    env::current_exe().map_err(|error| Error::from(error).context("find this executable"))
}

/// Where the providers of an installation or a build are, seen from one of its binaries.
fn folder_beside(binary: &Path) -> PathBuf {
    let folder = binary.parent().unwrap_or(Path::new("/"));
    if in_cargo_target(folder) { folder.to_owned() } else { folder.join("../lib/zvfs") }
}

/// What Cargo leaves at the root of a target folder: a profile's folder lies one or two levels below it, `deps` one more. It tags
/// only a folder that it made itself, and not one that a script or a container's cache made for it.
fn in_cargo_target(folder: &Path) -> bool {
    folder.ancestors().skip(1).take(3).any(|above| {
        above.join(".rustc_info.json").is_file()
            || above.ends_with("target") && above.join("CACHEDIR.TAG").is_file()
    })
}

fn invalid(text: String) -> Error {
    Error::new(Code::EINVAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A file in a folder that the user cannot enter, a dangling link and a loop of links were taken for no file: all might load.
    #[test]
    fn a_default_file_that_cannot_be_reached_is_an_error_and_not_absent() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        let find = |name: &str| default_file(&at(name)).map_err(|error| error.code());
        assert_eq!(find("zvfs.toml"), Ok(None));
        assert_eq!(find("zvfs/zvfs.toml"), Ok(None));
        symlink(at("nowhere"), at("dangling")).expect("a link");
        symlink(at("loop"), at("loop")).expect("a link");
        fs::write(at("file"), "").expect("a file");
        fs::create_dir(at("folder")).expect("a folder");
        assert_eq!(find("dangling"), Ok(Some(at("dangling"))));
        assert_eq!(find("loop"), Ok(Some(at("loop"))));
        assert_eq!(find("folder"), Ok(Some(at("folder"))));
        assert_eq!(find("dangling/zvfs.toml"), Err(Code::ENOENT));
        assert_eq!(find("loop/zvfs.toml"), Err(Code::ELOOP));
        assert_eq!(find("file/zvfs.toml"), Err(Code::ENOTDIR));
        for (name, code) in [("dangling", Code::ENOENT), ("loop", Code::ELOOP), ("folder", Code::EISDIR)] {
            assert_eq!(Configuration::read(&at(name)).expect_err(name).code(), code, "{name}");
        }
    }

    /// A script had made `target` before Cargo did, which then puts no tag into it: nothing was found beside the binaries.
    #[test]
    fn a_target_folder_is_known_by_either_of_cargos_marks() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| {
            let folder = root.path().join(name);
            fs::create_dir_all(&folder).expect("a folder");
            folder
        };
        let mark = |name: &str| fs::write(root.path().join(name), "").expect("a file");
        let folders = ["made/debug", "tagged/target/debug", "elsewhere/debug/deps", "usr/bin"].map(at);
        mark("made/.rustc_info.json");
        mark("tagged/target/CACHEDIR.TAG");
        mark("elsewhere/.rustc_info.json");
        mark("usr/CACHEDIR.TAG");
        assert_eq!(folders.map(|folder| in_cargo_target(&folder)), [true, true, true, false]);
    }
}

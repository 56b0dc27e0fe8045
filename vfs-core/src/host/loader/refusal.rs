//! Why a library is not loaded, each with what mends it.

use crate::code::Code;
use crate::error::Error;
use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;

/// Why a provider is not used. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say what each is")]
pub enum Refusal {
    #[error("unknown scheme `{scheme}`: no {file} in {folders}; install one there, or set provider-path or an [alias]",
        folders = list(folders))]
    UnknownScheme { scheme: String, file: String, folders: Vec<PathBuf> },
    #[error(
        "scheme `{scheme}` is not allowed: to allow it, add a section [provider.{provider}] to {configuration}"
    )]
    NotAllowed { scheme: String, provider: String, configuration: String },
    #[error("provider `{provider}` not found: no {file} in {folders}; install it there or set provider-path",
        folders = list(folders))]
    NotFound { provider: String, file: String, folders: Vec<PathBuf> },
    #[error("provider `{provider}` runs in a process, and there is no program zvfs-provider in {folders}; install it there",
        folders = list(folders))]
    NoProgram { provider: String, folders: Vec<PathBuf> },
    #[error("`{named}` is an alias too: {}", advice(alias, named, *served_by))]
    AliasOfAlias { alias: String, named: String, served_by: Option<&'static str> },
    #[error("provider `{provider}` does not serve `{scheme}`, only {}; correct the alias or its `scheme`", schemes.join(", "))]
    NotServed { provider: String, scheme: String, schemes: Vec<String> },
    #[error("{path}: owned by user {owner}, neither root nor you; run `chown root {path}`", path = path.display())]
    Owner { path: PathBuf, owner: u32 },
    #[error("{path}: writable by everybody; run `chmod o-w {path}`", path = path.display())]
    WorldWritable { path: PathBuf },
    #[error("{path}: writable by group {group}, which is not its owner's own; run `chmod g-w {path}`",
        path = path.display())]
    GroupWritable { path: PathBuf, group: u32 },
    #[error("{path}: not a regular file", path = path.display())]
    NotRegular { path: PathBuf },
    #[error("{path}: SHA-256 is {found}, but `sha256` in the configuration says {pinned}; install the pinned build or correct the pin",
        path = path.display())]
    Digest { path: PathBuf, found: String, pinned: String },
    #[error("{path}: replaced while it was being loaded; try again once the installation is complete", path = path.display())]
    Replaced { path: PathBuf },
    #[error("{path}: cannot be loaded: {reason}", path = path.display())]
    NotLoadable { path: PathBuf, reason: String },
    #[error("{path}: not a zvfs provider: it has no symbol zvfs_provider_v1", path = path.display())]
    NoEntry { path: PathBuf },
    #[error("{path}: needs a newer host: it has {found}, and this host knows only zvfs_provider_v1", path = path.display())]
    NewerOnly { path: PathBuf, found: String },
    #[error("{path}: breaks the provider ABI: {defect}; report it to the provider's author", path = path.display())]
    Defect { path: PathBuf, defect: String },
    #[error("{path}: calls itself `{found}`, so it must be named libzvfs_{found}.so, not libzvfs_{expected}.so", path = path.display())]
    OtherName { path: PathBuf, found: String, expected: String },
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: Error,
    },
}

impl Refusal {
    /// The code that goes with it: EPROTONOSUPPORT where there is no provider for a scheme, unknown or not installed, EINVAL for
    /// an alias of an alias, EACCES for what the policy forbids, ELIBBAD for what is broken.
    pub fn code(&self) -> Code {
        match self {
            Refusal::UnknownScheme { .. }
            | Refusal::NotFound { .. }
            | Refusal::NoProgram { .. }
            | Refusal::NotServed { .. } => Code::EPROTONOSUPPORT,
            Refusal::AliasOfAlias { .. } => Code::EINVAL,
            Refusal::NotAllowed { .. }
            | Refusal::Owner { .. }
            | Refusal::WorldWritable { .. }
            | Refusal::GroupWritable { .. }
            | Refusal::Digest { .. }
            | Refusal::Replaced { .. } => Code::EACCES,
            Refusal::Unreadable { source, .. } => source.code(),
            _ => Code::ELIBBAD,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::new(refusal.code(), refusal.to_string()).with_source(refusal)
    }
}

impl Error {
    /// The refusal among the causes: the provider was not used at all.
    pub fn refusal(&self) -> Option<&Refusal> {
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            match error.downcast_ref::<Refusal>() {
                Some(refusal) => return Some(refusal),
                None => cause = error.source(),
            }
        }
        None
    }
}

fn advice(alias: &str, named: &str, served_by: Option<&str>) -> String {
    match served_by {
        Some(provider) => format!("write {alias} = {{ provider = \"{provider}\", scheme = \"{named}\" }}"),
        None => "an alias names a provider".to_owned(),
    }
}

struct Folders<'a>(&'a [PathBuf]);

fn list(folders: &[PathBuf]) -> Folders<'_> {
    Folders(folders)
}

impl fmt::Display for Folders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any folder (provider-path is empty)");
        }
        for (at, folder) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            // A folder that is not there is why nothing was found in it.
            let absent = if folder.is_dir() { "" } else { " (no such folder)" };
            write!(f, "{comma}{}{absent}", folder.display())?;
        }
        Ok(())
    }
}

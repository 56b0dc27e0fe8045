//! From the options to a registry.

use crate::exit::Failure;
use crate::log;
use crate::options::Options;
use std::path::{self, Path, PathBuf};
use vfs_core::{Code, Configuration, Error, Host, Level, Registry};

/// The registry that the options and the operator's configuration ask for. Loads nothing yet.
pub fn registry(options: &Options) -> Result<Registry, Failure> {
    Ok(registry_of(configuration(options)?, options))
}

/// What the operator allows, with the folders that the options name.
pub fn configuration(options: &Options) -> Result<Configuration, Failure> {
    let folders: Result<Vec<PathBuf>, Failure> =
        options.provider_path.iter().map(|folder| provider_folder(folder)).collect();
    Ok(Configuration::find(options.config.as_deref(), &folders?)?)
}

/// A folder that was named: absolute, so that a message names a place wherever it is read. A slip would find nothing, or what lies
/// in the next folder.
fn provider_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: Error| Failure::from(error.context(format!("--provider-path {}", folder.display())));
    let path = path::absolute(folder).map_err(|error| failed(error.into()))?;
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(failed(Error::new(Code::ENOTDIR, "not a folder: name the folder of the libraries"))),
        Err(error) => Err(failed(error.into())),
    }
}

/// The registry of a configuration, which logs as much as the options say. Loads nothing yet.
pub fn registry_of(configuration: Configuration, options: &Options) -> Registry {
    let least = match options.verbose {
        0 => Level::Warning,
        1 => Level::Info,
        _ => Level::Debug,
    };
    let log = move |level, text: &str| {
        if level <= least {
            log::tell(level, text);
        }
    };
    Registry::with_host(configuration, Host::logging("zvfs", env!("CARGO_PKG_VERSION"), log))
}

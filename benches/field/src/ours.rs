//! Our side: a release build, and what it is told.

use crate::{Failure, text};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use vfs_core::{Configuration, Registry};

/// A release build of zvfs.
pub struct Ours {
    build: PathBuf,
    /// The library where the package in Python looks for it.
    prefix: TempDir,
}

/// zvfs under one operator's file.
pub struct Host {
    program: PathBuf,
    prefix: PathBuf,
    /// The operator's file, and what stands in it.
    config: PathBuf,
    configuration: String,
    _folder: TempDir,
}

impl Ours {
    pub fn find() -> Result<Ours, Failure> {
        let build = std::env::var_os("ZVFS_FIELD_BUILD").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"),
            PathBuf::from,
        );
        for file in ["zvfs", "libzvfs.so", "libzvfs_file.so", "libzvfs_http.so", "libzvfs_tcp.so"] {
            if !build.join(file).is_file() {
                let build = build.display();
                return Err(format!("{build}: no {file} there: run cargo build --release, or name the folder of such a build in ZVFS_FIELD_BUILD").into());
            }
        }
        let (build, prefix) = (build.canonicalize()?, tempfile::tempdir()?);
        std::fs::create_dir(prefix.path().join("lib"))?;
        std::os::unix::fs::symlink(build.join("libzvfs.so"), prefix.path().join("lib/libzvfs.so.1"))?;
        Ok(Ours { build, prefix })
    }

    /// Whether a provider outside the default members was built too.
    pub fn has_library(&self, provider: &str) -> bool {
        self.build.join(format!("libzvfs_{provider}.so")).is_file()
    }

    /// `providers`: the sections of those that may load.
    pub fn host(&self, providers: &str) -> Result<Host, Failure> {
        let configuration = format!("provider-path = [{:?}]\n{providers}", text(&self.build));
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("zvfs.toml");
        std::fs::write(&config, &configuration)?;
        let (program, prefix) = (self.build.join("zvfs"), self.prefix.path().to_owned());
        Ok(Host { program, prefix, config, configuration, _folder: folder })
    }
}

impl Host {
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).arg(subcommand);
        command
    }

    pub fn registry(&self) -> Result<Registry, Failure> {
        Ok(Registry::new(Configuration::parse(&self.configuration)?))
    }

    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// What the package in Python finds its library by.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }
}

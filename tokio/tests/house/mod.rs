//! A host for the tests.

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use vfs_core::{Configuration, Jobs, OpenFlags, OpenOptions, PolledFile, Registry};
use zvfs_test_support::built;
use zvfs_tokio::AsyncFile;

/// A host with one thread.
pub struct House {
    pub registry: Registry,
    pub jobs: Jobs,
    pub runtime: Runtime,
    folder: TempDir,
}

impl House {
    pub fn new() -> House {
        House {
            registry: Registry::new(Configuration::with_provider_path([built()])),
            jobs: Jobs::new(4),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            folder: TempDir::new().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn open(&self, descriptor: &str, flags: OpenFlags) -> AsyncFile {
        let options = OpenOptions::new(flags);
        AsyncFile::new(PolledFile::new(self.registry.open(descriptor, &options).unwrap(), self.jobs.clone()))
    }
}

//! Plug-ins built from `plugins/*.c`, each in a folder that a registry can be given.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use vfs_core::{Configuration, Library, Refusal, Registry};
use zvfs_abi_tests::include_folder;
use zvfs_test_support::succeeded;

/// A folder of plug-ins, removed when the last of its clones is dropped. (The loaded ones stay in memory: no library is ever
/// unloaded.)
#[derive(Clone, Debug)]
pub struct Plugins(Arc<tempfile::TempDir>);

impl Default for Plugins {
    fn default() -> Plugins {
        Plugins::new()
    }
}

impl Plugins {
    /// An empty folder that the loader trusts.
    pub fn new() -> Plugins {
        Plugins(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Puts the program there that runs a provider in a process.
    pub fn add_program(&self, program: &Path) {
        std::os::unix::fs::symlink(program, self.path().join("zvfs-provider")).unwrap();
    }

    /// Builds `plugins/<source>.c` as `libzvfs_<name>.so` with its NAME defined; `defines` are more, as `NAME=value`.
    pub fn add(&self, name: &str, source: &str, defines: &[&str]) -> PathBuf {
        let path = self.file(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins").join(source).with_extension("c");
        let mut command = Command::new("cc");
        command.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-shared", "-fPIC", "-pthread", "-I"]);
        command.arg(include_folder());
        if !defines.iter().any(|define| define.starts_with("NAME=")) {
            command.arg(format!("-DNAME=\"{name}\""));
        }
        command.args(defines.iter().map(|define| format!("-D{define}"))).arg("-o").arg(&path).arg(source);
        succeeded(command);
        path
    }

    /// Where the library of a provider lies in this folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(format!("libzvfs_{name}.so"))
    }

    /// The folder, by its canonical path.
    pub fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// A registry that may load whatever lies here.
    pub fn registry(&self) -> Registry {
        Registry::new(Configuration::with_provider_path([self.path()]))
    }

    /// The refusal of a library that lies here.
    pub fn refusal(&self, name: &str) -> Refusal {
        match Library::load(&self.file(name), name, None) {
            Ok(_) => panic!("{name} was loaded"),
            Err(refusal) => refusal,
        }
    }
}

/// A provider of these tests, in Rust: under the name that a host looks for, which its library lacks in the build tree, where
/// the command would list it among the real ones.
pub fn of_tests(name: &str) -> PathBuf {
    let built = std::env::current_exe().unwrap();
    let folder = built.with_file_name("of-tests");
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join(format!("libzvfs_{name}.so"));
    match std::os::unix::fs::symlink(format!("../lib{name}.so"), &link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            panic!("{}: {error}", link.display())
        }
        _ => link,
    }
}

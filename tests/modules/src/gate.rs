//! A compiler that waits before it takes a large program, until it is let on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;
use zvfs_abi_tests::project;
use zvfs_test_support::{command, fifo};

/// In bytes: more than other guests have.
const LARGE: usize = 1_000_000;

/// The command `zvfs` behind a gate, for processes of any user. Its files are removed when it is dropped.
#[derive(Debug)]
pub struct Gate {
    folder: TempDir,
    gate: PathBuf,
}

impl Gate {
    /// A gate that is closed.
    pub fn new() -> Gate {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(folder.path().to_owned(), 0o755);
        let gate = fifo(folder.path().join("gate"));
        mode(gate.clone(), 0o666);
        let script = format!(
            "#!/bin/sh\n[ \"$(stat -L -c %s /proc/self/fd/0)\" -lt {LARGE} ] || {{ read word < {}; [ \"$word\" = go ] || exit 1; }}\n\
             exec {} \"$@\"\n",
            gate.display(),
            command().display()
        );
        fs::write(folder.path().join("compiler"), script).unwrap();
        mode(folder.path().join("compiler"), 0o755);
        fs::write(folder.path().join("large.wat"), large_program()).unwrap();
        Gate { folder, gate }
    }

    /// The compiler's path.
    pub fn compiler(&self) -> String {
        self.folder.path().join("compiler").display().to_string()
    }

    /// The path of a program that waits.
    pub fn program(&self) -> String {
        self.folder.path().join("large.wat").display().to_string()
    }

    /// Lets one compilation go on, as soon as it waits.
    pub fn open(&self) {
        fs::write(&self.gate, "go\n").unwrap();
    }

    /// Has one fail.
    pub fn refuse(&self) {
        fs::write(&self.gate, "no\n").unwrap();
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

/// The example of modules/nginx, and a long comment.
pub fn large_program() -> String {
    let example = fs::read_to_string(project().join("modules/nginx/examples/hello.wat")).unwrap();
    format!("{example}\n;; {}\n", "x".repeat(LARGE))
}

//! Builds C programs against the library that cargo just built, and runs them, never longer than a bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};
use tempfile::TempDir;
use zvfs_abi_tests::{LIMIT, include_folder, run};

/// Where cargo left the libraries of this test: libzvfs.so, libzvfs.a, the providers.
pub fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().canonicalize().unwrap()
}

/// A folder with libzvfs.so and libzvfs.so.1, as an installation has them, and the programs of a test.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libzvfs.so", "libzvfs.so.1"] {
            symlink(built().join("libzvfs.so"), folder.path().join(name)).unwrap();
        }
        Bench { folder }
    }

    /// An empty folder in it, as a C program's argument.
    pub fn empty(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Builds a program of `tests/c`, without a warning, against the shared library.
    pub fn build(&self, compiler: &[&str], source: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source);
        let program = self.folder.path().join(source.file_stem().unwrap());
        let folder = self.folder.path();
        let mut command = Command::new(compiler[0]);
        command
            .args(&compiler[1..])
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-I"])
            .arg(include_folder())
            .arg("-o")
            .arg(&program)
            .arg(&source)
            .arg(format!("-L{}", folder.display()))
            .arg(format!("-Wl,-rpath,{}", folder.display()))
            .args(["-lzvfs", "-lpthread"]);
        succeeded(command);
        program
    }
}

/// Runs a command to its end, with no configuration but its own.
pub fn succeeded(mut command: Command) -> Output {
    command.env_remove("ZVFS_CONFIG");
    // Cargo's leads to the build tree first, whose library may be an earlier build's, and not to the bench.
    if command.get_envs().all(|(name, _)| name != "LD_LIBRARY_PATH") {
        command.env_remove("LD_LIBRARY_PATH");
    }
    let shown = format!("{command:?}");
    // valgrind makes one processor fifty times slower, and others want it too.
    let output = run(command, 4 * LIMIT).unwrap();
    assert!(
        output.status.success(),
        "{shown}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// An address of this test's own, so that tests at the same time never meet: all of 127.0.0.0/8 is this machine.
pub fn address() -> String {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{}:17777", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Options under which valgrind says nothing but what it found.
pub const VALGRIND: [&str; 6] = [
    "--quiet",
    "--fair-sched=yes",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite",
    "--show-leak-kinds=definite",
];

/// Checks that valgrind reported nothing. What it says of itself (system calls that it does not know) begins with `--`.
pub fn found_nothing(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.lines().any(|line| line.starts_with("==")), "{text}");
}

//! The bench of libzvfs, and what its programs are given.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// A folder with libzvfs.so and libzvfs.so.1, as an installation has them, and the programs of a test.
pub struct Bench(zvfs_abi_tests::Bench);

impl Bench {
    pub fn new() -> Bench {
        Bench(zvfs_abi_tests::Bench::new("zvfs", "zvfs"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// An empty folder in it, as a C program's argument.
    pub fn empty(&self, name: &str) -> String {
        let path = self.path().join(name);
        fs::create_dir(&path).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Builds a program of `tests/c`, without a warning, against the shared library.
    pub fn build(&self, compiler: &[&str], source: &str) -> PathBuf {
        self.0.build(compiler, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source))
    }
}

/// An address of this test's own, so that tests at the same time never meet: all of 127.0.0.0/8 is this machine.
pub fn address() -> String {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{}:17777", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// valgrind, for programs with several threads.
pub fn valgrind() -> Command {
    zvfs_abi_tests::valgrind(&["--fair-sched=yes"])
}

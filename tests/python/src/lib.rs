//! What the tests of `python/` run with: an interpreter that has pytest and the packages that are read through ours, and the
//! libraries of this build, laid out as an installation.
#![allow(clippy::unwrap_used, reason = "support of tests: what cannot be prepared fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_test_support::{built, providers, skip, succeeded};

/// Python with the packages of `tests/python/requirements.txt`. `None`: the test is skipped, and the caller returns.
///
/// # Panics
/// There is none, and `CI` is set.
pub fn interpreter() -> Option<PathBuf> {
    let program = project().join("target/packages/python/bin/python");
    if program.exists() {
        return Some(program);
    }
    skip(format!("no {}: `.ci/run` makes it", program.display()));
    None
}

/// The folder of the package and its tests.
pub fn package() -> PathBuf {
    project().join("python")
}

/// The folder of moto, an S3 server, which `.ci/run` fetches; the tests that need it skip where it is absent.
pub fn moto() -> PathBuf {
    project().join("target/packages/moto")
}

/// A prefix with the libraries of this build, and a folder `site` with the package, installed by pip. They are hard links: by a
/// symbolic one the library would look for providers where Cargo put it.
pub fn installation(python: &Path) -> PathBuf {
    let prefix = built().join("zvfs-python");
    let _ = fs::remove_dir_all(&prefix); // of an earlier run, if any
    fs::create_dir_all(prefix.join("lib/zvfs")).unwrap();
    let link = |name: &str, to: String| fs::hard_link(built().join(name), prefix.join(to)).unwrap();
    link("libzvfs.so", "lib/libzvfs.so.1".into());
    link("libzvm_session.so", "lib/libzvm.so.1".into());
    for provider in providers() {
        let name = format!("libzvfs_{provider}.so");
        link(&name, format!("lib/zvfs/{name}"));
    }
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
    ]);
    pip.arg(prefix.join("site")).arg(package());
    pip.env_remove("ZVFS_PREFIX"); // or the wheel would carry libraries
    succeeded(pip);
    prefix
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

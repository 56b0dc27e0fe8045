//! Programs of this project, built if need be: a test whose package does not contain them runs them too.

use crate::skip;
use std::env::{current_exe, var_os};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Whether this kernel has every wall of a provider's process. If not, the test is skipped: the caller returns.
///
/// # Panics
/// It lacks one, and `CI` is set.
pub fn have_walls() -> bool {
    let tried = Command::new(provider_process()).arg("--walls").output().expect("zvfs-provider");
    if !tried.status.success() {
        skip(String::from_utf8_lossy(&tried.stderr).trim_end());
    }
    tried.status.success()
}

/// `zvfs-provider`, which runs a provider in a process, of the running test's own build.
///
/// # Panics
/// Cargo does not build it.
pub fn provider_process() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("zvfs-provider", "zvfs-provider"))
}

/// `zvfs`, the command, of the running test's own build.
///
/// # Panics
/// Cargo does not build it.
pub fn command() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("zvfs-cli", "zvfs"))
}

/// A program of a package, up to date.
fn program(package: &str, name: &str) -> PathBuf {
    let test = current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut build = Command::new(var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", package, "--bin", name, "--profile", profile]);
    build.arg("--target-dir").arg(folder.parent().expect("the target folder"));
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.is_ok_and(|status| status.success()), "cargo does not build {name}");
    folder.join(name)
}

//! The program that runs a provider in a process.

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

/// `zvfs-provider` of the running test's own build, up to date: a test's package need not depend on it.
///
/// # Panics
/// Cargo does not build it.
pub fn provider_process() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = current_exe().expect("the path of this test");
        let folder = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let mut build = Command::new(var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--package", "zvfs-provider", "--profile", profile]);
        build.arg("--target-dir").arg(folder.parent().expect("the target folder"));
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.is_ok_and(|status| status.success()), "cargo does not build zvfs-provider");
        folder.join("zvfs-provider")
    })
}

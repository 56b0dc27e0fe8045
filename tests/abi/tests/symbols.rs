//! What a provider's library shows to the dynamic linker, and what the SDK brings with it.

#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_abi_tests::{compilers, project};
use zvfs_test_support::{library, providers, succeeded};

const ENTRY: &str = "zvfs_provider_v1";

#[test]
fn each_provider_exports_its_entry_alone_and_needs_nothing_of_ours() {
    for name in providers() {
        let library = library(&name);
        assert!(library.exists(), "{name} is not built: add it to tests/providers/Cargo.toml");
        assert_eq!(symbols(&library, "--defined-only"), [ENTRY], "{name}");
        assert_needs_nothing_of_ours(&library);
    }
}

#[test]
fn a_c_provider_needs_nothing_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libzvfs_env.so");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("env.c");
    compilers()[0].build(&sample, &library, &["-shared", "-fPIC"]).unwrap();
    assert!(symbols(&library, "--defined-only").contains(&ENTRY.to_owned()));
    assert_needs_nothing_of_ours(&library);
}

/// A host is linked by nobody: a provider finds it through the table it is given.
fn assert_needs_nothing_of_ours(library: &Path) {
    let undefined = symbols(library, "--undefined-only");
    assert!(!undefined.is_empty(), "nm shows no symbol at all");
    let ours: Vec<_> =
        undefined.iter().filter(|name| name.contains("zvfs") || name.contains("vfs_core")).collect();
    assert!(ours.is_empty(), "{}: {ours:?}", library.display());
}

fn symbols(library: &Path, which: &str) -> Vec<String> {
    let mut command = Command::new("nm");
    command.args(["-D", "--format=just-symbols", which]).arg(library);
    String::from_utf8(succeeded(command).stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_sdk_depends_on_two_packages_only() {
    let manifest: PathBuf = project().join("Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "-p", "vfs-core", "-e", "normal", "--depth", "1", "--no-default-features"]);
    command.args(["--offline", "--prefix", "none", "--format", "{p}", "--manifest-path"]).arg(manifest);
    let text = String::from_utf8(succeeded(command).stdout).unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["vfs-core", "thiserror", "url"]);
}

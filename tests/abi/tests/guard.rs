//! Only `extern_c!` defines what C can call, so that no such function lacks the panic guard or the checks of its arguments.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use zvfs_abi_tests::project;

/// Every source in Rust below a folder, but for what Cargo and git keep.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line defines a function of another ABI than Rust's. (A function's type has no name behind its `fn`.)
fn defines(line: &str) -> bool {
    line.split_once("extern \"").is_some_and(|(_, rest)| rest.contains("\" fn "))
}

#[test]
fn only_the_macro_defines_functions_for_c() {
    let project = project();
    let mut all = Vec::new();
    sources(&project, &mut all);
    let mut defining: Vec<_> = all
        .iter()
        .filter(|path| fs::read_to_string(path).unwrap().lines().any(defines))
        .map(|path| path.strip_prefix(&project).unwrap())
        .collect();
    defining.sort();
    assert_eq!(defining, [Path::new("vfs-core/src/boundary/entry.rs")]);
}

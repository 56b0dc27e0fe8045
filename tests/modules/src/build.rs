//! A module by its makefile, and guests by clang.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zvfs_abi_tests::{include_folder, project};
use zvfs_test_support::{built, succeeded};

/// What building a guest in C takes.
pub const WASM_TOOLS: [&str; 3] = ["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"];

/// Builds `modules/NAME` against the libzvm that Cargo built for this test. `library` is what its makefile makes; `more` are further
/// variables of the makefile.
pub fn module(name: &str, library: &str, more: &[&str]) -> PathBuf {
    let folder = folder(name);
    let output = folder.join(library);
    let libraries = built().display().to_string();
    let mut make = Command::new("make");
    make.args(["--silent", "-C"]).arg(project().join("modules").join(name));
    make.arg(format!("OUT={}", output.display()));
    make.arg(format!("ZVM_CFLAGS=-I{}", include_folder().display()));
    make.arg(format!("ZVM_LIBS=-L{libraries} -l:libzvm.so.1 -Wl,-rpath,{libraries}"));
    make.args(more);
    succeeded(make);
    output
}

/// Builds a guest of a source in C, named from the project's folder.
pub fn guest(source: &str) -> PathBuf {
    let source = project().join(source);
    let program = folder("guests").join(source.file_stem().unwrap()).with_extension("wasm");
    let mut clang = Command::new("clang");
    clang
        .args(["--target=wasm32-wasi", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source);
    succeeded(clang);
    program
}

/// A folder beside what Cargo built, of this test program's alone.
fn folder(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = Path::new(&built()).join("zvfs-modules").join(test.file_name().unwrap()).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

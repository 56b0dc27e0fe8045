//! A C program over wasi-libc, in a scratch space that begins with a tree: what programs expect of a system.

use crate::support::{Folder, WASM_TOOLS, repository, run, zvfs};
use std::fs;
use std::process::Command;

#[test]
fn what_a_c_program_expects_is_met() {
    let Some(folder) = Folder::needing(&WASM_TOOLS) else { return };
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32-wasi", "-O1", "-o", &folder.at("libc.wasm")]);
    clang.arg(repository("tests/e2e/guests/libc.c"));
    run(clang).succeeded();
    fs::create_dir_all(folder.path().join("lib/dir")).unwrap();
    fs::create_dir_all(folder.path().join("tree/work")).unwrap();
    folder.write("lib/dir/hello.txt", "from the archive\n");
    folder.write("tree/work/seeded.txt", "seeded");
    folder.write("in", "a line\n");
    for name in ["lib", "tree"] {
        let mut tar = Command::new("tar");
        tar.args(["-C", &folder.at(name), "-cf", &folder.at(&format!("{name}.tar")), "."]);
        run(tar).succeeded();
    }
    let manifest = folder.write(
        "m",
        "Version = 20140509\nProgram = ${MANIFEST_DIR}/libc.wasm\nMemory = 16777216, 0\nTimeout = 60\nScratch = 1048576\nTime = 1000000000
Args = \"a b\" c\nEnv = WHO=x=y\nMount = /dev/lib, /lib\nMount = /dev/tree, /, rw\nPreopen = /work, work
Channel = ${MANIFEST_DIR}/lib.tar, /dev/lib, 1, 999, 999999, 0, 0\nChannel = ${MANIFEST_DIR}/tree.tar, /dev/tree, 0, 999, 999999, 0, 0
Channel = ${MANIFEST_DIR}/in, /dev/stdin, 0, 9, 99, 0, 0\nChannel = /dev/stdout, /dev/stdout, 0, 0, 0, 999, 99999
Channel = /dev/stderr, /dev/stderr, 0, 0, 0, 99, 9999\n",
    );
    let done = run(zvfs(["run", "--exit-code", "guest", &manifest]));
    let met = done.succeeded().out().strip_suffix(" met\n").and_then(|met| met.parse::<u32>().ok());
    assert!(met.is_some_and(|met| met > 60), "{done:?}");
}

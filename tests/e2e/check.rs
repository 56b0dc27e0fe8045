//! `zvfs check`: what it says of good libraries and of bad ones.

use crate::support::{Done, Folder, run, zvfs};
use zvfs_test_support::library;

fn check(library: &str) -> Done {
    run(zvfs(["check", library]))
}

#[test]
fn a_good_library_is_described() {
    let path = library("file");
    let done = check(path.to_str().unwrap());
    for words in
        ["file 0.1.0: ", "serves    file", "setting   root", "sha256    ", "libc.so.6", "nothing wrong"]
    {
        assert!(done.succeeded().out().contains(words), "no `{words}` in {done:?}");
    }
}

#[test]
fn what_is_no_library_is_told() {
    let folder = Folder::new();
    check(&folder.at("missing.so")).failed(2, &["missing.so", "no such file"]);
    check(folder.path().to_str().unwrap()).failed(80, &["not a regular file"]);
    check(&folder.write("empty.so", "")).failed(80, &["empty.so", "not a 64-bit ELF"]);
    check(&folder.write("text.so", "not a library")).failed(80, &["text.so", "not a 64-bit ELF"]);
    let part = std::fs::read(library("null")).unwrap();
    for size in [64, 1000, part.len() / 2] {
        check(&folder.write("libzvfs_null.so", &part[..size])).failed(80, &["libzvfs_null.so"]);
    }
    check(env!("CARGO_BIN_EXE_zvfs")).failed(80, &["zvfs"]);
}

#[test]
fn defects_of_a_library_are_told() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let library = folder.library("libzvfs_a.so", "int nothing;");
    check(&library).failed(80, &["libzvfs_a.so", "no symbol zvfs_provider_v1"]);

    let library = folder.library("libzvfs_a.so", "const void *zvfs_provider_v2(void) { return 0; }");
    check(&library).failed(80, &["needs a newer host", "zvfs_provider_v2"]);

    let library = folder.library("libzvfs_a.so", "const void *zvfs_provider_v1(void) { return 0; }");
    check(&library).failed(80, &["libzvfs_a.so", "breaks the provider ABI"]);

    let source = "void zvfs_help(void); const void *zvfs_provider_v1(void) { zvfs_help(); return 0; }";
    let library = folder.library("libzvfs_a.so", source);
    check(&library).failed(80, &["expects the symbol zvfs_help from its host", "cannot be loaded"]);

    let other = folder.at("libzvfs_other.so");
    std::fs::copy(zvfs_test_support::library("null"), &other).unwrap();
    check(&other).failed(80, &["must be named libzvfs_null.so"]);
}

#[test]
fn a_library_that_misbehaves_while_loading_harms_nobody() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let at_load = |work: &str| {
        let source = format!(
            "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
             __attribute__((constructor)) static void load(void) {{ {work} }}"
        );
        folder.library("libzvfs_a.so", &source)
    };
    check(&at_load("*(volatile int *)8 = 1;"))
        .failed(80, &["libzvfs_a.so: crashed with signal 11 while loading"]);
    check(&at_load("abort();")).failed(80, &["crashed with signal 6"]);
    check(&at_load("fputs(\"hello\\n\", stderr); _exit(3);"))
        .failed(80, &["ended the process while loading"]);
    check(&at_load("_exit(0);")).failed(80, &["ended the process while loading"]);
    let library = at_load("for (;;) pause();");
    let done = run(zvfs(["check", "--timeout", "300ms", &library]));
    done.failed(110, &["did not finish loading within 300ms"]);
    // A child of its own holds the output open; and what it says cannot move the cursor.
    let library = at_load(
        "printf(\"\\033[2J\\n\"); fflush(stdout); if (fork() == 0) { sleep(20); _exit(0); } raise(SIGKILL);",
    );
    let done = run(zvfs(["check", &library]));
    done.failed(80, &["crashed with signal 9"]);
    assert!(!done.out().contains('\x1b') && done.out().contains("[2J"), "{done:?}");
}

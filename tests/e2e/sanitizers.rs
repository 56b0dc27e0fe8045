//! Providers in C under AddressSanitizer, UndefinedBehaviorSanitizer and valgrind, loaded by the command: no finding, and one where
//! there is something to find.

use crate::support::{Done, Folder, repository, run, run_long, zvfs};
use std::path::PathBuf;
use std::process::Command;
use zvfs_test_support::built;

const SANITIZE: [&str; 4] = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"];
/// What valgrind exits with if it found something.
const FOUND: &str = "99";

fn example() -> PathBuf {
    repository("examples/provider-c/seq.c")
}

/// `zvfs check` of a sanitized library. The sanitizer has to come first, and the command is built without.
fn sanitized(library: &str, more: &[&str]) -> Done {
    let mut which = Command::new("cc");
    let runtime = run({
        which.arg("-print-file-name=libasan.so");
        which
    });
    let mut command = zvfs(["check", library].iter().chain(more));
    command.env("LD_PRELOAD", runtime.out().trim());
    // Leaks are valgrind's to find: a check's process ends in the middle.
    command.env("ASAN_OPTIONS", "detect_leaks=0:handle_segv=0").env("UBSAN_OPTIONS", "print_stacktrace=1");
    run_long(command)
}

#[test]
fn the_sanitizers_find_nothing_in_good_providers() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let library = folder.provider("seq", &example(), &SANITIZE);
    let done = sanitized(&library, &["--descriptor", "seq:1-1000"]);
    done.succeeded();
    assert!(done.out().contains("libasan") && done.out().contains("nothing wrong with it"), "{done:?}");
    let library = folder.plugin("layer", &SANITIZE);
    let named = format!("layer:pass,file:{}/{{name}}", folder.path().display());
    sanitized(&library, &["--write-descriptor", &named, "--filter", "_"]).succeeded();
}

#[test]
fn the_sanitizers_find_a_use_after_free() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let arguments = ["--descriptor", "defect:x", "--filter", "read_returns"];
    let library = folder.plugin("defect", &["-DUSES_FREED"]);
    run(zvfs(["check", &library].iter().chain(&arguments))).succeeded(); // nobody else sees it
    let library = folder.plugin("defect", &[&SANITIZE[..], &["-DUSES_FREED"]].concat());
    let done = sanitized(&library, &arguments);
    assert_eq!(done.code, 80, "{done:?}");
}

/// Runs the command under valgrind over the libraries in a folder.
fn memchecked(folder: &Folder, arguments: &[&str]) -> Done {
    let mut command = Command::new("valgrind");
    command.args(["-q", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]);
    command.args(["--show-leak-kinds=definite,indirect", &format!("--error-exitcode={FOUND}")]);
    command.arg(env!("CARGO_BIN_EXE_zvfs")).env_remove("ZVFS_CONFIG");
    command.arg("--provider-path").arg(folder.path()).arg("--provider-path").arg(built());
    run_long({
        command.args(arguments);
        command
    })
}

#[test]
fn valgrind_finds_nothing_in_good_providers() {
    let Some(folder) = Folder::needing(&["cc", "valgrind"]) else { return };
    folder.provider("seq", &example(), &["-g"]);
    folder.plugin("layer", &["-g"]);
    let (source, target) = (folder.write("source", "through a layer\n"), folder.at("target"));
    let done = memchecked(&folder, &["cat", "seq:1-3", &format!("layer:pass,file:{source}")]);
    assert_eq!((done.code, done.out()), (0, "1\n2\n3\nthrough a layer\n"), "{done:?}");
    assert_eq!(memchecked(&folder, &["cat", "seq:nonsense"]).code, 22);
    let done = memchecked(&folder, &["cp", &source, &format!("layer:pass,file:{target}")]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(std::fs::read_to_string(target).unwrap(), "through a layer\n");
}

#[test]
fn valgrind_finds_a_use_after_free() {
    let Some(folder) = Folder::needing(&["cc", "valgrind"]) else { return };
    folder.plugin("defect", &["-g", "-DUSES_FREED"]);
    let done = memchecked(&folder, &["cat", "defect:x"]);
    assert_eq!(done.code.to_string(), FOUND, "{done:?}");
}

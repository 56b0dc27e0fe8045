//! `cargo test` on a machine without clang said "ok" and not a word, since the harness keeps what a passing test prints.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::process::{Command, Output};

const INNER: &str = "inner_that_needs_what_nobody_has";

#[test]
#[ignore = "run by the tests below, in programs of their own"]
fn inner_that_needs_what_nobody_has() {
    for _ in 0..3 {
        assert!(!zvfs_test_support::have(&["cargo-less-compiler", "wasm-ld-of-no-machine"]));
    }
    zvfs_test_support::skip("only the moon allows that");
}

#[test]
#[ignore = "run by the tests below, in programs of their own"]
fn inner_that_tells_the_summary() {
    println!("{}", zvfs_test_support::summary().unwrap());
}

#[test]
#[ignore = "run by the tests below, in programs of their own"]
fn inner_that_skips_and_fails_alone() {
    zvfs_test_support::alone(|| {
        zvfs_test_support::skip("only the moon allows that");
        panic!("it is alone");
    });
    unreachable!("a test whose body failed goes on");
}

/// Runs one of the above as the harness does by default: what a passing test prints is kept.
fn harness(inner: &str, more: &[&str], ci: bool) -> Output {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--ignored", "--exact", inner]).args(more).env_remove("CI").env_remove("RUST_TEST_NOCAPTURE");
    if ci {
        test.env("CI", "true");
    }
    test.output().unwrap()
}

#[test]
fn a_skip_passes_the_harness_is_counted_and_fails_in_ci() {
    let output = harness(INNER, &[], false);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let programs = "this machine has no cargo-less-compiler, wasm-ld-of-no-machine (from cargo-less-compiler, wasm-ld-of-no-machine)";
    let wanted =
        format!("skipped told::{INNER}: {programs}\nskipped told::{INNER}: only the moon allows that\n");
    assert_eq!(told, wanted);

    // A test whose body runs in a process of its own.
    let output = harness("inner_that_skips_and_fails_alone", &[], false);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "skipped told::inner_that_skips_and_fails_alone: only the moon allows that\n");
    let failed = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && failed.contains("it is alone"), "{failed}");
    assert!(!failed.contains("goes on"), "{failed}");

    // Another program of the same run.
    let output = harness("inner_that_tells_the_summary", &["--nocapture"], false);
    let told = String::from_utf8(output.stdout).unwrap();
    let wanted = "2 tests were skipped; Debian's packages for what they lack: cargo-less-compiler wasm-ld-of-no-machine; \
                  without a package: only the moon allows that\n";
    assert!(output.status.success() && told.contains(wanted), "{told}");

    assert!(!harness(INNER, &[], true).status.success(), "in CI nothing may be skipped");
}

#[test]
fn a_test_that_is_alone_has_its_process_for_itself() {
    std::thread::scope(|scope| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || ended.recv());
        zvfs_test_support::alone(|| {
            let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
            assert_eq!(threads, 3, "the harness's, the test's, and the one that it started");
        });
        drop(end);
    });
}

/// A test that skips in a way of its own is silent, not counted, and passes in CI.
#[test]
fn there_is_no_other_way_to_skip() {
    let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut folders, mut files) = (vec![project], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_dir() {
                if name != "target" && name != "benches" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                files += 1;
                let text: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
                let own = ["println!(\"skip", "println!(\"SKIP"].iter().any(|words| text.contains(words));
                assert!(
                    !own || path.ends_with("support/tests/told.rs"),
                    "{}: use zvfs_test_support",
                    path.display()
                );
            }
        }
    }
    assert!(files > 300, "{files}");
}

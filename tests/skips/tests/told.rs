//! `cargo test` on a machine without clang said "ok" and not a word, since the harness keeps what a passing test prints.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::process::{Command, Output};

const INNER: &str = "inner_that_needs_what_nobody_has";

#[test]
#[ignore = "run by the tests below, in programs of their own"]
fn inner_that_needs_what_nobody_has() {
    for _ in 0..3 {
        assert!(!zvfs_skips::have(&["cargo-less-compiler", "wasm-ld-of-no-machine"]));
    }
    zvfs_skips::skip("only the moon allows that");
}

#[test]
#[ignore = "run by the tests below, in programs of their own"]
fn inner_that_tells_the_summary() {
    println!("{}", zvfs_skips::summary().unwrap());
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

    // Another program of the same run.
    let output = harness("inner_that_tells_the_summary", &["--nocapture"], false);
    let told = String::from_utf8(output.stdout).unwrap();
    let wanted = "1 test was skipped; Debian's packages for what they lack: cargo-less-compiler wasm-ld-of-no-machine; \
                  without a package: only the moon allows that\n";
    assert!(output.status.success() && told.contains(wanted), "{told}");

    assert!(!harness(INNER, &[], true).status.success(), "in CI nothing may be skipped");
}

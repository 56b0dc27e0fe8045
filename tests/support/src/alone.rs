//! Tests that look at the whole of their process, each in one of its own, so that the others need not wait for it.

use crate::program::{PATIENCE, collect, ends};
use crate::skips::{ALONE, Tally};
use std::env::{current_exe, var_os};
use std::process::{Command, Stdio};
use std::thread;

/// Runs the body of the calling test in a process in which no other test runs: it counts threads, or changes a limit. The body is the
/// whole test, as in that process the test begins again.
///
/// # Panics
/// The test fails there, or does not end.
pub fn alone(body: impl FnOnce()) {
    if var_os(ALONE).is_some() {
        return body();
    }
    let thread = thread::current();
    let name = thread.name().expect("the harness names a test's thread after it");
    let tally = Tally::of_this_run().map(Tally::into_path).unwrap_or_default();
    let mut test = Command::new(current_exe().unwrap());
    test.args(["--exact", name, "--include-ignored"])
        .env(ALONE, tally)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut test = test.spawn().unwrap();
    let said = collect(test.stdout.take());
    let over = ends(&test, PATIENCE);
    if !over {
        test.kill().unwrap();
    }
    let (status, said) = (test.wait().unwrap(), said.join().unwrap());
    let said = String::from_utf8_lossy(&said);
    assert!(over, "{name} is not done after {PATIENCE:?}, alone in a process\n{said}");
    assert!(status.success() && said.contains(" 1 passed;"), "alone in a process: {status}\n{said}");
}

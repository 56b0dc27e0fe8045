//! `zvfs mount` over a provider that never returns from a call, and heeds neither cancel nor deadline.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use rustix::process::Signal;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Mounted, can_mount, is_mounted, program};
use tempfile::{TempDir, tempdir};
use zvfs_faults::Plugins;
use zvfs_test_support::{bounded, have};

/// What a call of such a provider may take at most, on a busy machine: 1 s of its own, 1 s of grace.
const BOUND: Duration = Duration::from_secs(60);

struct Deaf {
    // Unmounted before its folder goes.
    mounted: Mounted,
    _folder: TempDir,
    _plugins: Plugins,
}

impl Deaf {
    /// A mount of what is deaf in this call.
    fn in_call(call: &str, timeout: &str) -> Deaf {
        let (plugins, folder) = (Plugins::new(), tempdir().unwrap());
        plugins.add("deaf", "deaf", &[]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-mount"));
        command.env_remove("ZVFS_CONFIG").arg("--provider-path").arg(plugins.path());
        command.args(["mount", "--timeout", timeout, "--cache-time", "1ms"]);
        let mounted = Mounted::by(command, folder.path(), &format!("deaf:{call}"));
        Deaf { mounted, _folder: folder, _plugins: plugins }
    }

    /// What a program gets, which must be EIO in time.
    #[track_caller]
    fn is_error(&self, call: impl FnOnce(&Path) -> io::Result<()>) {
        let begun = Instant::now();
        assert_eq!(call(self.mounted.path()).unwrap_err().raw_os_error(), Some(5));
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    }

    /// A signal unmounts it, and ends the program that serves, though a thread of it never ends.
    #[track_caller]
    fn ends(mut self) -> String {
        let begun = Instant::now();
        self.mounted.signal(Signal::TERM);
        let done = self.mounted.ended();
        assert!(done.status.success() && !is_mounted(self.mounted.path()), "{done:?}");
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
        String::from_utf8(done.stderr).unwrap()
    }
}

fn can() -> bool {
    can_mount() && have(&["cc"])
}

#[test]
fn a_read_that_never_returns_is_an_error_and_unmounts() {
    if !can() {
        return;
    }
    let deaf = Deaf::in_call("read", "1s");
    deaf.is_error(|at| fs::read(at.join("read")).map(|_| ()));
    // And the next one, which finds the first one's thread still there.
    deaf.is_error(|at| fs::read(at.join("read")).map(|_| ()));
    assert!(deaf.ends().contains("does not heed a deadline"));
}

#[test]
fn an_open_that_never_returns_is_an_error_and_unmounts() {
    if !can() {
        return;
    }
    let deaf = Deaf::in_call("open", "1s");
    deaf.is_error(|at| File::open(at.join("open")).map(|_| ()));
    assert!(deaf.ends().contains("does not heed a deadline"));
}

#[test]
fn a_status_that_never_comes_is_an_error_and_unmounts() {
    if !can() {
        return;
    }
    let deaf = Deaf::in_call("stat", "1s");
    deaf.is_error(|at| fs::metadata(at.join("stat")).map(|_| ()));
    assert!(deaf.ends().contains("does not heed a deadline"));
}

#[test]
fn a_listing_that_never_ends_is_an_error_and_unmounts() {
    if !can() {
        return;
    }
    let deaf = Deaf::in_call("list", "1s");
    deaf.is_error(|at| fs::read_dir(at).map(|_| ()));
    assert!(deaf.ends().contains("does not heed a deadline"));
}

#[test]
fn a_close_that_never_returns_holds_up_nobody() {
    if !can() {
        return;
    }
    let deaf = Deaf::in_call("close", "1s");
    let file = deaf.mounted.path().join("close");
    assert_eq!(bounded(move || fs::read(file)).unwrap(), b"deaf\n");
    deaf.ends();
}

#[test]
fn a_program_in_a_call_that_never_returns_can_be_killed() {
    if !can() {
        return;
    }
    let deaf = Deaf::in_call("read", "10m");
    let file = deaf.mounted.path().join("read");
    let mut stuck = program("cat", &[]).arg(file).stdout(Stdio::null()).spawn().unwrap();
    support::waits_for_its_file(&stuck);
    let begun = Instant::now();
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    deaf.ends();
}

//! Ends that are not the command's own: libraries that never return, and those that end the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use rustix::process::{Signal, geteuid};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use support::{Done, Folder, Started, bounded, run, run_timed, zvfs};
use zvfs_test_support::{have, skip};

/// A provider whose constructor, opens and reads do what the test says.
fn provider(folder: &Folder, name: &str, at_load: &str, at_open: &str, at_read: &str) {
    let source = format!(
        r#"#include "zvfs_provider.h"
        #include <pthread.h>
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        struct zvfs_file {{ int left; }};
        static struct zvfs_file the_file;
        static void *ends(void *unused) {{ exit(0); return unused; }}
        static void thread(void) {{ pthread_t thread; pthread_create(&thread, NULL, ends, NULL); for (;;) pause(); }}
        __attribute__((constructor)) static void load(void) {{ (void)thread; {at_load} }}
        static int32_t ZVFS_CALL o(zvfs_instance *i, const zvfs_open_request *r, zvfs_file **out, zvfs_error *e) {{
            (void)i; (void)r; (void)e; the_file.left = 100; *out = &the_file; {at_open} return 0; }}
        static void ZVFS_CALL c(zvfs_file *f) {{ (void)f; }}
        static int64_t ZVFS_CALL r(zvfs_file *f, void *b, uint64_t n, zvfs_error *e) {{
            (void)e; if (!f->left) {{ {at_read} return 0; }} f->left--; for (uint64_t at = 0; at < n; at++) ((char *)b)[at] = 'x'; return n; }}
        static uint64_t ZVFS_CALL k(zvfs_file *f) {{ (void)f; return ZVFS_CAP_READABLE; }}
        static const char *const schemes[] = {{ "{name}", NULL }};
        static const zvfs_provider provider = {{ .struct_size = sizeof provider, .name = "{name}", .version = "1",
            .summary = "hostile", .schemes = schemes, .supported_flags = ZVFS_OPEN_READ,
            .open = o, .close = c, .read = r, .capabilities = k }};
        ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) {{ return &provider; }}"#
    );
    folder.library(&format!("libzvfs_{name}.so"), &source);
}

/// The command, over the test's providers too.
fn over(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = zvfs(["--provider-path", folder.path().to_str().unwrap()]);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Found: only SIGKILL ended the command: a thread that starts waits for the loader's lock, which the constructor kept.
#[test]
fn a_constructor_that_never_returns_is_ended_by_a_timeout_and_by_a_signal() {
    if !have(&["cc"]) {
        return;
    }
    let folder = Folder::new();
    provider(
        &folder,
        "evil",
        "if (write(2, \"zvfs: loading\\n\", 14) < 0) _exit(1); for (;;) pause();",
        "",
        "",
    );
    let target = folder.at("target");
    for arguments in
        [&["cat", "evil:x"][..], &["cp", "evil:x", &target], &["stat", "evil:x"], &["rm", "evil:x"]]
    {
        let timed = |seconds| over(&folder, &[arguments, &["--timeout", &format!("{seconds}s")]].concat());
        run_timed("zvfs: loading", timed)
            .failed(110, &["--timeout ", "s: ", "timed out", "evil:x", "libzvfs_evil.so"]);
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut command = over(&folder, arguments);
            let mut started = Started::as_set(command.stdout(Stdio::null()).stderr(Stdio::piped()));
            let mut stderr = BufReader::new(started.child.stderr.take().unwrap());
            let mut stderr = bounded("the library loads", move || {
                assert_eq!(stderr.by_ref().lines().next().unwrap().unwrap(), "zvfs: loading");
                stderr
            });
            started.signal(signal);
            assert_eq!(started.end().code, code);
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            assert!(text.contains(&format!("ended by signal {}", code - 128)), "{text}");
        }
    }
}

/// The same for a session, whose Timeout was to be told by a thread that had to start for it.
#[test]
fn a_session_whose_provider_never_loads_is_reported_and_the_command_ends() {
    if !have(&["cc"]) {
        return;
    }
    let folder = Folder::new();
    provider(
        &folder,
        "evil",
        "if (write(2, \"zvfs: loading\\n\", 14) < 0) _exit(1); for (;;) pause();",
        "",
        "",
    );
    let manifest = |timeout: u32| {
        let program = support::repository("examples/jobs/wordcount/wordcount.wat");
        folder.write(
            "hangs",
            format!(
                "Version = 20140509\nProgram = {}\nMemory = 1048576, 0\nTimeout = {timeout}\n\
                 Channel = evil:x, /dev/stdin, 0, 9, 9, 0, 0\n\
                 Channel = /dev/null, /dev/stdout, 0, 0, 0, 9, 99\n\
                 Channel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n",
                program.display()
            ),
        )
    };
    let done = run_timed("zvfs: loading", |seconds| over(&folder, &["run", &manifest(seconds)]));
    done.failed(4, &["hangs: timeout", "evil:x", "keeps its thread"]);
    // And by a signal, long before its Timeout.
    let hangs = manifest(1000);
    let mut command = over(&folder, &["run", &hangs]);
    let mut started = Started::as_set(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut stderr = BufReader::new(started.child.stderr.take().unwrap());
    let mut stderr = bounded("the library loads", move || {
        assert_eq!(stderr.by_ref().lines().next().unwrap().unwrap(), "zvfs: loading");
        stderr
    });
    started.signal(Signal::TERM);
    assert_eq!(started.end().code, 4);
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    assert!(text.contains("hangs: cancelled"), "{text}");
}

/// Found: a second signal was left to a thread that was waiting for a provider's cancel function.
#[test]
fn a_second_signal_ends_the_command_at_once() {
    if !have(&["cc"]) {
        return;
    }
    let folder = Folder::new();
    provider(
        &folder,
        "evil",
        "",
        "",
        "if (write(2, \"zvfs: reading\\n\", 14) < 0) _exit(1); for (;;) pause();",
    );
    let mut command = over(&folder, &["cat", "evil:x"]);
    let mut started = Started::as_set(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut stderr = BufReader::new(started.child.stderr.take().unwrap());
    let _stderr = bounded("the provider is asked", move || {
        assert_eq!(stderr.by_ref().lines().next().unwrap().unwrap(), "zvfs: reading");
        stderr
    });
    started.signal(Signal::TERM);
    started.signal(Signal::INT);
    let code = started.end().code;
    assert!(code == 130 || code == 143, "{code}");
}

#[track_caller]
fn names_the_library(done: &Done, folder: &Folder) {
    done.failed(80, &[&folder.at("libzvfs_evil.so"), "called exit"]);
}

/// Found: a provider that called exit(0) in the middle made cat, cp and run successes with half an output or none.
#[test]
fn a_providers_exit_is_a_failure_that_names_it() {
    if !have(&["cc"]) {
        return;
    }
    for (at_load, at_open, at_read) in [
        ("exit(0);", "", ""),
        ("", "exit(0);", ""),
        ("", "", "exit(0);"),
        ("", "", "exit(3);"),
        ("", "", "thread();"),
        ("", "thread();", ""),
    ] {
        let folder = Folder::new();
        provider(&folder, "evil", at_load, at_open, at_read);
        names_the_library(&run(over(&folder, &["cat", "evil:x"])), &folder);
        let target = folder.write("target", "before");
        names_the_library(&run(over(&folder, &["cp", "evil:x", &target])), &folder);
        assert_eq!(fs::read_to_string(&target).unwrap(), "before");
        let program = support::repository("examples/jobs/wordcount/wordcount.wat");
        let manifest = folder.write(
            "m",
            format!(
                "Version = 20140509\nProgram = {}\nMemory = 1048576, 0\nTimeout = 50\n\
                 Channel = evil:x, /dev/stdin, 0, 99999, 99999999, 0, 0\n\
                 Channel = /dev/stdout, /dev/stdout, 0, 0, 0, 9, 99\n\
                 Channel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n",
                program.display()
            ),
        );
        let report = folder.at("report");
        let run_twice = ["run", "--report", "json", "--report-file", &report, &manifest, &manifest];
        names_the_library(&run(over(&folder, &run_twice)), &folder);
        // Found: the report's file was there, and empty.
        let reports = fs::read_to_string(&report).unwrap();
        assert_eq!(reports.matches("\"exit_code\":5").count(), 2, "{reports}");
        assert_eq!(reports.matches("libzvfs_evil.so: called exit").count(), 2, "{reports}");
    }
}

#[test]
fn a_process_that_a_provider_forks_off_may_exit() {
    if !have(&["cc"]) {
        return;
    }
    let folder = Folder::new();
    let forks = "pid_t child = fork(); if (child == 0) exit(0); int status; \
        if (waitpid(child, &status, 0) != child || status != 0) return -5;";
    provider(&folder, "evil", "", forks, "");
    let done = run(over(&folder, &["cat", "evil:x"]));
    assert!(!done.succeeded().stdout.is_empty());
}

/// Found: a set-uid zvfs wrote a report over a file that only root may write.
#[test]
fn a_set_uid_command_refuses_to_run() {
    if !geteuid().is_root() {
        return skip("only root can make a command set-uid for another user");
    }
    if !have(&["setpriv"]) {
        return;
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("zvfs");
    fs::copy(env!("CARGO_BIN_EXE_zvfs"), &binary).unwrap();
    let as_nobody = |mode: u32| {
        fs::set_permissions(&binary, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        run({
            command.args(["providers", "--provider-path", "/nowhere"]);
            command
        })
    };
    let plain = as_nobody(0o755);
    assert!(!plain.stderr.contains("set-uid"), "{plain:?}");
    for mode in [0o4755, 0o2755] {
        as_nobody(mode).failed(1, &["does not run set-uid"]);
    }
}

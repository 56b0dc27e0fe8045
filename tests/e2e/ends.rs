//! Ends that are not the command's own: libraries that never return, and those that end the process.

use crate::support::{Done, Folder, Started, repository, run, run_timed, under, zvfs};
use rustix::process::{Signal, geteuid};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use zvfs_test_support::{built, eventually, have, have_walls, provider_process, skip};

/// A provider whose constructor, opens and reads do what the test says.
fn provider(folder: &Folder, name: &str, at_load: &str, at_open: &str, at_read: &str) {
    build(folder, name, [at_load, at_open, at_read, ""]);
}

/// A provider whose stop does what the test says.
fn stops(folder: &Folder, name: &str, at_stop: &str) {
    build(folder, name, ["", "", "", at_stop]);
}

fn build(folder: &Folder, name: &str, [at_load, at_open, at_read, at_stop]: [&str; 4]) {
    let source = format!(
        r#"#include "zvfs_provider.h"
        #include <fcntl.h>
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
        static int32_t ZVFS_CALL b(const zvfs_host *h, const zvfs_value *const *v, zvfs_instance **out, zvfs_error *e) {{
            (void)h; (void)v; (void)e; *out = (zvfs_instance *)&the_file; return 0; }}
        static void ZVFS_CALL s(zvfs_instance *i) {{ (void)i; {at_stop} }}
        static void ZVFS_CALL c(zvfs_file *f) {{ (void)f; }}
        static int64_t ZVFS_CALL r(zvfs_file *f, void *b, uint64_t n, zvfs_error *e) {{
            (void)e; if (!f->left) {{ {at_read} return 0; }} f->left--; for (uint64_t at = 0; at < n; at++) ((char *)b)[at] = 'x'; return n; }}
        static uint64_t ZVFS_CALL k(zvfs_file *f) {{ (void)f; return ZVFS_CAP_READABLE; }}
        static const char *const schemes[] = {{ "{name}", NULL }};
        static const zvfs_provider provider = {{ .struct_size = sizeof provider, .name = "{name}", .version = "1",
            .summary = "hostile", .schemes = schemes, .supported_flags = ZVFS_OPEN_READ,
            .start = b, .stop = s, .open = o, .close = c, .read = r, .capabilities = k }};
        ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) {{ return &provider; }}"#
    );
    folder.library(&format!("libzvfs_{name}.so"), &source);
}

/// What says a word and never returns.
fn hangs(word: &str) -> String {
    format!("if (write(2, \"zvfs: {word}\\n\", {}) < 0) _exit(1); for (;;) pause();", word.len() + 7)
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
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    provider(&folder, "evil", &hangs("loading"), "", "");
    let target = folder.at("target");
    for arguments in
        [&["cat", "evil:x"][..], &["cp", "evil:x", &target], &["stat", "evil:x"], &["rm", "evil:x"]]
    {
        let timed = |seconds| over(&folder, &[arguments, &["--timeout", &format!("{seconds}s")]].concat());
        run_timed("zvfs: loading", timed)
            .failed(110, &["--timeout ", "s: ", "timed out", "evil:x", "libzvfs_evil.so"]);
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let started = Started::until_said(&mut over(&folder, arguments), "zvfs: loading");
            started.signal(signal);
            let done = started.end();
            assert_eq!(done.code, code);
            assert!(done.stderr.contains(&format!("ended by signal {}", code - 128)), "{done:?}");
        }
    }
}

/// The same for a session, whose Timeout was to be told by a thread that had to start for it.
#[test]
fn a_session_whose_provider_never_loads_is_reported_and_the_command_ends() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    provider(&folder, "evil", &hangs("loading"), "", "");
    let channels = |timeout| folder.wordcount("hangs", timeout, "evil:x", "/dev/null");
    ends_unloaded(&folder, channels, &["evil:x"]);
    // The session's own thread loads that of its program.
    let file = repository("examples/jobs/wordcount/wordcount.wat").display().to_string();
    let programs = |timeout| {
        let manifest = folder.wordcount("hangs", timeout, "/dev/null", "/dev/null");
        folder.write("hangs", fs::read_to_string(manifest).unwrap().replace(&file, "evil:x"))
    };
    ends_unloaded(&folder, programs, &["open the program evil:x: waited for the library libzvfs_evil.so"]);
}

/// Runs a manifest whose provider never loads.
#[track_caller]
fn ends_unloaded(folder: &Folder, manifest: impl Fn(u32) -> String, words: &[&str]) {
    let done = run_timed("zvfs: loading", |seconds| over(folder, &["run", &manifest(seconds)]));
    done.failed(4, &[&["hangs: timeout", "keeps its thread"], words].concat());
    // And by a signal, long before its Timeout.
    let started = Started::until_said(&mut over(folder, &["run", &manifest(1000)]), "zvfs: loading");
    started.signal(Signal::TERM);
    let done = started.end();
    assert_eq!(done.code, 4);
    assert!(done.stderr.contains("hangs: cancelled"), "{done:?}");
}

/// A session's report comes all the same, and the process ends.
#[test]
fn a_provider_that_ignores_its_cancel_is_left_behind() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    provider(&folder, "stuck", "", "", &hangs("stuck"));
    let target = folder.at("target");
    let copy = |seconds| over(&folder, &["cp", "--timeout", &format!("{seconds}s"), "stuck:", &target]);
    run_timed("zvfs: stuck", copy).failed(110, &["ignored its cancel", "`stuck:`"]);
    let started = Started::until_said(&mut over(&folder, &["cat", "stuck:"]), "zvfs: stuck");
    started.signal(Signal::TERM);
    let done = started.end();
    assert_eq!(done.code, 143);
    assert!(done.stderr.contains("ignored its cancel"), "{done:?}");
    let manifest = |seconds| folder.wordcount("m", seconds, "stuck:", "/dev/null");
    run_timed("zvfs: stuck", |seconds| over(&folder, &["run", &manifest(seconds)])).failed(
        4,
        &["m: timeout: channel /dev/stdin: read stuck:", "provider `stuck`, which ignores its cancel"],
    );
}

/// Found: the command could end before its providers had stopped.
#[test]
fn a_run_ends_after_its_providers_have_stopped() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    let stopped = folder.at("stopped");
    let mark = format!("usleep(300000); close(open(\"{stopped}\", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));");
    stops(&folder, "slow", &mark);
    let manifest = folder.wordcount("m", 50, "slow:x", "/dev/null");
    run(over(&folder, &["run", &manifest, &manifest])).succeeded();
    assert!(fs::exists(stopped).unwrap());
}

#[test]
fn a_provider_that_hangs_in_its_stop_is_named_and_holds_no_run() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    stops(&folder, "evil", &hangs("stopping"));
    let manifest = folder.wordcount("m", 50, "evil:x", "/dev/null");
    let done = run(over(&folder, &["run", &manifest]));
    done.failed(0, &["zvfs: stopping", "m: provider `evil` did not stop within 7 s"]);
    assert_eq!(done.stderr.lines().count(), 2, "{done:?}");
}

/// The library of hostile deeds under a name of the test's own, and an operator's file that places it.
fn hostile(name: &str, place: &str) -> Option<(Folder, String)> {
    let folder = Folder::needing(&["cc"]).filter(|_| have_walls())?;
    folder.provider(name, &repository("tests/faults/plugins/hostile.c"), &[]);
    symlink(provider_process(), folder.at("zvfs-provider")).unwrap();
    let text = format!(
        "provider-path = [{:?}, {:?}]\n[provider.file]\n[provider.null]\n[provider.{name}]\nplace = {place:?}\n",
        folder.path(),
        built()
    );
    let config = folder.write("zvfs.toml", text);
    Some((folder, config))
}

/// The most processor time that a process of a provider has had, in ticks.
fn ticks(name: &str) -> u64 {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let called = format!("zvfs-provider\0{name}\0");
    let ours =
        processes.filter(|path| fs::read(path.join("cmdline")).is_ok_and(|line| line == called.as_bytes()));
    let spent = ours.filter_map(|path| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The fields after its name, which may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(11)?.parse().ok()
    });
    spent.max().unwrap_or(0)
}

/// Found: the command left when its host had the process killed, too, which then lived on for 5 s.
#[test]
fn a_providers_process_that_ignores_its_cancel_is_killed_before_the_command_ends() {
    let Some((folder, config)) = hostile("hangs", "process") else { return };
    let cat = |seconds| under(&config, &["cat", "--timeout", &format!("{seconds}s"), "hangs:read/loop"]);
    let killed = "provider `hangs`'s process was killed: it did not end a call 1 s after its ";
    run_timed(killed, cat).failed(110, &["--timeout ", "cat hangs:read/loop: ", "deadline"]);
    let started = Started::new(under(&config, &["cat", "hangs:read/loop"]).stdin(Stdio::null()));
    eventually("it loops", || ticks("hangs") > 30);
    started.signal(Signal::TERM);
    started.end().failed(143, &["ended by signal 15: cat hangs:read/loop: ", killed, "cancel"]);
    // A session of a guest keeps no thread for it either.
    // Found: nor did it say that the process was killed.
    for call in ["open", "read"] {
        let manifest =
            |seconds| folder.wordcount("m", seconds, &format!("hangs:{call}/loop"), &folder.at("new"));
        let doing = format!("{call} hangs:{call}/loop");
        let done = run_timed(&doing, |seconds| under(&config, &["run", &manifest(seconds)]));
        done.failed(4, &[&format!("m: timeout: channel /dev/stdin: {doing}"), killed]);
        assert!(!done.stderr.contains("ignores its cancel"), "{done:?}");
        assert!(!done.stderr.contains("incomplete") && !fs::exists(folder.at("new")).unwrap(), "{done:?}");
    }
}

/// Found: the command failed, and named standard output too.
#[test]
fn a_close_that_hangs_takes_nothing_from_complete_data() {
    for (place, words) in [
        ("process", "close odd:close/loop: provider `odd`'s process was killed: it did not close a file"),
        (
            "host",
            "close odd:close/loop: provider `odd` does not return, and is left behind; the data are complete",
        ),
    ] {
        let Some((_folder, config)) = hostile("odd", place) else { return };
        let cat = |seconds| {
            let seconds = format!("{seconds}s");
            under(&config, &["cat", "--timeout", &seconds, "--range", "0-9", "odd:close/loop"])
        };
        let done = run_timed(words, cat);
        done.failed(0, &[]);
        assert_eq!((done.out(), done.stderr.lines().count()), ("rrrrrrrrrr", 1), "{done:?}");
    }
}

#[test]
fn a_process_that_dies_in_its_close_is_a_warning_and_in_a_write_an_error_that_is_told_once() {
    let Some((folder, config)) = hostile("dies", "process") else { return };
    let source = folder.write("source", "content");
    let copy = |target| run(under(&config, &["cp", &source, target]));
    copy("dies:close/abort")
        .failed(0, &["close dies:close/abort: ", "`dies`'s process was killed by SIGABRT"]);
    let done = copy("dies:write/abort");
    done.failed(5, &["copy ", "`dies`'s process was killed by SIGABRT"]);
    assert_eq!(done.stderr.matches("SIGABRT").count(), 1, "{done:?}");
}

/// Found: a second signal was left to a thread that was waiting for a provider's cancel function.
#[test]
fn a_second_signal_ends_the_command_at_once() {
    let Some(folder) = Folder::needing(&["cc"]) else { return };
    provider(&folder, "evil", "", "", &hangs("reading"));
    let started = Started::until_said(&mut over(&folder, &["cat", "evil:x"]), "zvfs: reading");
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
        let manifest = folder.wordcount("m", 50, "evil:x", "/dev/stdout");
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
    let Some(folder) = Folder::needing(&["cc"]) else { return };
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
    let Some(folder) = Folder::needing(&["setpriv"]) else { return };
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

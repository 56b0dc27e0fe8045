//! Signals: what was being done ends, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod support;

use rustix::process::Signal;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{Folder, Started, bounded, eventually, run_timed, zvfs};
use zvfs_test_support::have;

/// Opens a FIFO for writing, which waits for the command to open it for reading, and lets it take some bytes.
#[track_caller]
fn feed(started: &mut Started, fifo: &str) -> File {
    let path = fifo.to_owned();
    let mut writer =
        bounded("the command opens its source", move || OpenOptions::new().write(true).open(path).unwrap());
    writer.write_all(b"half of it").unwrap();
    eventually("the command has read", || {
        started.still_runs();
        rustix::io::ioctl_fionread(&writer).unwrap() == 0
    });
    writer
}

#[test]
fn an_interrupted_copy_leaves_no_target() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let folder = Folder::new();
        let fifo = folder.fifo("fifo");
        let mut started = Started::new(zvfs(["cp", &fifo, &folder.at("target")]).stdin(Stdio::null()));
        let writer = feed(&mut started, &fifo);
        started.signal(signal);
        started.end().failed(code, &["ended by signal"]);
        assert_eq!(folder.names(), ["fifo"]);
        drop(writer);
    }
}

#[test]
fn an_interrupted_copy_leaves_the_old_target() {
    let folder = Folder::new();
    let (fifo, target) = (folder.fifo("fifo"), folder.write("target", "before"));
    let mut started = Started::new(zvfs(["cp", &fifo, &target]).stdin(Stdio::null()));
    let writer = feed(&mut started, &fifo);
    started.signal(Signal::INT);
    started.end().failed(130, &[]);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "before");
    assert_eq!(folder.names(), ["fifo", "target"]);
    drop(writer);
}

/// Neither end ever waits, so neither looks at a cancel by itself.
#[test]
fn an_interrupted_copy_of_an_endless_source_leaves_no_target() {
    let folder = Folder::new();
    let mut started = Started::new(zvfs(["cp", "null:zero", &folder.at("target")]).stdin(Stdio::null()));
    // What is written has no name before it is whole.
    let descriptors = format!("/proc/{}/fd", started.child.id());
    let target = std::path::Path::new(folder.path());
    eventually("the copy has begun", || {
        started.still_runs();
        let mut open =
            std::fs::read_dir(&descriptors).unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        open.any(|file| file.starts_with(target))
    });
    started.signal(Signal::INT);
    started.end().failed(130, &["ended by signal"]);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn an_interrupted_cat_ends() {
    let folder = Folder::new();
    let fifo = folder.fifo("fifo");
    let mut started = Started::new(zvfs(["cat", &fifo]).stdin(Stdio::null()));
    let writer = feed(&mut started, &fifo);
    started.signal(Signal::TERM);
    let done = started.end();
    done.failed(143, &["ended by signal 15"]);
    assert_eq!(done.out(), "half of it");
    drop(writer);
}

/// A case report: after SIGSTOP over its deadline, a command said that "a provider ignored its cancel: leaving it behind".
#[test]
fn a_command_that_was_stopped_over_its_deadline_timed_out() {
    let folder = Folder::new();
    let fifo = folder.fifo("fifo");
    let start = Instant::now();
    let mut started = Started::new(zvfs(["cat", "--timeout", "6s", &fifo]).stdin(Stdio::null()));
    let writer = feed(&mut started, &fifo);
    started.signal(Signal::STOP);
    eventually("the deadline is past, and the patience after it", || {
        start.elapsed() > Duration::from_secs(8)
    });
    started.signal(Signal::CONT);
    let done = started.end();
    done.failed(110, &["timed out"]);
    assert!(!done.stderr.contains("ignored"), "{done:?}");
    drop(writer);
}

/// What lies unsent or unread in the kernel, of the connections to a port.
fn queued(port: u16) -> Vec<String> {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of_port =
        |line: &&str| line.split_whitespace().nth(2).is_some_and(|to| to.ends_with(&format!(":{port:04X}")));
    connections
        .lines()
        .filter(of_port)
        .map(|line| line.split_whitespace().nth(4).unwrap().to_owned())
        .collect()
}

/// A case report: a command whose peer was stopped in the middle of a pipe waited 5 s after the signal, to tell it.
#[test]
fn a_command_whose_peer_is_stopped_ends_at_its_signal() {
    for stops_reader in [true, false] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let pipe = format!("tcp://127.0.0.1:{port}");
        let start = |from: &str, to: &str| Started::new(zvfs(["cp", from, to]).stdin(Stdio::null()));
        let (reader, writer) = (start(&pipe, "null:"), start("null:zero", &pipe));
        eventually("something is in the pipe", || {
            queued(port).iter().any(|queued| *queued != "00000000:00000000")
        });
        let (stopped, mut ended) = if stops_reader { (reader, writer) } else { (writer, reader) };
        stopped.signal(Signal::STOP);
        let (mut before, mut same) = (Vec::new(), 0);
        eventually("nothing moves in the pipe", || {
            ended.still_runs();
            let now = queued(port);
            same = if now == before { same + 1 } else { 0 };
            before = now;
            same > 20
        });
        ended.signal(Signal::INT);
        ended.end_within(Duration::from_secs(4)).failed(130, &["ended by signal"]);
        stopped.signal(Signal::KILL);
    }
}

/// A manifest of a guest that says it is there and then never ends.
fn endless(folder: &Folder) -> String {
    folder.write(
        "endless.wat",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\06\00\00\00")
            (data (i32.const 16) "ready\n")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (loop $for_ever (br $for_ever))))"#,
    );
    folder.write(
        "endless.manifest",
        "Version = 20140509\n\
         Program = ${MANIFEST_DIR}/endless.wat\n\
         Memory = 1048576, 0\n\
         Timeout = 3600\n\
         Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
         Channel = /dev/stdout, /dev/stdout, 0, 0, 0, 10, 100\n\
         Channel = /dev/stderr, /dev/stderr, 0, 0, 0, 10, 100\n",
    )
}

#[test]
fn a_signal_cancels_every_guest_and_reports_each() {
    let folder = Folder::new();
    let manifest = endless(&folder);
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = zvfs(["run", "--report", "json", &manifest, &manifest]);
        let mut started =
            Started::as_set(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stdout = started.child.stdout.take().unwrap();
        bounded("both guests run", move || {
            let ready = BufReader::new(stdout).lines().take(2).map(|line| line.unwrap());
            assert_eq!(ready.collect::<Vec<_>>(), ["ready", "ready"]);
        });
        let mut stderr = started.child.stderr.take().unwrap();
        started.signal(signal);
        let text = bounded("standard error ends", move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text).unwrap()
        });
        assert_eq!(started.end().code, 4, "{text}");
        let reports: Vec<serde_json::Value> = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(reports.len(), 2, "{text}");
        for report in reports {
            assert_eq!((&report["exit_code"], &report["state"]), (&4.into(), &"cancelled".into()));
            assert_eq!(report["channels"][1]["puts"], 1, "{report}");
        }
    }
}

/// A provider whose read never returns, whatever it is told.
const STUCK: &str = r#"
#include <string.h>
#include <unistd.h>
#include "zvfs_provider.h"
struct zvfs_file { int unused; };
static struct zvfs_file file;
static int32_t ZVFS_CALL stuck_open(zvfs_instance *none, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    (void)none; (void)request; (void)err;
    *out = &file;
    return 0;
}
static int64_t ZVFS_CALL stuck_read(zvfs_file *f, void *buf, uint64_t n, zvfs_error *err) {
    (void)f; (void)buf; (void)n; (void)err;
    if (write(2, "zvfs: stuck\n", 12) < 0) _exit(1);
    for (;;) pause();
}
static uint64_t ZVFS_CALL stuck_capabilities(zvfs_file *f) { (void)f; return ZVFS_CAP_READABLE; }
static void ZVFS_CALL stuck_close(zvfs_file *f) { (void)f; }
static const char *const schemes[] = { "stuck", NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = "stuck", .version = "1",
    .summary = "reads that never return", .schemes = schemes, .supported_flags = ZVFS_OPEN_READ,
    .open = stuck_open, .close = stuck_close, .read = stuck_read, .capabilities = stuck_capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
"#;

#[test]
fn a_provider_that_ignores_its_cancel_is_left_behind() {
    if !have(&["cc"]) {
        return;
    }
    let folder = Folder::new();
    folder.library("libzvfs_stuck.so", STUCK);
    let over = |arguments: &[&str]| {
        let mut command = zvfs(["--provider-path", folder.path().to_str().unwrap()]);
        command.args(arguments).stdin(Stdio::null());
        command
    };
    let target = folder.at("target");
    let copy = |seconds| over(&["cp", "--timeout", &format!("{seconds}s"), "stuck:", &target]);
    run_timed("zvfs: stuck", copy).failed(110, &["ignored its cancel", "`stuck:`"]);
    let mut command = over(&["cat", "stuck:"]);
    let mut started = Started::as_set(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut stderr = BufReader::new(started.child.stderr.take().unwrap());
    let mut stderr = bounded("the provider is stuck", move || {
        assert_eq!(stderr.by_ref().lines().next().unwrap().unwrap(), "zvfs: stuck");
        stderr
    });
    started.signal(Signal::TERM);
    assert_eq!(started.end().code, 143);
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    assert!(text.contains("ignored its cancel"), "{text}");

    // A session's report comes all the same, and the process ends.
    let program = support::repository("examples/jobs/wordcount/wordcount.wat");
    let manifest = |timeout: u32| {
        folder.write(
            "m",
            format!(
                "Version = 20140509\nProgram = {}\nMemory = 1048576, 0\nTimeout = {timeout}\n\
             Channel = stuck:, /dev/stdin, 0, 9, 9, 0, 0\n\
             Channel = /dev/null, /dev/stdout, 0, 0, 0, 9, 9\n\
             Channel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n",
                program.display()
            ),
        )
    };
    run_timed("zvfs: stuck", |seconds| over(&["run", &manifest(seconds)]))
        .failed(4, &["m: timeout: channel /dev/stdin: read stuck:", "a provider that ignores its cancel"]);
}

//! Signals: what was being done ends, and leaves nothing behind.

use crate::support::{Folder, Started, zvfs};
use rustix::process::Signal;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};
use zvfs_test_support::{bounded, eventually, free_port};

/// Opens a FIFO for writing, which waits for the command to open it for reading, and lets it take some bytes.
#[track_caller]
fn feed(started: &mut Started, fifo: &str) -> File {
    let path = fifo.to_owned();
    let mut writer = bounded(move || OpenOptions::new().write(true).open(path).unwrap());
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
        let port = free_port();
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
        bounded(move || {
            let ready = BufReader::new(stdout).lines().take(2).map(|line| line.unwrap());
            assert_eq!(ready.collect::<Vec<_>>(), ["ready", "ready"]);
        });
        started.signal(signal);
        let done = started.end();
        assert_eq!(done.code, 4, "{done:?}");
        let reports: Vec<serde_json::Value> = done
            .stderr
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(reports.len(), 2, "{done:?}");
        for report in reports {
            assert_eq!((&report["exit_code"], &report["state"]), (&4.into(), &"cancelled".into()));
            assert_eq!(report["channels"][1]["puts"], 1, "{report}");
        }
    }
}

//! How the process begins and ends.

mod host;

use host::{Host, Odd, PROGRAM, mem, on_file};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;
use vfs_core::OpenFlags;
use vfs_core::process::wire::{Call, FileCall, OnConnection, Reply, ToSupervisor};
use zvfs_test_support::{bounded, have_walls};

/// As wait(2) has them.
const EXIT_0: i32 = 0;
const EXIT_3: i32 = 3 << 8;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

#[test]
fn a_stop_is_answered_and_ends_the_process() {
    let (host, mut caller) = Host::running(&mem());
    caller.open(1, "mem:a", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE);
    assert!(matches!(caller.ask(&Call::Stop), Reply::Done));
    assert_eq!(host.ended(), Some(EXIT_0));
}

#[test]
fn a_process_that_serves_nothing_stops_too() {
    let host = Host::with(&mem());
    assert!(matches!(host.connection().ask(&Call::Stop), Reply::Done));
    assert_eq!(host.ended(), Some(EXIT_0));
}

#[test]
fn a_kill_ends_a_call_that_never_returns() {
    let odd = Odd::build();
    let (host, mut caller) = Host::running(&odd.path);
    caller.open(1, "odd:never", OpenFlags::READ);
    caller.say(&on_file(1, FileCall::Read { count: 1 }));
    host.supervisor.say(&ToSupervisor::Kill, &[]).unwrap();
    assert_eq!(host.ended(), Some(SIGKILL));
    assert!(caller.heard().is_none());
}

#[test]
fn the_supervisor_says_how_a_library_ended_its_process() {
    let odd = Odd::build();
    for (what, status) in [("abort", SIGABRT), ("exit", EXIT_3)] {
        let (host, mut caller) = Host::running(&odd.path);
        caller.open(1, &format!("odd:{what}"), OpenFlags::READ);
        caller.say(&on_file(1, FileCall::Read { count: 1 }));
        assert!(caller.heard().is_none(), "{what}");
        // A dump of its memory, where the system makes one, is said by another bit.
        assert_eq!(host.ended().map(|status| status & !0x80), Some(status), "{what}");
    }
}

#[test]
fn a_process_whose_host_has_closed_its_socket_stops() {
    let odd = Odd::build();
    let (mut host, mut caller) = Host::running(&odd.path);
    caller.open(1, "odd:wait", OpenFlags::READ);
    caller.begin_wait(&on_file(1, FileCall::Read { count: 1 }));
    host.close_control();
    // What was in progress was cancelled, and not by its host: it ends with the connection, and no reply.
    assert!(matches!(caller.heard(), Some((OnConnection::Waiting { object: None, .. }, _))));
    assert!(caller.heard().is_none());
    assert_eq!(host.ended(), Some(EXIT_0));
}

/// The supervisor gives it 5 s.
#[test]
fn a_process_that_outlives_its_host_is_killed() {
    let odd = Odd::build();
    let (mut host, mut caller) = Host::running(&odd.path);
    caller.open(1, "odd:never", OpenFlags::READ);
    caller.say(&on_file(1, FileCall::Read { count: 1 }));
    host.close_control();
    host.close_supervisor();
    bounded(move || {
        assert!(caller.heard().is_none());
        assert!(host.program.wait().unwrap().success());
    });
}

/// How often the threads of a process went to sleep.
fn sleeps(process: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    // One that has ended meanwhile has slept often enough.
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let count = |status: String| {
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse::<u64>().ok()
    };
    status.filter_map(count).sum()
}

#[test]
fn an_idle_process_and_its_supervisor_wake_for_nothing() {
    let (host, mut caller) = Host::running(&mem());
    caller.open(1, "mem:a", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE);
    let supervisor = host.program.id().to_string();
    let process = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
    let process = process.trim();
    let count = || sleeps(&supervisor) + sleeps(process);
    // What was asked of them may go on for a moment.
    let quiet = (0..20).any(|_| {
        let before = count();
        thread::sleep(Duration::from_secs(1));
        count() == before
    });
    assert!(quiet, "there was no second without a wake-up");
}

#[test]
fn whoever_starts_it_by_hand_is_told_what_it_is() {
    let output = Command::new(PROGRAM).arg("null").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("zvfs-provider: started by hosts only"), "{said}");
    let output = Command::new(PROGRAM).arg("--version").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"zvfs-provider 0."));
}

#[test]
fn the_walls_that_are_there_are_listed() {
    if have_walls() {
        let output = Command::new(PROGRAM).arg("--walls").output().unwrap();
        assert_eq!(output.stdout, b"landlock: there\nlandlock-net: there\nseccomp: there\n");
    }
}

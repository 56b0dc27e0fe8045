//! Ends on one host with a wall between them.

use super::{BESIDE, Between, FIRST, ON};
use crate::common::*;
use crate::hostile::{Child, open};
use crate::peer::connect;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use vfs_core::{Finish, Flush};
use zvfs_test_support::{by_another_user, have, in_a_process_namespace, skip, without_proc};

/// More than goes over a connection otherwise.
const PAYLOAD: usize = 32 * BESIDE;

/// A thread of its own in a network namespace of its own, with loopback.
fn in_another_network<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if !have(&["ip"]) {
        return None;
    }
    let thread = thread::spawn(|| {
        #[expect(unsafe_code, reason = "a thread leaves its network namespace")]
        // SAFETY: only the network namespace of this thread changes, and no descriptor.
        if let Err(errno) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
            skip(format_args!("no network namespaces: {errno}"));
            return None;
        }
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        Some(call())
    });
    thread.join().unwrap()
}

/// A writer in another network, with somebody between who is in both. (Threads that it starts are where it is.)
#[test]
fn ends_in_two_networks_meet_in_a_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, meet) in [(ON.to_owned(), false), (format!("same-host = {:?}", folder.path()), true)] {
        let there = || {
            in_another_network(|| {
                let network = File::open("/proc/thread-self/ns/net").unwrap();
                (TcpListener::bind("127.0.0.1:0").unwrap(), network)
            })
        };
        let Some((listener, network)) = there() else { return };
        let between = {
            let port = free_port();
            let mut reader = open(&settings, &format!("tcp://127.0.0.1:{port}"), false);
            let between = Between::accepting(listener, move || Some(connect(port)));
            let (settings, at) = (settings.clone(), format!("tcp://127.0.0.1:{}", between.port));
            let writing = thread::spawn(move || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                let mut writer = open(&settings, &at, true);
                writer.write_all(FIRST).unwrap();
                for number in 0..WARM {
                    writer.write_all(b"w").unwrap();
                    if number < WARM - 50 {
                        continue;
                    }
                    writer.flush(Flush::Sync).unwrap();
                }
                writer.write_all(&[7; PAYLOAD]).unwrap();
                writer.finish(Finish::Commit).unwrap();
            });
            assert_eq!(in_time(move || read_to_end(&mut reader)).len(), FIRST.len() + WARM + PAYLOAD);
            writing.join().unwrap();
            between
        };
        assert_eq!(between.count() < PAYLOAD, meet, "{} bytes", between.count());
    }
}

/// Another user's memory is none of this one's, whatever it proves.
#[test]
fn ends_of_two_users_do_not_meet() {
    let test = std::env::current_exe().unwrap();
    if let Some(nobody) = by_another_user(&test, "--list") {
        assert!(met_by(nobody).passed(PARTS));
    }
}

/// What the kernel would tell in /proc is not needed.
#[test]
fn ends_without_proc_meet() {
    if let Some(without) = without_proc(&std::env::current_exe().unwrap()) {
        assert!(!met_by(without).passed(PARTS), "they do not meet");
    }
}

/// The other end's process has no number in a container's process namespace, and is this user's all the same.
#[test]
fn ends_in_two_process_namespaces_meet() {
    if let Some(apart) = in_a_process_namespace(&std::env::current_exe().unwrap()) {
        assert!(!met_by(apart).passed(PARTS), "they do not meet");
    }
}

/// What a child writes.
const PARTS: &[u8] = b"parts";

/// Reads from a child, whose connection carries what it writes, or does not.
fn met_by(command: Command) -> Between {
    let port = free_port();
    let mut reader = open(ON, &format!("tcp://127.0.0.1:{port}"), false);
    let between = Between::new(port);
    let mut child = Child::started(command, ON, &format!("meet tcp:127.0.0.1:{}", between.port));
    read_exactly(&mut reader, WARM);
    child.wait_until_ready();
    assert_eq!(read_exactly(&mut reader, PARTS.len()), PARTS);
    between
}

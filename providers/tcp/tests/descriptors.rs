//! A process without descriptors, of its own: the limit is the process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, unused_imports, reason = "shared with the other tests")]
#[path = "tcp/common.rs"]
mod common;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use vfs_core::{Code, OpenOptions, Provider};
use zvfs_tcp::Tcp;
use zvfs_test_support::eventually;

/// What this test is about.
fn provider() -> Box<dyn Provider> {
    Box::new(Tcp)
}

/// One test at a time: each changes the limit.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory that ends share takes two more at each of them.
#[test]
fn ends_with_half_of_the_descriptors_in_use_go_on_over_tcp() {
    let _alone = alone();
    let house = House::with(None, "same-host = \"on\"");
    let shared = || fs::read_to_string("/proc/self/maps").unwrap().matches("zvfs-shared").count();
    let until = Instant::now() + SLACK;
    // On a machine with much to do they may miss each other.
    for name in 0.. {
        let _pair = house.pair(&name.to_string());
        if shared() > 0 {
            break;
        }
        assert!(Instant::now() < until, "they do not meet");
    }
    eventually("they let go of it", || shared() == 0);
    let used: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
    let whole = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(used[199].as_raw_fd() as u64 + 50), ..whole })
        .unwrap();
    let (mut reader, writer) = house.pair("short");
    assert_eq!(shared(), 0);
    goes_through(&mut reader, writer, b"all the same");
    setrlimit(Resource::Nofile, whole).unwrap();
}

/// A pipe for whose connection no descriptor was left waited for its other end until its deadline.
#[test]
fn a_pipe_that_gets_no_connection_fails_at_once() {
    let _alone = alone();
    let host = registry(&format!("broker = \"127.0.0.1:{}\"", free_port()));
    let pipe = format!("tcp://127.0.0.1:{}", free_port());
    let mut reader = host.open(&pipe, &OpenOptions::new(READ)).unwrap();
    let mut writer = host.open(&pipe, &OpenOptions::new(WRITE)).unwrap();
    writer.write_all(b"x").unwrap();
    read_exactly(&mut reader, 1);
    let whole = getrlimit(Resource::Nofile);
    // One for the pipe's signal, none for its socket.
    let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(next + 1), ..whole }).unwrap();
    let mut starved = host.open("netpipe:a:r", &OpenOptions::new(READ)).unwrap();
    // A call that has to wait wants a descriptor too; one that finds its pipe failed does not.
    let failed = in_time(move || {
        loop {
            let error = starved.read(&mut [0; 10]).unwrap_err();
            if error.chain().contains("connect to") {
                return Err::<(), _>(error);
            }
        }
    });
    setrlimit(Resource::Nofile, whole).unwrap();
    refused(failed, Code::EMFILE, "connect to 127.0.0.1");
    // The others go on.
    writer.write_all(b"y").unwrap();
    assert_eq!(read_exactly(&mut reader, 1), b"y");
}

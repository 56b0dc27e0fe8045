//! A process without descriptors, of its own: the limit is the process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, unused_imports, reason = "shared with the other tests")]
#[path = "tcp/common.rs"]
mod common;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::AsRawFd;
use vfs_core::{Code, OpenOptions, Provider};
use zvfs_tcp::Tcp;

/// What this test is about.
fn provider() -> Box<dyn Provider> {
    Box::new(Tcp)
}

/// A pipe for whose connection no descriptor was left waited for its other end until its deadline.
#[test]
fn a_pipe_that_gets_no_connection_fails_at_once() {
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

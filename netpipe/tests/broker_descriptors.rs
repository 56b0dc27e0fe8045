//! A broker without descriptors, in a process of its own: the limit is the process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the broker")]
#[path = "broker/client.rs"]
mod client;

use client::{Peer, Running};
use netpipe::Hello;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::AsRawFd;

#[test]
fn a_broker_without_descriptors_serves_whom_it_has_and_accepts_again_later() {
    let broker = Running::start();
    let token = broker.prepare_relay(None);
    let mut peer = broker.dial();
    let whole = getrlimit(Resource::Nofile);
    let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    let allow =
        |count: u64| setrlimit(Resource::Nofile, Rlimit { current: Some(next + count), ..whole }).unwrap();

    // One descriptor: the client's. The broker's end stays in the backlog.
    allow(1);
    let waiting = broker.raw();
    broker.await_log("accept: too many open files");
    // Tried every 100 ms, and said once: a broker whose descriptors were used up filled its log.
    let tries = std::time::Instant::now() + std::time::Duration::from_millis(450);
    while std::time::Instant::now() < tries {
        peer.sync();
    }
    assert_eq!(broker.log().iter().filter(|line| line.contains("accept:")).count(), 1);
    peer.reader(1, "name");
    peer.writer(2, "name");
    assert_eq!((peer.matched().id, peer.matched().id), (1, 2));

    setrlimit(Resource::Nofile, whole).unwrap();
    let mut served = Peer::new(waiting, Hello::broker(), None, &[]).unwrap();
    served.sync();

    // Room for two connections, and none for the pipes between them.
    let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(next + 4), ..whole }).unwrap();
    let _one = broker.dial_relay(token, None, &[]).unwrap();
    let _two = broker.dial_relay(token, None, &[]).unwrap();
    broker.await_log("refuse relay \"relayed\": too many open files");
    peer.sync();
    setrlimit(Resource::Nofile, whole).unwrap();
    broker.dial().sync();
}

//! Read-ahead: ranges that are fetched at once give what one answer would, or its error.

use crate::common::*;
use std::io::SeekFrom;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use vfs_core::{Code, OpenOptions};
use zvfs_http_servers::{After, Answer, FaultServer, Object, pattern};

/// Four ranges of 64 KiB at once, and no pauses to speak of.
const AHEAD: &str = r#"read-ahead = 4, read-ahead-size = "64k", retry-delay = "1ms""#;
const RANGE: u64 = 64 << 10;

#[test]
fn each_range_is_asked_for_once_and_by_its_version() {
    let server = serving(Object::new(1_000_000));
    fetch(&registry(AHEAD), &server.url("/")).is(0..1_000_000);
    let mut ranges: Vec<_> = server.requests().iter().map(|request| request.range().unwrap()).collect();
    ranges.sort_unstable();
    let wanted: Vec<_> = (0..1_000_000_u64)
        .step_by(RANGE as usize)
        .map(|start| (start, Some((start + RANGE).min(1_000_000) - 1)))
        .collect();
    assert_eq!(ranges, wanted);
    let pinned =
        server.requests().iter().filter(|request| request.header("If-Range") == Some("\"one\"")).count();
    assert_eq!(pinned, ranges.len() - 1);
}

#[test]
fn ranges_are_fetched_at_once() {
    let waiting = Arc::new((Mutex::new(0), Condvar::new()));
    let object = Object::new(1_000_000);
    let server = FaultServer::http(move |request, peer| {
        if request.first() > 0 {
            // Nobody gets an answer before four have asked.
            let (count, four) = &*waiting;
            let mut count = count.lock().unwrap();
            *count += 1;
            four.notify_all();
            drop(four.wait_timeout_while(count, SLACK, |count| *count < 4).unwrap());
        }
        peer.send(&object.answer(request))
    });
    fetch(&registry(AHEAD), &server.url("/")).is(0..1_000_000);
    assert!(server.connections() >= 4, "{} connections", server.connections());
}

#[test]
fn each_range_has_its_own_attempts() {
    let server = dropping(Object::new(1_000_000), 30_000, After::Reset);
    fetch(&registry(AHEAD), &server.url("/")).is(0..1_000_000);
}

#[test]
fn a_range_that_fails_fails_the_read_behind_what_came_before() {
    let object = Object::new(1_000_000);
    let server = FaultServer::http(move |request, peer| match request.first() {
        0..500_000 => peer.send(&object.answer(request)),
        _ => peer.send(&Answer::new(403)),
    });
    let fetched = fetch(&registry(AHEAD), &server.url("/"));
    fetched.failed(Code::EACCES);
    assert_eq!(fetched.bytes.len() as u64, 500_000_u64.next_multiple_of(RANGE));
}

#[test]
fn a_changed_object_is_estale_for_good() {
    let asked = AtomicU64::new(0);
    let server = FaultServer::http(move |request, peer| {
        let tag = if asked.fetch_add(1, Ordering::Relaxed) < 3 { "\"one\"" } else { "\"two\"" };
        peer.send(&Object::new(1_000_000).tagged(tag).answer(request))
    });
    with_file(registry(AHEAD), server.url("/"), READ, |file| {
        drain(file).failed(Code::ESTALE);
        drain(file).error.filter(|error| error.code() == Code::ESTALE).unwrap();
    });
}

#[test]
fn a_jump_is_read_right_and_so_is_what_follows() {
    let server = serving(Object::new(40 << 20));
    with_file(registry(AHEAD), server.url("/"), READ, |file| {
        let mut buf = vec![0; 100_000];
        for (to, length) in [(0, 300_000), (1_000_000, 50_000), (20_000_000, 18_000_000), (65_536, 400_000)] {
            file.seek(SeekFrom::Start(to)).unwrap();
            let mut at = to;
            while at < to + length {
                let count = file.read(&mut buf).unwrap();
                assert!(buf[..count] == pattern::bytes(at..at + count as u64), "wrong bytes at {at}");
                at += count as u64;
            }
        }
    });
}

#[test]
fn a_server_without_ranges_is_read_in_one() {
    let server = serving(Object::new(1_000_000).without_ranges());
    fetch(&registry(AHEAD), &server.url("/")).is(0..1_000_000);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_file_is_closed_and_its_instance_stopped_while_ranges_are_under_way() {
    let server = FaultServer::http(|request, peer| match request.first() {
        0 => peer.send(&Object::new(1_000_000).answer(request)),
        _ => peer.stall(),
    });
    let url = server.url("/");
    in_time(move || {
        let registry = registry(AHEAD);
        let mut file = registry.open(&url, &OpenOptions::new(READ)).unwrap();
        file.read(&mut [0; 1000]).unwrap();
        drop(file);
        drop(registry);
    });
    // Not a connection is left to threads that nobody waits for.
    assert!(server.wait_until(SLACK, |_, _, open| open == 0));
}
